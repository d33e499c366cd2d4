"""What the hub concludes from a report about the GPUs. Pure.

    in use by others   a program on it runs in no container of ours, or in one that has no lease on
                       this device; of a container that nobody knows yet it counts as well
    computing          more than one percent of its processors were busy: memory that a program
                       holds is no work (TensorFlow takes all at once). Where several containers
                       have a device, each one's own share counts, if the driver tells it
    old                a report gets old when the monitor writes no other: what it says stays, and
                       nothing new is believed

In MIG mode the slices are given out, and nobody knows how busy they are. Of which GPU a slice is a
part stays known when that was cut anew.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from spawner.gpu_readings import WELL, Gpu, Health, Process, Report

BUSY_PERCENT: Final = 1
OLD_INTERVALS: Final = 6

Grants = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Seen:
    """A GPU or a slice that can be given out, as the driver shows it; None is not told.

    `minor` is the number of its device node; a slice has none of its own.
    """

    id: str
    model: str = ""
    memory_bytes: int | None = None
    used_bytes: int | None = None
    busy_percent: int | None = None
    health: Health = WELL
    used_by_others: bool = False
    minor: int | None = None

    @property
    def healthy(self) -> bool:
        """Whether it is in no quarantine."""
        return self.health.cause is None


@dataclass(frozen=True, slots=True)
class Sight:
    """All that can be given out. `trouble` is why it may not be true any more, "" when it is.

    `parts` are the slices that there are or once were, each with the UUID of its GPU. `claimed` is
    what containers that are not ours were given, whether they use it or not.
    """

    seen: tuple[Seen, ...] = ()
    driver: str = ""
    trouble: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()
    all_claimed: bool = False

    def is_claimed(self, device: str) -> bool:
        """Whether a container that is not ours was given it."""
        return self.all_claimed or device in self.claimed


def seen(report: Report, grants: Grants) -> tuple[Seen, ...]:
    """Return the devices of a report; `grants` are the devices that our containers have."""
    return tuple(each for gpu in report.reading.gpus for each in _units(gpu, grants))


def parts(report: Report) -> dict[str, str]:
    """Return the GPU of each slice that there is, or once was."""
    return {
        uuid: gpu.uuid
        for gpu in report.reading.gpus
        for uuid in (*gpu.former_slices, *(each.uuid for each in gpu.slices))
    }


def minors(sight: Sight, ids: Iterable[str]) -> tuple[int | None, ...]:
    """Return the minor numbers of devices, None for each of which nobody knows it now."""
    told = {} if sight.trouble else {each.id: each.minor for each in sight.seen}
    return tuple(told.get(each) for each in ids)


def containers(report: Report) -> frozenset[str]:
    """Return the containers whose programs have a GPU open."""
    found = (process.container for gpu in report.reading.gpus for process in _all_processes(gpu))
    return frozenset(filter(None, found))


def computing(report: Report) -> frozenset[str]:
    """Return the containers that compute on a GPU."""
    return frozenset(each for gpu in report.reading.gpus for each in _computing(gpu))


def is_old(report: Report, age_seconds: float) -> bool:
    """Whether a report of this age is not to be believed any more."""
    return age_seconds > OLD_INTERVALS * report.interval_seconds


def _units(gpu: Gpu, grants: Grants) -> Iterator[Seen]:
    if not gpu.is_mig:
        others = _used_by_others(gpu.uuid, gpu.processes, grants)
        yield Seen(
            gpu.uuid, gpu.model, gpu.memory_bytes, gpu.used_bytes, gpu.busy_percent, gpu.health,
            others, gpu.minor,
        )  # fmt: skip
    for each in gpu.slices:
        others = _used_by_others(each.uuid, each.processes, grants)
        yield Seen(
            each.uuid, each.model, each.memory_bytes, each.used_bytes, None, gpu.health, others
        )


def _used_by_others(device: str, processes: Iterable[Process], grants: Grants) -> bool:
    return any(device not in grants.get(each.container or "", ()) for each in processes)


def _all_processes(gpu: Gpu) -> Iterator[Process]:
    yield from gpu.processes
    for each in gpu.slices:
        yield from each.processes


def _computing(gpu: Gpu) -> Iterator[str]:
    inside: dict[str, list[int | None]] = {}
    for each in gpu.processes:
        inside.setdefault(each.container or "", []).append(each.busy_percent)
    for container, own in inside.items():
        told = [percent for percent in own if percent is not None]
        is_shared = len(inside) > 1 and len(told) == len(own)
        busy = max(told) if is_shared else gpu.busy_percent or 0
        if container and busy > BUSY_PERCENT:
            yield container
