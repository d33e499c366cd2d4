"""The timekeeper: until when each server may run, whether it is used, and what its user is told.

Every few seconds it works out each running server's end by the quota of now (times.py) and takes
note of what uses it (idleness.py). A session that is over is ended here, and so is a server with
GPUs whose user's GPU time is used up (budgets.py). A server that nobody uses
is ended by the idle culler, which is called when there is one and asks here (idle_culler.py).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from spawner import budgets, times
from spawner.cpu import CpuMeter
from spawner.desk import Desk
from spawner.idleness import Answer, Use
from spawner.quota import Person, Quota, Quotas, at_the_lab
from spawner.runs import Holder, Reason, Run
from spawner.store import Ledger, StoreError
from spawner.timepiece import Timepiece, pace

if TYPE_CHECKING:
    from hub_config.schema import Config

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Living:
    """What the hub knows of a server that runs: its person's groups, when it was last used."""

    groups: frozenset[str]
    last_activity: datetime | None


class Hub(Protocol):
    """What is asked of the hub."""

    def living(self) -> Mapping[Holder, Living]:
        """Return the servers that run."""

    def container(self, holder: Holder) -> str:
        """Return the container of a server that runs, "" for one that does not."""

    async def ask(self, holder: Holder) -> Answer | None:
        """Ask a server what its kernels do; None when it does not say."""

    async def end(self, holder: Holder, reason: Reason, container: str) -> None:
        """End a server that is this container, unless somebody is at it already."""

    async def cull(self) -> None:
        """End the servers that `Timekeeper.is_idle` says are idle."""


