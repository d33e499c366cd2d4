"""What a person chooses when starting a server, checked against what they may have. Pure.

Options arrive through five doors (form, query, POST, PUT, PATCH) and may be any JSON. Known are:

    image     a key of `images:` in labhub.yaml, never an image name
    cpus      a number of cores: 2, 0.5, "0.5"
    memory    a size with its unit: "4 GiB"
    gpus      a whole number: 0, "1"
    session   how long the server may run, with its unit: "4 h"

Choosing less gives less; more is refused, never clipped. What is not chosen is the full quota, or
as much of it as others leave at that moment: who presses Start, or calls the API without a word,
wants a server. Only where that is less than one can work with, the start is refused, with the
reason. GPUs are not shared out like this: whoever may have one gets it, or is told.
"""

import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hub_config.sizes import parse_bytes, parse_seconds
from spawner.admission import CPU_PARTS, CPUS, MEMORY, Measure, Pot
from spawner.messages import quotas as messages
from spawner.quota import Quota

if TYPE_CHECKING:
    from hub_config.schema import Config

KNOWN = ("image", "cpus", "memory", "gpus", "session")
CPUS_LEAST = 0.01
MEMORY_LEAST_BYTES = 64 * 1024**2
# What nobody chose is never made smaller than this.
CPUS_FITTING_PARTS = CPU_PARTS // 2
MEMORY_FITTING_BYTES = 512 * 1024**2
PIDS_LEAST = 32
SESSION_LEAST_SECONDS = 60
SESSION_MOST_SECONDS = 366 * 86_400
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,6}", re.ASCII)


class OptionRefusedError(ValueError):
    """A choice that is not on offer; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The image to start, and what the server gets."""

    image_key: str
    quota: Quota


def choose(
    config: "Config",
    quota: Quota,
    options: object,
    gpus_here: int,
    left: Mapping[Measure, Pot] | None = None,
) -> Choice:
    """Return what one server gets: `quota` is what its person may have, `gpus_here` the machine.

    `left` is what others leave of it, without it all. Raises OptionRefusedError for anything that
    is not on offer.
    """
    if not isinstance(options, dict):
        raise OptionRefusedError(messages.OPTIONS_NOT_AN_OBJECT)
    unknown = sorted(str(key) for key in options if key not in KNOWN)
    if unknown:
        raise OptionRefusedError(messages.unknown_option(unknown[0], KNOWN))
    options = {**fitting(quota, left or {}), **options}
    memory_bytes = _memory(quota, options)
    chosen = replace(
        quota,
        cpus=_cpus(quota, options),
        memory_bytes=memory_bytes,
        shm_bytes=min(quota.shm_bytes, memory_bytes),
        pids=_pids(quota, memory_bytes),
        gpus=_gpus(quota, options, gpus_here),
        session_seconds=_session(quota, options),
    )
    return Choice(_image(config.images, options), chosen)


def cut(quota: Quota, options: object) -> Quota:
    """Return what one server that runs gets of a quota that changed since its person chose.

    What is more than the quota now is cut to it; what nobody could have chosen counts as nothing.
    """
    if not isinstance(options, Mapping):
        return quota
    any_size = replace(quota, cpus=math.inf, memory_bytes=sys.maxsize)
    try:
        cpus, memory_bytes = _cpus(any_size, options), _memory(any_size, options)
    except OptionRefusedError:
        return quota
    memory_bytes = min(memory_bytes, quota.memory_bytes)
    return replace(
        quota,
        cpus=min(cpus, quota.cpus),
        memory_bytes=memory_bytes,
        shm_bytes=min(quota.shm_bytes, memory_bytes),
        pids=_pids(quota, memory_bytes),
    )


def fitting(quota: Quota, left: Mapping[Measure, Pot]) -> dict[str, object]:
    """Return what to ask for in place of a full quota that is not there: what is, or the least."""
    parts = _at_least(left.get(CPUS), CPUS_FITTING_PARTS, CPUS.of(quota))
    count = _at_least(left.get(MEMORY), MEMORY_FITTING_BYTES, quota.memory_bytes)
    found: dict[str, object] = {}
    if parts < CPUS.of(quota):
        found["cpus"] = parts / CPU_PARTS
    if count < quota.memory_bytes:
        found["memory"] = f"{count} B"
    return found


