"""The book of accounts: who signed in first under which name, and what stays theirs for ever.

One row per person. (issuer, subject) is who they are; name, uid and key are what the lab gave
them at their first sign-in and never changes or gives to anybody else. A second table remembers
every name a person has had at the provider, because allow and admin rules are written with those
names: a name that somebody gave up must not carry its rights to the next one who takes it.
"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from auth import identity, messages

UID_FIRST = 200_000
BUSY_SECONDS = 20
DISPLAY_NAME_LENGTH_MAX = 200

_metadata = sa.MetaData()
_accounts = sa.Table(
    "accounts",
    _metadata,
    sa.Column("uid", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("provider_name", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.UniqueConstraint("issuer", "subject"),
)
_provider_names = sa.Table(
    "provider_names",
    _metadata,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("provider_name", sa.Text, primary_key=True),
    sa.Column("uid", sa.ForeignKey("accounts.uid"), nullable=False),
)
_counters = sa.Table(
    "counters",
    _metadata,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("next", sa.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Account:
    """One person. ``name`` is the hub's user name, ``provider_name`` the provider's own."""

    name: str
    uid: int
    key: str
    issuer: str
    subject: str
    provider_name: str
    display_name: str


class NameBelongsToAnotherError(Exception):
    """The name was first used by another subject; the text is a sentence for the person."""


class AccountBook:
    """Accounts in one SQLite file, safe under threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the book, and begin it if there is none (mode 0600)."""
        _create_private(path)
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)
        with self._writing() as connection:
            _metadata.create_all(connection)

    def name_for(self, issuer: str, subject: str, provider_name: str) -> str:
        """Return the hub name that ``sign_in`` would give, without writing anything.

        Somebody whom no rule lets in must not take a name. Raises NameBelongsToAnotherError.
        """
        with self._engine.begin() as connection:
            _require_free(connection, issuer, subject, provider_name)
            known = _find(connection, issuer=issuer, subject=subject)
            if known is not None:
                return known.name
            name = identity.canonical_name(provider_name, identity.account_key(issuer, subject))
            if _find(connection, name=name) is not None:
                raise NameBelongsToAnotherError(messages.name_belongs_to_another(provider_name))
            return name

    def sign_in(self, issuer: str, subject: str, provider_name: str, display_name: str) -> Account:
        """Return the account of this subject, created at the first call.

        A new provider name or display name is noted; name, uid and key stay. Raises
        NameBelongsToAnotherError when the provider's name was first used by another subject.
        """
        display_name = display_name[:DISPLAY_NAME_LENGTH_MAX]
        with self._engine.begin() as connection:
            known = _find(connection, issuer=issuer, subject=subject)
        if known and (known.provider_name, known.display_name) == (provider_name, display_name):
            return known
        with self._writing() as connection:
            known = _find(connection, issuer=issuer, subject=subject)
            if known is None:
                return _create(connection, issuer, subject, provider_name, display_name)
            return _rename(connection, known, provider_name, display_name)

    def by_name(self, hub_username: str) -> Account | None:
        """Return the account with this hub name."""
        with self._engine.begin() as connection:
            return _find(connection, name=hub_username)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """Begin with the write lock, so that what is read first is still true when written."""
        with (
            self._engine.execution_options(labhub_writes=True).connect() as connection,
            connection.begin(),
        ):
            yield connection


def _create(
    connection: sa.Connection, issuer: str, subject: str, provider_name: str, display_name: str
) -> Account:
    """Write the row of a new person. Needs the write lock."""
    key = identity.account_key(issuer, subject)
    name = identity.canonical_name(provider_name, key)
    if _find(connection, name=name) is not None:
        raise NameBelongsToAnotherError(messages.name_belongs_to_another(provider_name))
    account = Account(
        name, _next_uid(connection), key, issuer, subject, provider_name, display_name
    )
    connection.execute(
        sa.insert(_accounts),
        {field: getattr(account, field) for field in _accounts.columns.keys()},  # noqa: SIM118
    )
    _claim_provider_name(connection, account)
    return account


def _rename(
    connection: sa.Connection, known: Account, provider_name: str, display_name: str
) -> Account:
    """Note what the provider calls the person now. Needs the write lock."""
    account = Account(
        known.name, known.uid, known.key, known.issuer, known.subject, provider_name, display_name
    )
    _claim_provider_name(connection, account)
    connection.execute(
        sa.update(_accounts)
        .where(_accounts.c.uid == known.uid)
        .values(provider_name=provider_name, display_name=display_name)
    )
    return account


def _claim_provider_name(connection: sa.Connection, account: Account) -> None:
    """Bind the provider's name to the account, or refuse when it is bound to another."""
    _require_free(connection, account.issuer, account.subject, account.provider_name)
    connection.execute(
        sqlite.insert(_provider_names).on_conflict_do_nothing(),
        {"issuer": account.issuer, "provider_name": account.provider_name, "uid": account.uid},
    )


def _require_free(connection: sa.Connection, issuer: str, subject: str, provider_name: str) -> None:
    """Refuse a provider's name that was first used by another subject of this issuer."""
    owner = connection.execute(
        sa.select(_accounts.c.subject)
        .join(_provider_names)
        .where(_provider_names.c.issuer == issuer, _provider_names.c.provider_name == provider_name)
    ).scalar()
    if owner is not None and owner != subject:
        raise NameBelongsToAnotherError(messages.name_belongs_to_another(provider_name))


def _next_uid(connection: sa.Connection) -> int:
    """Return a uid that no account ever had, also after rows were deleted."""
    what = _counters.c.what == "uid"
    uid = connection.execute(sa.select(_counters.c.next).where(what)).scalar()
    if uid is None:
        connection.execute(sa.insert(_counters).values(what="uid", next=UID_FIRST + 1))
        return UID_FIRST
    connection.execute(sa.update(_counters).where(what).values(next=uid + 1))
    return int(uid)


def _find(connection: sa.Connection, **columns: str) -> Account | None:
    """Return the account whose columns have these values."""
    matches = [_accounts.c[column] == value for column, value in columns.items()]
    row = connection.execute(sa.select(_accounts).where(*matches)).mappings().first()
    return Account(**row) if row else None


def _create_private(path: Path) -> None:
    """Make the file before SQLite does: its journals take over the mode.

    One that exists is not opened: closing it would drop every lock that this process has on it,
    and SQLite would lose what others write (ref: https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    path.chmod(0o600)


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    """Take transactions out of the driver's hands; an account once given must survive a crash."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("labhub_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
