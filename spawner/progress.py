"""The steps of one start, for any number of viewers who may come late."""

import asyncio
from collections.abc import AsyncIterator


class Steps:
    """An append-only list of steps that can be followed while it grows."""

    def __init__(self) -> None:
        """Begin with no step."""
        self._events: list[dict[str, object]] = []
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, percent: int, message: str) -> None:
        """Tell every viewer, present and future, that the start has come this far."""
        self._events.append({"progress": percent, "message": message})
        self._wake()

    def close(self) -> None:
        """Say that nothing more will come."""
        self._closed = True
        self._wake()

    async def follow(self) -> AsyncIterator[dict[str, object]]:
        """Yield every step from the first on, and end after `close`."""
        seen = 0
        while True:
            changed = self._changed
            for event in self._events[seen:]:
                seen += 1
                yield dict(event)
            if self._closed:
                return
            await changed.wait()

    def _wake(self) -> None:
        """Let all followers look again."""
        self._changed.set()
        self._changed = asyncio.Event()
