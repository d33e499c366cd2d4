"""How much processor time a container has taken so far, as the kernel counts it.

version 1   cpuacct/…/<container>/cpuacct.usage   nanoseconds (the tree may be cpu,cpuacct/)
version 2   …/<container>/cpu.stat                usage_usec, microseconds

Both count all processors together: two that compute for a second are two seconds.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spawner.cgroups import Places, count, is_version_2, text


class Meter(Protocol):
    """Whatever measures containers."""

    def read(self, container_id: str) -> float | None:
        """Return the seconds of processor time since it began; None when nobody can tell."""


TREES = ("cpuacct", "cpu,cpuacct")


@dataclass(frozen=True, slots=True)
class _Tree:
    """Where the kernel counts, and how to read it in a container's directory."""

    root: str
    seconds: Callable[[str], float]


class CpuMeter:
    """Reads the machine's cgroups below a directory. For one thread at a time."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet; `root` is the host's /sys/fs/cgroup, as this process sees it."""
        self._root = root
        self._places = Places()
        # No machine changes its version while it runs.
        self._tree: _Tree | None = None

    def read(self, container_id: str) -> float | None:
        """Return a container's processor time, or None. Never raises, never waits for anybody."""
        try:
            tree = self._tree or _tree(self._root)
            place = self._places.find(tree.root, container_id)
            if place is None:
                return None
            self._tree = tree
            return tree.seconds(place)
        except (OSError, ValueError):
            return None


def _tree(root: Path) -> _Tree:
    """Return where version 2 counts, or 1: in the controller's tree, or one that it shares."""
    if is_version_2(root):
        return _Tree(f"{root}", _from_stat)
    trees = [f"{root}/{name}" for name in TREES]
    return _Tree(next(filter(os.path.isdir, trees), trees[0]), _from_usage)


def _from_usage(place: str) -> float:
    return count(text(f"{place}/cpuacct.usage")) / 1e9


def _from_stat(place: str) -> float:
    lines = text(f"{place}/cpu.stat").splitlines()
    return count(dict(line.split() for line in lines).get("usage_usec", "")) / 1e6
