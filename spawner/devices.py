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
who has it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spawner.gpu_readings import Cause, Health
from spawner.gpu_view import Seen

if TYPE_CHECKING:
    from hub_config.schema_gpus import Gpus

CDI = re.compile(r"nvidia\.com/gpu=((?:GPU|MIG)-[0-9A-Za-z-]+(?:/\d+/\d+)?)")
CACHE_BYTES = 4 * 1024**3


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or one slice of one. `places`: how many servers may have it at once.

    One that is not healthy, is drained before maintenance, or is used by a program that is no
    server of ours gets no new lease; leases on it go on.
    """

    id: str
    places: int = 1
    by_cdi: bool = False
    healthy: bool = True
    draining: bool = False
    used_by_others: bool = False

    @property
    def leasable(self) -> bool:
        """Return whether a new lease may name it."""
        return self.healthy and not self.draining and not self.used_by_others


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
    ids = rules.devices or sorted(shown) or found
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
