"""How much memory a container has used at most, and how often the kernel killed in it.

The engine tells neither, so the kernel's own files are read, where the machine's cgroups are in
sight. They vanish with the container's last process: read while it lives.

    version 1   memory/…/<container>/    memory.max_usage_in_bytes   memory.oom_control
    version 2   …/<container>/           memory.peak (Linux 5.19)    memory.events

Where <container> is, spawner/cgroups.py finds out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from spawner.cgroups import Places, count, is_version_2


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

    root: Path
    peak: str
    kills: str
    without_peak: str


class CgroupMeter:
    """Reads the machine's cgroups below a directory. May be used by several threads."""

    def __init__(self, root: Path) -> None:
        """Touch nothing yet; `root` is the host's /sys/fs/cgroup, as this process sees it."""
        self._root = root
        self._places = Places()

    def read(self, container_id: str) -> Usage | None:
        """Return a container's usage, or None. Never raises and never waits for anybody."""
        try:
            files = _files(self._root)
            place = self._places.find(files.root, container_id)
            return _usage(place, files) if place is not None else None
        except (OSError, ValueError):
            return None


def _files(root: Path) -> _Files:
    """Return where version 1 or 2 of cgroups keeps its memory; both there: 1 has the memory."""
    if is_version_2(root):
        return _Files(root, "memory.peak", "memory.events", "memory.current")
    peak = "memory.max_usage_in_bytes"  # always there
    return _Files(root / "memory", peak, "memory.oom_control", peak)


def _usage(place: Path, files: _Files) -> Usage:
    """Read the two numbers; OSError or ValueError when one cannot be had."""
    kills = _entry((place / files.kills).read_text("ascii"), "oom_kill")
    try:
        peak = count((place / files.peak).read_text("ascii"))
    except FileNotFoundError:
        (place / files.without_peak).stat()  # the container is still there, so the kernel is old
        peak = None
    return Usage(peak, kills)


def _entry(text: str, key: str) -> int:
    """Return a value of a file of keys and values; ValueError when there is none."""
    values = dict(line.split() for line in text.splitlines())
    return count(values.get(key, ""))
