"""The watch: one event stream and a slow round, so that nothing ends unseen or stays behind.

Events say quickly that something happened. They may come twice, late, or not at all, so nothing
is concluded from one: the hub asks the engine, and a round compares hub, store and engine.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from spawner.checkpoint import reached
from spawner.container import STOP_SECONDS, holder_of
from spawner.desk import Desk
from spawner.engine import Listed
from spawner.engine_errors import EngineError, NotFoundError, UnavailableError
from spawner.events import Event
from spawner.metrics import RECONCILE_ACTIONS
from spawner.recall import run_of
from spawner.reconcile import Action, Close, Finish, Notify, Record, Seen, View, reconcile
from spawner.runs import Holder
from spawner.store import StoreError

ROUND_SECONDS = 30
BUSY_ROUND_SECONDS = 5
RETRY_SECONDS = (0.2, 0.5, 1, 2, 5)
OUT_OF_MEMORY_SECONDS = 0.5

log = logging.getLogger(__name__)


class Hub(Protocol):
    """What the watch asks of the hub."""

    def active(self) -> Mapping[Holder, str]:
        """Return the servers it believes in, with the container of each, "" if it knows none."""

    def busy(self) -> Collection[Holder]:
        """Return the servers that are being started, stopped or looked for."""

    async def notify(self, holder: Holder, container: str = "") -> None:
        """Ask after a server, whose container was told to have ended; end what certainly ended."""


class Watch:
    """Follows the engine's events and makes rounds, until it is closed."""

    def __init__(self, desk: Desk, hub: Hub) -> None:
        """Do nothing yet."""
        self._desk, self._hub = desk, hub
        self._labels = desk.server_labels
        self._pause_seconds: float = ROUND_SECONDS
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Begin both; the first round comes at once."""
        self._desk.round_due.set()
        self._tasks = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._rounds())]

    async def close(self) -> None:
        """End both."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # events

    async def _follow(self) -> None:
        """Take every event from now on, over any number of streams."""
        since_ns, failures, loop = time.time_ns(), 0, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                events = self._desk.engine.events(self._labels, since_ns, self._listens)
                async for event in events:
                    since_ns, failures = max(since_ns, event.time_ns), 0
                    self._take(event)
            except EngineError as error:
                self._engine_left(error)
                self._desk.round_due.set()
                await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
            except Exception:  # nothing may end the watch
                log.exception("Unexpected, while following the engine's events")
                await asyncio.sleep(RETRY_SECONDS[-1])
            if loop.time() - began < RETRY_SECONDS[0]:  # an engine that hangs up at once
                await asyncio.sleep(RETRY_SECONDS[0])

    def _listens(self) -> None:
        """Find by a round what happened before a stream began, if the engine does not tell it."""
        self._desk.round_due.set()  # there may have been a gap

    def _take(self, event: Event) -> None:
        """Remember what the event tells, and let the hub look."""
        self._desk.sightings.note(event)
        if event.action in {"die", "destroy"}:
            self._desk.tell(event.container)
            self._desk.detach(self._hub.notify(holder_of(event.labels), event.container))
        elif event.action in {"pause", "unpause"}:
            self._desk.detach(self._hub.notify(holder_of(event.labels)))
        elif event.action == "oom":
            self._desk.detach(self._after_out_of_memory(event.container))

    async def _after_out_of_memory(self, container: str) -> None:
        """Note a program killed in a server that goes on; the end of a server tells itself."""
        await asyncio.sleep(OUT_OF_MEMORY_SECONDS)
        await self._measure([container])

    async def _measure(self, containers: Sequence[str]) -> None:
        """Read how much memory containers use, and note what was killed for it."""
        killed = await self._desk.ends.measure(containers)
        for container, kills in killed.items():
            await self._desk.receipts.note_kernel(container, kills)

    # rounds

    async def _rounds(self) -> None:
        """Make a round whenever one is due, and again soon after one that failed."""
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._desk.round_due.wait()
            self._desk.round_due.clear()
            try:
                await self.round()
                failures = 0
            except EngineError as error:
                self._engine_left(error)
                self._pause_seconds = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
            except Exception:  # nothing may end the watch
                log.exception("Unexpected, while comparing hub, store and engine")
                self._pause_seconds = RETRY_SECONDS[-1]

    async def round(self) -> None:
        """Look at store, engine and hub, in this order (reconcile.py says why), and act."""
        self._desk.detach(self._desk.discover())
        runs = await self._desk.receipts.open_runs()
        waiting = self._desk.room.waiting()
        busy = set(self._hub.busy())
        listed = await self._desk.engine.listed(self._labels)
        self._desk.sightings.engine_came(datetime.now(UTC))
        self._desk.detach(self._desk.lookback.answered())
        # A start that waits has begun nothing: what there is of it was left by an earlier one.
        waiting &= self._desk.room.waiting()
        active = {each: box for each, box in self._hub.active().items() if each not in waiting}
        busy = (busy | set(self._hub.busy())) - waiting
        view = View(tuple(map(_seen, listed)), active, busy, runs)
        actions = reconcile(view)
        reached("round.decided")
        met = {each.holder for each in (*view.seen, *(runs or ()))}
        self._pause_seconds = BUSY_ROUND_SECONDS if met & busy else ROUND_SECONDS
        for action in actions:
            RECONCILE_ACTIONS.labels(type(action).__name__.lower()).inc()
            self._desk.detach(self._act(action))
        await self._measure([each.id for each in listed if not each.ended])
        self._desk.detach(self._desk.images.tidy())

    async def _act(self, action: Action) -> None:
        """Do one thing; what fails is done by the next round."""
        log.info("%s", action)
        try:
            match action:
                case Notify(holder=holder):
                    await self._hub.notify(holder)
                case Finish(seen=seen):
                    await self._finish(seen)
                case Close(run=run):
                    await self._desk.receipts.close(run)
                case Record(seen=seen):
                    await self._record(seen)
        except (EngineError, StoreError) as error:
            log.warning("%s: %s", action, error)

    async def _finish(self, seen: Seen) -> None:
        """End a container nobody wants."""
        try:
            container = await self._desk.engine.container(seen.container)
        except NotFoundError:
            return
        await self._desk.ends.end(container, STOP_SECONDS)

    async def _record(self, seen: Seen) -> None:
        """Note a run that the store lost, as its container tells it."""
        try:
            run = run_of(await self._desk.engine.container(seen.container), datetime.now(UTC))
        except NotFoundError:
            return
        await self._desk.receipts.transact(lambda ledger: ledger.begin(run), otherwise=None)

    def _engine_left(self, error: EngineError) -> None:
        """Remember since when nobody reaches the engine, the watch or anybody else.

        One that answers nonsense is there, and runs what it ran.
        """
        if isinstance(error, UnavailableError) and self._desk.engine.health.is_silent:
            self._desk.sightings.engine_left(datetime.now(UTC))


def _seen(listed: Listed) -> Seen:
    """Return what a round needs of a listed container."""
    return Seen(
        container=listed.id,
        name=listed.name,
        holder=holder_of(listed.labels),
        ended=listed.ended,
    )
