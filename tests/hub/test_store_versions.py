"""A store that an older labhub wrote: opened, it is today's, and all that stood in it still does.

`stores/N.sql` is what SQLite's `.dump` says of a file that labhub wrote when its schema was N.
"""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from spawner import migrations
from spawner.runs import Holder, Kind, Reason, Receipt, Run, Spent
from spawner.store import Ledger, Store, StoreError
from spawner.waiting import Waiting

GIB = 1024**3
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
STORES = Path(__file__).parent / "stores"

RUNS_OF_1 = (
    Run("lab-ada-1", Holder("ada", ""), "lab/image:1", 8 * GIB, NOON, "c0ffee"),
    Run(
        "lab-bob-1", Holder("bob", "gpu"), "lab/image:1", 4 * GIB, NOON + timedelta(minutes=1),
        stop=Reason.ADMIN, actor="ada",
    ),
)  # fmt: skip
END_OF_1 = Receipt(
    "lab-eve-1", Holder("eve", ""), Kind.SERVER, NOON, Reason.EXITED, 8 * GIB,
    exit_code=1, peak_bytes=3 * GIB, log=("ünicode <b>",),
)  # fmt: skip
KERNEL_OF_1 = Receipt(
    "lab-ada-1", Holder("ada", ""), Kind.KERNEL, NOON, Reason.OUT_OF_MEMORY, 8 * GIB,
    peak_bytes=8 * GIB,
)  # fmt: skip


@pytest.fixture(params=sorted(STORES.glob("*.sql")), ids=lambda dump: f"version {dump.stem}")
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of each version there was."""
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as writer:
        writer.executescript(request.param.read_text(encoding="utf-8"))
        writer.execute("PRAGMA journal_mode=WAL")
    return path


def tables(path: Path) -> dict[str, object]:
    """What SQLite says of every table: columns with types and defaults, and the indices."""
    with sqlite3.connect(path) as reader:
        names = [
            name
            for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: (
                sorted(row[1:] for row in reader.execute(f"PRAGMA table_info({name})")),
                sorted(row[1:4] for row in reader.execute(f"PRAGMA index_list({name})")),
            )
            for name in names
        }


def triggers(path: Path) -> set[tuple[str, str]]:
    """What a store does by itself after a change, by SQLite's own account."""
    with sqlite3.connect(path) as reader:
        return set(reader.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))


def opened(path: Path) -> Store:
    """The store in a file."""
    return Store(f"sqlite:///{path}")


def test_all_that_stood_in_it_still_does(old: Path) -> None:
    book = opened(old)

    def look(ledger: Ledger) -> object:
        return ledger.open_runs(), ledger.receipts("eve"), ledger.kernels("lab-ada-1")

    assert book.transact(look) == (RUNS_OF_1, (END_OF_1,), (KERNEL_OF_1,))
    book.close()


def test_who_waits_in_it_still_does(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as writer:
        writer.executescript((STORES / "5.sql").read_text(encoding="utf-8"))
    book = opened(path)
    [waiting] = book.transact(Ledger.tickets)
    assert waiting == Waiting(
        Holder("eve", "night"), NOON, 1, 2.0, GIB, 64, 3600, frozenset({"staff"}), {"gpus": 1}
    )
    assert book.transact(lambda ledger: ledger.move(waiting.holder, 1))
    assert book.transact(Ledger.tickets) == (replace(waiting, rank=1),)
    book.close()


def test_it_is_made_like_a_new_one(old: Path, tmp_path: Path) -> None:
    opened(old).close()
    opened(tmp_path / "new.sqlite").close()
    assert tables(old) == tables(tmp_path / "new.sqlite")
    assert triggers(old) == triggers(tmp_path / "new.sqlite")
    with sqlite3.connect(old) as reader:
        versions = reader.execute("SELECT version FROM schema").fetchall()
    assert versions == [(migrations.SCHEMA,)]


def test_it_is_opened_again_and_written_like_a_new_one(old: Path) -> None:
    opened(old).close()
    book = opened(old)
    whole = Run(
        "lab-ada-2", Holder("ada", "two"), "image", GIB, NOON + timedelta(hours=1),
        cpus=0.5, pids=64, gpus=1, shm_bytes=GIB, groups=frozenset({"staff", "Ü"}),
        session_seconds=3600, idle_seconds=60, extend_seconds=30,
        ends_at=NOON + timedelta(hours=2), extended_at=NOON + timedelta(hours=1, minutes=30),
        spent=Spent("week", 3600.0, 3601.5, NOON.astimezone(timezone(timedelta(hours=1)))),
    )  # fmt: skip
    book.transact(lambda ledger: ledger.begin(whole))
    assert book.transact(lambda ledger: ledger.open_runs()) == (*RUNS_OF_1, whole)
    assert book.transact(lambda ledger: ledger.end(END_OF_1)) is False
    book.close()


def test_one_that_cannot_be_brought_to_today_stays_what_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = migrations.SCHEMA, (*migrations.STEPS[migrations.SCHEMA], "ALTER TABLE no ADD no INT")
    before = tables(old)
    with monkeypatch.context() as patch:
        patch.setitem(migrations.STEPS, *broken)
        with pytest.raises(StoreError):
            opened(old)
    assert tables(old) == before
    test_all_that_stood_in_it_still_does(old)
