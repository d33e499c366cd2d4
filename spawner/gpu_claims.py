"""Which GPUs a container was given that is no server of ours, as the engine tells. Pure.

    --gpus, DeviceRequests    by UUID, by number, so many (always the first ones), or all of them
    CDI names                 nvidia.com/gpu=UUID, a number, or all
    the runtime `nvidia`      what NVIDIA_VISIBLE_DEVICES says
    --device /dev/nvidiaN     by the number of the node

A number is a place in the driver's list, or that of the node; where these differ, both count. A
container that gets nothing but what `nvidia-smi` needs watches GPUs, like our own monitor, and does
not count. What cannot be understood may be any GPU.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spawner.gpu_readings import Gpu

WATCHES = frozenset({"utility"})
_CDI = "nvidia.com/gpu="
_NODE = re.compile(r"/dev/nvidia(\d+)")
_NUMBER = re.compile(r"(\d+)(?::\d+)?")  # GPU, or GPU:SLICE
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z-]+(?:/\d+/\d+)?")
_NOTHING_WORDS = frozenset({"", "void", "none"})


@dataclass(frozen=True, slots=True)
class Claim:
    """The GPUs of one container: all, or those of these UUIDs and numbers."""

    all: bool = False
    ids: frozenset[str] = frozenset()
    numbers: frozenset[int] = frozenset()


ALL = Claim(all=True)


def claim(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Claim:
    """Return what a container was given, by the parts Config and HostConfig of inspect."""
    try:
        return _read([*_words(config, host_config), *_nodes(host_config)])
    except (LookupError, TypeError, AttributeError, ValueError):
        return ALL


def claimed(claims: Iterable[Claim], gpus: Sequence[Gpu]) -> frozenset[str]:
    """Return the UUIDs that these claims name; a number that no GPU has is nobody's."""
    found: set[str] = set()
    for each in claims:
        found |= each.ids
        found |= {gpu.uuid for n, gpu in enumerate(gpus) if {n, gpu.minor} & each.numbers}
    return frozenset(found)


def _read(words: Iterable[str]) -> Claim:
    ids: set[str] = set()
    numbers: set[int] = set()
    for word in words:
        number = _NUMBER.fullmatch(word)
        if number is not None:
            numbers.add(int(number[1]))
        elif _UUID.fullmatch(word) is not None:
            ids.add(word)
        elif word not in _NOTHING_WORDS:
            return ALL
    return Claim(ids=frozenset(ids), numbers=frozenset(numbers))


def _words(config: Mapping[str, Any], host_config: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the GPUs are named, without explicit nodes."""
    environment = dict(each.partition("=")[::2] for each in config.get("Env") or ())
    allowed = _split(environment.get("NVIDIA_DRIVER_CAPABILITIES", ""))
    for request in host_config.get("DeviceRequests") or ():
        yield from _of_request(request, allowed)
    if "nvidia" in (host_config.get("Runtime") or "") and set(allowed) != WATCHES:
        yield from _split(environment.get("NVIDIA_VISIBLE_DEVICES", ""))


def _of_request(request: Mapping[str, Any], allowed: Sequence[str]) -> Iterator[str]:
    driver, ids = request.get("Driver") or "", request.get("DeviceIDs") or []
    if driver == "cdi":
        yield from (each.removeprefix(_CDI) for each in ids if each.startswith(_CDI))
        return
    wanted = {word for group in request.get("Capabilities") or () for word in group}
    if "nvidia" not in driver and not wanted & {"gpu", "nvidia"}:
        return
    # Those of the request count before the container's own (ref: moby daemon/nvidia_linux.go).
    if (wanted - {"gpu", "nvidia"} or set(allowed)) == WATCHES:
        return
    count = request.get("Count") or 0
    if count > 0:
        yield from map(str, range(count))
    else:  # without either it is all of them on most engines
        yield from ids or ["all"]


def _nodes(host_config: Mapping[str, Any]) -> Iterator[str]:
    for each in host_config.get("Devices") or ():
        node = _NODE.fullmatch(each["PathOnHost"])
        if node is not None:
            yield node[1]


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
