"""What the start page offers: images, and sizes from which a person may choose. Pure.

A size is a list of steps, the largest first, which is chosen unless somebody chooses less. Nothing
larger than what is left is on it, so what the page offers fits at that moment. Where others leave
less than the whole, the first step is sent as no choice at all: it means what is left when the
server starts, as a start without a word does (spawner/options.py).
"""

import html
import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, TypeVar

from hub_config.sizes import format_bytes, format_seconds
from spawner.admission import CPU_PARTS, CPUS, GPUS, MEMORY, SERVERS, Admitted, Measure, Pot
from spawner.messages import FIXED, limits
from spawner.messages import quotas as words
from spawner.options import CPUS_LEAST, MEMORY_LEAST_BYTES, fitting
from spawner.quota import Quota

if TYPE_CHECKING:
    from hub_config.schema import Image

MIB = 1024**2
HOUR_SECONDS = 3600
# What the hub's own forms send along with the options.
FORM_EXTRAS = frozenset({"_xsrf"})
# Left empty, these are not chosen at all.
MAY_BE_EMPTY = frozenset({"cpus", "memory", "gpus", "session"})
CPU_STEPS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
MEMORY_STEPS = tuple(512 * MIB << doubled for doubled in range(13))
SESSION_STEPS = tuple(HOUR_SECONDS * hours for hours in (1, 2, 4, 8, 12, 24, 48, 72, 168))
Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class ImageCard:
    """One image as the start page shows it."""

    key: str
    title: str
    image: str
    description: str
    built_locally: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One choice of a size: what is sent, and what people read."""

    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Size:
    """One thing of which less can be chosen; the first step is the most there is now."""

    key: str
    title: str
    steps: tuple[Step, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """All that can be chosen, the limits that hold otherwise, and what keeps one from starting."""

    images: tuple[ImageCard, ...]
    sizes: tuple[Size, ...]
    limits: tuple[tuple[str, str], ...]
    problem: str = ""

    @property
    def fixed(self) -> tuple[tuple[str, str], ...]:
        """Return the limits among which there is nothing to choose."""
        return tuple(row for row in self.limits if row[0] in FIXED)


def offer(
    images: "Mapping[str, Image]",
    local: Collection[str],
    quota: Quota,
    left: Mapping[Measure, Pot],
    gpus_here: int,
) -> Offer:
    """Return what the start page shows.

    `local` holds the image names that were built here, `quota` is what the person may have, `left`
    what others leave of it.
    """
    cards = tuple(
        ImageCard(key, card.title, card.image, card.description, card.image in local)
        for key, card in images.items()
    )
    quota = replace(quota, gpus=min(quota.gpus, gpus_here))
    problem = next(_problems(left), "")
    sizes = () if problem else tuple(_sizes(quota, left))
    return Offer(cards, sizes, limits(quota), problem)


def _problems(left: Mapping[Measure, Pot]) -> Iterator[str]:
    """Yield what keeps even the smallest server from starting."""
    least = {SERVERS: 1, CPUS: round(CPUS_LEAST * CPU_PARTS), MEMORY: MEMORY_LEAST_BYTES}
    for measure, wanted in least.items():
        if measure in left and not isinstance(answer := left[measure].answer(wanted), Admitted):
            yield answer.sentence


def _sizes(quota: Quota, left: Mapping[Measure, Pot]) -> Iterator[Size]:
    most_cpus, most_memory = _most(CPUS, quota, left) / CPU_PARTS, _most(MEMORY, quota, left)
    fits = fitting(quota, left)
    cpus = _down(min(quota.cpus, most_cpus), CPU_STEPS)
    steps = [Step(_plain(each), words.cores(each)) for each in cpus]
    all_that_is_left = fits.get("cpus") == most_cpus
    yield Size("cpus", "CPU", _open(all_that_is_left, steps), _hint(CPUS, quota, left))
    memory = _down(most_memory, MEMORY_STEPS)
    steps = [Step(_size(each), format_bytes(each)) for each in memory]
    all_that_is_left = fits.get("memory") == f"{most_memory} B"
    yield Size("memory", "Memory", _open(all_that_is_left, steps), _hint(MEMORY, quota, left))
    if quota.gpus:
        gpus = range(_most(GPUS, quota, left), -1, -1)
        steps = [Step(str(each), words.gpus(each) if each else words.NONE) for each in gpus]
        yield Size("gpus", "GPU", tuple(steps), _hint(GPUS, quota, left))
    yield Size("session", "Runs for at most", tuple(_sessions(quota.session_seconds)))


def _open(less: bool, steps: list[Step]) -> tuple[Step, ...]:  # noqa: FBT001
    """Return the steps; the first one is no choice where there is less than the whole."""
    first, *rest = steps
    return (replace(first, value="") if less else first, *rest)


def _sessions(most: int | None) -> Iterator[Step]:
    """Yield how long it may run; where there is no limit, that is the first choice."""
    if most is None:
        yield Step("", words.NO_LIMIT)
    for each in _down(SESSION_STEPS[-1] if most is None else most, SESSION_STEPS):
        yield Step(f"{each} s", format_seconds(each))


def _most(measure: Measure, quota: Quota, left: Mapping[Measure, Pot]) -> int:
    most = measure.of(quota)
    return min(most, left[measure].left) if measure in left else most


def _hint(measure: Measure, quota: Quota, left: Mapping[Measure, Pot]) -> str:
    """Say why the most there is now is not all of the quota."""
    most = measure.of(quota)
    answer = left[measure].answer(most) if measure in left else Admitted()
    return "" if isinstance(answer, Admitted) else answer.sentence


def _down(most: Number, steps: tuple[Number, ...]) -> tuple[Number, ...]:
    """Return the most there is, and the steps below it."""
    below = (step for step in reversed(steps) if step < most)
    return tuple(itertools.chain((most,), below))


def _plain(cpus: float) -> str:
    """Return a number of cores as an option holds it: not rounded up, no exponent."""
    text = str(Decimal(str(cpus)).quantize(Decimal("0.00001"), ROUND_DOWN))
    return text.rstrip("0").rstrip(".")


def _size(count: int) -> str:
    """Return a size as an option holds it, exactly."""
    return f"{count // MIB} MiB" if count % MIB == 0 else f"{count} B"


def from_form(fields: Mapping[str, list[str]]) -> dict[str, object]:
    """Return the options of a form or query: single values as they are, the rest to be refused."""
    return {
        key: values[0] if len(values) == 1 else values
        for key, values in fields.items()
        if key not in FORM_EXTRAS and not (key in MAY_BE_EMPTY and values == [""])
    }


def form(offered: Offer) -> str:
    """Return the bare HTML of the choice, for pages that do not draw `offer` themselves."""
    cards = "".join(_radio(card, checked=index == 0) for index, card in enumerate(offered.images))
    sizes = "".join(map(_select, offered.sizes))
    return f"<fieldset><legend>Image</legend>{cards}</fieldset>{sizes}"


def _radio(card: ImageCard, *, checked: bool) -> str:
    """Return one radio button with its label."""
    mark = " checked" if checked else ""
    value, title = html.escape(card.key), html.escape(card.title)
    return f'<label><input type="radio" name="image" value="{value}"{mark}> {title}</label>'


def _select(size: Size) -> str:
    """Return one list of steps with its label."""
    steps = "".join(
        f'<option value="{html.escape(step.value)}">{html.escape(step.text)}</option>'
        for step in size.steps
    )
    return f'<label>{html.escape(size.title)} <select name="{size.key}">{steps}</select></label>'
