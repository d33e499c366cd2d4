"""What the engine did while no hub was there to see it, asked before the first receipt is written.

An engine that restarts forgets its events. So what it remembers of the time since a hub last had
an answer says whether it ran on: then it tells how each container ended. Else what ended meanwhile
ended with it.
"""

import asyncio
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from spawner.engine import Engine
from spawner.engine_errors import EngineError
from spawner.sightings import Sightings

FILE = "engine-answered"
SECOND_NS = 10**9

log = logging.getLogger(__name__)


class Lookback:
    """Looks back once. When a hub last had an answer is the time of an empty file."""

    def __init__(
        self, engine: Engine, sightings: Sightings, labels: Mapping[str, str], path: Path
    ) -> None:
        """Touch nothing yet; `labels` are those of the containers that count."""
        self._engine, self._sightings = engine, sightings
        self._labels, self._path = dict(labels), path
        self._looking = asyncio.Lock()
        self._is_done = False

    async def once(self) -> bool:
        """Look back, unless that was done; say whether it is. If not, the next call tries again."""
        async with self._looking:
            if not self._is_done:
                self._is_done = await self._look()
        return self._is_done

    async def answered(self) -> None:
        """Keep that the engine answers now, for a hub to come."""
        if await self.once():  # before that, the file tells what an earlier one knew
            await asyncio.to_thread(self._touch)

    async def _look(self) -> bool:
        """Note what the engine tells, or that it was away."""
        since_ns, until = await asyncio.to_thread(self._last_answer_ns), datetime.now(UTC)
        if since_ns is None:
            return True
        try:
            past = await self._engine.past()
        except EngineError as error:
            log.info("Docker does not tell what happened while no hub was there: %s", error)
            return False
        for event in past.events:
            if event.time_ns >= since_ns and self._labels.items() <= event.labels.items():
                self._sightings.recall(event)
        if past.is_whole:  # so an end that is missing in it came before the engine's beginning
            since = datetime.fromtimestamp(since_ns / SECOND_NS, UTC)
            self._sightings.engine_was_away(since, until)
        return True

    def _last_answer_ns(self) -> int | None:
        """Return when a hub last had an answer, None when none ever had one that it could keep."""
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return None

    def _touch(self) -> None:
        """Set the time of the file. Without it, nobody knows later what the engine did before."""
        try:
            self._path.touch()
        except OSError as error:
            log.debug("%s: %s", self._path, os.strerror(error.errno or 0))
