"""What NVIDIA's driver says of the machine's GPUs at one moment, and how a file holds it. Pure.

The GPU monitor writes such a report (spawner/gpu_monitor.py) and the hub reads it. Sizes are in
bytes, shares in percent; None is a number that this driver does not tell. A slice is a part of a
GPU in MIG mode; it is given out in the place of the whole.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

VERSION = 1
# A moment after it is no date any more.
MOST = 1 << 36


class UnreadableError(ValueError):
    """The text is no report of this version; the text says where it is wrong."""


class Cause(StrEnum):
    """Why a GPU gets no new servers."""

    LOST = "lost"
    ECC = "ecc"
    XID = "xid"


@dataclass(frozen=True, slots=True)
class Process:
    """A program that has a GPU open, by its process id on the machine.

    `container` is the one it runs in, "" for none, None where nobody can tell. `busy_percent` is
    the most that it took of the GPU's processors since the reading before.
    """

    pid: int
    memory_bytes: int | None = None
    busy_percent: int | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a GPU. No driver tells how much of it is in use."""

    uuid: str
    model: str
    memory_bytes: int | None = None
    used_bytes: int | None = None
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """Why a GPU is in quarantine, None for a healthy one, and how many good probes it had since.

    `number` is that of the Xid, or how many errors its memory had.
    """

    cause: Cause | None = None
    number: int = 0
    good_probes: int = 0


WELL = Health()


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. `is_lost`: the driver knows it and cannot reach it. `xids`: new errors, by number.

    `ecc_errors` are those that its memory had since the last reset and could not correct.
    `former_slices` are the UUIDs of slices that it once had, the last one at the end.
    """

    uuid: str
    model: str = ""
    minor: int | None = None
    memory_bytes: int | None = None
    used_bytes: int | None = None
    busy_percent: int | None = None
    ecc_errors: int | None = None
    is_lost: bool = False
    is_mig: bool = False
    xids: tuple[int, ...] = ()
    slices: tuple[Slice, ...] = ()
    processes: tuple[Process, ...] = ()
    health: Health = WELL
    former_slices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """All GPUs of one probe. `trouble`: why the driver tells nothing now, "" while it does."""

    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What the monitor knows: a reading, when it was made, and how often it makes one.

    `at` is a POSIX timestamp.
    """

    at: float
    interval_seconds: float
    reading: Reading


def encode(report: Report) -> str:
    """Return the report as text."""
    return json.dumps({"version": VERSION, **asdict(report)}, indent=1) + "\n"


def decode(text: str) -> Report:
    """Return the report that a text holds; raises UnreadableError for any other text."""
    try:
        facts = json.loads(text)
        if not isinstance(facts, dict) or facts.pop("version", None) != VERSION:
            raise UnreadableError(f"no report of version {VERSION}")
        return _report(facts)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error) or "nested too deeply") from error


def _report(facts: Mapping[str, Any]) -> Report:
    _only(facts, Report)
    at, interval = _number(facts["at"]), _number(facts["interval_seconds"])
    return Report(at, interval, _reading(_object(facts["reading"])))


def _reading(facts: Mapping[str, Any]) -> Reading:
    _only(facts, Reading)
    gpus = tuple(_gpu(_object(each)) for each in _list(facts["gpus"]))
    return Reading(gpus, _text(facts["driver"]), _text(facts["trouble"]))


def _gpu(facts: Mapping[str, Any]) -> Gpu:
    # An older monitor did not know them.
    facts = {"former_slices": [], **facts}
    _only(facts, Gpu)
    return Gpu(
        uuid=_text(facts["uuid"]),
        model=_text(facts["model"]),
        minor=_count(facts["minor"]),
        memory_bytes=_count(facts["memory_bytes"]),
        used_bytes=_count(facts["used_bytes"]),
        busy_percent=_count(facts["busy_percent"]),
        ecc_errors=_count(facts["ecc_errors"]),
        is_lost=_flag(facts["is_lost"]),
        is_mig=_flag(facts["is_mig"]),
        xids=tuple(_sure(each) for each in _list(facts["xids"])),
        slices=tuple(_slice(_object(each)) for each in _list(facts["slices"])),
        processes=_processes(facts["processes"]),
        health=_health(_object(facts["health"])),
        former_slices=tuple(_text(each) for each in _list(facts["former_slices"])),
    )


def _slice(facts: Mapping[str, Any]) -> Slice:
    _only(facts, Slice)
    return Slice(
        uuid=_text(facts["uuid"]),
        model=_text(facts["model"]),
        memory_bytes=_count(facts["memory_bytes"]),
        used_bytes=_count(facts["used_bytes"]),
        processes=_processes(facts["processes"]),
    )


def _processes(facts: object) -> tuple[Process, ...]:
    return tuple(_process(_object(each)) for each in _list(facts))


def _process(facts: Mapping[str, Any]) -> Process:
    _only(facts, Process)
    container = facts["container"]
    return Process(
        pid=_sure(facts["pid"]),
        memory_bytes=_count(facts["memory_bytes"]),
        busy_percent=_count(facts["busy_percent"]),
        container=None if container is None else _text(container),
    )


def _health(facts: Mapping[str, Any]) -> Health:
    _only(facts, Health)
    cause = None if facts["cause"] is None else Cause(_text(facts["cause"]))
    return Health(cause, _sure(facts["number"]), _sure(facts["good_probes"]))


# values that must be of one kind


def _only(facts: Mapping[str, Any], kind: type) -> None:
    """Raise UnreadableError unless an object has exactly the keys of its kind."""
    wanted: set[str] = set(kind.__dataclass_fields__)  # type: ignore[attr-defined]
    if set(facts) != wanted:
        raise UnreadableError(f"{kind.__name__}: other keys than {', '.join(sorted(wanted))}")


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableError(f"{value!r:.40} is no object")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise UnreadableError(f"{value!r:.40} is no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UnreadableError(f"{value!r:.40} is no text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UnreadableError(f"{value!r:.40} is neither true nor false")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MOST:
        raise UnreadableError(f"{value!r:.40} is no number from zero on")
    return float(value)


def _sure(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 64:
        raise UnreadableError(f"{value!r:.40} is no count")
    return value


def _count(value: object) -> int | None:
    return None if value is None else _sure(value)
