"""The machine's GPUs: which there are, which may be given out, and how one is handed over. Pure.

    which there are     `gpus.devices` of labhub.yaml, else those that NVIDIA's driver shows, else
                        what the engine discovered (CDI names its devices `nvidia.com/gpu=UUID`,
                        Docker 28.2 and later)
    given out           by UUID, never by number or count: a count is always the first ones
                        (ref: moby daemon/nvidia_linux.go)
    places              one on each device, or as many as `gpus.share` says
    handed over         by CDI where the engine discovered the device, else by NVIDIA's hook

A device is taken as long as an open run has it: from before its container exists until its end is
proven. Unknown is not gone: a device that is not seen any more is given to nobody, and stays with
who has it. So does what it is made of: a container keeps its way to a slice, or to a whole GPU,
when an admin cuts the GPU anew meanwhile, and a program that rests is seen by no driver.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spawner.gpu_readings import Cause, Health
from spawner.gpu_view import Seen, Sight

if TYPE_CHECKING:
    from hub_config.schema_gpus import Gpus

CDI = re.compile(r"nvidia\.com/gpu=((?:GPU|MIG)-[0-9A-Za-z-]+(?:/\d+/\d+)?)")
# Before R470 a slice's name said which GPU it is a part of.
_OLD_SLICE = re.compile(r"MIG-(GPU-[0-9A-Za-z-]+)/\d+/\d+")
CACHE_BYTES = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or one slice of one. `places`: how many servers may have it at once.

    One that is not healthy, is drained before maintenance, or is used by a program that is no
    server of ours gets no new lease; leases on it go on. `overlaps`: others that are held, and of
    which it is a part, or that are parts of it.
    """

    id: str
    places: int = 1
    by_cdi: bool = False
    healthy: bool = True
    draining: bool = False
    used_by_others: bool = False
    overlaps: frozenset[str] = frozenset()

    @property
    def lendable(self) -> bool:
        """Return whether nothing but our own servers keeps it from a new lease."""
        return self.healthy and not self.draining and not self.used_by_others

    @property
    def leasable(self) -> bool:
        """Return whether a new lease may name it."""
        return self.lendable and not self.overlaps


def inventory(
    rules: "Gpus", discovered: Iterable[str], seen: Collection[Seen] = ()
) -> tuple[Device, ...]:
    """Return the devices that servers can get, in an order that does not change by itself.

    `discovered` are the engine's CDI names; those of other vendors, indices and `all` are no ids.
    `seen` is what the driver shows, empty where nobody asks it; where somebody does, a device that
    it never showed is not healthy.
    """
    found = sorted(_uuids(discovered))
    shown = {each.id: each for each in seen}
    ids = dict.fromkeys(rules.devices or sorted(shown) or found)
    missing = Seen("", health=Health(Cause.LOST)) if shown else Seen("")
    return tuple(
        Device(
            id=each,
            places=rules.share.get(each, 1),
            by_cdi=each in found,
            healthy=shown.get(each, missing).healthy,
            used_by_others=shown.get(each, missing).used_by_others,
        )
        for each in ids
    )


def unshared(rules: "Gpus", devices: Iterable[Device]) -> tuple[str, ...]:
    """Return what `gpus.share` names and is none of the devices: nothing is shared by it."""
    known = {each.id for each in devices}
    return tuple(each for each in rules.share if each not in known)


def as_held(
    devices: Iterable[Device], held: Collection[str], alone: Collection[str], sight: Sight
) -> tuple[Device, ...]:
    """Return the devices as those leave them that are `held`: `alone` was promised for some."""
    cut = _Cut(held, sight)

    def left(device: Device) -> Device:
        places = 1 if device.id in alone else device.places
        overlaps = cut.overlaps(device.id)
        if places == device.places and overlaps == device.overlaps:
            return device
        return replace(device, places=places, overlaps=overlaps)

    return tuple(map(left, devices))


