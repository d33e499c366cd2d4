"""Receipts: who asked for a server's end, how it went, and what people read about it later.

Whoever sees an end first writes the receipt: the hub that stopped the server, an event, or a
round of the watch after a crash. The store keeps one per run, so it does not matter who else does.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from spawner import messages
from spawner.checkpoint import reached
from spawner.engine import Container
from spawner.memory import Usage
from spawner.metrics import ENDS
from spawner.recall import run_of
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.sightings import Sighting, Sightings
from spawner.store import Ledger, Store, StoreError
from spawner.why import Facts, why

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants the server to end. The actor is a user's name, or empty."""

    reason: Reason
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """What only the one who ends a run knows: why, and whether the server ever answered."""

    asked: Reason | None = None
    answered: bool = True

    @property
    def of_the_hub(self) -> Reason:
        """Why the hub ends a server that nobody asked it to end."""
        return Reason.UNKNOWN if self.answered else Reason.START_FAILED


NOBODY = Asked(Reason.UNKNOWN)
ORDINARY = Story()
# Services of the hub that end servers for a reason of their own.
SERVICE_REASONS = {"idle-culler": Reason.IDLE, "session-culler": Reason.TIME_LIMIT}


def who_asks(kind: str, name: str, owner: str) -> Asked:
    """Return what it means that this user or service (`kind`) ends the server of `owner`."""
    if kind == "service":  # its name tells people nothing
        return Asked(SERVICE_REASONS.get(name, Reason.ADMIN))
    return Asked(Reason.USER if name == owner else Reason.ADMIN, name)


async def _nothing() -> None:
    """Nothing has to be done."""


class Receipts:
    """Writes and reads them. A store that fails keeps nobody from ending a server."""

    def __init__(
        self,
        store: Store,
        sightings: Sightings,
        ended: Callable[[], None] = lambda: None,
        look_back: Callable[[], Awaitable[object]] = _nothing,
    ) -> None:
        """Do nothing yet.

        `ended` is called after each end, `look_back` before each receipt: sightings of a time
        before this hub may have to be fetched.
        """
        self._store, self._sightings = store, sightings
        self._ended, self._look_back = ended, look_back

    async def ask(
        self, holder: Holder, asked: Asked, *, run: str = "", container: str = ""
    ) -> None:
        """Note who wants this server to end, before it does; only this run of it, if known."""

        def work(ledger: Ledger) -> None:
            ledger.ask_stop(holder, asked.reason, asked.actor, run=run, container=container)

        await self.transact(work, otherwise=None)
        reached("stop.asked")

    async def end_ours(self, run: str, reason: Reason) -> None:
        """Note why the hub ends a server of its own accord, before it does."""
        await self.transact(lambda ledger: ledger.end_ours(run, reason), otherwise=None)

    async def write(self, state: Container, log_text: str, story: Story) -> Receipt | None:
        """Write the receipt of an ended container; None when there is one already.

        Raises StoreError: then the container is all that knows, and has to stay.
        """
        await self._look_back()
        away = self._sightings.ended_with_engine(state.id, state.finished_at)
        facts = _facts(state, self._sightings.of(state.id), story, away=away)
        return await self._end(run_of(state, datetime.now(UTC)), state, facts, log_text)

    async def close(self, run: Run, story: Story | None = None) -> Receipt | None:
        """Write the receipt of a run whose container is gone. Raises StoreError: it stays open.

        None when it is not open any more: it has its receipt, or was withdrawn meanwhile.
        """
        await self._look_back()
        story = story or Story(answered=bool(run.container))
        facts = _facts(None, self._sightings.of(run.container), story, away=False)
        receipt = await self._end(run, None, facts, "")
        self._sightings.forget(run.container)
        return receipt

    async def withdraw(self, run: Run) -> None:
        """Forget a run of which nothing exists: the engine was never asked for its container."""
        await self.transact(lambda ledger: ledger.withdraw(run.name), otherwise=None)
        self._ended()

    async def close_all(self, holder: Holder, container: str = "") -> None:
        """Write the receipts of a server none of whose containers is there any more.

        Only that of this container, if known: a later start may have begun meanwhile.
        """
        with contextlib.suppress(StoreError):  # the runs stay open, and a round closes them
            for run in await self.open_runs() or ():
                if run.holder == holder and container in {"", run.container}:
                    await self.close(run)

    async def _end(
        self, known: Run, state: Container | None, facts: Facts, log_text: str
    ) -> Receipt | None:
        """Write the receipt with what the store knows of the run; the labels tell the rest."""
        usage = self._sightings.of(known.container).usage

        def work(ledger: Ledger) -> Receipt | None:
            noted = ledger.run(known.name)
            if noted is None and state is None:
                return None  # nothing shows that it ever was more than an intent
            run = noted or known
            told = replace(facts, asked=run.stop or facts.asked)
            receipt = _receipt(run, state, why(told), usage, log_text)
            return receipt if ledger.end(receipt) else None

        receipt = await asyncio.to_thread(self._store.transact, work)
        self._ended()
        if receipt is not None:
            ENDS.labels(receipt.reason.value).inc()
            log.info("%s ended: %s", receipt.run, messages.receipt(receipt, viewer=""))
        return receipt

    async def note_kernel(self, container: str, kills: int) -> None:
        """Write that a program in a server that goes on was killed for its memory."""

        def work(ledger: Ledger) -> None:
            for run in ledger.open_runs():
                if run.container == container:
                    ledger.note_kernel(_kernel_receipt(run, datetime.now(UTC)), kills)

        await self.transact(work, otherwise=None)

    async def open_runs(self) -> tuple[Run, ...] | None:
        """Return what was begun and has no receipt yet, None while the store does not tell."""
        return await self.transact(lambda ledger: ledger.open_runs(), otherwise=None)

    async def last(self, holder: Holder) -> Receipt | None:
        """Return how a server last ended, None while nobody knows of an end."""
        return await self.transact(lambda ledger: ledger.last(holder), otherwise=None)

    async def kernels(self, holder: Holder) -> tuple[Receipt, ...]:
        """Return what was killed for its memory in the present run, newest first."""

        def look(ledger: Ledger) -> tuple[Receipt, ...]:
            mine = [run.name for run in ledger.open_runs() if run.holder == holder]
            return ledger.kernels(mine[-1]) if mine else ()

        return await self.transact(look, otherwise=())

    async def transact(self, work: Callable[[Ledger], T], *, otherwise: T) -> T:
        """Run work on the store in a thread; return `otherwise` when the store fails."""
        try:
            return await asyncio.to_thread(self._store.transact, work)
        except StoreError as error:
            log.error("%s", error)  # noqa: TRY400 - the sentence says what, where and how to fix
            return otherwise


