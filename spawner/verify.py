"""Whether the engine made the container that was decided. Pure.

Engines drop limits that their kernel lacks, fill in defaults, merge what their own configuration
says, and do as others ask, too. So what inspect shows is compared with the body of the create call:

    what we sent          comes back as it was; of Mounts, Ulimits, DeviceRequests and the like what
                          matters of them
    what we never send    is empty: no rights, no devices, no binds, nobody else's namespaces
    what was mounted      is something we sent, bind or not, writable or not

Everything else (log paths, DNS, time stamps) is the engine's own business.

Inspect only repeats which GPUs were asked for. What a hook or a description of them (CDI) then made
of it, the kernel shows once the container runs (spawner/nodes.py).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Never sent, so never there. What an engine leaves out, or writes as null, 0, "" or [], is empty.
NEVER = (
    "Annotations", "Binds", "BlkioDeviceReadBps", "CapAdd", "CgroupParent", "Cgroup",
    "ContainerIDFile", "CpuRealtimePeriod", "CpuRealtimeRuntime", "CpuShares", "CpusetCpus",
    "CpusetMems", "DeviceCgroupRules", "DeviceRequests", "Devices", "ExtraHosts", "GroupAdd",
    "Links", "NanoCpus", "OomKillDisable", "OomScoreAdj", "PidMode", "PortBindings", "Privileged",
    "PublishAllPorts", "Sysctls", "UTSMode", "UsernsMode", "VolumeDriver", "VolumesFrom",
)  # fmt: skip
# What an engine's own configuration may add to, and never take from.
ADDED_TO = ("Env", "Labels", "SecurityOpt", "Ulimits")
CONFIG = ("Cmd", "Entrypoint", "Env", "Image", "Labels", "User", "WorkingDir")
# The server's token is among these; what is different there is nobody's to read.
SECRET = ("Env", "Cmd")
# What cannot be limited need not be where the machine has none (deploy/up looks for it).
SWAP = "MemorySwap"

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as decided. The key is the engine's word for it."""

    key: str
    decided: object
    found: object

    def __str__(self) -> str:
        """Return it as the log tells it."""
        return f"{self.key}: {self.found!r} instead of {self.decided!r}"


def differences(
    body: Facts, config: Facts, host_config: Facts, mounted: Sequence[Facts]
) -> tuple[Difference, ...]:
    """Return what of a create request did not become true.

    `config`, `host_config` and `mounted` are the parts Config, HostConfig and Mounts of inspect.
    """
    sent = body["HostConfig"]
    return (
        *_unlike({key: body[key] for key in CONFIG if key in body}, config),
        *_unlike(sent, host_config),
        *_uninvited([key for key in NEVER if key not in sent], host_config),
        *_strange(sent.get("Mounts", []), mounted),
        *_unmasked(host_config),
    )


def other_gpus(found: Collection[int] | None, leased: Sequence[int | None]) -> Difference | None:
    """Return which GPUs a container has other than leased, all by their minor numbers.

    None among the arguments is unknown, and what is unknown is no difference.
    """
    known = {each for each in leased if each is not None}
    if found is None or None in leased or set(found) == known:
        return None
    return Difference("GPUs", sorted(known), sorted(found))


def unlimited_swap(difference: Difference) -> bool:
    """Whether only swap is without a limit: harmless on a machine without any."""
    return difference.key == SWAP and difference.found in {None, 0, -1}


def _unlike(sent: Facts, found: Facts) -> Iterator[Difference]:
    """Yield what was sent and did not come back."""
    for key, decided in sent.items():
        plain = READ.get(key, _as_it_is)
        try:
            same = _covers(key, plain(decided), plain(found.get(key)))
        except (TypeError, ValueError, AttributeError, LookupError):  # of another shape
            same = False
        if not same:
            shown = ("", "") if key in SECRET else (decided, found.get(key))
            yield Difference(key, *shown)


def _covers(key: str, decided: Any, found: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether all that was decided is there, and nothing that takes it back."""
    if key == "SecurityOpt":
        loose = [each for each in found if each.endswith(("unconfined", "disable", "=false"))]
        return bool(decided <= found) and not loose
    if key in ADDED_TO:
        return bool(decided.items() <= found.items())
    return bool(decided == found)


def _uninvited(keys: Sequence[str], found: Facts) -> Iterator[Difference]:
    """Yield what is there although nobody sent it."""
    for key in keys:
        if found.get(key):
            yield Difference(key, None, found[key])


def _strange(sent: Sequence[Facts], mounted: Sequence[Facts]) -> Iterator[Difference]:
    """Yield what is mounted and was not sent. An image's own, empty volumes are its business."""
    known = {(each["Type"], each["Source"], each["Target"], each["ReadOnly"]) for each in sent}
    targets = {each["Target"] for each in sent}
    for each in mounted:
        kind, target = each.get("Type"), each.get("Destination")
        source = each.get("Name") if kind == "volume" else each.get("Source")
        its_own = kind == "volume" and target not in targets
        if not its_own and (kind, source, target, not each.get("RW")) not in known:
            yield Difference("Mounts", None, dict(each))


def _unmasked(found: Facts) -> Iterator[Difference]:
    """Yield the kernel's files that engines hide, where they are told not to."""
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if key in found and not found[key]:
            yield Difference(key, "the engine's own", found[key])


# How what is compared is read, where the engine may write the same in several ways.


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - JSON
    return value


def _mounts(value: Sequence[Facts]) -> list[tuple[object, ...]]:
    return sorted(
        (each["Target"], each["Type"], each["Source"], bool(each.get("ReadOnly"))) for each in value
    )


def _ulimits(value: Sequence[Facts] | None) -> dict[str, tuple[int, int]]:
    return {each["Name"]: (each["Soft"], each["Hard"]) for each in value or ()}


def _environment(value: Sequence[str]) -> dict[str, str]:
    """Return variables as a program sees them: the last one of a name counts."""
    pairs = (each.partition("=") for each in value)
    return {name: text for name, _, text in pairs}


def _requests(value: Sequence[Facts] | None) -> list[dict[str, object]]:
    """Return requests for devices without what the engine filled in."""
    return [{key: part for key, part in each.items() if part} for each in value or ()]


def _log(value: Facts) -> tuple[object, tuple[tuple[str, str], ...]]:
    return value["Type"], tuple(sorted(value["Config"].items()))


READ: Mapping[str, Callable[[Any], Any]] = {
    "CapDrop": lambda value: sorted(value or ()),
    "Cmd": lambda value: list(value or ()),
    "DeviceRequests": _requests,
    "Env": _environment,
    "LogConfig": _log,
    "Mounts": _mounts,
    "RestartPolicy": lambda value: value["Name"],
    "SecurityOpt": lambda value: frozenset(value or ()),
    "Ulimits": _ulimits,
}