def with_claims(devices: Iterable[Device], sight: Sight) -> tuple[Device, ...]:
    """Return the devices, those marked that containers which are not ours were given."""
    cut = _Cut(sight.claimed, sight)
    return tuple(
        replace(each, used_by_others=True)
        if sight.is_claimed(each.id) or cut.overlaps(each.id)
        else each
        for each in devices
    )


class _Cut:
    """What is held of GPUs that are, or were, cut into slices."""

    def __init__(self, held: Collection[str], sight: Sight) -> None:
        self._held, self._parts = frozenset(held), sight.parts
        self._shown = {each.id for each in sight.seen}
        # By GPU: the slices of it that are held, and those among them that it does not have now.
        self._slices: dict[str, set[str]] = {}
        self._former: dict[str, set[str]] = {}
        for each in self._held:
            if _is_slice(each):
                whole = self._whole_of(each)
                self._slices.setdefault(whole, set()).add(each)
                if self._shown and each not in self._shown:
                    self._former.setdefault(whole, set()).add(each)

    def overlaps(self, device: str) -> frozenset[str]:
        """Return what is held and may be a part of this device, or the whole of it.

        Where a slice was, others may be now, larger ones among them. If nobody knows any more which
        GPU a slice was a part of, it may be any that the driver shows.
        """
        whole = self._whole_of(device)
        found = self._slices.get(device, set()) | ({whole} & self._held)
        if whole:
            found |= self._former.get(whole, set())
        if device in self._shown:
            found |= self._former.get("", set())
        return frozenset(found - {device})

    def _whole_of(self, device: str) -> str:
        """Return the GPU of a slice, "" where that is not known, and for a whole GPU."""
        old = _OLD_SLICE.fullmatch(device)
        return self._parts.get(device, old[1] if old else "")


def _is_slice(device: str) -> bool:
    return device.startswith("MIG-")


def named(devices: Iterable[Device], discovered: Iterable[str]) -> tuple[Device, ...]:
    """Return the devices; those that the engine names by CDI are handed over so, and no others."""
    found = _uuids(discovered)
    return tuple(replace(each, by_cdi=each.id in found) for each in devices)


def _uuids(discovered: Iterable[str]) -> set[str]:
    return {match[1] for name in discovered if (match := CDI.fullmatch(name))}


def kept_back(devices: Iterable[Device], taken: Iterable[str]) -> int:
    """Return how many free places nobody gets now, on devices that get no new lease."""
    used = Counter(taken)
    return sum(max(0, each.places - used[each.id]) for each in devices if not each.leasable)


def drained(devices: Iterable[Device], ids: Collection[str]) -> tuple[Device, ...]:
    """Return the devices, those with these ids marked as drained."""
    return tuple(replace(each, draining=True) if each.id in ids else each for each in devices)


def chosen(devices: Iterable[Device], ids: Collection[str]) -> tuple[Device, ...]:
    """Return the devices with these ids."""
    return tuple(each for each in devices if each.id in ids)


def requests(devices: Sequence[Device]) -> dict[str, Any]:
    """Return the part of HostConfig that hands these devices over; without any, nothing at all.

    An empty request means all GPUs on most engines. All of a server's devices go one way.
    """
    if not devices:
        return {}
    ids = [each.id for each in devices]
    if all(each.by_cdi for each in devices):
        names = [f"nvidia.com/gpu={each}" for each in ids]
        return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": names}]}
    request = {"Driver": "nvidia", "DeviceIDs": ids, "Capabilities": [["gpu"]]}
    return {"DeviceRequests": [request]}


def variables(devices: Sequence[Device], home: str) -> dict[str, str]:
    """Return what programs should know about the devices that they got.

    Programs compiled for a GPU when they first run are kept on the user's volume. TensorFlow takes
    all memory of a device unless it is told to share.
    """
    if not devices:
        return {}
    cache = {"CUDA_CACHE_PATH": f"{home}/.nv/ComputeCache", "CUDA_CACHE_MAXSIZE": str(CACHE_BYTES)}
    shared = any(each.places > 1 for each in devices)
    return {**cache, **({"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if shared else {})}
