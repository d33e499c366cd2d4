"""Who gets how much, and which rule says so: read the tables as documentation."""

# ruff: noqa: E501 - a row of the table is a rule and what it gives, in one line

from datetime import UTC, datetime
from typing import Any

import pytest

from hub_config.schema import Config
from spawner.quota import Person, Quota, Ruled, Total, effective, explain, totals

GIB, HOUR = 1024**3, 3600
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)  # a Wednesday
ADA = Person("ada", frozenset({"staff", "gpu"}))


def config(quotas: dict[str, Any], **sections: Any) -> Config:
    return Config.model_validate({"quotas": quotas, **sections})


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({}, Quota(cpus=2.0, memory_bytes=8 * GIB, shm_bytes=2 * GIB, pids=1024, gpus=1)),
        (
            {"cpus": 0.5, "memory": "1 GiB", "shm": "64 MiB", "pids": 64, "gpus": 0, "servers": 3,
             "session": "12 h", "idle": "unlimited", "extend": "2 h", "disk": "50 GiB",
             "gpu_hours": {"week": 40, "month": 0.5}},
            Quota(0.5, GIB, GIB // 16, 64, 0, 3, 12 * HOUR, None, 2 * HOUR, 50 * GIB, 40 * HOUR, HOUR / 2),
        ),
    ],
)  # fmt: skip
def test_the_default_number_for_number(limits: dict[str, object], quota: Quota) -> None:
    assert effective(config({"default": limits}), ADA, NOON) == quota


# the rules of the file → what ada, a member of staff and gpu, gets at noon, and from where
LAYERS: list[tuple[str, dict[str, Any], str, object, str]] = [
    ("only the default", {"default": {"cpus": 3}}, "cpus", 3, "default"),
    ("a group replaces it", {"groups": {"staff": {"cpus": 4}}}, "cpus", 4, "groups.staff"),
    ("also by less", {"groups": {"staff": {"cpus": 1}}}, "cpus", 1, "groups.staff"),
    ("the most generous of several groups",
     {"groups": {"staff": {"cpus": 4}, "gpu": {"cpus": 6}}}, "cpus", 6, "groups.gpu"),
    ("of equal groups, the first of the file",
     {"groups": {"gpu": {"cpus": 4}, "staff": {"cpus": 4}}}, "cpus", 4, "groups.gpu"),
    ("other people's groups do not count", {"groups": {"students": {"cpus": 9}}}, "cpus", 2, "default"),
    ("each number by itself",
     {"groups": {"staff": {"memory": "64 GiB"}}}, "cpus", 2, "default"),
    ("a user's own number beats all groups",
     {"groups": {"staff": {"cpus": 4}}, "users": {"ada": {"cpus": 1}}}, "cpus", 1, "users.ada"),
    ("a user's entry without this number does not",
     {"groups": {"staff": {"cpus": 4}}, "users": {"ada": {"gpus": 8}}}, "cpus", 4, "groups.staff"),
    ("no limit is the most generous",
     {"groups": {"staff": {"idle": "8 h"}, "gpu": {"idle": "unlimited"}}}, "idle", None, "groups.gpu"),
    ("a limit in a group, none in the default",
     {"groups": {"staff": {"idle": "8 h"}}}, "idle", 8 * HOUR, "groups.staff"),
    ("GPU time is unlimited unless somebody says otherwise", {}, "gpu_hours.week", None, "default"),
    ("a week and a month each by itself",
     {"default": {"gpu_hours": {"month": 120}}, "groups": {"staff": {"gpu_hours": {"week": 40}}}},
     "gpu_hours.month", 120, "default"),
    ("the other of them",
     {"default": {"gpu_hours": {"month": 120}}, "groups": {"staff": {"gpu_hours": {"week": 40}}}},
     "gpu_hours.week", 40, "groups.staff"),
    ("a group without that limit",
     {"default": {"gpu_hours": {"month": 120}}, "groups": {"staff": {"gpu_hours": {"month": "unlimited"}}}},
     "gpu_hours.month", None, "groups.staff"),
    ("the total of any group is the most there is",
     {"groups": {"staff": {"total": {"gpus": 4}}}, "users": {"ada": {"gpus": 8}}}, "gpus", 4, "groups.staff"),
    ("an entry that has ended has no say",
     {"users": {"ada": {"cpus": 9, "until": "2026-12-01"}}}, "cpus", 2, "default"),
    ("an entry lasts to the end of its day",
     {"users": {"ada": {"cpus": 9, "until": "2026-12-02"}}}, "cpus", 9, "users.ada"),
    ("or to its time", {"users": {"ada": {"cpus": 9, "until": "2026-12-02 12:00"}}}, "cpus", 2, "default"),
    ("more on some days",
     {"default": {"schedule": [{"days": "wed", "cpus": 8}]}}, "cpus", 8, "default"),
    ("and not on others",
     {"default": {"schedule": [{"days": ["thu-tue"], "cpus": 8}]}}, "cpus", 2, "default"),
    ("more at some hours",
     {"default": {"schedule": [{"hours": "11:00-13:00", "cpus": 8}]}}, "cpus", 8, "default"),
    ("the first that holds gives the number",
     {"default": {"schedule": [{"hours": "20:00-06:00", "cpus": 4}, {"days": "wed", "cpus": 8},
                               {"days": "wed", "cpus": 16}]}}, "cpus", 8, "default"),
    ("a number for a workshop",
     {"users": {"ada": {"schedule": [{"since": "2026-12-01", "until": "2026-12-04", "memory": "64 GiB"}]}}},
     "memory", 64 * GIB, "users.ada"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "key", "value", "source"), [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS]
)
def test_layers(rules: dict[str, Any], key: str, value: object, source: str) -> None:
    ruled = explain(config(rules), ADA, NOON)[key]
    assert (ruled.value, ruled.source) == (value, source)


