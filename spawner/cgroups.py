"""Where the kernel keeps what it counts of a container: its directory among the machine's cgroups.

A container's is `docker/<id>`, with systemd `system.slice/docker-<id>.scope`, and below other
parents where an admin has set one, or where the engine itself lives in a container. In version 1
each controller has a tree of its own below the root, in version 2 there is one tree.

All containers are looked at again and again, so what is done for each is a handful of system calls
and little else: pathlib and open() would take five times as long.
"""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

ID = "{id}"
PLACES = (f"docker/{ID}", f"system.slice/docker-{ID}.scope")
MOST_DIRECTORIES = 4000
MOST_DEEP = 8
PIECE_LENGTH = 1 << 14


def is_version_2(root: Path) -> bool:
    """Whether all controllers are in one tree; both versions there: the first has them."""
    return os.path.isfile(f"{root}/cgroup.controllers")  # noqa: PTH113 - see above


class Places:
    """Finds the directories of containers in one tree, and remembers where the last one was."""

    def __init__(self) -> None:
        """Know nothing."""
        self._found = ""

    def find(self, tree: str, container_id: str) -> str | None:
        """Return the container's directory: beside the last one, in a usual place, or anywhere.

        All containers of an engine have one parent. While the last one's is there, a container
        that is neither in it nor in a usual place is gone, and nothing is searched.
        """
        if not container_id.isalnum():
            return None
        for place in filter(None, (self._found, *PLACES)):
            directory = f"{tree}/{place.replace(ID, container_id)}"
            if os.path.isdir(directory):  # noqa: PTH112 - see above
                self._found = place
                return directory
        if self._found and Path(tree, self._found).parent.is_dir():
            return None
        found = _search(Path(tree), container_id)
        self._found = str(found.relative_to(tree)).replace(container_id, ID) if found else ""
        return str(found) if found else None


def text(path: str) -> str:
    """Return what one of the kernel's files says. Raises OSError and ValueError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(file, PIECE_LENGTH), b"")).decode("ascii")
    finally:
        os.close(file)


def count(written: str) -> int:
    """Return a number that is zero or more, or raise ValueError."""
    number = int(written)
    if number < 0:
        message = f"{number} is no count"
        raise ValueError(message)
    return number


def _search(tree: Path, container_id: str) -> Path | None:
    """Return the container's directory nearest to the root, after a bounded look around."""
    waiting = deque([(tree, 0)])
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