class Timekeeper:
    """Keeps the time of all servers that run; `config` returns the configuration of now."""

    def __init__(self, desk: Desk, hub: Hub, config: "Callable[[], Config]") -> None:
        """Do nothing yet."""
        self._desk, self._hub, self._config = desk, hub, config
        self._meter = CpuMeter(desk.lab.cgroup_dir)
        self._budgets = budgets.Budgets(desk.store)
        self._uses: dict[str, Use] = {}
        self._pieces: dict[Holder, Timepiece] = {}
        self._asking: set[str] = set()
        # Held while runs are read and written: what a round has read must not undo an extension.
        self._writing = asyncio.Lock()
        self._culling: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin."""
        self._task = asyncio.ensure_future(self._rounds())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # for pages and for the culler

    def of(self, holder: Holder) -> Timepiece | None:
        """Return what is known of the time of a server; None while nothing is."""
        piece, container = self._pieces.get(holder), self._hub.container(holder)
        if not container:
            return None
        if piece is None or piece.run.container != container:
            self._desk.time_due.set()
            return None
        now, steady = datetime.now(UTC), time.monotonic()
        return replace(piece, now=now, steady=steady, awaited=self._is_awaited(piece.run))

    def is_idle(self, holder: Holder) -> bool:
        """Whether a server may be ended for not being used."""
        piece = self.of(holder)
        return piece is not None and piece.is_idle

    async def extend(self, holder: Holder) -> Timepiece | None:
        """Put a server's end off as its quota allows; return its time, or None: none is kept.

        Raises NotNowError with a sentence where no extension is possible, and StoreError.
        """
        piece = self.of(holder)
        if piece is None:
            return None

        def work(ledger: Ledger) -> Run:
            run = ledger.run(piece.run.name) or piece.run
            now = datetime.now(UTC)
            more = times.extension(run, piece.allowed, now, awaited=piece.awaited)
            if not isinstance(more, times.More):
                raise NotNowError(more)
            run = times.extend(run, piece.allowed, more, now)
            ledger.note_times(run)
            return run

        async with self._writing:
            run = await asyncio.to_thread(self._desk.store.transact, work)
            self._pieces[holder] = replace(piece, run=run)
        return self.of(holder)

    def keep(self, holder: Holder) -> Timepiece | None:
        """Count a server as used at this moment, because its user says so."""
        if (piece := self.of(holder)) is not None:
            piece.use.used(time.monotonic())
        return piece

    # rounds

    async def _rounds(self) -> None:
        while True:
            try:
                await self.round()
            except StoreError as error:
                log.warning("The time of running servers: %s", error)
            except Exception:  # nothing may end this
                log.exception("Unexpected, while keeping the time of running servers")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pace(self._pieces.values())):
                    await self._desk.time_due.wait()
            self._desk.time_due.clear()

    async def round(self) -> None:
        """Bring everything up to date, and end what is over."""
        async with self._writing:
            await self._update()
        for piece in tuple(self._pieces.values()):
            self._act(piece)
        # Stops may be slow, and the culler waits for one after the other: rounds go on meanwhile.
        is_free = self._culling is None or self._culling.done()
        if is_free and any(piece.is_idle for piece in self._pieces.values()):
            self._culling = self._desk.detach(self._hub.cull())

    async def _update(self) -> None:
        living = self._hub.living()
        runs = await asyncio.to_thread(self._desk.store.transact, Ledger.open_runs)
        mine = [run for run in runs if run.container and run.holder in living]
        allowed = self._allowed(mine, living)
        limited = [run for run in mine if allowed[run.name].idle_seconds is not None]
        seconds = await asyncio.to_thread(self._measure, limited)
        await asyncio.to_thread(self._look_at_budgets, mine, allowed)
        now, steady = datetime.now(UTC), time.monotonic()
        kept = [
            budgets.noted(
                times.keep(run, allowed[run.name], now, spared=self._is_spared(run)),
                self._budgets.of(run),
            )
            for run in mine
        ]
        changed = [run for run, old in zip(kept, mine, strict=True) if run is not old]
        if changed:
            await asyncio.to_thread(self._desk.store.transact, _noting(changed))
        self._uses = {run.name: self._use(run, living, seconds, now, steady) for run in kept}
        self._pieces = {
            run.holder: Timepiece(
                run, allowed[run.name], self._uses[run.name], now, steady, self._budgets.of(run)
            )
            for run in kept
        }

    def _is_spared(self, run: Run) -> bool:
        """Whether a server with GPUs goes on after its session: nobody waits for its end."""
        soft = bool(run.devices) and self._config().gpus.soft_limit
        return soft and not self._is_awaited(run)

    def _is_awaited(self, run: Run) -> bool:
        """Whether somebody waits for the end of a server with GPUs, by the queue's last round."""
        return bool(run.devices) and run.holder in self._desk.room.wanted_back

    def _allowed(self, runs: list[Run], living: Mapping[Holder, Living]) -> dict[str, Quota]:
        quotas = Quotas(self._config(), datetime.now().astimezone())
        return {
            run.name: quotas.of(Person(run.holder.user, living[run.holder].groups)) for run in runs
        }

    def _look_at_budgets(self, runs: list[Run], allowed: Mapping[str, Quota]) -> None:
        config = self._config()
        local = at_the_lab(config, datetime.now().astimezone())
        self._budgets.look(runs, allowed, config.gpus.grace, local, time.monotonic())

    def _measure(self, runs: list[Run]) -> dict[str, float | None]:
        return {run.name: self._meter.read(run.container) for run in runs}

    def _use(
        self,
        run: Run,
        living: Mapping[Holder, Living],
        seconds: Mapping[str, float | None],
        now: datetime,
        steady: float,
    ) -> Use:
        use = self._uses.get(run.name)
        if use is None:
            use = Use(last=steady, said=living[run.holder].last_activity)
        use.hub_says(living[run.holder].last_activity, now, steady)
        use.measure(seconds.get(run.name), now, steady)
        if self._desk.gpu_busy(run.container):
            use.gpu_is_busy(now, steady)
        return use

    def _act(self, piece: Timepiece) -> None:
        """End a session that is over, or GPU time; ask a server that seems idle."""
        run = piece.run
        if times.is_over(run, piece.now):
            self._desk.detach(self._hub.end(run.holder, Reason.TIME_LIMIT, run.container))
        elif piece.standing is not None and piece.standing.is_over:
            self._desk.detach(self._hub.end(run.holder, Reason.GPU_HOURS, run.container))
        elif run.name not in self._asking and piece.use.is_due_to_be_asked(
            piece.allowed.idle_seconds, piece.steady
        ):
            self._asking.add(run.name)
            piece.use.asks()
            self._desk.detach(self._ask(piece))

    async def _ask(self, piece: Timepiece) -> None:
        answer = None
        try:
            with contextlib.suppress(TimeoutError):
                answer = await self._hub.ask(piece.run.holder)
        finally:
            self._asking.discard(piece.run.name)
            piece.use.answer(answer, datetime.now(UTC), time.monotonic())


class NotNowError(Exception):
    """No extension is possible; `why` says what is in the way."""

    def __init__(self, why: times.Extension) -> None:
        """Keep the reason."""
        super().__init__(why)
        self.why = why


def _noting(runs: list[Run]) -> Callable[[Ledger], None]:
    def work(ledger: Ledger) -> None:
        for run in runs:
            ledger.note_times(run)

    return work