def test_a_rule_has_its_place_in_the_file() -> None:
    rules = config(
        {"users": {"ada": {"schedule": [{"days": "sun", "cpus": 1}, {"days": "wed", "cpus": 8}]}},
         "groups": {"staff": {"total": {"gpus": 0}, "gpus": 0}}}
    )  # fmt: skip
    found = explain(rules, ADA, NOON)
    where = ("quotas", "users", "ada", "schedule", 1, "cpus")
    assert found["cpus"] == Ruled(8, "users.ada", where, schedule=1)
    assert found["gpus"] == Ruled(0, "groups.staff", ("quotas", "groups", "staff", "gpus"))


@pytest.mark.parametrize(
    ("moment", "cpus"),
    [
        (datetime(2026, 12, 4, 19, 59, tzinfo=UTC), 2),
        (datetime(2026, 12, 4, 20, 0, tzinfo=UTC), 8),
        (datetime(2026, 12, 5, 5, 59, tzinfo=UTC), 8),  # Friday's night ends on Saturday morning
        (datetime(2026, 12, 5, 6, 0, tzinfo=UTC), 2),
        (datetime(2026, 12, 5, 21, 0, tzinfo=UTC), 2),
    ],
)
def test_a_night_belongs_to_the_day_it_begins_on(moment: datetime, cpus: float) -> None:
    night = [{"days": "fri", "hours": "20:00-06:00", "cpus": 8}]
    assert effective(config({"default": {"schedule": night}}), ADA, moment).cpus == cpus


@pytest.mark.parametrize(
    ("moment", "cpus"),
    [
        (datetime(2026, 3, 28, 20, 30, tzinfo=UTC), 8),  # 21:30 in winter
        (datetime(2026, 3, 29, 4, 30, tzinfo=UTC), 2),  # 06:30 in summer: an hour was skipped
        (datetime(2026, 7, 1, 19, 30, tzinfo=UTC), 8),  # 21:30 in summer
        (datetime(2026, 7, 1, 18, 30, tzinfo=UTC), 2),
    ],
)
def test_hours_are_those_of_the_labs_time_zone(moment: datetime, cpus: float) -> None:
    night = {"default": {"schedule": [{"hours": "21:00-06:00", "cpus": 8}]}}
    rules = config(night, hub={"timezone": "Europe/Berlin"})
    assert effective(rules, ADA, moment).cpus == cpus


def test_totals_of_the_groups_that_have_some() -> None:
    rules = config({"groups": {
        "staff": {"total": {"cpus": 32, "memory": "1 TiB", "gpus": 4, "servers": 9}},
        "gpu": {"total": {"gpus": 2}, "until": "2026-12-01"},
        "students": {"total": {"gpus": 1}},
    }})  # fmt: skip
    assert totals(rules, ADA.groups, NOON) == {"staff": Total(32, 1024 * GIB, 4, 9)}
