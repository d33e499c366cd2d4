"""The hub's own death at a named point (spawner/checkpoint.py), ordered by a file.

    orders.write("create:after#2")   # die when the container's creation was answered a second time
    orders.write("")                 # only note down what is reached

Nothing happens while there is no order, so a hub may start up in peace. Occurrences are counted
from the moment an order is written. Every point that is reached meanwhile is appended to a file,
the last one included: it is the proof of where the hub died.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spawner import checkpoint

POINTS, ORDER = "LABHUB_TEST_POINTS", "LABHUB_TEST_CRASH_AT"


def occurrence(point: str, number: int) -> str:
    """Return how the `number`-th time of a point is written, from 1 on."""
    return f"{point}#{number}"


@dataclass(frozen=True)
class Orders:
    """The test's side: what to do, and what was reached."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the hub must know."""
        return {POINTS: str(self.folder / "points"), ORDER: str(self.folder / "order")}

    def write(self, order: str) -> None:
        """Order the hub's death at an occurrence, or, if empty, that points are noted down."""
        (self.folder / "points").unlink(missing_ok=True)
        new = self.folder / "order.new"
        new.write_text(order)
        new.rename(self.folder / "order")

    def take_back(self) -> None:
        """Let the hub live, and note nothing more."""
        (self.folder / "order").unlink(missing_ok=True)

    def reached(self) -> list[str]:
        """Return the occurrences that were reached since the last order, in their order."""
        path = self.folder / "points"
        return path.read_text().split() if path.exists() else []


def obey(environ: Mapping[str, str]) -> None:
    """Let this process die as ordered, if the environment says where orders are."""
    if POINTS in environ:
        checkpoint.hook = Crash(Path(environ[POINTS]), Path(environ[ORDER])).reached


class Crash:
    """The hub's side: the hook that notes points down and ends the process at the ordered one."""

    def __init__(self, points: Path, order: Path) -> None:
        """Look for the order at every point; a look costs some microseconds."""
        self._points, self._order = points, order
        self._seen: tuple[int, int] | None = None
        self._at = ""
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def reached(self, point: str) -> None:
        """Count, note down, die. Called from any thread."""
        with self._lock:
            if self._ordered():
                self._counts[point] += 1
                name = occurrence(point, self._counts[point])
                self._note(name)
                if name == self._at:
                    os.kill(os.getpid(), signal.SIGKILL)

    def _ordered(self) -> bool:
        """Whether there is an order; a new one begins the counting anew."""
        try:
            found = self._order.stat()
        except FileNotFoundError:
            return False
        seen = (found.st_ino, found.st_mtime_ns)
        if seen != self._seen:
            self._seen, self._at = seen, self._order.read_text()
            self._counts.clear()
        return True

    def _note(self, name: str) -> None:
        with self._points.open("a") as points:
            points.write(f"{name}\n")
