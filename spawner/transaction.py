"""One transaction of the store: what all parts of the ledger stand on."""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa

from spawner import checkpoint
from spawner.snapshot import Snapshot, Whole

T = TypeVar("T")


class UnreadableError(Exception):
    """A row holds what was never written."""


class Transaction:
    """A connection that holds the write lock; good for nothing after it."""

    def __init__(self, connection: sa.Connection, snapshot: Snapshot) -> None:
        """Stand on the connection, with nothing written."""
        self._connection, self._snapshot = connection, snapshot
        self.written: list[str] = []

    def _read(
        self, statement: sa.Select[Any], reader: Callable[[sa.RowMapping], T]
    ) -> tuple[T, ...]:
        """Read rows; one that no labhub wrote means that the file is damaged."""
        try:
            # All at once: a statement that is left half read would keep the file locked.
            rows = self._connection.execute(statement).mappings().all()
            return tuple(reader(row) for row in rows)
        except (ValueError, TypeError) as error:
            raise UnreadableError(error) from error

    def _all(self, whole: Whole[T]) -> tuple[T, ...]:
        """Read a whole table, or what is known of it."""
        try:
            return self._snapshot.read(self._connection, whole, kept=not self.written)
        except (ValueError, TypeError) as error:
            raise UnreadableError(error) from error

    def _write(self, operation: str) -> None:
        checkpoint.reached(f"store.{operation}:before")
        self.written.append(operation)
