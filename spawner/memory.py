"""How much memory a container holds, has held at most, and how often the kernel killed in it.

The engine tells none of it, so the kernel's own files are read, where the machine's cgroups are in
sight. They vanish with the container's last process: read while it lives.

    version 1   memory/…/<container>/    memory.max_usage_in_bytes   memory.oom_control
                                         memory.usage_in_bytes       memory.stat (total_…)
    version 2   …/<container>/           memory.peak (Linux 5.19)    memory.events
                                         memory.current              memory.stat

Where <container> is, spawner/cgroups.py finds out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from spawner.cgroups import Places, count, is_version_2, text

CACHE = ("inactive_file", "active_file")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container did with its memory so far.

    `peak_bytes` is None where the kernel keeps no such number (version 2 before Linux 5.19).
    """

    peak_bytes: int | None
    oom_kills: int


class Meter(Protocol):
    """Whatever measures containers."""

    def read(self, container_id: str) -> Usage | None:
        """Return a container's usage; None when it cannot be known, for whatever reason."""


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the kernel writes what we want."""

    root: str
    peak: str
    kills: str
    without_peak: str
    now: str
    cache: tuple[str, ...]


class CgroupMeter:
    """Reads the machine's cgroups below a directory. May be used by several threads."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet; `root` is the host's /sys/fs/cgroup, as this process sees it."""
        self._root = root
        self._places = Places()
        # No machine changes its version while it runs.
        self._files: _Files | None = None

    def read(self, container_id: str) -> Usage | None:
        """Return a container's usage, or None. Never raises and never waits for anybody."""
        return self._read(container_id, _usage)

    def held_bytes(self, container_id: str) -> int | None:
        """Return the memory that a container holds now and nobody can take back, or None.

        What is in memory only because a file was read is not held.
        """
        return self._read(container_id, _held_bytes)

    def _read(self, container_id: str, reader: Callable[[str, _Files], T]) -> T | None:
        try:
            files = self._files or _files(self._root)
            place = self._places.find(files.root, container_id)
            if place is None:
                return None
            self._files = files
            return reader(place, files)
        except (OSError, ValueError):
            return None


def _files(root: Path) -> _Files:
    """Return where version 1 or 2 of cgroups keeps its memory; both there: 1 has the memory."""
    if is_version_2(root):
        now = "memory.current"
        return _Files(f"{root}", "memory.peak", "memory.events", now, now, CACHE)
    peak = "memory.max_usage_in_bytes"  # always there
    total = tuple(f"total_{key}" for key in CACHE)
    kills, now = "memory.oom_control", "memory.usage_in_bytes"
    return _Files(f"{root}/memory", peak, kills, peak, now, total)


def _usage(place: str, files: _Files) -> Usage:
    """Read the two numbers; OSError or ValueError when one cannot be had."""
    kills = _entry(text(f"{place}/{files.kills}"), "oom_kill")
    try:
        peak = count(text(f"{place}/{files.peak}"))
    except FileNotFoundError:
        Path(place, files.without_peak).stat()  # the container is still there, so the kernel is old
        peak = None
    return Usage(peak, kills)


def _held_bytes(place: str, files: _Files) -> int:
    """Read what is in use, without what the kernel can drop; OSError or ValueError as above."""
    stat = text(f"{place}/memory.stat")
    used = count(text(f"{place}/{files.now}"))
    return max(0, used - sum(_entry(stat, key) for key in files.cache))


def _entry(lines: str, key: str) -> int:
    """Return a value of a file of keys and values; ValueError when there is none."""
    values = dict(line.split() for line in lines.splitlines())
    return count(values.get(key, ""))
