"""labhub receipts: a table for people, JSON for programs, and no hub needed."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from auth.accounts import AccountBook
from hub_config.cli import main
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Store

GIB = 1024**3
NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
GPU = Holder("ada", "gpu")
STOPPED = Receipt("r1", Holder("ada", ""), Kind.SERVER, NOON, Reason.USER, 8 * GIB, actor="ada")
FULL = Receipt(
    "r2", GPU, Kind.SERVER, NOON + timedelta(hours=2), Reason.OUT_OF_MEMORY, 8 * GIB,
    exit_code=137, peak_bytes=8 * GIB, log=("loading…", "Killed"),
)  # fmt: skip
KERNEL = replace(
    FULL, kind=Kind.KERNEL, at=NOON + timedelta(hours=1), peak_bytes=4 * GIB, exit_code=None, log=()
)


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that is not in UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of an instance that ada and bob have signed in to."""
    for name in [name for name in os.environ if name.startswith("LABHUB_")]:
        monkeypatch.delenv(name)
    folders = ("SECRETS", "STATE", "STATE_ON_HOST", "VOLUMES", "VOLUMES_ON_HOST", "CONFIG")
    numbers = {"PORT": 8000, "API_PORT": 8001, "HUB_PORT": 8081, "ACCOUNTS_PORT": 10101}
    words = {"INSTANCE": "labhub", "NETWORK": "users", "GATEWAY": "172.18.0.1", "BUNDLE": "server"}
    for name, value in {**dict.fromkeys(folders, tmp_path), **numbers, **words}.items():
        monkeypatch.setenv(f"LABHUB_{name}", str(value))
    book = AccountBook(tmp_path / "identity.sqlite")
    for name in ("ada", "bob"):
        book.sign_in("local", name, name, "")
    book.close()
    return tmp_path


@pytest.fixture
def three(state: Path) -> Path:
    """The same, after two servers and a program of ada's have ended."""
    store = Store(f"sqlite:///{state}/labhub.sqlite")
    store.transact(lambda ledger: ledger.end(STOPPED))
    store.transact(lambda ledger: ledger.begin(Run("r2", GPU, "image", 8 * GIB, NOON)))
    store.transact(lambda ledger: ledger.note_kernel(KERNEL, 1))
    store.transact(lambda ledger: ledger.end(FULL))
    store.close()
    return state


def receipts(*words: str) -> Result:
    """Run `labhub receipts WORDS…`."""
    return CliRunner().invoke(main, ["receipts", *words])


def test_the_table_is_newest_first_in_local_time_and_names_who_it_was(three: Path) -> None:
    done = receipts("ada")
    more = "Ask for more or use smaller batches."
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ended             server     peak of memory  why",
        f"2026-03-01 15:00  gpu        8.0 of 8 GiB    out of memory, 8.0 of 8 GiB. {more}",
        "2026-03-01 14:00  gpu        4.0 of 8 GiB    a program in it: out of memory, "
        f"4.0 of 8 GiB; the server itself goes on. {more}",
        "2026-03-01 13:00  (default)  ? of 8 GiB      stopped by ada.",
    ]


def test_the_json_has_all_that_is_known(three: Path) -> None:
    newest, _, oldest = json.loads(receipts("ada", "--json").stdout)
    assert newest == {
        "at": "2026-03-01T14:00:30+00:00",
        "server": "gpu",
        "kind": "server",
        "reason": "out_of_memory",
        "sentence": "out of memory, 8.0 of 8 GiB. Ask for more or use smaller batches.",
        "exit_code": 137,
        "peak_bytes": 8 * GIB,
        "limit_bytes": 8 * GIB,
        "actor": "",
        "run": "r2",
        "log": ["loading…", "Killed"],
    }
    assert oldest["sentence"] == "stopped by you."
    assert (oldest["exit_code"], oldest["peak_bytes"], oldest["actor"]) == (None, None, "ada")


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        (["--server", "gpu"], ["r2", "r2"]),
        (["--server", ""], ["r1"]),
        (["--server", "none"], []),
        (["--limit", "1"], ["r2"]),
        (["--server", "", "--limit", "1"], ["r1"]),
    ],
)
def test_one_asks_for_less(three: Path, words: list[str], runs: list[str]) -> None:
    found = json.loads(receipts("ada", "--json", *words).stdout)
    assert [each["run"] for each in found] == runs


def test_a_user_without_receipts_has_none(three: Path) -> None:
    assert receipts("bob", "--json").stdout == "[]\n"
    assert receipts("bob").stdout == "No server of bob has ended yet.\n"


def test_reading_before_the_first_start_writes_nothing(state: Path) -> None:
    before = sorted(state.iterdir())
    assert receipts("ada", "--json").stdout == "[]\n"
    assert sorted(state.iterdir()) == before


@pytest.mark.parametrize("book", ["of others", "missing"])
def test_an_unknown_user_is_refused_in_one_sentence(state: Path, book: str) -> None:
    if book == "missing":
        (state / "identity.sqlite").unlink()
    done = receipts("eve", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: Nobody called 'eve' has signed in here; the admin page lists all users.\n"
    )
    assert (state / "identity.sqlite").exists() is (book == "of others")


def test_a_damaged_store_is_told_in_one_sentence(state: Path) -> None:
    (state / "labhub.sqlite").write_bytes(b"no database " * 1000)
    done = receipts("ada")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {state}/labhub.sqlite is damaged (")
    assert done.stderr.count("\n") == 1


def test_outside_of_an_instance(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABHUB_STATE")
    done = receipts("ada")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: LABHUB_STATE is not set: this command runs inside an instance; start it with "
        "deploy/labhub\n"
    )


@pytest.mark.parametrize("words", [[], ["ada", "--limit", "0"], ["ada", "--limit", "x"]])
def test_a_wrong_command_line_is_a_usage_error(state: Path, words: list[str]) -> None:
    assert receipts(*words).exit_code == 2
