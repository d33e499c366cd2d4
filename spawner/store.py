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

from spawner import checkpoint, messages, rows
from spawner.ledger import Ledger
from spawner.migrations import SCHEMA, steps_from
from spawner.snapshot import Snapshot
from spawner.transaction import UnreadableError

BUSY_SECONDS = 20

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used; the text is one sentence that names the file and what helps."""


class Store:
    """Runs and receipts in one SQLite file, safe under threads, processes and sudden ends."""

    def __init__(self, url: str) -> None:
        """Open the store, and begin it if there is none (mode 0600). Raises StoreError."""
        parts = sa.make_url(url)
        if parts.get_backend_name() != "sqlite" or not parts.database:
            raise StoreError(messages.store_not_a_file(parts.render_as_string()))
        self.path = Path(parts.database)
        self._lock = threading.Lock()
        self._snapshot = Snapshot()
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
            ledger = Ledger(connection, self._snapshot)
            result = work(ledger)
        for operation in ledger.written:
            checkpoint.reached(f"store.{operation}:after")
        return result

    def signature(self) -> tuple[object, ...]:
        """Return what is another after each change of the file, by whichever program."""
        found: list[object] = []
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with suppress(OSError):
                facts = path.stat()
                found += [facts.st_mtime_ns, facts.st_size]
        return tuple(found)

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
        except (sa.exc.DBAPIError, sqlite3.Error, UnreadableError) as error:
            raise StoreError(_explain(error, str(self.path))) from error
        finally:
            self._lock.release()


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
