"""Numbers of labhub.yaml, schedules and groups, made true for servers that run.

A round decides for all servers at once what each is to have (resize.py), promises larger numbers
in the store before the engine hears of them, and takes back smaller ones after it did; so at no
time does anybody count with less than a server may use. What failed or has to wait is tried again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from spawner import resize
from spawner.admission import counted
from spawner.capacity import capacity
from spawner.desk import Desk
from spawner.engine import Container
from spawner.engine_errors import ConflictError, EngineError, NotFoundError
from spawner.machine import MachineUnknownError
from spawner.messages import config as messages
from spawner.metrics import RESIZES
from spawner.quota import Person, Quota, Quotas
from spawner.resize import Goal, Limits, Standing, at_least, safe
from spawner.runs import Holder, Run
from spawner.store import Ledger, StoreError

if TYPE_CHECKING:
    from hub_config.schema import Config

AGAIN_SECONDS = 2
# Of the event loop's time.
MOST_USED = 0.02

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What the hub knows of a server that runs: its person's groups, and what they chose."""

    groups: frozenset[str]
    options: object


class Hub(Protocol):
    """What is asked of the hub."""

    def standing(self) -> Mapping[Holder, Told]:
        """Return the servers that run."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the engine said of a container, or was told since."""

    limits: Limits
    hooked: bool


