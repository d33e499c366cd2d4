"""The way of a start into the machine: what it is to get, and the wait until there is room.

Waiting happens here, before the start proper, so that it counts against no time limit of a start.
Each attempt asks anew what holds: labhub.yaml, the person's groups, what they wish for meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from auth.accounts import Account
from auth.identity import container_name
from spawner.desk import Desk
from spawner.devices import Device
from spawner.gate import Gate, Start
from spawner.messages import leases as messages
from spawner.metrics import QUEUE_WAITS
from spawner.options import Choice
from spawner.progress import Steps
from spawner.quota import Person
from spawner.room import Cancelled, Seat
from spawner.runs import Holder, Run

if TYPE_CHECKING:
    from hub_config.schema import Config


class NoAccountError(Exception):
    """The hub knows a user of this name, but nobody signed in as it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants to start what. The configuration is the one that holds now."""

    config: "Config"
    user: str
    server: str
    options: object
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Entered:
    """A start that is in: its run is noted, and nobody else gets what it has."""

    request: Request
    options: dict[str, object]
    account: Account
    choice: Choice
    run: Run
    devices: tuple[Device, ...] = ()

    def another_name(self, instance: str) -> str:
        """Return a name for its container that nobody had before."""
        return _name(instance, self.request, self.account)


class Entrance:
    """One start, until it is in. `ask` returns what is wanted and holds at this moment."""

    def __init__(self, desk: Desk, ask: Callable[[], Request], steps: Steps) -> None:
        """Do nothing yet."""
        self._desk, self._ask, self._steps = desk, ask, steps
        request = ask()
        self._holder = Holder(request.user, request.server)
        desk.room.meet(self._holder)
        self._seat: Seat | None = None
        self._asking: asyncio.Task[Run | None] | None = None
        # What was wanted, and held, when the gate was last asked.
        self._asked = request
        self._began = datetime.now(UTC)

    async def enter(self) -> Entered:
        """Return once there is room.

        Raises OptionRefusedError, NotAdmittedError, NoAccountError, StoreError,
        MachineUnknownError, and LeftError when the place in the queue is lost.
        """
        account = await self._account()
        try:
            while (entered := await self._attempt(account)) is None:
                await self._wait()
            QUEUE_WAITS.observe((datetime.now(UTC) - self._began).total_seconds())
        finally:
            if self._seat is not None:
                self._desk.room.leave(self._seat)
        self._steps.place(None)
        return entered

    async def cancelled(self) -> None:
        """Give up because its person does not want it any more, and let pages say so."""
        self._desk.room.cancelled[self._holder] = Cancelled(
            datetime.now(UTC), self._seat is not None
        )
        await self.give_up()

    async def give_up(self) -> None:
        """Leave the queue, unless it is the hub that ends: then the place is kept.

        A question to the gate that is under way may still let the start in.
        """
        if self._asking is not None:
            [answer] = await asyncio.gather(self._asking, return_exceptions=True)
            if isinstance(answer, Run):
                await self._desk.receipts.withdraw(answer)
        room = self._desk.room
        if not room.closing:
            left = await self._desk.receipts.transact(
                lambda ledger: ledger.leave(self._holder), otherwise=None
            )
            if left is None:  # a round does it as soon as the store is well again
                room.gone.add(self._holder)
            room.due.set()

    async def _account(self) -> Account:
        user = self._holder.user
        account = await asyncio.to_thread(lambda: self._desk.accounts.by_name(user))
        if account is None:
            raise NoAccountError(user)
        return account

    async def _attempt(self, account: Account) -> Entered | None:
        """Begin the run if it is this start's turn."""
        request, seat = self._ask(), self._seat
        self._asked = request
        options = request.options
        if isinstance(options, dict):  # anything else is refused
            options = {**options, **(seat.wishes if seat is not None else {})}
        gate = await self._gate(request)
        choice = await asyncio.to_thread(gate.choose, self._holder, options)
        start = Start(
            name=_name(self._desk.lab.name, request, account),
            image=request.config.images[choice.image_key].image,
            holder=self._holder,
            wanted=choice.quota,
            options=options,
            looked_at=self._holder in self._desk.room.lookers,
        )
        self._asking = asyncio.create_task(asyncio.to_thread(gate.enter, start))
        run = await asyncio.shield(self._asking)
        if run is None:
            return None
        return Entered(request, options, account, choice, run, gate.devices)

    async def _gate(self, request: Request) -> Gate:
        """Return the gate; who may have GPUs is not told of none before the engine was asked."""
        person = Person(request.user, request.groups)
        gate = Gate(self._desk, request.config, person)
        if not gate.entitlement.gpus or self._desk.discovered is not None:
            return gate
        await self._desk.discover()
        return Gate(self._desk, request.config, person)

    async def _wait(self) -> None:
        """Wait until somebody calls."""
        if self._seat is None:
            self._steps.add(2, messages.STEP_QUEUE)
            self._seat = self._desk.room.sit(self._holder, self._steps.place)
            self._desk.room.due.set()
            self._desk.round_due.set()  # what an earlier server left must not be waited for
            if self._ask() != self._asked:  # other rules hold since, and nobody could say it here
                return
        self._seat.asking = False
        await self._seat.turn()
        self._seat.asking = True


def _name(instance: str, request: Request, account: Account) -> str:
    moment_ms = time.time_ns() // 1_000_000
    return container_name(instance, request.user, account.key, request.server, moment_ms)
