"""What was used, in the store: one span for each size of a run, whoever wrote the file before."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Ledger, Store, StoreError
from spawner.usage import Span, Window, span_of, total

GIB = 1024**3
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ADA, BOB = Holder("ada", ""), Holder("bob", "gpu")
STORES = Path(__file__).parent / "stores"
RUN = Run(
    "r1", ADA, "image", 8 * GIB, NOON, cpus=2.0, pids=64, gpus=2, devices=("GPU-a", "GPU-b"),
    groups=frozenset({"staff", "Ü"}),
)  # fmt: skip
FIRST = Span("r1", ADA, frozenset({"staff", "Ü"}), 2, ("GPU-a", "GPU-b"), 2.0, 8 * GIB, NOON)
ALWAYS = Window(NOON - timedelta(days=999), NOON + timedelta(days=999))


def at(hours: float) -> datetime:
    """A moment, in hours after noon."""
    return NOON + timedelta(hours=hours)


def end(name: str = "r1", hours: float = 1, holder: Holder = ADA) -> Receipt:
    """The receipt of a run."""
    return Receipt(name, holder, Kind.SERVER, at(hours), Reason.USER, 8 * GIB)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store lies."""
    return tmp_path / "labhub.sqlite"


@pytest.fixture
def book(path: Path) -> Iterator[Store]:
    """A new store."""
    opened = Store(f"sqlite:///{path}")
    yield opened
    opened.close()


def do(book: Store, *steps: Callable[[Ledger], object]) -> None:
    """Do each step in a transaction of its own."""
    for step in steps:
        book.transact(step)


def spans(book: Store, window: Window = ALWAYS, user: str | None = None) -> tuple[Span, ...]:
    return book.transact(lambda ledger: ledger.spans(window, user))


def forget_spans(path: Path) -> None:
    """Let the file be as an older labhub left it, which knew of no spans."""
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM uses")


# one span for each size


def test_a_run_is_in_one_span_from_its_beginning_to_its_end(book: Store) -> None:
    do(book, lambda ledger: ledger.begin(RUN))
    assert spans(book) == (FIRST,)
    do(book, lambda ledger: ledger.end(end()))
    assert spans(book) == (replace(FIRST, until=at(1)),)


def test_what_is_repeated_changes_nothing(book: Store) -> None:
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.begin(replace(RUN, gpus=7)),
        lambda ledger: ledger.end(end()),
        lambda ledger: ledger.end(end(hours=5)),
        lambda ledger: ledger.begin(RUN),
    )
    assert spans(book) == (replace(FIRST, until=at(1)),)


def test_the_end_of_what_never_began_is_no_use(book: Store) -> None:
    do(book, lambda ledger: ledger.end(end()))
    assert spans(book) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"cpus": 0.5},
        {"memory_bytes": GIB},
        {"groups": frozenset({"staff"})},
        {"cpus": 4.0, "memory_bytes": GIB, "groups": frozenset()},
    ],
)
def test_another_size_is_another_span(book: Store, change: dict[str, object]) -> None:
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.resize(replace(RUN, **change), at(1)),
        lambda ledger: ledger.end(end(hours=3)),
    )
    assert spans(book) == (
        replace(FIRST, until=at(1)),
        replace(FIRST, **change, since=at(1), until=at(3)),
    )


def test_the_same_size_is_the_same_span(book: Store) -> None:
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.resize(replace(RUN, pids=999), at(1)),
        lambda ledger: ledger.resize(replace(RUN, name="other", cpus=9.0), at(1)),
    )
    assert spans(book) == (FIRST,)


def test_a_size_changes_now_unless_a_time_is_given(book: Store) -> None:
    before = datetime.now(UTC)
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.resize(replace(RUN, cpus=1.0)),
    )
    _, second = spans(book, Window(NOON, datetime.now(UTC) + timedelta(minutes=1)))
    assert before <= second.since <= datetime.now(UTC)


def test_a_span_follows_its_run_to_another_name(book: Store) -> None:
    do(book, lambda ledger: ledger.begin(RUN), lambda ledger: ledger.rename("r1", "r2"))
    assert spans(book) == (replace(FIRST, run="r2"),)
    do(book, lambda ledger: ledger.end(end("r2")))
    assert spans(book) == (replace(FIRST, run="r2", until=at(1)),)


def test_what_fails_notes_no_use(book: Store) -> None:
    def work(ledger: Ledger) -> None:
        ledger.begin(RUN)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        book.transact(work)
    assert spans(book) == ()


# clocks


