"""labhub usage: a table for people, JSON for programs, CSV for spreadsheets, and no hub needed."""

import csv
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auth.accounts import AccountBook
from hub_config.cli import main
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Store

GIB = 1024**3
# Far enough from now for nothing of it to change while tests run; midnight in Berlin.
DAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
THAT_DAY = ("--since", "2026-03-02", "--until", "2026-03-02")


def run(name: str, user: str, *groups: str, hours: float = 0, **size: int) -> Run:
    """A run that began so many hours after midnight."""
    began = DAY + timedelta(hours=hours)
    return Run(name, Holder(user, ""), "image", 8 * GIB, began, cpus=2.0,
               groups=frozenset(groups), **size)  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture(autouse=True)
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is in another time zone than its lab."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of an instance that ada and idle have signed in to."""
    for name in [name for name in os.environ if name.startswith("LABHUB_")]:
        monkeypatch.delenv(name)
    folders = ("SECRETS", "STATE", "STATE_ON_HOST", "VOLUMES", "VOLUMES_ON_HOST")
    numbers = {"PORT": 8000, "API_PORT": 8001, "HUB_PORT": 8081, "ACCOUNTS_PORT": 10101}
    words = {"INSTANCE": "labhub", "NETWORK": "users", "GATEWAY": "172.18.0.1", "BUNDLE": "server"}
    for name, value in {**dict.fromkeys(folders, tmp_path), **numbers, **words}.items():
        monkeypatch.setenv(f"LABHUB_{name}", str(value))
    (tmp_path / "labhub.yaml").write_text("hub: {timezone: Europe/Berlin}\n", encoding="utf-8")
    monkeypatch.setenv("LABHUB_CONFIG", str(tmp_path / "labhub.yaml"))
    book = AccountBook(tmp_path / "identity.sqlite")
    for name in ("ada", "idle"):
        book.sign_in("local", name, name, "")
    book.close()
    return tmp_path


def begin(state: Path, *runs: Run) -> None:
    """Note runs, and that each ends after six hours."""
    store = Store(f"sqlite:///{state}/labhub.sqlite")
    for each in runs:
        end = each.began + timedelta(hours=6)
        receipt = Receipt(each.name, each.holder, Kind.SERVER, end, Reason.USER, 8 * GIB)
        store.transact(lambda ledger, each=each: ledger.begin(each))
        store.transact(lambda ledger, receipt=receipt: ledger.end(receipt))
    store.close()


@pytest.fixture
def lab(state: Path) -> Path:
    """The same, after ada had two GPUs and bob, who is in two groups, had one; eve had none."""
    begin(
        state,
        run("r1", "ada", "staff", gpus=2),
        run("r2", "bob", "staff", "vision", hours=21, gpus=1),  # three hours of it a day later
        run("r3", "eve"),
        run("r4", "ada", "staff", hours=-9, gpus=8),  # the day before
    )
    return state


def usage(*words: str) -> Result:
    """Run `labhub usage WORDS…`."""
    return CliRunner().invoke(main, ["usage", *words])


def test_the_table_is_in_hours_who_used_most_first(lab: Path) -> None:
    done = usage(*THAT_DAY)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "From 2026-03-02 00:00 CET to 2026-03-03 00:00 CET:",
        "user   GPU hours  CPU hours  GiB hours",
        "ada    12.00      12.00      48.00",
        "bob    3.00       6.00       24.00",
        "eve    0.00       12.00      48.00",
        "total  15.00      30.00      120.00",
    ]


def test_by_group_who_is_in_two_counts_for_both_and_the_total_is_that_of_users(lab: Path) -> None:
    assert usage(*THAT_DAY, "--by", "group").stdout.splitlines()[1:] == [
        "group       GPU hours  CPU hours  GiB hours",
        "staff       15.00      18.00      72.00",
        "vision      3.00       6.00       24.00",
        "(no group)  0.00       12.00      48.00",
        "total       15.00      30.00      120.00",
    ]


def test_the_json_is_in_seconds_and_gib_hours(lab: Path) -> None:
    assert json.loads(usage(*THAT_DAY, "--by", "group", "--json").stdout) == {
        "since": "2026-03-01T23:00:00+00:00",
        "until": "2026-03-02T23:00:00+00:00",
        "by": "group",
        "usage": [
            {"group": "staff", "gpu_seconds": 54000, "cpu_seconds": 64800, "gib_hours": 72},
            {"group": "vision", "gpu_seconds": 10800, "cpu_seconds": 21600, "gib_hours": 24},
            {"group": None, "gpu_seconds": 0, "cpu_seconds": 43200, "gib_hours": 48},
        ],
        "total": {"gpu_seconds": 54000, "cpu_seconds": 108000, "gib_hours": 120},
    }


