"""The book of runs and receipts: what was begun, who asked for its end, and how it ended.

One SQLite file. A run is open from before its container exists until its end has a receipt, and
never both: a run that has a receipt cannot be begun again. Every step may be repeated, because a
hub that died between a step and its effect does it once more; the first answer stays.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from spawner import checkpoint, messages, rows
from spawner.migrations import SCHEMA, steps_from
from spawner.runs import Holder, Kind, Reason, Receipt, Run

BUSY_SECONDS = 20
RECEIPTS_PER_USER = 1000

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used; the text is one sentence that names the file and what helps."""


class Ledger:
    """What can be read and written in one transaction; good for nothing after it."""

    def __init__(self, connection: sa.Connection) -> None:
        """Stand on a connection that holds the write lock."""
        self._connection = connection
        self.written: list[str] = []

    def begin(self, run: Run) -> None:
        """Note that a container of this name will be made. One that has ended stays ended."""
        self._write("begin")
        if self._end_of(run.name) is None:
            self._connection.execute(
                sqlite.insert(rows.runs).on_conflict_do_nothing(),
                {**rows.row_of_run(run), "kills": 0},
            )

    def bind(self, name: str, container_id: str) -> None:
        """Note which container the engine made for an open run."""
        self._write("bind")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == name).values(container=container_id)
        )

    def note_times(self, run: Run) -> None:
        """Note until when an open run may go on, and what was made of its user's extensions."""
        self._write("note_times")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == run.name).values(rows.times_of_run(run))
        )

    def resize(self, run: Run) -> None:
        """Note what the server of an open run may use from now on, and its person's groups."""
        self._write("resize")
        self._connection.execute(
            sa.update(rows.runs).where(rows.runs.c.name == run.name).values(rows.size_of_run(run))
        )

    def ask_stop(self, holder: Holder, reason: Reason, actor: str) -> None:
        """Note who wants the holder's open runs to end, and why; who asked first stays."""
        self._write("ask_stop")
        mine = rows.runs.c.user == holder.user, rows.runs.c.server == holder.server
        self._connection.execute(
            sa.update(rows.runs)
            .where(*mine, rows.runs.c.stop.is_(None))
            .values(stop=reason.value, actor=actor)
        )

    def end(self, receipt: Receipt) -> bool:
        """Close the run and keep its receipt; False when it has one, and then nothing changes."""
        self._write("end")
        if self._end_of(receipt.run) is not None:
            return False
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
        return self._read(
            sa.select(rows.runs).order_by(rows.runs.c.began, rows.runs.c.name), rows.run_of_row
        )

    def run(self, name: str) -> Run | None:
        """Return an open run."""
        return next(
            iter(self._read(sa.select(rows.runs).where(rows.runs.c.name == name), rows.run_of_row)),
            None,
        )

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

    def _read(
        self, statement: sa.Select[Any], reader: Callable[[sa.RowMapping], T]
    ) -> tuple[T, ...]:
        """Read rows; one that no labhub wrote means that the file is damaged."""
        try:
            return tuple(reader(row) for row in self._connection.execute(statement).mappings())
        except (ValueError, TypeError) as error:
            raise _UnreadableError(error) from error

    def _write(self, operation: str) -> None:
        checkpoint.reached(f"store.{operation}:before")
        self.written.append(operation)


class Store:
    """Runs and receipts in one SQLite file, safe under threads, processes and sudden ends."""

    def __init__(self, url: str) -> None:
        """Open the store, and begin it if there is none (mode 0600). Raises StoreError."""
        parts = sa.make_url(url)
        if parts.get_backend_name() != "sqlite" or not parts.database:
            raise StoreError(messages.store_not_a_file(parts.render_as_string()))
        self.path = Path(parts.database)
        self._lock = threading.Lock()
        _create_private(self.path)
        self._engine = sa.create_engine(parts, connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        with self._writing() as connection:
            _prepare(connection, self.path)

    def transact(self, work: Callable[[Ledger], T]) -> T:
        """Do work that reads and writes as one, alone: all of it is kept, or nothing.

        What `work` raises is raised again after nothing was kept. Raises StoreError when the file
        cannot be used, or is held by others for too long. It waits: not for the event loop.
        """
        with self._writing() as connection:
            ledger = Ledger(connection)
            result = work(ledger)
        for operation in ledger.written:
            checkpoint.reached(f"store.{operation}:after")
        return result

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """Hold the lock, that of this process and that of the file, through one transaction."""
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise StoreError(messages.store_busy(str(self.path), BUSY_SECONDS))
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except (sa.exc.DBAPIError, sqlite3.Error, _UnreadableError) as error:
            raise StoreError(_explain(error, str(self.path))) from error
        finally:
            self._lock.release()


class _UnreadableError(Exception):
    """A row holds what was never written."""


def _prepare(connection: sa.Connection, path: Path) -> None:
    """Make the tables in a new file; bring an old one to today, and leave a newer one alone."""
    version = None
    if sa.inspect(connection).has_table("schema"):
        version = connection.execute(sa.select(rows.schema.c.version)).scalar()
    if version is not None and version > SCHEMA:
        raise StoreError(messages.store_newer(str(path), version, SCHEMA))
    for statement in () if version is None else steps_from(version):
        connection.exec_driver_sql(statement)
    rows.metadata.create_all(connection)
    if version is None:
        connection.execute(sa.insert(rows.schema).values(version=SCHEMA))
    elif version < SCHEMA:
        connection.execute(sa.update(rows.schema).values(version=SCHEMA))


def _explain(error: Exception, path: str) -> str:
    """Return one sentence for what SQLite says about the file."""
    origin = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig else error
    # The low byte is the kind of error, the others are details.
    match getattr(origin, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return messages.store_full(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return messages.store_busy(path, BUSY_SECONDS)
        case (
            sqlite3.SQLITE_READONLY
            | sqlite3.SQLITE_CANTOPEN
            | sqlite3.SQLITE_PERM
            | sqlite3.SQLITE_IOERR
        ):
            return messages.store_closed(path, str(origin))
        case _:
            return messages.store_damaged(path, str(origin))


def _create_private(path: Path) -> None:
    """Make the file before SQLite does: its journals take over the mode.

    One that exists is not opened: closing it would drop every lock that this process has on it,
    and SQLite would lose what others write (ref: https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(messages.store_closed(str(path), error.strerror or "")) from error


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """Take transactions out of the driver's hands; what is kept must survive a power cut."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
