"""The queue in the store: starts that wait or were called, and devices that are drained."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from spawner import queue_rows
from spawner.queue_rows import called, drains, tickets
from spawner.runs import Holder
from spawner.snapshot import Whole
from spawner.transaction import Transaction
from spawner.waiting import ClockSet, Drain, Waiting

_TICKETS = Whole(tickets, queue_rows.waiting_of_row, "id")
_NEW = sqlite.insert(tickets)
_KEPT = ("id", "user", "server", "since", "rank")
_WAIT = _NEW.on_conflict_do_update(
    index_elements=["user", "server"],
    set_={each.name: each for each in _NEW.excluded if each.name not in _KEPT},
)
_DRAINS = Whole(drains, queue_rows.drain_of_row, "device")


class QueueLedger(Transaction):
    """What can be read and written of the queue in one transaction."""

    def wait(self, waiting: Waiting) -> None:
        """Note that a start waits. One that waits already keeps its place, and since when."""
        self._write("wait")
        self._settle(waiting.holder)
        self._connection.execute(_WAIT, queue_rows.row_of_waiting(waiting))

    def leave(self, holder: Holder) -> bool:
        """Note that the holder's start waits no more; False when it did not."""
        self._write("leave")
        self._settle(holder)
        return bool(self._connection.execute(sa.delete(tickets).where(*_of(holder))).rowcount)

    def call(self, waiting: Waiting) -> None:
        """Note that a start waits no more, because its turn came.

        Its place is kept until the start is settled: a hub that ends before gives it back.
        """
        self.leave(waiting.holder)
        self._connection.execute(sa.insert(called), queue_rows.row_of_waiting(waiting))

    def called(self) -> tuple[Waiting, ...]:
        """Return the starts whose turn came and that are not settled yet."""
        return self._read(sa.select(called).order_by(called.c.since), queue_rows.waiting_of_row)

    def settle(self, holder: Holder) -> None:
        """Note that the start is through, has failed or is not wanted: no place is kept."""
        self._write("settle")
        self._settle(holder)

    def _settle(self, holder: Holder) -> None:
        mine = called.c.user == holder.user, called.c.server == holder.server
        self._connection.execute(sa.delete(called).where(*mine))

    def look(self, holder: Holder, *, looked_at: bool) -> None:
        """Note that somebody looks at the holder's place, or that from now on nobody does."""
        self._write("look")
        lost = None if looked_at else queue_rows.utc(datetime.now(UTC))
        self._connection.execute(sa.update(tickets).where(*_of(holder)).values(lost_at=lost))

    def lose_all(self, moment: datetime) -> None:
        """Note that nobody looks at any place from now on: the hub that they looked at ended.

        While no hub was there, nobody could look; a moment that is still to come stays.
        """
        self._write("look")
        since = queue_rows.utc(moment)
        earlier = tickets.c.lost_at.is_(None) | (tickets.c.lost_at < since)
        self._connection.execute(sa.update(tickets).where(earlier).values(lost_at=since))

    def follow_places(self, clock: ClockSet) -> None:
        """Let a clock that was set change nothing about how long anybody waits, or is away."""
        self._write("follow")
        for table, starts in ((tickets, self.tickets()), (called, self.called())):
            for each in map(clock.followed, starts):
                mine = table.c.user == each.holder.user, table.c.server == each.holder.server
                lost_at = None if each.lost_at is None else queue_rows.utc(each.lost_at)
                times = {"since": queue_rows.utc(each.since), "lost_at": lost_at}
                self._connection.execute(sa.update(table).where(*mine).values(times))

    def move(self, holder: Holder, rank: int) -> bool:
        """Put the holder's start before (rank above 0) or behind all others; False: none waits."""
        self._write("move")
        moved = sa.update(tickets).where(*_of(holder)).values(rank=rank)
        return bool(self._connection.execute(moved).rowcount)

    def has_tickets(self) -> bool:
        """Say whether any start waits."""
        return self._connection.execute(sa.select(tickets.c.id).limit(1)).first() is not None

    def has_called(self) -> bool:
        """Say whether any start is not settled yet."""
        return self._connection.execute(sa.select(called.c.user).limit(1)).first() is not None

    def tickets(self) -> tuple[Waiting, ...]:
        """Return all starts that wait, in the order of their coming."""
        return self._all(_TICKETS)

    def drain(self, drain: Drain) -> None:
        """Note that a device gets no new lease. One that is drained already stays as it is."""
        self._write("drain")
        self._connection.execute(
            sqlite.insert(drains).values(queue_rows.row_of_drain(drain)).on_conflict_do_nothing()
        )

    def undrain(self, device: str) -> bool:
        """Note that a device gets leases again; False when it was not drained."""
        self._write("drain")
        return bool(
            self._connection.execute(sa.delete(drains).where(drains.c.device == device)).rowcount
        )

    def drains(self) -> tuple[Drain, ...]:
        """Return the devices that are drained."""
        return self._all(_DRAINS)


def _of(holder: Holder) -> tuple[sa.ColumnElement[bool], ...]:
    return tickets.c.user == holder.user, tickets.c.server == holder.server