def test_the_csv_has_a_header_and_the_same_units(lab: Path) -> None:
    assert usage(*THAT_DAY, "--csv").stdout == (
        "user,gpu_seconds,cpu_seconds,gib_hours\n"
        "ada,43200.0,43200.0,48.0\n"
        "bob,10800.0,21600.0,24.0\n"
        "eve,0.0,43200.0,48.0\n"
    )


def with_budgets(state: Path) -> None:
    """Let ada have had a GPU for two hours until now, staff a budget, and ada be in staff."""
    (state / "labhub.yaml").write_text(
        "hub: {timezone: Europe/Berlin}\n"
        "quotas: {groups: {staff: {gpu_hours: {week: 1000, month: 2000}}}}\n",
        encoding="utf-8",
    )
    with sqlite3.connect(state / "hub.sqlite") as database:
        database.executescript(
            "create table users (id integer, name text); insert into users values (1, 'ada');"
            "create table groups (id integer, name text); insert into groups values (7, 'staff');"
            "create table user_group_map (user_id integer, group_id integer);"
            "insert into user_group_map values (1, 7);"
        )
    hours = (datetime.now(UTC) - DAY).total_seconds() / 3600 - 2
    begin_only(state, run("r1", "ada", gpus=1, hours=hours), run("r2", "eve", hours=hours))


def begin_only(state: Path, *runs: Run) -> None:
    """Note runs that go on."""
    store = Store(f"sqlite:///{state}/labhub.sqlite")
    store.transact(lambda ledger: [ledger.begin(each) for each in runs])
    store.close()


def test_budgets_stand_beside_those_who_have_some(state: Path) -> None:
    with_budgets(state)
    ada, eve = json.loads(usage("--json").stdout)["usage"]
    assert eve["budgets"] == {}
    week, month = ada["budgets"]["week"], ada["budgets"]["month"]
    assert (week["allowed_gpu_seconds"], month["allowed_gpu_seconds"]) == (3_600_000, 7_200_000)
    # Less than two hours where the week or the month began since.
    assert 0 <= week["gpu_seconds"] <= 7300
    assert datetime.fromisoformat(week["begins_anew_at"]).weekday() == 0
    assert datetime.fromisoformat(month["begins_anew_at"]).day == 1
    head, first, second, total = usage().stdout.splitlines()[1:]
    assert head.endswith("GiB hours  GPU hours this week  GPU hours this month")
    assert " of 1000" in first
    assert first.endswith(" of 2000")
    assert " of " not in second + total


def test_budgets_stand_in_the_csv_too(state: Path) -> None:
    with_budgets(state)
    head, ada, eve = csv.reader(io.StringIO(usage("--csv").stdout))
    assert head[4:] == [
        "week_gpu_seconds", "week_allowed_gpu_seconds",
        "month_gpu_seconds", "month_allowed_gpu_seconds",
    ]  # fmt: skip
    assert (ada[5], ada[7], eve[4:]) == ("3600000.0", "7200000.0", ["", "", "", ""])


def test_budgets_are_of_now_and_the_rest_is_of_the_window(state: Path) -> None:
    with_budgets(state)
    assert json.loads(usage(*THAT_DAY, "--json").stdout)["usage"] == []
    assert "budgets" not in usage("--by", "group", "--json").stdout


def test_without_the_hub_s_database_no_groups_are_known(state: Path) -> None:
    with_budgets(state)
    (state / "hub.sqlite").write_text("no database " * 1000)
    done = usage("--json")
    assert json.loads(done.stdout)["usage"][0]["budgets"] == {}
    assert done.stderr == "Who is in which group cannot be read, so no budgets are shown.\n"


def test_no_name_is_a_formula_for_a_spreadsheet(state: Path) -> None:
    names = ["=1+1", "+1", "-1", "@sum", "\tx", "a,b", 'a"b', "a=1"]
    begin(state, run("r1", "ada", *names))
    rows = list(csv.reader(io.StringIO(usage(*THAT_DAY, "--by", "group", "--csv").stdout)))
    assert {row[0] for row in rows[1:]} == {
        "'=1+1", "'+1", "'-1", "'@sum", "'\tx", "a,b", 'a"b', "a=1",
    }  # fmt: skip


