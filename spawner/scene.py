"""What the store and the file say → the scene on which the queue decides. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from spawner.admission import GPUS, MEASURES, InUse, Room, caps, counted
from spawner.devices import Device, drained
from spawner.lease import Draws, Lease, Scene, Ticket, rules
from spawner.memo import Memo
from spawner.quota import Quota, priority, totals
from spawner.runs import Run
from spawner.times import warnings
from spawner.waiting import Drain, Waiting

if TYPE_CHECKING:
    from hub_config.schema import Config

_BY_WORD = {measure.plural: measure for measure in MEASURES}


class Known:
    """What the last scene was made of."""

    def __init__(self) -> None:
        """Know nothing."""
        self.uses: Memo[Run, InUse] = Memo()
        self.leases: Memo[Run, Lease] = Memo()
        self.tickets: Memo[Waiting, Ticket] = Memo()


@dataclass(frozen=True, slots=True)
class Records:
    """What the store says at one moment; `used`: device-seconds that each user had lately.

    `known` makes the next scene quicker, and changes nothing about it.
    """

    runs: Sequence[Run]
    tickets: Sequence[Waiting] = ()
    drains: Sequence[Drain] = ()
    used: Mapping[str, float] = field(default_factory=dict)
    known: Known = field(default_factory=Known, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Stock:
    """What the machine has for servers."""

    devices: Sequence[Device]
    room: Room


def uses(records: Records, whole: Callable[[Run], Quota]) -> list[InUse]:
    """Return what the open runs count for; `whole` says what the person of a run may have."""
    given = _unnoted(records, whole)
    return records.known.uses.all(records.runs, given, lambda run: counted(run, whole))


def _unnoted(records: Records, whole: Callable[[Run], Quota]) -> tuple[Quota, ...]:
    """Return what counts for runs that did not note what they may use themselves."""
    return tuple(whole(run) for run in records.runs if not run.pids)


def scene(
    config: "Config",
    stock: Stock,
    records: Records,
    whole: Callable[[Run], Quota],
    moment: datetime,
) -> Scene:
    """Return what the queue decides on, at an aware moment.

    `whole` says what the person of a run may have. A run of a server that waits to be started anew
    is about to go: only its devices count until they are proven free.
    """
    found = caps(totals(config, config.quotas.groups, moment), replace(stock.room, gpus=None))
    named = {(owner, measure.plural): most for (owner, measure), most in found.items()}
    names = tuple(named)
    waits = {each.holder for each in records.tickets}
    again = frozenset(run.holder for run in records.runs if run.holder in waits)
    of_groups = {each.groups for each in records.tickets}
    priorities = {groups: priority(config, groups, moment) for groups in of_groups}
    return Scene(
        rules=rules(config.gpus),
        devices=drained(stock.devices, {each.device for each in records.drains}),
        leases=records.known.leases.all(
            records.runs,
            (names, again, _unnoted(records, whole)),
            lambda run: _lease(
                run, {} if run.holder in again else draws(counted(run, whole), names)
            ),
        ),
        tickets=records.known.tickets.all(
            records.tickets,
            (names, frozenset(priorities.items())),
            lambda each: ticket(each, names, priorities[each.groups]),
        ),
        caps=named,
        used=records.used,
    )


def draws(of: InUse, caps: Iterable[tuple[str, str]]) -> Draws:
    """Return how much of each thing there is only so much of a server draws."""
    return {
        (owner, word): _BY_WORD[word].of(of)
        for owner, word in caps
        if not owner or owner in of.groups
    }


def wants(waiting: Waiting) -> InUse:
    """Return what a start that waits will use."""
    return InUse(
        waiting.holder,
        waiting.groups,
        waiting.cpus,
        waiting.memory_bytes,
        waiting.pids,
        waiting.gpus,
        waits=True,
    )


def ticket(waiting: Waiting, caps: Iterable[tuple[str, str]], priority: int) -> Ticket:
    """Return a start that waits, as the queue sees it."""
    return Ticket(
        holder=waiting.holder,
        wanted=GPUS.of(waiting),
        since=waiting.since.timestamp(),
        asked=waiting.asked_seconds,
        draws=draws(wants(waiting), caps),
        priority=priority,
        rank=waiting.rank,
        lost=None if waiting.lost_at is None else waiting.lost_at.timestamp(),
    )


def _lease(run: Run, draws: Draws) -> Lease:
    due, was_told = due_at(run), run.warned_at is not None
    until = run.ends_at if was_told else due
    return Lease(
        holder=run.holder,
        devices=run.devices,
        since=run.began.timestamp(),
        until=None if until is None else until.timestamp(),
        draws=draws,
        late=run.late,
        offered=None if run.offered is None else run.offered.timestamp(),
        due=None if due is None else due.timestamp(),
        notice=0.0 if was_told else warnings(run.session_seconds or 0)[0],
    )


def due_at(run: Run) -> datetime | None:
    """Return when a run's session is over, extensions included; None: never."""
    if run.session_seconds is None:
        return None
    return run.began + timedelta(seconds=run.session_seconds + run.extended_seconds)
