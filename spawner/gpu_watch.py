"""The hub's look at the GPU monitor's reports: which GPUs there are, and who uses them.

The file is read when it has changed, off the event loop, and nothing waits for the monitor. The
engine is asked once about each container that has a GPU open: its labels never change. While it
does not tell, the container counts as somebody else's, so that its GPU is given to nobody.

A container that is not ours may have GPUs and rest. So now and then the engine lists what runs, and
is asked once about each that is new: what it was given never changes. While the engine does not
answer, what is known stays; before its first answer, everything may be somebody's.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from spawner import metrics
from spawner.engine_errors import EngineError
from spawner.gpu_claims import ALL, Claim, claim, claimed
from spawner.gpu_monitor import FILE, read
from spawner.gpu_readings import Report, UnreadableError
from spawner.gpu_view import Sight, computing, containers, is_old, parts, seen
from spawner.messages import devices as messages
from spawner.recall import run_of

if TYPE_CHECKING:
    from spawner.desk import Desk

LOOK_SECONDS = 1.0
# Servers' use is looked at every 30 s at least (spawner/timepiece.py).
WINDOW_SECONDS = 30.0
# What was given to others and rests is looked for so often.
AROUND_SECONDS = 15.0
FOLDER = "gpus"

log = logging.getLogger(__name__)


class GpuWatch:
    """Follows the reports until it is closed, and keeps `desk.sight` up to date."""

    def __init__(
        self,
        desk: "Desk",
        steady: Callable[[], float] = time.monotonic,
        has_gpus: Callable[[], bool] = lambda: True,
    ) -> None:
        """Do nothing yet; `steady` is a clock that nobody sets.

        `has_gpus` says whether there is any GPU to give out: nothing else is looked around for.
        """
        self._desk, self._steady, self._has_gpus = desk, steady, has_gpus
        self._folder = desk.lab.state_dir / FOLDER
        self._stamp: tuple[int, int] | None = None
        self._report: Report | None = None
        self._came = 0.0
        self._unreadable = ""
        # The devices that containers of ours have; none for a container that is not ours.
        self._grants: dict[str, frozenset[str]] = {}
        self._busy: dict[str, float] = {}
        # What containers were given that are not ours, None until it is known.
        self._claims: dict[str, Claim] | None = {}
        self._looked_around = -AROUND_SECONDS
        self._around: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin; what the last report says is known at once, so that nobody gets a lost GPU."""
        self._desk.gpu_busy = self.is_busy
        self._claims = None
        if self._read() and self._report is not None:
            self._take(self._report)
        self._tell()
        self._task = asyncio.ensure_future(self._looks())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def is_busy(self, container: str) -> bool:
        """Whether a container computes on a GPU, or did lately.

        What nobody sees any more goes on: unknown is not idle.
        """
        last = self._busy.get(container)
        if last is None:
            return False
        until = self._came if self._is_old() else self._steady()
        return until - last <= WINDOW_SECONDS

    async def _looks(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # nothing may end this
                log.exception("Unexpected, while reading the GPU monitor's report")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take a new report, if there is one, and say what follows from it."""
        if await asyncio.to_thread(self._read) and self._report is not None:
            self._take(self._report)
        self._tell()
        is_due = self._steady() - self._looked_around >= AROUND_SECONDS
        is_known = self._claims is not None
        if (self._around is None or self._around.done()) and (
            is_due and self._has_gpus() if is_known else True
        ):
            self._around = self._desk.detach(self._look_around())

    async def _look_around(self) -> None:
        """Learn what the containers were given that are not ours, and run."""
        try:
            listed = await self._desk.engine.listed({})
        except EngineError as error:
            log.debug("Docker does not tell who else has GPUs: %s", error)
            return
        mine, known = self._desk.lab.name, self._claims or {}
        others = [e.id for e in listed if not e.ended and e.labels.get("labhub.instance") != mine]
        found = {each: known[each] for each in others if each in known}
        for each in sorted(set(others) - set(found)):
            try:
                made = (await self._desk.engine.container(each)).made
            except EngineError as error:
                # It is gone again, or asked about the next time. That it had all GPUs until then
                # would let one container that Docker cannot describe stop the whole lab.
                log.debug("What was given to container %s: %s", each[:12], error)
                continue
            found[each] = claim(made.config, made.host_config)
        self._claims, self._looked_around = found, self._steady()
        self._tell()

    def _read(self) -> bool:
        """Read the file; return whether there is a report that was not there before."""
        try:
            status = os.stat(self._folder / FILE)  # noqa: PTH116 - one name for all of this
            stamp = status.st_mtime_ns, status.st_ino
            if stamp == self._stamp:
                return False
            report = read(self._folder)
        except FileNotFoundError:
            return False
        except (OSError, UnreadableError) as error:
            self._unreadable = messages.report_is_unreadable(str(error))
            return False
        # One from before this hub may be very old; later ones are as old as they were seen.
        age = max(0.0, time.time() - report.at) if self._stamp is None else 0.0
        self._stamp, self._report, self._came = stamp, report, self._steady() - age
        self._unreadable = ""
        return True

    def _take(self, report: Report) -> None:
        """Note who computes, and ask who is who."""
        present = containers(report)
        self._grants = {each: self._grants[each] for each in present & set(self._grants)}
        since = self._came - WINDOW_SECONDS
        known = {each: at for each, at in self._busy.items() if at >= since}
        self._busy = {**known, **dict.fromkeys(computing(report), self._came)}
        strange = present - set(self._grants)
        if strange and (self._asking is None or self._asking.done()):
            self._asking = self._desk.detach(self._ask(strange))

    async def _ask(self, strange: Collection[str]) -> None:
        """Learn which devices these containers have."""
        for each in sorted(strange):
            try:
                state = await self._desk.engine.container(each)
            except EngineError as error:
                log.debug("A GPU is used by container %s: %s", each[:12], error)
                continue
            is_ours = state.labels.get("labhub.instance") == self._desk.lab.name
            devices = run_of(state, datetime.now(UTC)).devices if is_ours else ()
            self._grants[each] = frozenset(devices)
        self._tell()

    def _is_old(self) -> bool:
        return self._report is not None and is_old(self._report, self._steady() - self._came)

    def _tell(self) -> None:
        """Let everybody know; a change of health goes into the log."""
        claims = [ALL] if self._claims is None else list(self._claims.values())
        everything = any(each.all for each in claims)
        if self._report is None:
            some = claimed(claims, ())
            self._note(Sight(trouble=self._unreadable, claimed=some, all_claimed=everything))
            return
        before = {each.id: each.health.cause for each in self._desk.sight.seen}
        reading, trouble = self._report.reading, self._unreadable
        if not trouble and self._is_old():
            moment = datetime.fromtimestamp(self._report.at, UTC).astimezone()
            trouble = messages.report_is_old(moment)
        elif not trouble and reading.trouble:
            trouble = messages.driver_is_silent(reading.trouble)
        found = seen(self._report, self._grants)
        some = claimed(claims, reading.gpus)
        sight = Sight(found, reading.driver, trouble, parts(self._report), some, everything)
        if bool(trouble) != bool(self._desk.sight.trouble):
            log.warning("%s", trouble or "What is said of the GPUs is true of this moment again.")
        self._note(sight)
        for each in sight.seen:
            if before.get(each.id) != each.health.cause:
                log.warning("%s: %s", each.id, messages.quarantined(each.health) or "healthy")
        metrics.tell_gpus(sight)

    def _note(self, sight: Sight) -> None:
        """Let everybody see it, and let the queue look again where others gave something back."""
        before, self._desk.sight = self._desk.sight, sight
        if (before.claimed, before.all_claimed) != (sight.claimed, sight.all_claimed):
            self._desk.room.due.set()
