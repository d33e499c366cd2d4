"""Who the hub knows, and their groups, read from its database without disturbing it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from spawner.quota import Person
from spawner.runs import Holder

_MEMBERS = """
    select users.name, groups.name from users
    left join user_group_map on user_group_map.user_id = users.id
    left join groups on groups.id = user_group_map.group_id
    order by users.name
"""


_CHOICES = """
    select users.name, spawners.name, spawners.user_options from spawners
    join users on users.id = spawners.user_id
    where spawners.server_id is not null
"""


class PeopleUnknown(Exception):
    """The hub's database cannot be read; the text is one sentence."""


def people(state_dir: Path) -> dict[str, Person]:
    """Return everybody by name; raises PeopleUnknown. A hub that never ran knows nobody."""
    groups: dict[str, set[str]] = {}
    for user, group in _rows(state_dir / "hub.sqlite", _MEMBERS):
        groups.setdefault(user, set()).update([group] if group is not None else [])
    return {name: Person(name, frozenset(found)) for name, found in groups.items()}


def choices(state_dir: Path) -> dict[Holder, object]:
    """Return what people chose for the servers that run; raises PeopleUnknown."""
    rows = _rows(state_dir / "hub.sqlite", _CHOICES)
    return {Holder(user, server): json.loads(options or "{}") for user, server, options in rows}


def _rows(path: Path, question: str) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            return database.execute(question).fetchall()
    except sqlite3.Error as error:
        raise PeopleUnknown(
            f"{path} cannot be read ({error}); give the groups with --groups, or try again"
        ) from None
