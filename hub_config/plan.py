"""What another labhub.yaml would change, for whom, and when. Pure.

people      each number that somebody would have another one of, and the rule that says so
servers     what of it reaches those that run at once, and what waits for their next start
machine     what is promised to servers that run, before and after, of what there is
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub_config.document import Document
from hub_config.explain import explanation as explanation_of
from hub_config.explain import plain, rule, shown
from hub_config.schema import Config
from hub_config.schema_quotas import BUDGETS, NUMBERS
from spawner.admission import Room
from spawner.quota import Number, Person, explain
from spawner.resize import Goal, Limits, Standing, goals, safe, using

# What a running server takes over as soon as the file is saved, and what only a new one can.
AT_ONCE = ("session", "idle", "extend", *BUDGETS)
AT_START = ("shm", "gpus")
NAMES_MOST = 5


@dataclass(frozen=True, slots=True)
class File:
    """One labhub.yaml: what it says, where each key of it stands, and its name."""

    config: Config
    document: Document
    name: str


@dataclass(frozen=True, slots=True)
class World:
    """Who is known, what runs and how much memory it holds (by run), and what there is."""

    people: Mapping[str, Person]
    servers: tuple[Standing, ...]
    held: Mapping[str, int | None]
    room: Room


@dataclass(frozen=True, slots=True)
class Change:
    """One number of one person, which would be another one by this rule."""

    user: str
    key: str
    before: Number
    after: Number
    rule: str


@dataclass(frozen=True, slots=True)
class Followed:
    """One server that runs: numbers before and after, by key; what has to wait, and why."""

    standing: Standing
    now: Mapping[str, tuple[Number, Number]]
    next_start: Mapping[str, tuple[Number, Number]]
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sums:
    """Memory of all servers that run, before and after, of what the machine has for servers."""

    room_bytes: int | None
    before_bytes: int
    after_bytes: int

    @property
    def fits(self) -> bool:
        """Whether what is promised then can be had."""
        return self.room_bytes is None or self.after_bytes <= self.room_bytes


def changes(old: File, new: File, people: Iterable[Person], moment: datetime) -> Iterator[Change]:
    """Yield what would change for people, whether they are signed in or not."""
    for person in people:
        before = explain(old.config, person, moment)
        after = explanation_of(new.config, new.document, person, moment)
        for key in NUMBERS:
            was, found = plain(before[key].value), after[key]
            if was != found["value"]:
                yield Change(person.name, key, was, found["value"], rule(found, new.name))


def followed(
    found: Sequence[Change], new: Config, world: World, moment: datetime
) -> tuple[Followed, ...]:
    """Return what happens to the servers that run, of those to which anything does."""
    in_use = [using(each, each.now) for each in world.servers]
    wanted = goals(new, moment, world.servers, in_use, world.room)
    every = (
        _followed(each, found, safe(each.now, wanted[each.run.name], world.held.get(each.run.name)))
        for each in world.servers
    )
    return tuple(each for each in every if each is not None)


def _followed(server: Standing, found: Sequence[Change], goal: Goal) -> Followed | None:
    mine = {
        each.key: (each.before, each.after) for each in found if each.user == server.person.name
    }
    now = {
        **_resized(server.now, goal.limits),
        **{key: mine[key] for key in AT_ONCE if key in mine},
    }
    later = {key: mine[key] for key in AT_START if key in mine}
    if not now and not later and not goal.late:
        return None
    return Followed(server, now, later, goal.late)


def sums(world: World, found: Sequence[Followed]) -> Sums:
    """Return what is promised of the machine's memory, before and after."""
    before = sum(each.now.memory_bytes for each in world.servers)
    more = sum(
        int((after or 0) - (was or 0))
        for each in found
        for was, after in filter(None, [each.now.get("memory")])
    )
    return Sums(world.room.memory_bytes, before, before + more)


def by_rule(found: Iterable[Change]) -> list[tuple[str, str, str, str, str]]:
    """Return the changes as rows for people: number, before, after, rule, who."""
    together: dict[tuple[str, str, str, str], list[str]] = {}
    for each in found:
        row = each.key, shown(each.key, each.before), shown(each.key, each.after), each.rule
        together.setdefault(row, []).append(each.user)
    return [(*row, _names(names)) for row, names in together.items()]


def _names(names: Sequence[str]) -> str:
    some, more = ", ".join(names[:NAMES_MOST]), len(names) - NAMES_MOST
    return f"{some} and {more} more" if more > 0 else some


def _resized(before: Limits, after: Limits) -> dict[str, tuple[Number, Number]]:
    pairs: dict[str, tuple[Number, Number]] = {
        "cpus": (plain(before.cpus), plain(after.cpus)),
        "memory": (before.memory_bytes, after.memory_bytes),
        "pids": (before.pids, after.pids),
    }
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