def test_no_name_commands_a_terminal(state: Path) -> None:
    begin(state, run("r1", "ada", "\x1b[31mred"))
    assert "\n\N{REPLACEMENT CHARACTER}[31mred  " in usage(*THAT_DAY, "--by", "group").stdout


def test_of_one_user_there_is_one_row(lab: Path) -> None:
    assert usage("ada", *THAT_DAY).stdout.splitlines()[1:] == [
        "user  GPU hours  CPU hours  GiB hours",
        "ada   12.00      12.00      48.00",
    ]
    found = json.loads(usage("bob", "--by", "group", *THAT_DAY, "--json").stdout)
    assert [each["group"] for each in found["usage"]] == ["staff", "vision"]
    assert found["total"]["gpu_seconds"] == 10800


@pytest.mark.parametrize(
    ("words", "gpu_hours"),
    [
        (["--since", "2026-03-01 12:00", "--until", "2026-03-02 12:00"], 60),
        (["--since", "2026-03-02 03:00", "--until", "2026-03-02 04:30"], 3),
        (["--since", "2026-03-02T03:00:00+01:00", "--until", "2026-03-02T03:00:00Z"], 2),
        (["--since", "2026-01-01"], 66),
        (["--since", "3650 d"], 66),
        (["--since", "3650 d", "--until", "2026-03-02"], 63),
        (["--since", "2026-01-01", "--until", "2999-01-01"], 66),
        ([], 0),
    ],
)
def test_the_window_is_in_the_lab_s_time(lab: Path, words: list[str], gpu_hours: float) -> None:
    found = json.loads(usage(*words, "--json").stdout)
    assert found["total"]["gpu_seconds"] == gpu_hours * 3600


def test_without_a_zone_in_the_file_times_are_the_machine_s(lab: Path) -> None:
    (lab / "labhub.yaml").write_text("{}\n", encoding="utf-8")
    found = json.loads(usage(*THAT_DAY, "--json").stdout)
    assert found["since"] == "2026-03-01T15:00:00+00:00"


def test_what_still_runs_counts_until_now(state: Path) -> None:
    hours = (datetime.now(UTC) - DAY).total_seconds() / 3600 - 2
    begin_only(state, run("r1", "ada", gpus=1, hours=hours))
    found = json.loads(usage("--json", "--until", "2999-01-01").stdout)
    assert 7200 <= found["total"]["gpu_seconds"] < 7300


def test_where_nothing_was_used(state: Path) -> None:
    before = sorted(state.iterdir())
    assert usage(*THAT_DAY).stdout == (
        "Nothing was used from 2026-03-02 00:00 CET to 2026-03-03 00:00 CET.\n"
    )
    assert json.loads(usage("--json").stdout)["usage"] == []
    assert usage("--csv").stdout == "user,gpu_seconds,cpu_seconds,gib_hours\n"
    assert json.loads(usage("idle", "--json").stdout)["usage"] == []
    assert sorted(state.iterdir()) == before


def test_a_user_whom_nobody_knows_is_refused_in_one_sentence(lab: Path) -> None:
    done = usage("nobody")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: Nobody called 'nobody' has signed in here; the admin page lists all users.\n"
    )
    assert usage("eve", *THAT_DAY).exit_code == 0  # whose account is gone, and not what was used


def test_a_damaged_store_is_told_in_one_sentence(state: Path) -> None:
    (state / "labhub.sqlite").write_bytes(b"no database " * 1000)
    done = usage()
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {state}/labhub.sqlite is damaged (")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--since", "yesterday"], 'Invalid value for --since: "yesterday" is no moment; write a '
         "day like 2026-12-04, or a time like 2026-12-04 18:00, or a span like 7 d"),
        (["--since", "2999-01-01"],
         "Invalid value for --since: it lies ahead, where nothing was used yet"),
        (["--since", "2 d", "--until", "3 d"],
         "Invalid value for --until: it must be later than --since"),
        (["--since", "999999999999999 d"],
         "Invalid value for --since: no calendar reaches so far"),
        (["--since", "0001-01-01"], "Invalid value for --since: no calendar reaches so far"),
        (["--json", "--csv"], "--json and --csv exclude each other; choose one."),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told_in_one_sentence(
    state: Path, words: list[str], sentence: str
) -> None:
    done = usage(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {sentence}"
