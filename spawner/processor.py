"""How much processor time a container has taken, by the kernel's own count.

version 1   cpuacct/…/<container>/cpuacct.usage     nanoseconds
version 2   …/<container>/cpu.stat                  usage_usec, microseconds
"""

from pathlib import Path

from spawner.cgroups import Places, count, is_version_2

# The controller has its own tree, or shares one with another.
TREES = ("cpuacct", "cpu,cpuacct")
NANO, MICRO = 1e9, 1e6


class ProcessorMeter:
    """Reads the machine's cgroups below a directory. May be used by several threads."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet; `root` is the host's /sys/fs/cgroup, as this process sees it."""
        self._root = root
        self._places = Places()

    def cpu_seconds(self, container_id: str) -> float | None:
        """Return the time taken since the container began, or None when nobody can tell."""
        try:
            if is_version_2(self._root):
                return self._version_2(container_id)
            return self._version_1(container_id)
        except (OSError, ValueError):
            return None

    def _version_1(self, container_id: str) -> float | None:
        for name in TREES:
            tree = self._root / name
            place = self._places.find(tree, container_id) if tree.is_dir() else None
            if place is not None:
                return count((place / "cpuacct.usage").read_text("ascii")) / NANO
        return None

    def _version_2(self, container_id: str) -> float | None:
        place = self._places.find(self._root, container_id)
        if place is None:
            return None
        lines = (place / "cpu.stat").read_text("ascii").splitlines()
        values = dict(line.split() for line in lines)
        return count(values.get("usage_usec", "")) / MICRO
