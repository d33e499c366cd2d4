"""What one person may use, number by number, and which rule of labhub.yaml says so. Pure.

    users.NAME      where it sets the number
    groups.NAME     else the most generous of the person's groups that set it, also when it is less
                    than the default; groups that are not in the file have no say
    default         else

An entry's number may differ by time (`schedule:`), and an entry may end by itself (`until:`). At
last, no number is more than the `total:` of any of the person's groups.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from hub_config.moments import holds
from hub_config.schema_quotas import BUDGETS, NUMBERS, Group, Limits, User, Window, number
from hub_config.values import UNLIMITED

if TYPE_CHECKING:
    from hub_config.schema import Config

Number = float | None
Path = tuple[str | int, ...]
Entry = Limits | Group | User

# The file's keys whose lack means that there is no limit.
BOUNDLESS: Final = frozenset({"session", "idle", "disk", *BUDGETS})
HOUR_SECONDS: Final = 3600
TOTALS: Final = ("cpus", "memory", "gpus", "servers")


@dataclass(frozen=True, slots=True)
class Quota:
    """What all servers of a person may use together, or what one server gets: the same numbers.

    All limits of a server are hard: the kernel enforces them. None of seconds or bytes is no limit;
    of `extend_seconds`, that sessions cannot be extended.
    """

    cpus: float
    memory_bytes: int
    shm_bytes: int
    pids: int
    gpus: int = 0
    servers: int = 1
    session_seconds: int | None = None
    idle_seconds: int | None = None
    extend_seconds: int | None = None
    disk_bytes: int | None = None
    week_gpu_seconds: float | None = None
    month_gpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """Whom the rules of the file apply to."""

    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Total:
    """What all members of a group may use together; None is no limit."""

    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    servers: int | None = None


@dataclass(frozen=True, slots=True)
class Ruled:
    """A number, and the rule that gave it.

    `source`: `default`, `groups.NAME` or `users.NAME`. `path`: the number's place in the file.
    `schedule`: which entry of the source's schedule it stands in. `total`: it is the group's total,
    and the person's own number would be more. `value`: None is no limit.
    """

    value: Number
    source: str
    path: Path
    schedule: int | None = None
    total: bool = False


def effective(config: "Config", person: Person, moment: datetime) -> Quota:
    """Return what a person may use at an aware moment."""
    values = {key: ruled.value for key, ruled in explain(config, person, moment).items()}
    return Quota(
        cpus=values["cpus"] or 0.0,
        memory_bytes=_count(values["memory"]) or 0,
        shm_bytes=_count(values["shm"]) or 0,
        pids=_count(values["pids"]) or 0,
        gpus=_count(values["gpus"]) or 0,
        servers=_count(values["servers"]) or 0,
        session_seconds=_count(values["session"]),
        idle_seconds=_count(values["idle"]),
        extend_seconds=_count(values["extend"]),
        disk_bytes=_count(values["disk"]),
        week_gpu_seconds=_seconds(values["gpu_hours.week"]),
        month_gpu_seconds=_seconds(values["gpu_hours.month"]),
    )


class Quotas:
    """What people may use at one moment; those to whom the same rules apply are worked out once."""

    def __init__(self, config: "Config", moment: datetime) -> None:
        """Work nothing out yet."""
        self._config, self._moment = config, moment
        self._known: dict[Person, Quota] = {}

    def of(self, person: Person) -> Quota:
        """Return what a person may use."""
        name = person.name if person.name in self._config.quotas.users else ""
        key = Person(name, person.groups & frozenset(self._config.quotas.groups))
        if key not in self._known:
            self._known[key] = effective(self._config, person, self._moment)
        return self._known[key]


def explain(config: "Config", person: Person, moment: datetime) -> dict[str, Ruled]:
    """Return each number of a person at an aware moment, and the rule that gave it."""
    local = at_the_lab(config, moment)
    return {key: _explain_one(config, person, local, key) for key in NUMBERS}


def totals(config: "Config", groups: Iterable[str], moment: datetime) -> dict[str, Total]:
    """Return what the members of each of these groups may use together, where the file says it."""
    local = at_the_lab(config, moment)
    found = {}
    for name, group in _groups_of(config, groups, local):
        if group.total is not None:
            total = group.total
            found[name] = Total(total.cpus, total.memory, total.gpus, total.servers)
    return found


def priority(config: "Config", groups: Iterable[str], moment: datetime) -> int:
    """Return the highest priority of these groups; 0 where the file says nothing."""
    local = at_the_lab(config, moment)
    found = [group.priority for _, group in _groups_of(config, groups, local)]
    return max(found, default=0)


def at_the_lab(config: "Config", moment: datetime) -> datetime:
    """Return a moment in the lab's time zone; without one in the file, in its own."""
    zone = config.hub.timezone
    return moment.astimezone(ZoneInfo(zone)) if zone is not None else moment


