"""The steps of one start, for any number of viewers who may come late."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from spawner.place import Place

# A place in the queue is some percent of the way.
QUEUE_PERCENT = 2
# A place is told again so often: only by telling does the hub notice that a page was closed.
AGAIN_SECONDS = 10


class Steps:
    """An append-only list of steps that can be followed while it grows.

    Where it stands in the queue is no step: only the latest place is told. `looked` is called with
    the number of viewers whenever one comes or goes.
    """

    def __init__(self, looked: Callable[[int], None] = lambda _viewers: None) -> None:
        """Begin with no step."""
        self._events: list[dict[str, object]] = []
        self._place: Place | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._looked, self._viewers = looked, 0

    def add(self, percent: int, message: str) -> None:
        """Tell every viewer, present and future, that the start has come this far."""
        self._events.append({"progress": percent, "message": message})
        self._wake()

    def place(self, place: Place | None) -> None:
        """Tell every viewer where the start stands in the queue; None: it is through."""
        self._place = place
        self._wake()

    @property
    def closed(self) -> bool:
        """Return whether nothing more will come."""
        return self._closed

    def close(self) -> None:
        """Say that nothing more will come."""
        self._closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[dict[str, object]]:
        """Yield every step from the first on, and end after `close`."""
        self._look(1)
        try:
            async for event in self._follow():
                yield event
        finally:
            self._look(-1)

    async def _follow(self) -> AsyncIterator[dict[str, object]]:
        seen, told, was_in_queue = 0, None, False
        while True:
            changed = self._changed
            for event in self._events[seen:]:
                seen += 1
                yield dict(event)
            if (place := self._place) is not None and place != told:
                yield {"progress": QUEUE_PERCENT, "queue": place.shown(time.time())}
            elif place is None and was_in_queue:
                yield {"progress": QUEUE_PERCENT, "queue": None}
            told, was_in_queue = place, place is not None
            if self._closed:
                return
            try:
                async with asyncio.timeout(None if place is None else AGAIN_SECONDS):
                    await changed.wait()
            except TimeoutError:
                told = None

    def _look(self, more: int) -> None:
        """Count viewers."""
        self._viewers += more
        self._looked(self._viewers)

    def _wake(self) -> None:
        """Let all followers look again."""
        self._changed.set()
        self._changed = asyncio.Event()