class Live:
    """Lets the limits of running servers follow; `config` returns the configuration of now."""

    def __init__(self, desk: Desk, hub: Hub, config: "Callable[[], Config]") -> None:
        """Do nothing yet."""
        self._desk, self._hub, self._config = desk, hub, config
        # By what everything is as it is to be, None while it is not.
        self._settled: tuple[object, ...] | None = None
        self._known: dict[str, Known] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin; the first round comes at once."""
        self.due()
        self._task = asyncio.ensure_future(self._rounds())

    def due(self) -> None:
        """Make a round now, because something may have changed."""
        self._desk.limits_due.set()

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _rounds(self) -> None:
        """Make a round when one is due, at each full minute, and soon while something waits."""
        while True:
            began_seconds = time.thread_time()
            try:
                waits = await self.round()
            except (EngineError, StoreError, MachineUnknownError) as error:
                log.warning("Limits of running servers: %s", error)
                waits = True
            except Exception:  # nothing may end this
                log.exception("Unexpected, while changing limits of running servers")
                waits = True
            await self._pause(time.thread_time() - began_seconds if waits else None)

    async def _pause(self, used_seconds: float | None) -> None:
        """Wait for the next round. Schedules change at full minutes.

        What waits may do so for days: so `used_seconds`, for which a round with something that
        waits held the event loop up, is a small part of the time until the next one.
        """
        seconds = 60 - datetime.now().astimezone().timestamp() % 60
        if used_seconds is not None:
            seconds = min(seconds, max(AGAIN_SECONDS, used_seconds / MOST_USED))
        try:
            async with asyncio.timeout(seconds):
                await self._desk.limits_due.wait()
        except TimeoutError:
            pass
        self._desk.limits_due.clear()

    async def round(self) -> bool:
        """Bring every server to what it is to have; return whether something has to wait."""
        told = self._hub.standing()
        runs = [run for run in await self._desk.receipts.open_runs() or () if run.container]
        mine = [run for run in runs if run.holder in told]
        rules = self._rules(mine, told)
        if rules == self._settled:
            return False
        self._settled = None
        waits = await self._settle(mine, told)
        self._settled = None if waits else rules
        return waits

    def _rules(self, runs: list[Run], told: Mapping[Holder, Told]) -> tuple[object, ...]:
        """Return all that decides what servers are to have, once nothing has to wait any more."""
        config = self._config()
        quotas = Quotas(config, datetime.now().astimezone())
        own = [quotas.of(Person(run.holder.user, told[run.holder].groups)) for run in runs]
        return config, runs, told, own

    async def _settle(self, mine: list[Run], told: Mapping[Holder, Told]) -> bool:
        """Change what is to be changed; return whether something has to wait."""
        await self._look([run.container for run in mine])
        servers = [
            Standing(
                run,
                self._known[run.container].limits,
                Person(run.holder.user, told[run.holder].groups),
                told[run.holder].options,
            )
            for run in mine
            if run.container in self._known
        ]
        goals = await asyncio.to_thread(self._promise, servers)
        done = await asyncio.gather(*(self._follow(each, goals[each.run.name]) for each in servers))
        await asyncio.to_thread(self._note, servers, goals)
        self._tell(zip(servers, done, strict=True))
        # Nobody knows what became of those that are not known (any more).
        return len(self._known) < len(mine) or any(each.late for each in done)

    async def _look(self, containers: list[str]) -> None:
        """Ask the engine about containers that nobody asked about yet, and forget those gone."""
        self._known = {name: self._known[name] for name in containers if name in self._known}
        new = [name for name in containers if name not in self._known]
        found = await asyncio.gather(*map(self._desk.engine.container, new), return_exceptions=True)
        for answer in found:
            if isinstance(answer, Container) and not answer.ended:
                self._remember(answer)
            elif isinstance(answer, BaseException) and not isinstance(answer, EngineError):
                raise answer

    def _remember(self, container: Container) -> None:
        host_config = container.made.host_config
        try:
            known = Known(resize.limits_of(host_config), resize.is_hooked(host_config))
        except (LookupError, TypeError, ValueError):
            log.warning("Container %s has no limits of ours", container.name)
            return
        self._known[container.id] = known

    # decide and note

    def _promise(self, servers: list[Standing]) -> dict[str, Goal]:
        """Decide for all at once, and count with what is larger from here on."""
        config, moment = self._config(), datetime.now().astimezone()
        if not servers:
            return {}

        quotas = Quotas(config, moment)

        def whole(run: Run) -> Quota:
            return quotas.of(Person(run.holder.user, run.groups))

        def decide(ledger: Ledger) -> dict[str, Goal]:
            runs = ledger.open_runs()
            facts = self._desk.machine.look([run.container for run in runs if run.container])
            room = capacity(config.host, facts)
            in_use = [counted(run, whole) for run in runs]
            goals = resize.goals(config, moment, servers, in_use, room)
            for each in servers:
                promised = _sized(each, at_least(each.now, goals[each.run.name].limits))
                if promised != each.run:
                    ledger.resize(promised)
            return goals

        return self._desk.store.transact(decide)

    def _note(self, servers: list[Standing], goals: Mapping[str, Goal]) -> None:
        """Count with what holds now, where that is less than what was promised."""
        less = [
            (server, known.limits)
            for server in servers
            if (known := self._known.get(server.run.container)) is not None
            and known.limits != at_least(server.now, goals[server.run.name].limits)
        ]

        def write(ledger: Ledger) -> None:
            for server, limits in less:
                ledger.resize(_sized(server, limits))

        if less:
            self._desk.store.transact(write)

    # act

    async def _follow(self, server: Standing, goal: Goal) -> Goal:
        """Let the engine change one container; return what was possible, and what was not."""
        container, known = server.run.container, self._known[server.run.container]
        if goal.limits == server.now:
            return goal
        if known.hooked:
            RESIZES.labels("at_next_start").inc()
            return Goal(server.now, (messages.gpu_would_be_lost(),))
        if goal.limits.memory_bytes < server.now.memory_bytes:
            held = await asyncio.to_thread(self._desk.meter.held_bytes, container)
            goal = safe(server.now, goal, held)
        changes = resize.body(server.now, goal.limits)
        if not changes:
            RESIZES.labels("waits").inc()
            return goal
        try:
            await self._desk.engine.update(container, changes)
        except EngineError as error:
            return self._failed(server, error)
        self._known[container] = replace(known, limits=goal.limits)
        RESIZES.labels("done").inc()
        log.info("%s: %s instead of %s", server.run.name, goal.limits, server.now)
        return goal

    def _failed(self, server: Standing, error: EngineError) -> Goal:
        """Ask the engine again before the next attempt: nobody knows what it did."""
        self._known.pop(server.run.container, None)
        if isinstance(error, NotFoundError | ConflictError):  # it ends just now
            return Goal(server.now)
        RESIZES.labels("failed").inc()
        log.warning("Changing the limits of %s: %s", server.run.name, error)
        return Goal(server.now, (messages.engine_refused(str(error) or "it does not answer"),))

    def _tell(self, done: Iterable[tuple[Standing, Goal]]) -> None:
        """Let pages show what has to wait."""
        self._desk.late = {server.run.holder: goal.late for server, goal in done if goal.late}


def _sized(server: Standing, limits: Limits) -> Run:
    """Return the server's run with what it may use, and with its person's groups of now."""
    return replace(
        server.run,
        cpus=limits.cpus,
        memory_bytes=limits.memory_bytes,
        pids=limits.pids,
        groups=server.person.groups,
    )