def _explain_one(config: "Config", person: Person, local: datetime, key: str) -> Ruled:
    ruled = _of_user(config, person, local, key) or _of_groups(config, person, local, key)
    ruled = ruled or _of_entry(config.quotas.default, ("quotas", "default"), local, key)
    if ruled is None:
        value = None if key in BOUNDLESS or key == "extend" else 0
        ruled = Ruled(value, "default", ("quotas", "default", *key.split(".")))
    for cap in _caps(config, person, local, key):
        if generosity(key, cap.value) < generosity(key, ruled.value):
            ruled = cap
    return ruled


def _of_user(config: "Config", person: Person, local: datetime, key: str) -> Ruled | None:
    user = config.quotas.users.get(person.name)
    return _of_entry(user, ("quotas", "users", person.name), local, key) if user else None


def _of_groups(config: "Config", person: Person, local: datetime, key: str) -> Ruled | None:
    """Return the most generous number; of equal ones, that of the group that the file has first."""
    found = [
        _of_entry(group, ("quotas", "groups", name), local, key)
        for name, group in _groups_of(config, person.groups, local)
    ]
    set_ones = [each for each in found if each is not None]
    return max(set_ones, key=lambda each: generosity(key, each.value), default=None)


def _of_entry(entry: Entry, path: Path, local: datetime, key: str) -> Ruled | None:
    """Return the number that an entry sets now, in its schedule or itself."""
    source = ".".join(map(str, path[1:]))
    if not isinstance(entry, Limits) and not holds(local, until=entry.until):
        return None
    for index, window in enumerate(entry.schedule):
        value = number(window, key)
        if value is not None and _is_open(window, local):
            place = (*path, "schedule", index, *key.split("."))
            return Ruled(_bounded(key, value), source, place, index)
    value = number(entry, key)
    place = (*path, *key.split("."))
    return Ruled(_bounded(key, value), source, place) if value is not None else None


def _caps(config: "Config", person: Person, local: datetime, key: str) -> Iterator[Ruled]:
    """Yield what the totals of a person's groups leave at most to one member."""
    for name, group in _groups_of(config, person.groups, local):
        value = getattr(group.total, key, None) if key in TOTALS else None
        if value is not None:
            path = ("quotas", "groups", name, "total", key)
            yield Ruled(value, f"groups.{name}", path, total=True)


def _groups_of(
    config: "Config", names: Iterable[str], local: datetime
) -> Iterator[tuple[str, Group]]:
    """Yield the groups that are in the file and have not ended, in the file's order."""
    wanted = frozenset(names)
    for name, group in config.quotas.groups.items():
        if name in wanted and holds(local, until=group.until):
            yield name, group


def _is_open(window: Window, local: datetime) -> bool:
    return holds(
        local, days=window.days, hours=window.hours, since=window.since, until=window.until
    )


def _bounded(key: str, value: float) -> Number:
    """Return a number as it is used: the file's word `unlimited` is None."""
    return None if value == UNLIMITED and key in BOUNDLESS else value


def generosity(key: str, value: Number) -> float:
    """Return how generous a number is: no limit is more than any, no extension less."""
    if value is None:
        return float("inf") if key in BOUNDLESS else float("-inf")
    return value


def _seconds(hours: Number) -> float | None:
    return None if hours is None else hours * HOUR_SECONDS


def _count(value: Number) -> int | None:
    return None if value is None else int(value)
