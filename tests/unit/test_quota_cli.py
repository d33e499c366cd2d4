"""labhub quota show: for people a table, for programs JSON, and no hub needed."""

import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_config.cli import main

FILE = """\
hub: {timezone: Europe/Berlin}
quotas:
  default:
    cpus: 2
    session: 12 h
    schedule:
      - {days: [sat, sun], cpus: 8}
  groups:
    staff: {memory: 64 GiB, idle: unlimited, gpu_hours: {week: 40}}
    students: {total: {gpus: 1}}
  users:
    ada: {cpus: 2.5, until: 2026-12-04}
"""
GIB = 1024**3
WEDNESDAY, SUNDAY = "2026-12-02 12:00", "2026-12-06 12:00"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LABHUB_INSTANCE", "LABHUB_STATE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "labhub.yaml"
    path.write_text(FILE)
    return path


def show(file: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(file), "quota", "show", *words])


def numbers(file: Path, *words: str) -> dict[str, dict[str, object]]:
    answer = json.loads(show(file, *words, "--json").stdout)
    quota: dict[str, dict[str, object]] = answer["quota"]
    return quota


def test_every_number_with_its_rule_and_line(file: Path) -> None:
    assert numbers(file, "ada", "--groups", "staff, students", "--at", WEDNESDAY) == {
        "cpus": {"value": 2.5, "from": "users.ada", "line": 12},
        "memory": {"value": 64 * GIB, "from": "groups.staff", "line": 9},
        "shm": {"value": 2 * GIB, "from": "default", "line": None},
        "pids": {"value": 1024, "from": "default", "line": None},
        "gpus": {"value": 1, "from": "default", "line": None},
        "gpu_hours.week": {"value": 40, "from": "groups.staff", "line": 9},
        "gpu_hours.month": {"value": None, "from": "default", "line": None},
        "disk": {"value": None, "from": "default", "line": None},
        "servers": {"value": 1, "from": "default", "line": None},
        "session": {"value": 12 * 3600, "from": "default", "line": 5},
        "idle": {"value": None, "from": "groups.staff", "line": 9},
        "extend": {"value": None, "from": "default", "line": None},
    }


def test_at_another_time_another_rule(file: Path) -> None:
    found = numbers(file, "ada", "--groups", "", "--at", SUNDAY)["cpus"]
    assert found == {"value": 8, "from": "default", "line": 7, "rule": "schedule[0]"}


def test_for_people(file: Path) -> None:
    shown = show(file, "ada", "--groups", "staff", "--at", WEDNESDAY).stdout.splitlines()
    assert shown == [
        "ada, member of staff, on Wednesday, 2026-12-02 12:00 CET:",
        "number           value      rule",
        "cpus             2.5        users.ada (labhub.yaml:12)",
        "memory           64 GiB     groups.staff (labhub.yaml:9)",
        "shm              2 GiB      built in",
        "pids             1024       built in",
        "gpus             1          built in",
        "gpu_hours.week   40 h       groups.staff (labhub.yaml:9)",
        "gpu_hours.month  unlimited  built in",
        "disk             unlimited  built in",
        "servers          1          built in",
        "session          12 h       default (labhub.yaml:5)",
        "idle             unlimited  groups.staff (labhub.yaml:9)",
        "extend           no         built in",
    ]


def test_without_a_lab_no_groups_are_known_and_that_is_said(file: Path) -> None:
    done = show(file, "ada")
    assert done.exit_code == 0
    assert done.stderr == "No lab runs from here, so no groups are known; --groups names some.\n"


def test_groups_come_from_the_hub(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = ("SECRETS", "STATE", "STATE_ON_HOST", "VOLUMES", "VOLUMES_ON_HOST")
    numbers_of = {"PORT": 8000, "API_PORT": 8001, "HUB_PORT": 8081, "ACCOUNTS_PORT": 10101}
    words = {"INSTANCE": "labhub", "NETWORK": "users", "GATEWAY": "172.18.0.1", "BUNDLE": "server"}
    for name, value in {**dict.fromkeys(folders, tmp_path), **numbers_of, **words}.items():
        monkeypatch.setenv(f"LABHUB_{name}", str(value))
    with sqlite3.connect(tmp_path / "hub.sqlite") as database:
        database.executescript(
            "create table users (id integer, name text); insert into users values (1, 'ada');"
            "create table groups (id integer, name text); insert into groups values (7, 'staff');"
            "create table user_group_map (user_id integer, group_id integer);"
            "insert into user_group_map values (1, 7);"
        )
    assert numbers(file, "ada")["memory"]["from"] == "groups.staff"
    assert "eve has not signed in here yet" in show(file, "eve").stderr
    (tmp_path / "hub.sqlite").write_text("no database")
    done = show(file, "ada")
    assert done.exit_code == 1
    assert "cannot be read" in done.stderr


@pytest.mark.parametrize("time", ["friday", "2026-13-01", ""])
def test_a_time_that_is_none(file: Path, time: str) -> None:
    done = show(file, "ada", "--at", time)
    assert done.exit_code == 2
    assert "is no moment; write a day like 2026-12-04" in done.stderr
