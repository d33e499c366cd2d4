"""What this machine has, read from the kernel: memory, cores, and what other programs hold.

`/proc` is the machine's own, in a container too. What servers hold is told by their cgroups; all
that is neither free nor theirs is held by others: the system, other containers, another labhub.
"""

import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from threading import Lock
from typing import Protocol

from spawner.capacity import Facts

LOOK_SECONDS = 10
_CORE = re.compile(r"^cpu\d+ ", re.MULTILINE)
_KIB = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
_ZFS = re.compile(r"^(\w+) +\d+ +(\d+)$", re.MULTILINE)


class MachineUnknownError(Exception):
    """The kernel does not tell what the machine has."""


class Meter(Protocol):
    """Whatever knows what containers hold."""

    def held_bytes(self, container_id: str) -> int | None:
        """Return what a container holds, None when it cannot be known."""


class Machine:
    """Looks at the machine, and remembers it for some seconds. May be used by several threads."""

    def __init__(self, proc_dir: Path, meter: Meter) -> None:
        """Touch nothing yet."""
        self._proc_dir, self._meter = proc_dir, meter
        self._lock = Lock()
        self._seen: tuple[float, Facts] | None = None

    def look(self, containers: Collection[str]) -> Facts:
        """Return what the machine has; `containers` are the servers that run on it.

        Where one of them cannot be measured, nothing is known of the other programs either, and
        the reserve alone is for them. Raises MachineUnknownError.
        """
        with self._lock:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] > LOOK_SECONDS:
                self._seen = now, self._read(containers)
            return self._seen[1]

    def has_swap(self) -> bool:
        """Whether memory can be swapped out here; yes, where the kernel does not tell."""
        try:
            return len((self._proc_dir / "swaps").read_text("utf-8").splitlines()) > 1
        except (OSError, ValueError):
            return True

    def _read(self, containers: Collection[str]) -> Facts:
        try:
            memory = _numbers(_KIB, self._proc_dir / "meminfo", 1024)
            cores = len(_CORE.findall((self._proc_dir / "stat").read_text("ascii")))
            whole, free = memory["MemTotal"], memory["MemAvailable"]
        except (OSError, ValueError, KeyError) as error:
            raise MachineUnknownError(f"{self._proc_dir}: {error}") from error
        held = [self._meter.held_bytes(each) for each in containers]
        ours = [each for each in held if each is not None]
        used = max(0, whole - free - self._zfs_cache() - sum(ours))
        return Facts(whole, cores, used if len(ours) == len(held) else 0)

    def _zfs_cache(self) -> int:
        """Return what ZFS would give back: it is not counted among what is available."""
        try:
            found = _numbers(_ZFS, self._proc_dir / "spl" / "kstat" / "zfs" / "arcstats", 1)
            return max(0, found["size"] - found["c_min"])
        except (OSError, ValueError, KeyError):
            return 0


def _numbers(line: re.Pattern[str], path: Path, factor: int) -> Mapping[str, int]:
    """Read a file of names and numbers."""
    return {name: int(text) * factor for name, text in line.findall(path.read_text("ascii"))}
