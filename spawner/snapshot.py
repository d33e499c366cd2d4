"""Whole tables as they were read last: nothing is read, or made out of rows, twice.

Rounds and decisions read the open runs and the queue again and again, and with many servers that
is most of what a hub does. SQLite counts what this connection changed, and knows whether another
one changed anything (ref: https://www.sqlite.org/pragma.html#pragma_data_version); while nobody
did, nothing is read. After a change only rows that are new are made out, and where rows bear a
stamp, only those are read.
"""

from collections.abc import Callable, Mapping
from operator import eq
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from spawner.memo import Memo

T = TypeVar("T")
Row = tuple[Any, ...]
_DIALECT = sqlite.dialect()


class Whole(Generic[T]):
    """A whole table in its order, and what one row of it is.

    Where rows bear a `stamp`, each change gives a row another one.
    """

    def __init__(
        self, table: sa.Table, reader: Callable[[Mapping[str, Any]], T], *order: str
    ) -> None:
        """Prepare the reading: most of what SQLAlchemy does for a row is the same for all."""
        everything, by = sa.select(table), [table.c[name] for name in order]
        self._stamped = "stamp" in table.c
        if self._stamped:
            [key] = table.primary_key.columns
            self._marks = _sql(sa.select(key, table.c.stamp).order_by(*by))
            self._one = _sql(everything.where(key == sa.bindparam("key")))
        else:
            self._marks = _sql(everything.order_by(*by))
        types = ((each.name, each.type.dialect_impl(_DIALECT)) for each in table.columns)
        self._columns = [(name, kind.result_processor(_DIALECT, None)) for name, kind in types]
        self._reader = reader

    def read(self, driver: Any, memo: Memo[Row, T]) -> list[T]:  # noqa: ANN401 - sqlite3
        """Return what the table holds; ValueError or TypeError when no labhub wrote a row.

        `memo` knows rows by what tells each of them from all others, and from its past.
        """
        # All at once: a statement that is left half read would keep the file locked.
        marks = driver.execute(self._marks).fetchall()
        return memo.all(marks, None, lambda mark: self._made(driver, mark))

    def _made(self, driver: Any, mark: Row) -> T:  # noqa: ANN401 - sqlite3
        row = driver.execute(self._one, mark[:1]).fetchone() if self._stamped else mark
        pairs = zip(self._columns, row, strict=True)
        return self._reader(
            {name: value if made is None else made(value) for (name, made), value in pairs}
        )


class Snapshot:
    """What the last readings of one store found. The store's lock guards it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._memos: dict[Whole[Any], Memo[Row, Any]] = {}
        self._found: dict[Whole[Any], tuple[object, tuple[Any, ...]]] = {}

    def read(self, connection: sa.Connection, whole: Whole[T], *, kept: bool) -> tuple[T, ...]:
        """Return what a table holds; unless that is `kept`, it may yet be undone."""
        driver: Any = connection.connection.driver_connection
        state = _state(driver)
        before, known = self._found.get(whole, (None, ()))
        if state == before:
            return known
        found = tuple(whole.read(driver, self._memos.setdefault(whole, Memo(eq))))
        if kept:
            self._found[whole] = state, found
        return found


def _sql(statement: sa.Select[Any]) -> str:
    return str(statement.compile(dialect=_DIALECT))


def _state(driver: Any) -> tuple[object, ...]:  # noqa: ANN401 - a connection of sqlite3
    """Return what is another value after any change. What was undone counts as one."""
    others = driver.execute("PRAGMA data_version").fetchone()
    return driver, driver.total_changes, others
