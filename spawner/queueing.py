"""The queue's rounds: who is called, who is told what, and what is over.

A round comes when something ended, when somebody came or left, when the store was changed by
another program (`labhub queue move`), and every few seconds while somebody waits. It decides
nothing for good: whoever is called asks the gate, which decides in the transaction that notes it.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from spawner.desk import Desk
from spawner.gate import Look, read
from spawner.lapse import expired, needed, unclaimed
from spawner.lease import Scene
from spawner.ledger import Ledger
from spawner.machine import MachineUnknownError
from spawner.messages import leases as messages
from spawner.metrics import QUEUE_LENGTH
from spawner.patience import Patience
from spawner.place import Place, Waits
from spawner.queue import etas, turns
from spawner.recent import lately
from spawner.runs import Holder, Reason, Run
from spawner.scene import Records
from spawner.shortage import shortage
from spawner.store import StoreError
from spawner.usage import Window
from spawner.waiting import ClockSet, Waiting

if TYPE_CHECKING:
    from hub_config.schema import Config

LOOK_SECONDS = 2
# A clock that goes a little wrong is put right by less than this between two rounds.
CLOCK_SET_SECONDS = 20
# Times of waiting people are told anew so often.
FRESH_SECONDS = 15
RESUME_SECONDS = 3
# GPU time is added up anew so often, and what is longer ago counts for nothing any more.
USE_SECONDS = 300
HALF_LIVES = 8

log = logging.getLogger(__name__)


class Hub(Protocol):
    """What is asked of the hub."""

    def has_come(self, run: Run) -> bool:
        """Return whether the person of a server that runs has opened or used it."""

    def has_server(self, holder: Holder) -> bool:
        """Return whether a server runs already, and nobody is about to change that."""

    def busy(self) -> Collection[Holder]:
        """Return the servers that are being started, stopped or looked for."""

    async def end(self, holder: Holder, reason: Reason, container: str) -> None:
        """End a server that is this container, unless somebody is at it already."""

    async def resume(self, waiting: Waiting) -> None:
        """Begin a start again that an earlier hub left waiting."""


class Queueing:
    """Makes rounds until it is closed; `config` returns the configuration of now."""

    def __init__(self, desk: Desk, hub: Hub, config: "Callable[[], Config]") -> None:
        """Do nothing yet."""
        self._desk, self._hub, self._config = desk, hub, config
        self._resumed: dict[Holder, float] = {}
        self._again_seconds = math.inf
        # What the clock on the wall and the steady one said in the last round.
        self._clock: tuple[float, float] | None = None
        self._patience = Patience()
        # When this hub came up, until it has taken over what an earlier one left.
        self._came_up: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin; starts that an earlier hub left waiting go on first."""
        self._came_up = datetime.now(UTC)
        self._clock = time.time(), time.monotonic()
        self._task = asyncio.ensure_future(self._rounds())

    async def close(self) -> None:
        """End. Whoever waits keeps the place for the hub that comes back."""
        self._desk.room.closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _rounds(self) -> None:
        while True:
            seen = self._desk.store.signature()  # what is written during a round asks for another
            try:
                await self._take_over()
                await self._follow_clock()
                await self.round()
            except (StoreError, MachineUnknownError) as error:
                log.warning("The queue: %s", error)
                self._again_seconds = RESUME_SECONDS
            except Exception:  # nothing may end this
                log.exception("Unexpected, while looking at the queue")
                self._again_seconds = RESUME_SECONDS
            await self._pause(seen)

    async def _take_over(self) -> None:
        """Let the time without a hub count against nobody; done once, before the first round."""
        if (came_up := self._came_up) is None:
            return

        def work(ledger: Ledger) -> None:
            ledger.lose_all(came_up)
            ledger.offer_anew(came_up)

        await asyncio.to_thread(self._desk.store.transact, work)
        self._came_up = None

    async def _follow_clock(self) -> None:
        """Count on where the clock was set since the last round: it is nobody's waiting."""
        wall, steady = time.time(), time.monotonic()
        was_wall, was_steady = self._clock or (wall, steady)
        set_seconds = (wall - was_wall) - (steady - was_steady)
        if abs(set_seconds) > CLOCK_SET_SECONDS:
            log.warning("The clock was set by %.0f s", set_seconds)
            now, gone = datetime.now(UTC), timedelta(seconds=steady - was_steady)
            clock = ClockSet(timedelta(seconds=set_seconds), now - gone, now)
            await asyncio.to_thread(
                self._desk.store.transact, partial(Ledger.follow_clock, clock=clock)
            )
            self._desk.room.used_at = None
        self._clock = wall, steady

    async def _pause(self, seen: tuple[object, ...]) -> None:
        """Wait until a round is due: somebody says so, the store changed, or it is time."""
        began = time.monotonic()
        while not (self._desk.room.due.is_set() or self._desk.store.signature() != seen):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._desk.room.due.wait()
            if time.monotonic() - began > self._again_seconds:
                break
        self._desk.room.due.clear()

    async def round(self) -> None:
        """Look at the queue once."""
        seated = self._desk.room.seated()
        if await asyncio.to_thread(self._desk.store.transact, Ledger.is_quiet):
            self._send_away(Records(()), seated)
            self._clear()
            return
        await self._remember_use()
        is_looking = await self._give_back()
        records = await asyncio.to_thread(read, self._desk)
        look = Look(self._desk, self._config())
        scene = await asyncio.to_thread(look.scene, records)
        await self._resume(records)
        if is_looking:
            self._again_seconds = RESUME_SECONDS
        self._serve(scene)
        self._send_away(records, seated)
        await self._end_what_is_over(records, scene)

    async def _remember_use(self) -> None:
        """Work out now and then how much GPU time each user had lately."""
        now, room = datetime.now(UTC), self._desk.room
        if room.used_at is not None and (now - room.used_at).total_seconds() < USE_SECONDS:
            return
        half_life = self._config().gpus.half_life
        window = Window(now - timedelta(seconds=HALF_LIVES * half_life), now)
        spans = await asyncio.to_thread(
            self._desk.store.transact, lambda ledger: ledger.spans(window, with_gpus=True)
        )
        room.used, room.used_at = lately(spans, now, half_life), now

    def _clear(self) -> None:
        """Nobody waits, and nothing is to be ended."""
        self._again_seconds = math.inf
        QUEUE_LENGTH.set(0)
        self._desk.room.show({})
        self._want_back(frozenset())

    def _want_back(self, holders: frozenset[Holder]) -> None:
        """Let the sessions end for whose end somebody waits; spare the others."""
        if holders != self._desk.room.wanted_back:
            self._desk.room.wanted_back = holders
            self._desk.time_due.set()

    def _serve(self, scene: Scene) -> None:
        """Call whose turn it is, and tell the others their places."""
        now, room = time.time(), self._desk.room
        QUEUE_LENGTH.set(len(scene.tickets))
        called = {ticket.holder for ticket, _ in turns(scene, now)}
        for holder in called:
            room.call(holder)
        waiting = replace(scene, tickets=[e for e in scene.tickets if e.holder not in called])
        room.show(places(waiting, now))
        self._want_back(frozenset(each.holder for each in needed(scene, now)))

    async def _give_back(self) -> bool:
        """Let those wait again whose turn came in an earlier hub that did not bring them through.

        Unless this hub finds their server; return whether it is still looking for any. Those that
        began here settle it themselves, or were given up.
        """
        room, store, busy = self._desk.room, self._desk.store, self._hub.busy()
        is_looking = False
        for waiting in await asyncio.to_thread(store.transact, Ledger.called):
            holder = waiting.holder
            if holder in room.gone or self._hub.has_server(holder):
                await asyncio.to_thread(store.transact, partial(Ledger.settle, holder=holder))
            elif holder in room.met:
                continue
            elif holder in busy:
                is_looking = True
            else:
                await asyncio.to_thread(store.transact, partial(_wait_again, waiting=waiting))
        return is_looking

    async def _resume(self, records: Records) -> None:
        """Let starts go on that an earlier hub left waiting.

        One that came to this hub and waits here no more was cancelled, or is in: the store, or what
        was read of it before, tells of it a little longer. One whose server runs is what an earlier
        start left, found again after all: there is nothing to wait for.
        """
        now, room = time.monotonic(), self._desk.room
        lost = [each for each in records.tickets if room.seat(each.holder) is None]
        self._again_seconds = RESUME_SECONDS if lost else FRESH_SECONDS
        for waiting in lost:
            if self._hub.has_server(waiting.holder):
                room.dismiss(waiting.holder)
            if waiting.holder in room.gone:
                await self._leave(waiting.holder)
            elif waiting.holder in room.met:
                continue
            elif now - self._resumed.get(waiting.holder, -RESUME_SECONDS) >= RESUME_SECONDS:
                self._resumed[waiting.holder] = now
                self._desk.detach(self._hub.resume(waiting))

    async def _leave(self, holder: Holder) -> None:
        """Take a start that nobody of this hub waits for out of the store.

        One that comes back meanwhile has been met before it is noted there, and stays.
        """
        gone = self._desk.room.gone
        was_gone = holder in gone
        left = await self._desk.receipts.transact(
            lambda ledger: (holder in gone) == was_gone and ledger.leave(holder), otherwise=None
        )
        if left is not None:
            gone.discard(holder)

    def _send_away(self, records: Records, seated: Iterable[Holder]) -> None:
        """End the starts that an admin took out of the store; `seated` waited before the look."""
        noted = {each.holder for each in records.tickets}
        for holder in seated:
            if holder not in noted:
                self._desk.room.send_away(holder, messages.REMOVED)

    async def _end_what_is_over(self, records: Records, scene: Scene) -> None:
        """Drop places nobody looks at, take back what nobody claims, end what admins released."""
        now, room, receipts = time.time(), self._desk.room, self._desk.receipts
        scene = self._patience.counted(scene, now, time.monotonic())
        forgotten = messages.forgotten(scene.rules.ticket_ttl)
        for ticket in expired(scene, now):
            if not room.send_away(ticket.holder, forgotten):
                await self._leave(ticket.holder)
        lapsed = {each.holder for each in unclaimed(scene, now)}
        for run in records.runs:
            if run.offered is not None and self._came(run):
                await receipts.transact(
                    lambda ledger, name=run.name: ledger.claim(name), otherwise=None
                )
            elif run.holder in lapsed:
                self._desk.detach(self._hub.end(run.holder, Reason.UNCLAIMED, run.container))
            elif run.stop is not None and run.container:
                self._desk.detach(self._hub.end(run.holder, run.stop, run.container))

    def _came(self, run: Run) -> bool:
        return run.holder in self._desk.room.lookers or self._hub.has_come(run)


def _wait_again(ledger: Ledger, waiting: Waiting) -> None:
    """Note that a start waits again, at which nobody looks."""
    ledger.wait(replace(waiting, lost_at=datetime.now(UTC)))


def places(scene: Scene, now: float) -> Mapping[Holder, Place]:
    """Return everybody's place in the queue, and when they start."""
    found = etas(scene, now)
    line = [Waits(each.holder, each.wanted, each.asked, each.since) for each, _ in found]
    return {
        each.holder: Place(n, eta, line, shortage(scene, each))
        for n, (each, eta) in enumerate(found, 1)
    }
