"""The open runs as they were read last, for as long as nobody wrote anything.

Rounds read all of them again and again, and with many servers that is most of what a hub at rest
does. SQLite counts what this connection changed, and knows whether another one changed anything
(ref: https://www.sqlite.org/pragma.html#pragma_data_version).
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from spawner.runs import Run


class Snapshot:
    """What one reading of a store found. The store's lock guards it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._state: tuple[object, ...] = ()
        self._runs: tuple[Run, ...] = ()

    def runs(
        self, connection: sa.Connection, read: Callable[[], tuple[Run, ...]]
    ) -> tuple[Run, ...]:
        """Return what `read` returns, in a transaction that has written nothing so far."""
        if (state := _state(connection)) != self._state:
            self._runs, self._state = read(), state
        return self._runs


def _state(connection: sa.Connection) -> tuple[object, ...]:
    """Return what is another value after any change. What was undone counts as one."""
    driver: Any = connection.connection.driver_connection
    others = connection.exec_driver_sql("PRAGMA data_version").scalar()
    return driver, driver.total_changes, others