def _at_least(pot: Pot | None, least: int, whole: int) -> int:
    """Return what a pot has left, but not less than the least, and not more than the whole."""
    return whole if pot is None else min(whole, max(pot.left, least))


def _image(images: Collection[str], options: Mapping[str, object]) -> str:
    """Return the key of the image to start; the first one when none is chosen."""
    choice = options.get("image", next(iter(images)))
    if not isinstance(choice, str):
        raise OptionRefusedError(messages.IMAGE_NOT_A_WORD)
    if choice not in images:
        raise OptionRefusedError(messages.unknown_image(choice, images))
    return choice


def _cpus(quota: Quota, options: Mapping[str, object]) -> float:
    if "cpus" not in options:
        return quota.cpus
    cpus = _number(options["cpus"], _NUMBER, "cpus")
    if cpus > quota.cpus:
        raise OptionRefusedError(messages.too_much(messages.cores(quota.cpus)))
    if cpus < CPUS_LEAST:
        raise OptionRefusedError(messages.too_little(messages.cores(CPUS_LEAST)))
    return float(cpus)


def _memory(quota: Quota, options: Mapping[str, object]) -> int:
    if "memory" not in options:
        return quota.memory_bytes
    memory_bytes = _quantity(options["memory"], parse_bytes, "memory")
    if memory_bytes > quota.memory_bytes:
        raise OptionRefusedError(messages.too_much(messages.memory(quota.memory_bytes)))
    if memory_bytes < MEMORY_LEAST_BYTES:
        raise OptionRefusedError(messages.too_little(messages.memory(MEMORY_LEAST_BYTES)))
    return memory_bytes


def _pids(quota: Quota, memory_bytes: int) -> int:
    """Share processes out like memory where a person may have several servers; else all.

    Each has the least that a server starts with, and of the rest its share. So where the memory of
    several servers fits, their processes do.
    """
    if quota.servers == 1 or memory_bytes == quota.memory_bytes:
        return quota.pids
    least = min(PIDS_LEAST, quota.pids // quota.servers)
    rest = quota.pids - least * quota.servers
    return max(PIDS_LEAST, least + rest * memory_bytes // quota.memory_bytes)


def _gpus(quota: Quota, options: Mapping[str, object], gpus_here: int) -> int:
    if "gpus" not in options:
        return min(quota.gpus, gpus_here)
    gpus = _number(options["gpus"], _WHOLE, "gpus")
    if not isinstance(gpus, int) or gpus < 0:
        raise OptionRefusedError(messages.WANTED["gpus"])
    if gpus > quota.gpus:
        raise OptionRefusedError(messages.too_much(messages.gpus(quota.gpus)))
    if gpus > gpus_here:
        none = messages.NO_GPU if gpus_here == 0 else messages.fewer_gpus_here(gpus_here)
        raise OptionRefusedError(none)
    return gpus


def _session(quota: Quota, options: Mapping[str, object]) -> int | None:
    if "session" not in options:
        return quota.session_seconds
    seconds = _quantity(options["session"], parse_seconds, "session")
    most = SESSION_MOST_SECONDS if quota.session_seconds is None else quota.session_seconds
    if seconds > most:
        raise OptionRefusedError(messages.too_long(most))
    if seconds < SESSION_LEAST_SECONDS:
        raise OptionRefusedError(messages.too_short(SESSION_LEAST_SECONDS))
    return seconds


def _number(value: object, written: re.Pattern[str], option: str) -> int | float:
    """Return a JSON number, or one that a form wrote as text; no infinity, no NaN, no boolean."""
    if isinstance(value, str) and written.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionRefusedError(messages.WANTED[option])
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionRefusedError(messages.WANTED[option])
    return value


def _quantity(value: object, parse: Callable[[object], int], option: str) -> int:
    """Return a number with its unit, which is always a text."""
    try:
        if isinstance(value, str):
            return parse(value)
    except ValueError:
        pass
    raise OptionRefusedError(messages.WANTED[option])
