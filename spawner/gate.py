"""The gate: one more server begins only if everything has room for it, decided where it is noted.

What was begun and what waits is read, judged and added to in one transaction of the store, so that
of any number of starts at once each sees all that came before it. What has to wait is noted as a
ticket in the same transaction, and whoever waits comes back here when it is called.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spawner import budgets
from spawner import scene as scenes
from spawner.admission import (
    GPUS,
    Admitted,
    Measure,
    Pot,
    Refused,
    Room,
    admit,
    in_time,
    pots,
    tightest,
)
from spawner.capacity import Facts, capacity
from spawner.devices import Device, chosen, kept_back
from spawner.lease import Granted, Scene
from spawner.offer import Shares, told_counts, told_lengths
from spawner.options import MEMORY_FITTING_BYTES, Choice, choose
from spawner.queue import turns, what_if
from spawner.quota import Person, Quota, at_the_lab, effective, priority, totals
from spawner.runs import Holder, Run
from spawner.scene import Records, Stock
from spawner.store import Ledger
from spawner.times import chosen_seconds
from spawner.waiting import Waiting

if TYPE_CHECKING:
    from hub_config.schema import Config
    from spawner.desk import Desk


class NotAdmittedError(Exception):
    """There is no room for the server; the text is one sentence for its user."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start that wants in. The options are kept for a hub that goes on with it."""

    name: str
    image: str
    holder: Holder
    wanted: Quota
    options: dict[str, object]
    looked_at: bool = False


class Look:
    """One look at labhub.yaml, the machine and its devices: what is asked twice agrees."""

    def __init__(self, desk: "Desk", config: "Config") -> None:
        """Look at the clock and the devices; at the machine when it is first needed."""
        self.config, self.moment = config, datetime.now().astimezone()
        self.sight = desk.sight
        self.devices = desk.devices(config.gpus)
        self._machine = desk.machine
        self._facts: Facts | None = None

    def room(self, records: Records) -> Room:
        """Return what the machine has for all servers. Raises MachineUnknownError."""
        if self._facts is None:
            containers = [run.container for run in records.runs if run.container]
            self._facts = self._machine.look(containers)
        return capacity(self.config.host, self._facts)

    def standing(self, records: Records) -> tuple[Device, ...]:
        """Return the devices as open runs and admins leave them for others."""
        return scenes.standing(self.devices, records, self.sight)

    def gpus(self, records: Records, holder: Holder) -> Pot:
        """Return the places on devices, and how many of them a new server of this holder lacks.

        Counted by device, as the queue does: who has one that is gone, or that more have than may
        share it from now on, takes nothing of the others. The free places of a device that gets no
        new lease are as if somebody had them.
        """
        devices = self.standing(records)
        others = (run for run in records.runs if run.holder != holder)
        used = Counter(each for run in others for each in run.devices)
        lent = sum(min(each.places, used[each.id]) for each in devices)
        taken = lent + kept_back(devices, used.elements())
        return Pot(GPUS, sum(each.places for each in devices), taken, "")

    def scene(self, records: Records) -> Scene:
        """Return what the queue decides on. Raises MachineUnknownError."""
        stock = Stock(self.devices, self.room(records), self.sight)
        return scenes.scene(self.config, stock, records, self.whole, self.moment)

    def whole(self, run: Run) -> Quota:
        """Return what the holder of a run may have."""
        return effective(self.config, Person(run.holder.user, run.groups), self.moment)


