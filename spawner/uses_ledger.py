"""What was used, in the store: a span for each time in which a run had one size.

Spans are written where runs are, in the same transaction. An older labhub on the same file writes
runs and no spans; so a run without one gets it at its next change, and is read as if it had one,
and a span whose run has ended without it ends with the run's receipt.
"""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from spawner import rows, uses_rows
from spawner.rows import receipts, runs
from spawner.runs import Kind
from spawner.transaction import Transaction
from spawner.usage import Span, Window, seconds, span_of
from spawner.uses_rows import uses


class UsesLedger(Transaction):
    """What can be read and written of what was used in one transaction."""

    def spans(
        self, window: Window, user: str | None = None, *, with_gpus: bool = False
    ) -> tuple[Span, ...]:
        """Return what reaches into a window: of everybody or one user, of all or GPUs only."""
        least = 1 if with_gpus else 0
        return tuple(
            span
            for span in (*self._noted(window, user, least), *self._not_noted(user))
            if span.gpus >= least and seconds(span, window)
        )

    def _begin_span(self, name: str) -> None:
        """Note the use of an open run as its row says; one that is noted already stays."""
        run = sa.select(runs).where(runs.c.name == name, ~_is_noted())
        for each in self._read(run, rows.run_of_row):
            self._add(span_of(each, each.began))

    def _resize_span(self, name: str, at: datetime) -> None:
        """Close the span of an open run whose size is another one now, and begin the next."""
        found = self._read(sa.select(uses).where(*_open(name)), uses_rows.span_of_row)
        current = self._read(sa.select(runs).where(runs.c.name == name), rows.run_of_row)
        for span, run in zip(found, current, strict=False):
            if span_of(run, span.since) != span:
                # A clock that was put back must not let anything end before it began.
                at = max(at, span.since)
                self._end_span(name, at)
                self._add(span_of(run, at))

    def _end_span(self, name: str, at: datetime) -> None:
        """Close the open span of a run; never before it began, whatever the clock does."""
        until = sa.func.max(uses.c.since, sa.literal(rows.utc(at), sa.DateTime))
        self._connection.execute(sa.update(uses).where(*_open(name)).values(until=until))

    def _rename_spans(self, name: str, new: str) -> None:
        """Let spans follow their run to another name."""
        self._connection.execute(sa.update(uses).where(uses.c.run == name).values(run=new))

    def _drop_spans(self, name: str) -> None:
        """Forget the use of a run that is not open, and had no container."""
        gone = sa.exists().where(runs.c.name == name)
        self._connection.execute(sa.delete(uses).where(uses.c.run == name, ~gone))

    def _add(self, span: Span) -> None:
        self._connection.execute(sa.insert(uses), uses_rows.row_of_span(span))

    def _noted(self, window: Window, user: str | None, least_gpus: int) -> tuple[Span, ...]:
        """Return spans; one that is open without an open run ended when the receipt says."""
        ended = sa.and_(receipts.c.run == uses.c.run, receipts.c.kind == Kind.SERVER.value)
        reaches = sa.or_(uses.c.until.is_(None), uses.c.until > rows.utc(window.since))
        query = (
            sa.select(uses, runs.c.name.label("goes_on"), receipts.c.at.label("ended"))
            .outerjoin(runs, runs.c.name == uses.c.run)
            .outerjoin(receipts, ended)
            .where(uses.c.since < rows.utc(window.until), reaches, uses.c.gpus >= least_gpus)
            .order_by(uses.c.id)
        )
        mine = query if user is None else query.where(uses.c.user == user)
        return self._read(mine, _span_of_joined)

    def _not_noted(self, user: str | None) -> tuple[Span, ...]:
        """Return the spans that open runs would have, had they been begun by this labhub."""
        query = sa.select(runs).where(~_is_noted()).order_by(runs.c.began, runs.c.name)
        mine = query if user is None else query.where(runs.c.user == user)
        return tuple(span_of(run, run.began) for run in self._read(mine, rows.run_of_row))


def _open(name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return uses.c.run == name, uses.c.until.is_(None)


def _is_noted() -> sa.ColumnElement[bool]:
    """Whether a run has an open span; a part of a question about runs."""
    return sa.exists().where(uses.c.run == runs.c.name, uses.c.until.is_(None))


def _span_of_joined(row: sa.RowMapping) -> Span:
    span = uses_rows.span_of_row(row)
    if span.until is not None or row["goes_on"] is not None:
        return span
    ended = rows.moment_or_never(row["ended"])
    return replace(span, until=max(span.since, ended or span.since))
