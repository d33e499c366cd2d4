"""Follows labhub.yaml: keeps it loaded, and says in log, metrics and status how that goes."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from hub_config.reload import LOOK_SECONDS, LiveConfig
from hub_config.status import Known, describe, write_status
from spawner.desk import Desk
from spawner.metrics import CONFIG_LOADED, CONFIG_LOADS, CONFIG_VALID

log = logging.getLogger(__name__)


class Follower:
    """Looks at the file until it is closed; `changed` is called after each reading of it."""

    def __init__(self, desk: Desk, live: LiveConfig, changed: Callable[[], None]) -> None:
        """Do nothing yet."""
        self._desk, self._live, self._changed = desk, live, changed
        self._status: Mapping[str, object] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin; the file was read a moment ago."""
        self._count()
        self._task = asyncio.ensure_future(self._follow())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                if await asyncio.to_thread(self._live.look):
                    self._tell()
                    self._changed()
                self._write_status()
            except Exception:  # nothing may end this
                log.exception("Unexpected, while following labhub.yaml")
            await asyncio.sleep(LOOK_SECONDS)

    def _write_status(self) -> None:
        """Write what `labhub status` tells, when it is something new."""
        desk, rules = self._desk, self._live.config.gpus
        devices, unshared = desk.devices(rules), desk.unshared(rules)
        known = Known(desk.trouble, desk.late, devices, desk.sight, desk.room.places, unshared)
        facts = describe(self._live.reading, known)
        if facts != self._status:
            write_status(self._desk.lab.state_dir, facts)
            self._status = facts

    def _tell(self) -> None:
        """Say in the log and in numbers how the last reading went."""
        reading = self._live.reading
        self._count()
        for error in reading.errors:
            log.error("%s", error)
        if reading.errors:
            log.error("The settings from before hold.")
        for sentence in reading.waits:
            log.warning("%s", sentence)
        if not reading.errors:
            log.info("%s was read and holds.", self._live.path)

    def _count(self) -> None:
        reading = self._live.reading
        CONFIG_VALID.set(not reading.errors)
        CONFIG_LOADED.set(reading.at.timestamp())
        CONFIG_LOADS.labels("invalid" if reading.errors else "valid").inc()