class Gate:
    """What one person's servers have to pass. The configuration is the one that holds now."""

    def __init__(self, desk: "Desk", config: "Config", person: Person) -> None:
        """Decide nothing yet."""
        self._desk, self._person = desk, person
        self._look = Look(desk, config)
        self.entitlement = effective(config, person, self._look.moment)

    @property
    def devices(self) -> tuple[Device, ...]:
        """Return the GPUs that there are."""
        return self._look.devices

    def choose(self, holder: Holder, options: object) -> Choice:
        """Return what a server of this holder is to get. Raises OptionRefusedError; as `enter`."""
        left = self.left(holder)
        return choose(self._look.config, self.entitlement, options, len(self.devices), left)

    def enter(self, start: Start) -> Run | None:
        """Note that a server of this size begins, or (None) that it waits.

        Raises NotAdmittedError, and notes nothing, where waiting does not help. It waits for the
        store and reads files: not for the event loop. Raises StoreError and MachineUnknownError,
        too.
        """

        def decide(ledger: Ledger) -> Run | None:
            self._require_gpu_time(ledger, start.wanted)
            records = records_of(ledger, self._desk)
            waits = _of(start.holder, records.tickets)
            # A start that an earlier hub did not bring through keeps its place, too.
            known = waits or _of(start.holder, ledger.called())
            answer = admit(start.wanted, self._pots(records, start.holder))
            if isinstance(answer, Refused):
                raise NotAdmittedError(answer.sentence)
            mine = self._waiting(start, known)
            granted = self._granted(records, mine)
            if granted is None or not isinstance(answer, Admitted):
                if mine != waits:
                    ledger.wait(mine)
                return None
            run = self._run(start, granted, waited=known is not None)
            ledger.begin(run)
            if known is not None:
                ledger.call(mine)
            return run

        return self._desk.store.transact(decide)

    def _require_gpu_time(self, ledger: Ledger, wanted: Quota) -> None:
        """Let nobody begin with a GPU who has used up their GPU time."""
        if not wanted.gpus:
            return
        local = at_the_lab(self._look.config, self._look.moment)
        if sentence := budgets.refusal(ledger, self.entitlement, self._person, local):
            raise NotAdmittedError(sentence)

    def left(self, holder: Holder) -> dict[Measure, Pot]:
        """Return what there is at this moment for a server of this holder. Raises as `enter`."""
        return dict(tightest(self._pots(read(self._desk), holder)))

    def shares(self, holder: Holder) -> Shares:
        """Return what others leave, and how long one waits for GPUs. Raises as `enter`."""
        records = read(self._desk)
        found = self._pots(records, holder)
        now, later = tightest(found), tightest(in_time(found))
        most = min(self.entitlement.gpus, len(self.devices))
        if not most:
            return Shares(now, later)
        counts = told_counts(min(most, later[GPUS].left), now[GPUS].left)
        return Shares(now, later, {n: tuple(self._waits(records, holder, n)) for n in counts})

    def _waits(
        self, records: Records, holder: Holder, gpus: int
    ) -> Iterator[tuple[float | None, float | None]]:
        """Yield how long a start with these GPUs waits, by how long it asks for."""
        choice = replace(self.entitlement, gpus=gpus, memory_bytes=MEMORY_FITTING_BYTES, cpus=0.5)
        start = Start("", "", holder, choice, {})
        scene, now = self._look.scene(records), self._look.moment.timestamp()
        rank = priority(self._look.config, self._person.groups, self._look.moment)
        mine = scenes.ticket(self._waiting(start, None), scene.caps, rank)
        for length, eta in what_if(scene, mine, told_lengths(self.entitlement), now):
            yield length, None if eta is None else max(0.0, eta - now)

    def _granted(self, records: Records, mine: Waiting) -> Granted | None:
        """Return what a start that waits gets now, None when it is not its turn."""
        scene = self._look.scene(replace(records, tickets=_joined(records.tickets, mine)))
        found = turns(scene, self._look.moment.timestamp())
        return next((granted for each, granted in found if each.holder == mine.holder), None)

    def _waiting(self, start: Start, known: Waiting | None) -> Waiting:
        """Return a start as it waits; one that waits already keeps its place."""
        wanted, now = start.wanted, datetime.now(UTC)
        return Waiting(
            holder=start.holder,
            since=now if known is None else known.since,
            gpus=wanted.gpus,
            cpus=wanted.cpus,
            memory_bytes=wanted.memory_bytes,
            pids=wanted.pids,
            asked_seconds=wanted.session_seconds,
            groups=self._person.groups,
            options=start.options,
            rank=0 if known is None else known.rank,
            lost_at=None if start.looked_at else now if known is None else known.lost_at,
        )

    def _run(self, start: Start, granted: Granted, *, waited: bool) -> Run:
        """Return a run that begins now, with all that it may use."""
        began, session, wanted = datetime.now(UTC), start.wanted.session_seconds, start.wanted
        return Run(
            name=start.name,
            holder=start.holder,
            image=start.image,
            memory_bytes=wanted.memory_bytes,
            began=began,
            cpus=wanted.cpus,
            pids=wanted.pids,
            gpus=wanted.gpus,
            shm_bytes=wanted.shm_bytes,
            groups=self._person.groups,
            session_seconds=session,
            idle_seconds=wanted.idle_seconds,
            extend_seconds=wanted.extend_seconds,
            ends_at=None if session is None else began + timedelta(seconds=session),
            chosen_seconds=chosen_seconds(wanted, self.entitlement),
            devices=granted.devices,
            alone=frozenset(
                each.id for each in chosen(self.devices, granted.devices) if each.places == 1
            ),
            late=granted.late,
            offered=began if waited and not start.looked_at else None,
        )

    def _pots(self, records: Records, holder: Holder) -> list[Pot]:
        """Return all that a server of this holder has to fit into. Others' tickets take nothing."""
        mine = [each for each in records.tickets if each.holder.user == holder.user]
        found = pots(
            holder,
            [*scenes.uses(records, self._look.whole), *map(scenes.wants, mine)],
            self.entitlement,
            totals(self._look.config, self._person.groups, self._look.moment),
            self._look.room(records),
        )
        return [*found, self._look.gpus(records, holder)]


def _of(holder: Holder, starts: Sequence[Waiting]) -> Waiting | None:
    return next((each for each in starts if each.holder == holder), None)


def _joined(tickets: Sequence[Waiting], mine: Waiting) -> list[Waiting]:
    """Return the tickets with this one in place of the one its holder has, or else at the end."""
    place = next((n for n, each in enumerate(tickets) if each.holder == mine.holder), len(tickets))
    return [*tickets[:place], mine, *tickets[place + 1 :]]


def read(desk: "Desk") -> Records:
    """Return what the store says now."""
    return desk.store.transact(lambda ledger: records_of(ledger, desk))


def records_of(ledger: Ledger, desk: "Desk") -> Records:
    """Return the same within a transaction."""
    room = desk.room
    return Records(ledger.open_runs(), ledger.tickets(), ledger.drains(), room.used, room.known)