def _facts(state: Container | None, sighting: Sighting, story: Story, *, away: bool) -> Facts:
    """Put together what is known of an end. What never ran has not answered, and did not exit."""
    ran = state is None or state.started_at is not None
    return Facts(
        found=state is not None,
        exit_code=state.exit_code if state is not None else None,
        out_of_memory=state is not None and state.out_of_memory,
        oom_event=sighting.out_of_memory,
        asked=story.asked,
        outside_signal=sighting.signalled,
        engine_was_away=away,
        answered=story.answered and ran,
    )


def _receipt(
    run: Run, state: Container | None, reason: Reason, usage: Usage | None, log_text: str
) -> Receipt:
    """Put a receipt together. Who ran out of memory had all of it."""
    out_of_memory = reason is Reason.OUT_OF_MEMORY
    ran = state is not None and state.started_at is not None
    return Receipt(
        run=run.name,
        holder=run.holder,
        kind=Kind.SERVER,
        at=(state.finished_at if state is not None else None) or datetime.now(UTC),
        reason=reason,
        limit_bytes=run.memory_bytes,
        exit_code=state.exit_code if state is not None and ran else None,
        peak_bytes=run.memory_bytes if out_of_memory else usage and usage.peak_bytes,
        actor=run.actor,
        log=messages.log_tail(log_text),
        allowed_seconds=_allowed_seconds(run, reason),
        extensions=run.extensions,
        spent=run.spent if reason is Reason.GPU_HOURS else None,
    )


def _allowed_seconds(run: Run, reason: Reason) -> int | None:
    """Return the limit that ended a run, if it was one of time."""
    limits = {Reason.IDLE: run.idle_seconds, Reason.TIME_LIMIT: run.session_seconds}
    return limits.get(reason)


def _kernel_receipt(run: Run, at: datetime) -> Receipt:
    """Put the receipt of a killed program together."""
    return Receipt(
        run=run.name,
        holder=run.holder,
        kind=Kind.KERNEL,
        at=at,
        reason=Reason.OUT_OF_MEMORY,
        limit_bytes=run.memory_bytes,
        peak_bytes=run.memory_bytes,
    )