def test_a_clock_that_is_put_back_ends_nothing_before_it_began(book: Store) -> None:
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.resize(replace(RUN, cpus=1.0), at(-5)),
        lambda ledger: ledger.end(end(hours=-9)),
    )
    with sqlite3.connect(book.path) as other:
        found = other.execute("SELECT cpus, since, until FROM uses ORDER BY id").fetchall()
    noon = "2026-03-01 12:00:00.123456"
    assert found == [(2.0, noon, noon), (1.0, noon, noon)]
    assert spans(book) == ()


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(-100, 100))
@settings(max_examples=40)
def test_whatever_the_clock_does_spans_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, resizes: list[float], last: float
) -> None:
    opened = Store(f"sqlite:///{tmp_path_factory.mktemp('clock')}/labhub.sqlite")
    do(opened, lambda ledger: ledger.begin(RUN))
    for number, hours in enumerate(resizes):
        size = replace(RUN, cpus=3.0 + number)
        do(opened, lambda ledger, size=size, hours=hours: ledger.resize(size, at(hours)))
    do(opened, lambda ledger: ledger.end(end(hours=last)))
    opened.close()
    with sqlite3.connect(opened.path) as other:
        found = other.execute("SELECT since, until FROM uses ORDER BY id").fetchall()
    assert len(found) == len(resizes) + 1
    assert all(since <= until for since, until in found)
    assert [since for since, _ in found[1:]] == [until for _, until in found[:-1]]


# what is read


@pytest.mark.parametrize(
    ("since", "until", "runs"),
    [
        (-1, 9, ["r1", "r2"]),
        (-1, 1, ["r1"]),
        (3, 9, ["r2"]),
        (1.5, 1.75, ["r1"]),
        (-9, 0, []),
    ],
)
def test_only_what_reaches_into_the_window_is_read(
    book: Store, since: float, until: float, runs: list[str]
) -> None:
    do(
        book,
        lambda ledger: ledger.begin(RUN),
        lambda ledger: ledger.end(end(hours=2)),
        lambda ledger: ledger.begin(replace(RUN, name="r2", holder=BOB, began=at(2.5))),
    )
    assert [each.run for each in spans(book, Window(at(since), at(until)))] == runs


def test_one_user_s_are_read_without_others(book: Store, path: Path) -> None:
    bobs = replace(RUN, name="r2", holder=BOB)
    do(book, lambda ledger: ledger.begin(RUN), lambda ledger: ledger.begin(bobs))
    assert [each.run for each in spans(book, user="bob")] == ["r2"]
    forget_spans(path)
    assert [each.run for each in spans(book, user="bob")] == ["r2"]


def test_a_span_that_no_labhub_wrote_is_a_damaged_file(book: Store, path: Path) -> None:
    do(book, lambda ledger: ledger.begin(RUN))
    with sqlite3.connect(path) as other:
        other.execute("""UPDATE uses SET groups = '"staff"', devices = '3'""")
    with pytest.raises(StoreError, match="is damaged"):
        spans(book)


# files of a labhub that knew of no spans


def test_an_open_run_without_a_span_is_read_as_if_it_had_one(book: Store, path: Path) -> None:
    do(book, lambda ledger: ledger.begin(RUN))
    forget_spans(path)
    assert spans(book) == (FIRST,)
    assert spans(book, Window(at(-2), at(-1))) == ()


def test_an_open_run_gets_its_span_when_it_is_written_next(book: Store, path: Path) -> None:
    do(book, lambda ledger: ledger.begin(RUN))
    forget_spans(path)
    do(book, lambda ledger: ledger.resize(replace(RUN, cpus=1.0), at(1)))
    second = replace(FIRST, cpus=1.0, since=at(1))
    assert spans(book) == (replace(FIRST, until=at(1)), second)
    forget_spans(path)
    do(book, lambda ledger: ledger.end(end(hours=2)))
    assert spans(book) == (replace(FIRST, cpus=1.0, until=at(2)),)


def test_a_span_that_an_older_labhub_left_open_ends_with_the_run_s_receipt(
    book: Store, path: Path
) -> None:
    other_run = replace(RUN, name="r2", holder=BOB)
    do(book, lambda ledger: ledger.begin(RUN), lambda ledger: ledger.begin(other_run))
    do(book, lambda ledger: ledger.end(end(hours=2)))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE uses SET until = NULL")
        other.execute("DELETE FROM runs")
    # Of r2 nobody knows when it ended, so that it counts for nothing.
    assert spans(book) == (replace(FIRST, until=at(2)),)


@pytest.mark.parametrize("dump", sorted(STORES.glob("*.sql")), ids=lambda dump: dump.stem)
def test_a_store_of_each_version_before_counts_what_is_open(dump: Path, path: Path) -> None:
    with sqlite3.connect(path) as writer:
        writer.executescript(dump.read_text(encoding="utf-8"))
    book = Store(f"sqlite:///{path}")
    runs = book.transact(Ledger.open_runs)
    assert spans(book) == tuple(span_of(run, run.began) for run in runs) != ()
    hour = Window(runs[-1].began, runs[-1].began + timedelta(hours=1))
    assert total(spans(book), hour).gib_seconds == 12 * 3600
    first = runs[0]
    do(book, lambda ledger: ledger.end(end(first.name, 2, first.holder)))
    assert replace(span_of(first, first.began), until=at(2)) in spans(book)
    book.close()
