"""How much memory a container has used at most, and how often the kernel killed in it.

The engine tells neither, so the kernel's own files are read, where the machine's cgroups are in
sight. They vanish with the container's last process: read while it lives.

    version 1   memory/…/<container>/    memory.max_usage_in_bytes   memory.oom_control
    version 2   …/<container>/           memory.peak (Linux 5.19)    memory.events

<container> is `docker/<id>`, with systemd `system.slice/docker-<id>.scope`, and below other parents
where an admin has set one, or where the engine itself lives in a container.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ID = "{id}"
PLACES = (f"docker/{ID}", f"system.slice/docker-{ID}.scope")
MOST_DIRECTORIES = 4000
MOST_DEEP = 8


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
        self._found = ""

    def read(self, container_id: str) -> Usage | None:
        """Return a container's usage, or None. Never raises and never waits for anybody."""
        if not container_id.isalnum():
            return None
        try:
            files = _files(self._root)
            place = self._place(files.root, container_id)
            return _usage(place, files) if place is not None else None
        except (OSError, ValueError):
            return None

    def _place(self, root: Path, container_id: str) -> Path | None:
        """Return the container's directory: beside the last one, in a usual place, or anywhere.

        All containers of an engine have one parent. While the last one's is there, a container
        that is neither in it nor in a usual place is gone, and nothing is searched.
        """
        for place in filter(None, (self._found, *PLACES)):
            directory = root / place.replace(ID, container_id)
            if directory.is_dir():
                self._found = place
                return directory
        if self._found and (root / self._found).parent.is_dir():
            return None
        found = _search(root, container_id)
        self._found = str(found.relative_to(root)).replace(container_id, ID) if found else ""
        return found


def _files(root: Path) -> _Files:
    """Return where version 1 or 2 of cgroups keeps its memory; both there: 1 has the memory."""
    if (root / "cgroup.controllers").is_file():
        return _Files(root, "memory.peak", "memory.events", "memory.current")
    peak = "memory.max_usage_in_bytes"  # always there
    return _Files(root / "memory", peak, "memory.oom_control", peak)


def _usage(place: Path, files: _Files) -> Usage:
    """Read the two numbers; OSError or ValueError when one cannot be had."""
    kills = _entry((place / files.kills).read_text("ascii"), "oom_kill")
    try:
        peak = _count((place / files.peak).read_text("ascii"))
    except FileNotFoundError:
        (place / files.without_peak).stat()  # the container is still there, so the kernel is old
        peak = None
    return Usage(peak, kills)


def _entry(text: str, key: str) -> int:
    """Return a value of a file of keys and values; ValueError when there is none."""
    values = dict(line.split() for line in text.splitlines())
    return _count(values.get(key, ""))


def _count(text: str) -> int:
    """Return a number that is zero or more, or raise ValueError."""
    count = int(text)
    if count < 0:
        message = f"{count} is no count"
        raise ValueError(message)
    return count


def _search(root: Path, container_id: str) -> Path | None:
    """Return the container's directory nearest to the root, after a bounded look around."""
    waiting = deque([(root, 0)])
    for _ in range(MOST_DIRECTORIES):
        if not waiting:
            return None
        directory, depth = waiting.popleft()
        for child in _directories(directory):
            if container_id in child.name:
                return child
            if depth < MOST_DEEP:
                waiting.append((child, depth + 1))
    return None


def _directories(directory: Path) -> Iterator[Path]:
    """Yield the directories in a directory; one that has vanished has none."""
    try:
        with os.scandir(directory) as entries:
            children = [Path(each) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return
    yield from sorted(children)
