"""What the engine refuses, as pure checks on a request body.

Status codes and sentences follow the real engine (20.10.24), so that a test of an error path
tests the error and not the fake.
"""

import json
import re
from pathlib import Path
from typing import Any

Body = dict[str, Any]
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
INTEGERS = (
    "Memory", "MemorySwap", "MemoryReservation", "CpuPeriod", "CpuQuota", "CpuShares",
    "NanoCpus", "PidsLimit", "ShmSize", "OomScoreAdj",
)  # fmt: skip
SMALLEST_MEMORY_BYTES = 6 * 1024 * 1024


class EngineError(Exception):
    """An answer with an error status; the engine's sentence is the message."""

    def __init__(self, status: int, message: str) -> None:
        """Carry the HTTP status and the sentence."""
        super().__init__(message)
        self.status = status


def volume_sources(host_config: Body) -> list[str]:
    """Return the names of the volumes that a HostConfig mounts."""
    binds = [bind.split(":")[0] for bind in host_config.get("Binds") or []]
    mounts = [
        mount.get("Source", "")
        for mount in host_config.get("Mounts") or []
        if mount.get("Type") == "volume"
    ]
    return [name for name in [*binds, *mounts] if name and not name.startswith("/")]


def check_body(name: str, body: Body, runtimes: set[str]) -> None:
    """Refuse a create request that the engine would refuse before looking anything up."""
    if not NAME.fullmatch(name):
        message = f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        raise EngineError(400, message)
    for key, kind in (
        ("Env", list),
        ("Labels", dict),
        ("Cmd", list),
        ("HostConfig", dict),
    ):
        if body.get(key) is not None and not isinstance(body[key], kind):
            raise EngineError(400, f"json: cannot unmarshal {key} {json.dumps(body[key])[:80]}")
    check_limits(body.get("HostConfig") or {}, runtimes)
    for mount in (body.get("HostConfig") or {}).get("Mounts") or []:
        check_mount(mount)


def check_mount(mount: Body) -> None:
    """Refuse a mount without a target or with a source that does not exist."""
    if not str(mount.get("Target", "")).startswith("/"):
        raise EngineError(400, "invalid mount config: field Target must be an absolute path")
    source = mount.get("Source", "")
    if mount.get("Type") == "bind" and not Path(source).exists():
        message = f'invalid mount config for type "bind": bind source path does not exist: {source}'
        raise EngineError(400, message)


def check_limits(host: Body, runtimes: set[str]) -> None:
    """Refuse limits of the wrong type or ones that contradict each other."""
    for key in INTEGERS:
        value = host.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            message = f"json: cannot unmarshal {json.dumps(value)} into Go struct field {key}"
            raise EngineError(400, message)
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if host.get("NanoCpus") and (host.get("CpuPeriod") or host.get("CpuQuota")):
        raise EngineError(400, "Conflicting options: Nano CPUs and CPU Period cannot both be set.")
    if 0 < memory < SMALLEST_MEMORY_BYTES:
        raise EngineError(400, "Minimum memory limit allowed is 6MB")
    if memory and 0 < swap < memory:
        message = "Minimum memoryswap limit should be larger than memory limit, see usage"
        raise EngineError(400, message)
    if swap > 0 and not memory:
        message = "You should always set the Memory limit when using Memoryswap limit, see usage"
        raise EngineError(400, message)
    runtime = host.get("Runtime") or "runc"
    if runtime not in runtimes:
        raise EngineError(400, f"Unknown runtime specified {runtime}")
