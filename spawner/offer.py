"""What the start page offers: images, and sizes from which a person may choose. Pure.

A size is a list of steps, the largest first, which is chosen unless somebody chooses less. Nothing
larger than what is left comes first, so what the page proposes fits at that moment; only GPUs are
proposed although one has to wait for them. Where others leave less than the whole, the first step
is sent as no choice at all: it means what is left when the server starts, as a start without a word
does (spawner/options.py). What can be had after a wait follows, and says so.
"""

import html
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, TypeVar

from hub_config.sizes import format_bytes, format_seconds
from spawner.admission import CPU_PARTS, CPUS, GPUS, MEMORY, SERVERS, Admitted, Measure, Pot
from spawner.messages import FIXED, leases, limits
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
# More of them nobody reads.
LENGTHS_TOLD, COUNTS_TOLD = 5, 4
SESSION_STEPS = tuple(HOUR_SECONDS * hours for hours in (1, 2, 4, 8, 12, 24, 48, 72, 168))
Number = TypeVar("Number", int, float)
Item = TypeVar("Item")
Waits = tuple[tuple[float | None, float | None], ...]


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
    """One thing of which less can be chosen; the first step is the most there is now.

    `told` are sentences that hold while that many GPUs are chosen.
    """

    key: str
    title: str
    steps: tuple[Step, ...]
    hint: str = ""
    told: tuple[tuple[str, str], ...] = ()


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


@dataclass(frozen=True, slots=True)
class Shares:
    """What others leave of everything: now, and in time, when they have stopped.

    `waits` are, by the number of GPUs, times that a server may run, in seconds (None: without an
    end), each with how long it waits then (None: nobody can tell). Who does not wait has none.
    """

    now: Mapping[Measure, Pot]
    in_time: Mapping[Measure, Pot]
    waits: Mapping[int, Waits] = field(default_factory=dict)


def offer(
    images: "Mapping[str, Image]",
    local: Collection[str],
    quota: Quota,
    shares: Shares,
    gpus_here: int,
) -> Offer:
    """Return what the start page shows.

    `local` holds the image names that were built here, `quota` is what the person may have.
    """
    cards = tuple(
        ImageCard(key, card.title, card.image, card.description, card.image in local)
        for key, card in images.items()
    )
    quota = replace(quota, gpus=min(quota.gpus, gpus_here))
    problem = next(_problems(shares.in_time), "")
    sizes = () if problem else tuple(_sizes(quota, shares))
    return Offer(cards, sizes, limits(quota), problem)


def _problems(left: Mapping[Measure, Pot]) -> Iterator[str]:
    """Yield what keeps even the smallest server from starting, now and later."""
    least = {SERVERS: 1, CPUS: round(CPUS_LEAST * CPU_PARTS), MEMORY: MEMORY_LEAST_BYTES}
    for measure, wanted in least.items():
        if measure in left and not isinstance(answer := left[measure].answer(wanted), Admitted):
            yield answer.sentence


def told_lengths(quota: Quota) -> list[int | None]:
    """Return for which lengths of a session it is said how long one waits, the shortest first.

    The longest, which a start without a word asks for, the shortest, and a spread between them; in
    seconds, None is without an end.
    """
    most = quota.session_seconds
    down = _down(SESSION_STEPS[-1] if most is None else most, SESSION_STEPS)
    return _spread([*reversed(down), *([None] if most is None else [])], LENGTHS_TOLD)


def told_counts(most: int, now: int) -> list[int]:
    """Return for which numbers of GPUs that is said: up to the most, from the first that waits."""
    return _spread(range(now + 1, most + 1), COUNTS_TOLD)


def _spread(of: Sequence[Item], most: int) -> list[Item]:
    """Return no more than so many of them, at least two, with the first and the last."""
    told = min(most, len(of))
    return [of[round(each * (len(of) - 1) / max(1, told - 1))] for each in range(told)]


def _sizes(quota: Quota, shares: Shares) -> Iterator[Size]:
    left, fits = shares.now, fitting(quota, shares.now)
    most = _most(CPUS, quota, left) / CPU_PARTS
    cpus = [each for each in _down(min(quota.cpus, most), CPU_STEPS) if each >= CPUS_LEAST]
    steps = [Step(_plain(each), words.cores(each)) for each in cpus]
    later = _down(_most(CPUS, quota, shares.in_time) / CPU_PARTS, CPU_STEPS)
    steps = [*_open(fits.get("cpus") == most, steps)]
    steps += [Step(_plain(each), words.later(words.cores(each))) for each in later if each > most]
    yield Size("cpus", "CPU", tuple(steps), _hint(CPUS, quota, left))
    count = _most(MEMORY, quota, left)
    memory = [each for each in _down(count, MEMORY_STEPS) if each >= MEMORY_LEAST_BYTES]
    steps = [Step(_size(each), format_bytes(each)) for each in memory]
    steps = [*_open(fits.get("memory") == f"{count} B", steps)]
    wait = [e for e in _down(_most(MEMORY, quota, shares.in_time), MEMORY_STEPS) if e > count]
    steps += [Step(_size(each), words.later(format_bytes(each))) for each in wait]
    yield Size("memory", "Memory", tuple(steps), _hint(MEMORY, quota, left))
    if quota.gpus:
        yield Size("gpus", "GPU", tuple(_gpus(quota, shares)), _hint(GPUS, quota, left))
    told = tuple((f"{n}", leases.trade(n, shares.waits[n])) for n in sorted(shares.waits))
    sessions = tuple(_sessions(quota.session_seconds))
    yield Size("session", "Runs for at most", sessions, told=told)


def _gpus(quota: Quota, shares: Shares) -> Iterator[Step]:
    now = _most(GPUS, quota, shares.now)
    for each in range(_most(GPUS, quota, shares.in_time), 0, -1):
        text = words.gpus(each)
        yield Step(str(each), text if each <= now else words.later(text))
    yield Step("0", words.NONE)


def _open(less: bool, steps: list[Step]) -> Iterator[Step]:  # noqa: FBT001
    """Yield the steps; the first one is no choice where there is less than the whole."""
    for index, step in enumerate(steps):
        yield replace(step, value="") if less and index == 0 else step


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
