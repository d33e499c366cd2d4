"""What holds for every labhub.yaml, whatever its rules are.

a total              nobody has more of anything than any of their groups may have together
one more group       never gives less of what a group set before, but for that group's total;
only the first one that sets a number may be less than the default
a rule taken away    changes the number that it gave, or would give without a total, and no other
a person's servers   are given no more than the person, nor than what the machine leaves
"""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from hub_config.schema import Config
from hub_config.schema_quotas import NUMBERS
from spawner.admission import CPUS, MEMORY, Admitted, InUse, Room, admit, pots, tightest
from spawner.options import CPUS_FITTING_PARTS, MEMORY_FITTING_BYTES, choose
from spawner.quota import TOTALS, Person, Quota, Ruled, effective, explain, generosity
from spawner.runs import Holder

GIB = 1 << 30
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
GROUPS = ("staff", "gpu", "students")
PEOPLE = ("ada", "bob")

amounts: dict[str, st.SearchStrategy[Any]] = {
    "cpus": st.sampled_from([0.5, 1, 2, 8, 64]),
    "memory": st.sampled_from(["512 MiB", "1 GiB", "8 GiB", "64 GiB"]),
    "shm": st.sampled_from(["64 MiB", "2 GiB"]),
    "pids": st.sampled_from([64, 1024, 4096]),
    "gpus": st.integers(0, 8),
    "servers": st.integers(1, 4),
    "gpu_hours": st.fixed_dictionaries(
        {},
        optional={
            "week": st.sampled_from([0.5, 40, "unlimited"]),
            "month": st.sampled_from([120, "unlimited"]),
        },
    ),
    "session": st.sampled_from(["1 h", "12 h", "unlimited"]),
    "idle": st.sampled_from(["30 min", "8 h", "unlimited"]),
    "extend": st.sampled_from(["1 h", "4 h"]),
    "disk": st.sampled_from(["1 GiB", "50 GiB"]),
}
entries = st.fixed_dictionaries({}, optional=amounts)
totals = st.fixed_dictionaries({}, optional={key: amounts[key] for key in TOTALS})
groups = st.builds(lambda entry, total: {**entry, **total}, entries, st.fixed_dictionaries(
    {}, optional={"total": totals}))  # fmt: skip
files = st.fixed_dictionaries(
    {
        "default": entries,
        "groups": st.dictionaries(st.sampled_from(GROUPS), groups),
        "users": st.dictionaries(st.sampled_from(PEOPLE), entries),
    }
)
memberships = st.frozensets(st.sampled_from((*GROUPS, "nowhere")))


def explained(rules: dict[str, Any], name: str, memberships: frozenset[str]) -> dict[str, Ruled]:
    config = Config.model_validate({"quotas": rules})
    return explain(config, Person(name, memberships), NOON)


def least_of(rules: dict[str, Any], group: str, key: str) -> float:
    """What the total of a group leaves at most; any amount without one."""
    entry = Config.model_validate({"quotas": rules}).quotas.groups.get(group)
    total = getattr(entry.total, key, None) if entry and key in TOTALS else None
    return float("inf") if total is None else total


@given(files, memberships)
def test_nobody_has_more_than_any_of_their_groups(
    rules: dict[str, Any], mine: frozenset[str]
) -> None:
    found = explained(rules, "ada", mine)
    for group in mine:
        for key in TOTALS:
            assert generosity(key, found[key].value) <= least_of(rules, group, key)


@given(files, memberships, st.sampled_from(GROUPS))
def test_one_more_group_never_gives_less(
    rules: dict[str, Any], mine: frozenset[str], joined: str
) -> None:
    before, after = explained(rules, "ada", mine), explained(rules, "ada", mine | {joined})
    for key in NUMBERS:
        if before[key].source != "default":
            least = min(generosity(key, before[key].value), least_of(rules, joined, key))
            assert generosity(key, after[key].value) >= least, key


@given(files, memberships, st.data())
def test_a_rule_taken_away_changes_only_what_it_gave(
    rules: dict[str, Any], mine: frozenset[str], data: st.DataObject
) -> None:
    places = list(numbers(rules))
    assume(places)
    place = data.draw(st.sampled_from(places))
    fewer = without(rules, place)
    for name in PEOPLE:
        before, after = explained(rules, name, mine), explained(fewer, name, mine)
        for key in NUMBERS:
            if before[key].path != place and not before[key].total:
                assert after[key] == before[key], (name, key)


@given(files, memberships)
def test_each_number_stands_in_the_file_where_it_is_said_to(
    rules: dict[str, Any], mine: frozenset[str]
) -> None:
    config = Config.model_validate({"quotas": rules})
    for key, ruled in explained(rules, "ada", mine).items():
        if ruled.value is None:
            continue
        found: Any = config
        for step in ruled.path:
            found = found[step] if isinstance(found, dict) else getattr(found, str(step))
        assert found == ruled.value, key
        of = ruled.path[2]
        assert ruled.path[1] == "default" or of in mine or of == "ada"


quotas = st.builds(
    Quota,
    cpus=st.sampled_from([0.5, 1, 2.5, 16]),
    memory_bytes=st.integers(64 << 20, 64 * GIB),
    shm_bytes=st.just(64 << 20),
    pids=st.integers(2048, 4096),
    servers=st.integers(1, 3),
)


@given(quotas, st.integers(0, 64 * GIB), st.floats(0, 16), st.lists(st.integers(1, 16 * GIB)))
def test_who_chooses_nothing_gets_what_is_there(
    quota: Quota, memory_bytes: int, cpus: float, others: list[int]
) -> None:
    config = Config.model_validate(
        {"images": {"one": {"title": "One", "image": "one:1"}}, "quotas": {}}
    )
    in_use = [InUse(Holder(f"u{n}", ""), frozenset(), 1, each, 64) for n, each in enumerate(others)]
    found = list(pots(Holder("ada", ""), in_use, quota, {}, Room(memory_bytes, cpus)))
    left = tightest(found)
    given_to_ada = choose(config, quota, {}, 0, left).quota
    enough = left[MEMORY].left >= min(MEMORY_FITTING_BYTES, quota.memory_bytes)
    enough &= left[CPUS].left >= min(CPUS_FITTING_PARTS, CPUS.of(quota))
    assert (admit(given_to_ada, found) == Admitted()) == enough
    assert given_to_ada.memory_bytes <= quota.memory_bytes
    assert given_to_ada.cpus <= quota.cpus
    if enough:
        assert given_to_ada.memory_bytes == min(quota.memory_bytes, left[MEMORY].left)


def numbers(rules: dict[str, Any]) -> Any:
    """Yield the place of every number in the file."""
    yield from places(("quotas", "default"), rules["default"])
    for section in ("groups", "users"):
        for name, entry in rules[section].items():
            yield from places(("quotas", section, name), entry)


def places(path: tuple[str, ...], entry: dict[str, Any]) -> Any:
    """Yield the place of every number in one entry, and below it."""
    for key, value in entry.items():
        if isinstance(value, dict):
            yield from places((*path, key), value)
        else:
            yield (*path, key)


def without(rules: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """The file without this number."""
    fewer = deepcopy(rules)
    inner = fewer
    for step in place[1:-1]:
        inner = inner[step]
    del inner[place[-1]]
    assert effective(Config.model_validate({"quotas": fewer}), Person("ada"), NOON)
    return fewer
