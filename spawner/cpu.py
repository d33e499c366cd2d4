"""How much processor time a container has taken so far, as the kernel counts it.

version 1   cpuacct/…/<container>/cpuacct.usage   nanoseconds (the tree may be cpu,cpuacct/)
version 2   …/<container>/cpu.stat                usage_usec, microseconds

Both count all processors together: two that compute for a second are two seconds.
"""

from pathlib import Path
from typing import Protocol

from spawner.cgroups import Places, count, is_version_2


class Meter(Protocol):
    """Whatever measures containers."""

    def read(self, container_id: str) -> float | None:
        """Return the seconds of processor time since it began; None when nobody can tell."""


TREES = ("cpuacct", "cpu,cpuacct")


class CpuMeter:
    """Reads the machine's cgroups below a directory. For one thread at a time."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet; `root` is the host's /sys/fs/cgroup, as this process sees it."""
        self._root = root
        self._places = Places()

    def read(self, container_id: str) -> float | None:
        """Return a container's processor time, or None. Never raises, never waits for anybody."""
        second = is_version_2(self._root)
        try:
            place = self._places.find(self._root if second else self._tree(), container_id)
            if place is None:
                return None
            return _from_stat(place) if second else _from_usage(place)
        except (OSError, ValueError):
            return None

    def _tree(self) -> Path:
        """Return where version 1 counts: the controller's tree, or one that it shares."""
        trees = [self._root / name for name in TREES]
        return next((tree for tree in trees if tree.is_dir()), trees[0])


def _from_usage(place: Path) -> float:
    return count((place / "cpuacct.usage").read_text("ascii")) / 1e9


def _from_stat(place: Path) -> float:
    lines = (place / "cpu.stat").read_text("ascii").splitlines()
    return count(dict(line.split() for line in lines).get("usage_usec", "")) / 1e6
