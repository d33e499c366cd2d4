"""What can be read and written in one transaction of the store: runs, receipts, what was used."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from spawner import rows
from spawner.queue_ledger import QueueLedger
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.snapshot import Whole
from spawner.uses_ledger import UsesLedger
from spawner.waiting import ClockSet

RECEIPTS_PER_USER = 1000
# What the hub notes where it ends a server and nobody asked for that.
_OF_THE_HUB = (Reason.UNKNOWN, Reason.START_FAILED)
_OPEN_RUNS = Whole(rows.runs, rows.run_of_row, "began", "name")


class Ledger(QueueLedger, UsesLedger):
    """What can be read and written in one transaction; good for nothing after it."""

    def begin(self, run: Run) -> None:
        """Note that a container of this name will be made. One that has ended stays ended."""
        self._write("begin")
        if self._end_of(run.name) is None:
            self._connection.execute(
                sqlite.insert(rows.runs).on_conflict_do_nothing(),
                {**rows.row_of_run(run), "kills": 0},
            )
            self._begin_span(run.name)

    def withdraw(self, name: str) -> None:
        """Forget an open run whose container was never asked for."""
        self._write("withdraw")
        self._connection.execute(
            sa.delete(rows.runs).where(rows.runs.c.name == name, rows.runs.c.container == "")
        )
        self._drop_spans(name)

    def bind(self, name: str, container_id: str) -> None:
        """Note which container the engine made for an open run."""
        self._write("bind")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == name).values(container=container_id)
        )

    def claim(self, name: str) -> None:
        """Note that the person of an open run has come: its devices are not offered any more."""
        self._write("claim")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == name).values(offered=None)
        )

    def offer_anew(self, moment: datetime) -> None:
        """Note that people whose turn came while they were away have from now on to come.

        While no hub was there, nobody could come; a moment that is still to come stays.
        """
        self._write("claim")
        since = rows.utc(moment)
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.offered < since).values(offered=since)
        )

    def follow_clock(self, clock: ClockSet) -> None:
        """Let a clock that was set take nobody's place, and no devices kept for them."""
        self.follow_places(clock)
        for run in self.open_runs():
            if run.offered is not None:
                offered = rows.utc(clock.moved(run.offered))
                mine = rows.runs.c.name == run.name
                self._connection.execute(sa.update(rows.runs).where(mine).values(offered=offered))

    def rename(self, name: str, new: str) -> None:
        """Note that the container of an open run will have another name."""
        self._write("rename")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == name).values(name=new)
        )
        self._rename_spans(name, new)

    def note_times(self, run: Run) -> None:
        """Note until when an open run may go on, and what was made of its user's extensions."""
        self._write("note_times")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == run.name).values(rows.times_of_run(run))
        )

    def resize(self, run: Run, at: datetime | None = None) -> None:
        """Note what the server of an open run may use from now on, and its person's groups."""
        self._write("resize")
        self._begin_span(run.name)
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == run.name).values(rows.size_of_run(run))
        )
        self._resize_span(run.name, at or datetime.now(UTC))

    def ask_stop(
        self, holder: Holder, reason: Reason, actor: str, *, run: str = "", container: str = ""
    ) -> None:
        """Note who wants the holder's open runs to end, and why; who asked first stays.

        Why the hub ends one of its own accord gives way to what anybody asks.

        Only this run, or that of this container, where one is named: what is noted late must not
        end a server that was begun meanwhile. Such a start does not go back to the queue.
        """
        self._write("ask_stop")
        of_run = rows.runs.c
        mine = [of_run.user == holder.user, of_run.server == holder.server, _may_note(reason)]
        mine += [of_run.name == run] if run else []
        mine += [of_run.container == container] if container else []
        noted = self._connection.execute(
            sa.update(rows.runs).where(*mine).values(stop=reason.value, actor=actor)
        )
        if noted.rowcount or not (run or container):
            self._settle(holder)

    def end_ours(self, run: str, reason: Reason) -> None:
        """Note why the hub ends a run of its own accord, unless somebody asked for that before.

        It is no wish of its person's: a place that is kept for them in the queue stays.
        """
        self._write("end_ours")
        mine = rows.runs.c.name == run, _may_note(reason)
        self._connection.execute(sa.update(rows.runs).where(*mine).values(stop=reason.value))

    def end(self, receipt: Receipt) -> bool:
        """Close the run and keep its receipt; False when it has one, and then nothing changes."""
        self._write("end")
        if self._end_of(receipt.run) is not None:
            return False
        self._begin_span(receipt.run)
        self._end_span(receipt.run, receipt.at)
        self._connection.execute(sa.delete(rows.runs).where(rows.runs.c.name == receipt.run))
        self._keep(receipt)
        return True

    def note_kernel(self, receipt: Receipt, kills: int) -> bool:
        """Keep a receipt for a kernel when the open run's count of kills has grown to `kills`.

        False, and nothing changes, when it has not, or when the run is not open.
        """
        self._write("note_kernel")
        fewer = rows.runs.c.name == receipt.run, rows.runs.c.kills < kills
        if not self._connection.execute(
            sa.update(rows.runs).where(*fewer).values(kills=kills)
        ).rowcount:
            return False
        self._keep(receipt)
        return True

    def open_runs(self) -> tuple[Run, ...]:
        """Return all runs that have not ended, oldest first."""
        return self._all(_OPEN_RUNS)

    def run(self, name: str) -> Run | None:
        """Return an open run."""
        return next(
            iter(self._read(sa.select(rows.runs).where(rows.runs.c.name == name), rows.run_of_row)),
            None,
        )

    def is_quiet(self) -> bool:
        """Say that no start waits or was called, and nobody has to come to a server or end it."""
        of_run = rows.runs.c
        told = of_run.offered.is_not(None) | (of_run.stop.is_not(None) & (of_run.container != ""))
        busy = sa.select(of_run.name).where(told).limit(1)
        waits = self.has_tickets() or self.has_called()
        return not waits and self._connection.execute(busy).first() is None

    def receipts(self, user: str, limit: int = 50) -> tuple[Receipt, ...]:
        """Return the newest receipts of all servers of a user, newest first."""
        return self._newest(rows.receipts.c.user == user, limit=limit)

    def last(self, holder: Holder) -> Receipt | None:
        """Return how the holder's server last ended."""
        mine = rows.receipts.c.user == holder.user, rows.receipts.c.server == holder.server
        ended = rows.receipts.c.kind == Kind.SERVER.value
        return next(iter(self._newest(*mine, ended, limit=1)), None)

    def kernels(self, run: str, limit: int = 3) -> tuple[Receipt, ...]:
        """Return the newest receipts of kernels that were killed in a run, newest first."""
        killed = rows.receipts.c.kind == Kind.KERNEL.value
        return self._newest(rows.receipts.c.run == run, killed, limit=limit)

    def _newest(self, *wanted: sa.ColumnElement[bool], limit: int) -> tuple[Receipt, ...]:
        order = rows.receipts.c.at.desc(), rows.receipts.c.id.desc()
        return self._read(
            sa.select(rows.receipts).where(*wanted).order_by(*order).limit(limit),
            rows.receipt_of_row,
        )

    def _end_of(self, run: str) -> int | None:
        """Return the id of the run's receipt."""
        ended = rows.receipts.c.run == run, rows.receipts.c.kind == Kind.SERVER.value
        return self._connection.execute(sa.select(rows.receipts.c.id).where(*ended)).scalar()

    def _keep(self, receipt: Receipt) -> None:
        """Add a receipt, and drop the user's oldest ones beyond what is kept."""
        self._connection.execute(sa.insert(rows.receipts), rows.row_of_receipt(receipt))
        mine = rows.receipts.c.user == receipt.holder.user
        newest = sa.select(rows.receipts.c.id).where(mine).order_by(rows.receipts.c.id.desc())
        self._connection.execute(
            sa.delete(rows.receipts).where(
                mine, rows.receipts.c.id.in_(newest.offset(RECEIPTS_PER_USER).limit(-1))
            )
        )


def _may_note(reason: Reason) -> sa.ColumnElement[bool]:
    """Return of which runs this is noted as the reason of their end."""
    stop = rows.runs.c.stop
    if reason in _OF_THE_HUB:
        return stop.is_(None)
    return stop.is_(None) | stop.in_([each.value for each in _OF_THE_HUB])
