"""Who the hub knows, and their groups, read from its database without disturbing it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from spawner.quota import Person

_MEMBERS = """
    select users.name, groups.name from users
    left join user_group_map on user_group_map.user_id = users.id
    left join groups on groups.id = user_group_map.group_id
    order by users.name
"""


class PeopleUnknown(Exception):
    """The hub's database cannot be read; the text is one sentence."""


def people(state_dir: Path) -> dict[str, Person]:
    """Return everybody by name; raises PeopleUnknown. A hub that never ran knows nobody."""
    path = state_dir / "hub.sqlite"
    if not path.exists():
        return {}
    groups: dict[str, set[str]] = {}
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            for user, group in database.execute(_MEMBERS):
                groups.setdefault(user, set()).update([group] if group is not None else [])
    except sqlite3.Error as error:
        raise PeopleUnknown(
            f"{path} cannot be read ({error}); give the groups with --groups, or try again"
        ) from None
    return {name: Person(name, frozenset(found)) for name, found in groups.items()}
