"""labhub quota plan: who would change, from what to what, and when. Asking changes nothing."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hub_config.cli import main
from spawner.runs import Holder, Run
from spawner.store import Store

MIB, GIB = 1024**2, 1024**3
OLD = """\
quotas:
  default: {cpus: 2, memory: 4 GiB, shm: 1 GiB, pids: 512}
  groups:
    staff: {cpus: 4}
"""
NEW = """\
quotas:
  default:
    cpus: 1
    memory: 8 GiB
    shm: 2 GiB
    pids: 512
    session: 12 h
  groups:
    staff: {cpus: 4}
  users:
    ada: {memory: 16 GiB}
"""
TABLES = """
create table users (id integer, name text);
create table groups (id integer, name text);
create table user_group_map (user_id integer, group_id integer);
create table spawners (user_id integer, name text, server_id integer, user_options text);
insert into users values (1, 'ada'), (2, 'bob'), (3, 'cleo');
insert into groups values (1, 'staff');
insert into user_group_map values (1, 1);
insert into spawners values (1, '', 1, '{}'), (2, 'gpu', 2, '{"memory": "2 GiB"}');
"""


def run(user: str, server: str, memory_bytes: int) -> Run:
    name = f"{user}-{server}"
    began = datetime(2026, 12, 2, 12, tzinfo=UTC)
    cpus = 4.0 if user == "ada" else 2.0
    return Run(
        name, Holder(user, server), "image", memory_bytes, began, container=name * 8, cpus=cpus,
        pids=512, shm_bytes=GIB,
    )  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance's files: ada and bob have servers that run, cleo has none."""
    state, proc = tmp_path / "state", tmp_path / "proc"
    for folder in (state, proc):
        folder.mkdir()
    with sqlite3.connect(state / "hub.sqlite") as database:
        database.executescript(TABLES)
    store = Store(f"sqlite:///{state / 'labhub.sqlite'}")
    for each in (run("ada", "", 4 * GIB), run("bob", "gpu", 2 * GIB)):
        store.transact(lambda ledger, each=each: ledger.begin(each))  # type: ignore[misc]
    store.close()
    (proc / "meminfo").write_text(f"MemTotal: {64 << 20} kB\nMemAvailable: {64 << 20} kB\n")
    (proc / "stat").write_text("cpu0 0 0\n")
    values = {
        "INSTANCE": "lab", "SECRETS": tmp_path, "STATE": state, "STATE_ON_HOST": state,
        "VOLUMES": tmp_path, "VOLUMES_ON_HOST": tmp_path, "PORT": 1, "API_PORT": 2, "HUB_PORT": 3,
        "ACCOUNTS_PORT": 4, "NETWORK": "n", "GATEWAY": "127.0.0.1", "BUNDLE": "b", "PROC": proc,
        "CGROUP": tmp_path,
    }  # fmt: skip
    for key, value in values.items():
        monkeypatch.setenv(f"LABHUB_{key}", str(value))
    (tmp_path / "labhub.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def plan(folder: Path, *words: str) -> Result:
    old, new = folder / "labhub.yaml", folder / "new.yaml"
    return CliRunner().invoke(main, ["--config", str(old), "quota", "plan", str(new), *words])


def facts(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(plan(folder, "--json").stdout)
    return answer


def test_who_would_change(lab: Path) -> None:
    rows = {
        (each["user"], each["number"]): (each["before"], each["after"], each["rule"])
        for each in facts(lab)["changes"]
    }
    assert rows == {
        ("ada", "memory"): (4 * GIB, 16 * GIB, "users.ada (new.yaml:11)"),
        ("ada", "shm"): (GIB, 2 * GIB, "default (new.yaml:5)"),
        ("ada", "session"): (None, 12 * 3600, "default (new.yaml:7)"),
        **{
            (name, number): values
            for name in ("bob", "cleo")
            for number, values in {
                "cpus": (2, 1, "default (new.yaml:3)"),
                "memory": (4 * GIB, 8 * GIB, "default (new.yaml:4)"),
                "shm": (GIB, 2 * GIB, "default (new.yaml:5)"),
                "session": (None, 12 * 3600, "default (new.yaml:7)"),
            }.items()
        },
    }


def test_which_servers_follow_at_once_and_what_waits(lab: Path) -> None:
    ada, bob = facts(lab)["servers"]
    assert (ada["user"], ada["server"]) == ("ada", "")
    assert ada["now"] == {"memory": [4 * GIB, 16 * GIB], "session": [None, 12 * 3600]}
    assert ada["next_start"] == {"shm": [GIB, 2 * GIB]}
    assert (bob["user"], bob["server"]) == ("bob", "gpu")
    assert bob["now"] == {"cpus": [2, 1], "session": [None, 12 * 3600]}  # 2 GiB were chosen


def test_whether_the_sums_fit(lab: Path) -> None:
    assert facts(lab)["memory"] == {
        "for_servers": 64 * GIB, "promised": 6 * GIB, "then": 18 * GIB, "fits": True,
    }  # fmt: skip
    new = lab / "new.yaml"
    new.write_text(NEW + "host: {reserve: {memory: 63 GiB}}\n")
    memory = facts(lab)["memory"]
    assert (memory["for_servers"], memory["fits"]) == (GIB, False)
    assert "no further server can start until some stop" in plan(lab).stdout


def test_for_people(lab: Path) -> None:
    lines = plan(lab).stdout.splitlines()
    assert lines[0].split() == ["number", "now", "then", "rule", "who"]
    assert "memory   4 GiB      8 GiB   default (new.yaml:4)     bob, cleo" in lines
    assert "  ada: memory 4 GiB → 16 GiB, session unlimited → 12 h, at once" in lines
    assert "  ada: shm 1 GiB → 2 GiB, at its next start" in lines
    assert lines[-1] == ("Memory: 18 GiB of 64 GiB for servers are promised then, 6 GiB are now.")


def test_nothing_changes(lab: Path) -> None:
    (lab / "new.yaml").write_text(OLD + "hub: {bind: 0.0.0.0}\n")
    said = plan(lab).stdout
    assert said.startswith("Nobody's numbers change.\n")
    assert "hub.bind was changed: run deploy/up" in said


def test_without_a_lab_the_people_of_the_file_are_known(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABHUB_INSTANCE")
    done = plan(lab, "--json")
    assert {each["user"] for each in json.loads(done.stdout)["changes"]} == {"ada"}
    assert "only people named in the files are known" in done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("quotas: {default: {memmory: 1 GiB}}", 'did you mean "memory"?'), (None, "cannot be read")],
)
def test_a_wrong_file_is_named(lab: Path, content: str | None, sentence: str) -> None:
    new = lab / "new.yaml"
    new.unlink() if content is None else new.write_text(content)
    done = plan(lab)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert str(new) in done.stderr
