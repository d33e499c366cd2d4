"""The store: every end has one receipt, whoever writes it how often, and whenever the hub dies."""

import multiprocessing
import os
import secrets
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawner import checkpoint, store
from spawner import ledger as ledger_of_runs
from spawner.migrations import SCHEMA
from spawner.runs import Holder, Kind, Reason, Receipt, Run, Spent
from spawner.store import Ledger, Store, StoreError
from spawner.waiting import Waiting

GIB = 1024**3
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ADA = Holder("ada", "")
CHILD_SECONDS = 30
RUN_STEPS = ("begin", "bind", "ask_stop", "end_ours", "end", "note_kernel")


def run(name: str = "r1", holder: Holder = ADA, minute: int = 0) -> Run:
    """A run as it is begun."""
    return Run(name, holder, "lab/image:1", 8 * GIB, NOON + timedelta(minutes=minute))


def end(name: str = "r1", holder: Holder = ADA, minute: int = 0, **known: object) -> Receipt:
    """The receipt of a server."""
    at = NOON + timedelta(minutes=minute)
    receipt = Receipt(name, holder, Kind.SERVER, at, Reason.EXITED, 8 * GIB)
    return replace(receipt, **known)


def kernel(name: str = "r1", minute: int = 0) -> Receipt:
    """The receipt of a program in a server that goes on."""
    return end(name, minute=minute, kind=Kind.KERNEL, reason=Reason.OUT_OF_MEMORY)


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


# a run, from before its container to its receipt


def test_which_of_its_devices_a_run_has_alone_is_kept(book: Store) -> None:
    mine = replace(run(), devices=("GPU-b", "GPU-a"), alone=frozenset({"GPU-b"}))
    book.transact(lambda ledger: ledger.begin(mine))
    assert book.transact(lambda ledger: ledger.open_runs()) == (mine,)
    with closing(sqlite3.connect(book.path)) as connection, connection:  # as an older labhub wrote
        connection.execute('UPDATE runs SET devices = \'["GPU-b", "GPU-a"]\'')
    [old] = book.transact(lambda ledger: ledger.open_runs())
    assert (old.devices, old.alone) == (mine.devices, frozenset())


def test_a_run_is_open_from_its_beginning_to_its_end(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    assert book.transact(lambda ledger: ledger.open_runs()) == (run(),)
    book.transact(lambda ledger: ledger.bind("r1", "c0ffee"))
    assert book.transact(lambda ledger: ledger.run("r1")) == replace(run(), container="c0ffee")
    assert book.transact(lambda ledger: ledger.end(end()))
    assert book.transact(lambda ledger: (ledger.run("r1"), ledger.open_runs())) == (None, ())


def test_a_receipt_is_given_back_as_it_was_written(book: Store) -> None:
    whole = Receipt(
        "r1", Holder("ada", "gpu"), Kind.SERVER, NOON, Reason.ADMIN, 8 * GIB,
        exit_code=137, peak_bytes=3 * GIB, actor="bob", log=("Traceback:", "ünicode <b>"),
        spent=Spent("month", 432000.0, 433000.5, NOON),
    )  # fmt: skip
    book.transact(lambda ledger: ledger.end(whole))
    assert book.transact(lambda ledger: ledger.receipts("ada")) == (whole,)


def test_what_nobody_knows_is_given_back_as_unknown(book: Store) -> None:
    book.transact(lambda ledger: ledger.end(end()))
    (found,) = book.transact(lambda ledger: ledger.receipts("ada"))
    assert (found.exit_code, found.peak_bytes, found.log) == (None, None, ())


def test_the_second_receipt_of_a_run_is_refused_and_changes_nothing(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    assert book.transact(lambda ledger: ledger.end(end(reason=Reason.USER)))
    assert not book.transact(lambda ledger: ledger.end(end(reason=Reason.LOST)))
    assert book.transact(lambda ledger: ledger.receipts("ada")) == (end(reason=Reason.USER),)


def test_a_run_that_has_ended_is_not_begun_again(book: Store) -> None:
    book.transact(lambda ledger: ledger.end(end()))
    book.transact(lambda ledger: ledger.begin(run()))
    assert book.transact(lambda ledger: ledger.open_runs()) == ()


def test_who_asked_first_for_the_end_stays(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    book.transact(lambda ledger: ledger.ask_stop(ADA, Reason.USER, "ada"))
    book.transact(lambda ledger: ledger.ask_stop(ADA, Reason.ADMIN, "bob"))
    found = book.transact(lambda ledger: ledger.run("r1"))
    assert (found.stop, found.actor) == (Reason.USER, "ada")


def test_asking_for_one_server_s_end_asks_for_no_other(book: Store) -> None:
    named = Holder("ada", "gpu")
    book.transact(lambda ledger: (ledger.begin(run()), ledger.begin(run("r2", named))))
    book.transact(lambda ledger: ledger.ask_stop(named, Reason.USER, "ada"))
    assert [each.stop for each in book.transact(lambda ledger: ledger.open_runs())] == [
        None,
        Reason.USER,
    ]


@pytest.mark.parametrize("own", [Reason.UNKNOWN, Reason.START_FAILED])
def test_why_the_hub_ends_a_run_of_its_own_accord_gives_way_to_whoever_asks(
    book: Store, own: Reason
) -> None:
    def noted() -> list[tuple[Reason | None, str]]:
        return [(each.stop, each.actor) for each in book.transact(Ledger.open_runs)]

    book.transact(lambda ledger: (ledger.begin(run()), ledger.end_ours("r1", own)))
    book.transact(lambda ledger: ledger.ask_stop(ADA, Reason.UNKNOWN, ""))
    assert noted() == [(own, "")]
    book.transact(lambda ledger: ledger.ask_stop(ADA, Reason.USER, "ada"))
    book.transact(lambda ledger: ledger.end_ours("r1", own))
    assert noted() == [(Reason.USER, "ada")]


@pytest.mark.parametrize("which", [{"run": "r1"}, {"container": "c0ffee"}])
def test_asking_for_one_run_s_end_asks_for_no_later_one(book: Store, which: dict[str, str]) -> None:
    book.transact(lambda ledger: (ledger.begin(run()), ledger.bind("r1", "c0ffee")))
    later = replace(run("r2"), began=NOON + timedelta(hours=1))
    book.transact(lambda ledger: (ledger.begin(later), ledger.bind("r2", "decaf")))
    book.transact(lambda ledger: ledger.ask_stop(ADA, Reason.USER, "ada", **which))
    assert [each.stop for each in book.transact(lambda ledger: ledger.open_runs())] == [
        Reason.USER,
        None,
    ]


def test_times_are_the_same_moment_in_utc(book: Store) -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    book.transact(lambda ledger: ledger.end(end(at=NOON.astimezone(there))))
    found = book.transact(lambda ledger: ledger.last(ADA))
    assert (found.at, found.at.tzinfo) == (NOON, UTC)


def test_a_time_without_a_zone_is_refused(book: Store) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        book.transact(lambda ledger: ledger.end(end(at=NOON.replace(tzinfo=None))))
    assert book.transact(lambda ledger: ledger.receipts("ada")) == ()


# what is read


def test_receipts_are_read_newest_first_and_of_one_user(book: Store) -> None:
    gpu, bob = Holder("ada", "gpu"), Holder("bob", "")
    ends = (end("r1", minute=1), end("r3", gpu, 3), end("r2", minute=2), end("r4", bob, 4))
    book.transact(lambda ledger: [ledger.end(each) for each in ends])
    found = book.transact(lambda ledger: ledger.receipts("ada"))
    assert [each.run for each in found] == ["r3", "r2", "r1"]
    assert book.transact(lambda ledger: ledger.receipts("ada", limit=2)) == found[:2]


def test_the_last_end_is_that_of_this_server_and_no_kernel_s(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run("r2")))
    book.transact(lambda ledger: (ledger.end(end("r1", minute=1)), ledger.end(end("r0"))))
    book.transact(lambda ledger: ledger.end(end("r3", Holder("ada", "gpu"), 3)))
    book.transact(lambda ledger: ledger.note_kernel(kernel("r2", minute=4), 1))
    assert book.transact(lambda ledger: ledger.last(ADA)) == end("r1", minute=1)
    assert book.transact(lambda ledger: ledger.last(Holder("eve", ""))) is None


def test_a_kernel_s_receipt_is_written_when_the_count_has_grown(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    grown = [
        book.transact(lambda ledger, kills=kills: ledger.note_kernel(kernel(minute=kills), kills))
        for kills in (0, 1, 1, 3, 2, 4)
    ]
    assert grown == [False, True, False, True, False, True]
    found = book.transact(lambda ledger: ledger.kernels("r1", limit=2))
    assert found == (kernel(minute=4), kernel(minute=3))


def test_a_kernel_of_a_run_that_is_not_open_leaves_nothing(book: Store) -> None:
    book.transact(lambda ledger: (ledger.begin(run()), ledger.end(end())))
    for name in ("r1", "never-begun"):
        assert not book.transact(lambda ledger, name=name: ledger.note_kernel(kernel(name), 1))
    assert book.transact(lambda ledger: ledger.receipts("ada")) == (end(),)


def test_only_the_newest_receipts_of_a_user_are_kept(
    book: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_of_runs, "RECEIPTS_PER_USER", 3)
    bob = end("b", Holder("bob", ""))
    book.transact(lambda ledger: ledger.end(bob))
    book.transact(lambda ledger: [ledger.end(end(f"r{n}", minute=n)) for n in range(5)])
    found = book.transact(lambda ledger: ledger.receipts("ada"))
    assert [each.run for each in found] == ["r4", "r3", "r2"]
    assert book.transact(lambda ledger: ledger.receipts("bob")) == (bob,)


# one transaction


def test_work_that_fails_leaves_nothing(book: Store) -> None:
    def work(ledger: Ledger) -> None:
        ledger.begin(run())
        ledger.end(end("other"))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        book.transact(work)
    assert book.transact(lambda ledger: (ledger.open_runs(), ledger.receipts("ada"))) == ((), ())


def test_every_write_passes_its_two_points_and_the_second_after_all_is_kept(
    book: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[tuple[str, int]] = []

    def note(point: str) -> None:
        with sqlite3.connect(path) as other:
            passed.append((point, other.execute("SELECT count(*) FROM receipts").fetchone()[0]))

    monkeypatch.setattr(checkpoint, "hook", note)
    book.transact(
        lambda ledger: (
            ledger.begin(run()),
            ledger.bind("r1", "c0ffee"),
            ledger.ask_stop(ADA, Reason.USER, "ada"),
            ledger.note_kernel(kernel(), 1),
            ledger.end(end()),
            ledger.last(ADA),
        )
    )
    operations = ("begin", "bind", "ask_stop", "note_kernel", "end")
    assert passed == [
        *((f"store.{each}:before", 0) for each in operations),
        *((f"store.{each}:after", 2) for each in operations),
    ]


def test_threads_write_one_receipt(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(
            lambda n: book.transact(lambda ledger: ledger.end(end(minute=n))), range(40)
        )
    assert sum(done) == 1
    assert len(book.transact(lambda ledger: ledger.receipts("ada"))) == 1


def test_processes_write_one_receipt(book: Store, path: Path) -> None:
    book.transact(lambda ledger: [ledger.begin(run(f"r{n}")) for n in range(20)])
    context = multiprocessing.get_context("fork")
    counts = context.Queue()
    children = [context.Process(target=_end_twenty, args=(path, counts)) for _ in range(2)]
    for child in children:
        child.start()
    assert sum(counts.get(timeout=CHILD_SECONDS) for _ in children) == 20
    for child in children:
        child.join(CHILD_SECONDS)
    assert len(book.transact(lambda ledger: ledger.receipts("ada"))) == 20


def _end_twenty(path: Path, counts: "multiprocessing.Queue[int]") -> None:
    book = Store(f"sqlite:///{path}")
    ends = [end(f"r{n}") for n in range(20)]
    counts.put(sum(book.transact(lambda ledger, one=one: ledger.end(one)) for one in ends))


# sudden ends


def _live_and_die(path: Path, said: int, dies: Callable[[str], None]) -> None:
    """Begin and end runs, and say each after it was kept, until something kills this process."""
    checkpoint.hook = dies
    book = Store(f"sqlite:///{path}")
    for number in range(100_000):
        name = f"r{number}"
        book.transact(lambda ledger, name=name: ledger.begin(run(name)))
        os.write(said, f"begun {name}\n".encode())
        book.transact(lambda ledger, name=name: ledger.end(end(name, minute=1)))
        os.write(said, f"ended {name}\n".encode())


def _die_at(point: str, times: int) -> Callable[[str], None]:
    """Return what kills this process when a point is reached for the n-th time."""
    left = iter(range(times - 1, -1, -1))

    def reached(here: str) -> None:
        if here == point and next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _survivors(path: Path, words: Sequence[str]) -> tuple[set[str], set[str]]:
    """Open the store of a process that was killed; return what is open and what has ended."""
    book = Store(f"sqlite:///{path}")
    runs, receipts = book.transact(lambda each: (each.open_runs(), each.receipts("ada", 1000)))
    open_names, ended_names = {each.name for each in runs}, {each.run for each in receipts}
    book.close()
    told = [tuple(word.split()) for word in words]
    assert {name for what, name in told if what == "ended"} <= ended_names
    assert {name for what, name in told if what == "begun"} <= open_names | ended_names
    return open_names, ended_names


def _kill_after(path: Path, words: int, dies: Callable[[str], None]) -> list[str]:
    """Kill a process amid its transactions after so many words; return all it said."""
    reader, writer = os.pipe()
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_live_and_die, args=(path, writer, dies))
    child.start()
    os.close(writer)
    with os.fdopen(reader) as said:
        heard = [line for line, _ in zip(said, range(words), strict=False)]
        child.kill()
        heard += said.readlines()
    child.join(CHILD_SECONDS)
    assert child.exitcode == -signal.SIGKILL
    return heard


@pytest.mark.parametrize("words", [1, 2, 25, 60, 101])
def test_what_was_kept_outlives_a_kill_and_nothing_is_both_open_and_ended(
    path: Path, words: int
) -> None:
    heard = _kill_after(path, words, lambda _point: None)
    assert len(heard) >= words
    open_names, ended_names = _survivors(path, heard)
    assert open_names.isdisjoint(ended_names)
    assert len(open_names) <= 1


@pytest.mark.parametrize(
    ("point", "still_open", "ended"),
    [
        ("store.begin:before", set(), {"r0", "r1"}),
        ("store.begin:after", {"r2"}, {"r0", "r1"}),
        ("store.end:before", {"r2"}, {"r0", "r1"}),
        ("store.end:after", set(), {"r0", "r1", "r2"}),
    ],
)
def test_a_kill_at_a_point_keeps_all_of_a_transaction_or_nothing(
    path: Path, point: str, still_open: set[str], ended: set[str]
) -> None:
    heard = _kill_after(path, 100, _die_at(point, times=3))
    assert _survivors(path, heard) == (still_open, ended)


# any order, any number of times

STEPS = st.lists(
    st.tuples(
        st.sampled_from(RUN_STEPS),
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(0, 3),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for many examples: each has a user of its own."""
    opened = Store(f"sqlite:///{tmp_path_factory.mktemp('shared')}/labhub.sqlite")
    yield opened
    opened.close()


@given(STEPS)
@settings(max_examples=50, deadline=None)
def test_whatever_is_repeated_in_whatever_order_a_run_has_one_end(
    shared: Store, steps: list[tuple[str, str, int]]
) -> None:
    holder = Holder(secrets.token_hex(8), "")
    first_end: dict[str, Receipt] = {}

    def work(ledger: Ledger) -> None:
        for step, short, number in steps:
            name = f"{holder.user}-{short}"
            kept = _step(ledger, step, run(name, holder, number), number)
            if step == "end":
                assert kept is (name not in first_end)
                first_end.setdefault(name, end(name, holder, number))
            ends = [each for each in ledger.receipts(holder.user) if each.kind is Kind.SERVER]
            assert {each.run: each for each in ends} == first_end
            assert len(ends) == len(first_end)
            assert {each.name for each in ledger.open_runs()}.isdisjoint(first_end)

    shared.transact(work)


def _step(ledger: Ledger, step: str, one: Run, number: int) -> bool | None:
    match step:
        case "begin":
            return ledger.begin(one)
        case "bind":
            return ledger.bind(one.name, f"container{number}")
        case "ask_stop":
            return ledger.ask_stop(one.holder, list(Reason)[number], "ada")
        case "end_ours":
            return ledger.end_ours(one.name, Reason.UNKNOWN)
        case "end":
            return ledger.end(end(one.name, one.holder, number))
        case _:
            killed = kernel(one.name, number)
            return ledger.note_kernel(replace(killed, holder=one.holder), number)


def _queue_step(ledger: Ledger, step: str, server: str, number: int) -> bool | None:
    holder = Holder("bob", server)
    match step:
        case "wait":
            return ledger.wait(Waiting(holder, NOON, number, 1.0, GIB, 64))
        case "look":
            return ledger.look(holder, looked_at=not number)
        case "lose_all" | "offer_anew":
            return (ledger.lose_all if step == "lose_all" else ledger.offer_anew)(NOON)
        case "move":
            return ledger.move(holder, number)
        case "call":
            return ledger.call(Waiting(holder, NOON, number, 1.0, GIB, 64))
        case _:
            return ledger.leave(holder)


# what is read again

QUEUE_STEPS = ("wait", "leave", "look", "lose_all", "offer_anew", "move", "call")
WRITES = st.lists(
    st.tuples(
        st.sampled_from(["ours", "other"]),
        st.sampled_from([*RUN_STEPS, *QUEUE_STEPS]),
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=10,
)


def test_what_nobody_wrote_to_is_not_read_again(book: Store) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    assert book.transact(Ledger.open_runs) is book.transact(Ledger.open_runs)


def test_what_somebody_changed_by_hand_is_seen(book: Store, path: Path) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    book.transact(partial(_queue_step, step="wait", server="", number=1))
    assert book.transact(_both)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE runs SET memory_bytes = 5")
        other.execute("UPDATE tickets SET gpus = 2")
    (found,), (waiting,) = book.transact(_both)
    assert (found.memory_bytes, waiting.gpus) == (5, 2)


def test_a_hub_that_comes_up_lets_what_is_counted_in_its_time_only_begin_later(
    book: Store,
) -> None:
    moments = (None, NOON - timedelta(hours=1), NOON + timedelta(hours=1))

    def work(ledger: Ledger) -> None:
        for number, moment in enumerate(moments):
            holder = Holder("bob", str(number))
            ledger.begin(replace(run(str(number), holder), offered=moment))
            ledger.wait(Waiting(holder, NOON, 1, 1.0, GIB, 64, lost_at=moment))
        ledger.lose_all(NOON)
        ledger.offer_anew(NOON)

    book.transact(work)
    runs, tickets = book.transact(_both)
    assert [each.offered for each in runs] == [None, NOON, moments[2]]  # by name: begun at once
    assert [each.lost_at for each in tickets] == [NOON, NOON, moments[2]]


def test_a_row_that_did_not_change_is_not_made_out_again(book: Store) -> None:
    for name in ("r1", "r2"):
        book.transact(partial(_queue_step, step="wait", server=name, number=1))
    before = book.transact(Ledger.tickets)
    book.transact(partial(_queue_step, step="move", server="r2", number=1))
    after = book.transact(Ledger.tickets)
    assert after[0] is before[0]
    assert after[1] == replace(before[1], rank=1)


@given(WRITES)
@settings(max_examples=30, deadline=None)
def test_what_is_read_again_is_what_stands_there(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, str, str, int, bool]]
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('again')}/labhub.sqlite"
    stores = {"ours": Store(url), "other": Store(url)}
    for which, step, name, number, is_kept in writes:
        with suppress(_UndoneError):
            stores[which].transact(partial(_write, step, name, number, is_kept=is_kept))
        unknowing = Store(url)
        stands = unknowing.transact(_both)
        unknowing.close()
        assert [each.transact(_both) for each in stores.values()] == [stands] * 2
    for each in stores.values():
        each.close()


class _UndoneError(Exception):
    """A transaction ends without being kept."""


def _both(ledger: Ledger) -> tuple[tuple[Run, ...], tuple[Waiting, ...]]:
    return ledger.open_runs(), ledger.tickets()


def _write(step: str, name: str, number: int, ledger: Ledger, *, is_kept: bool) -> None:
    _both(ledger)
    if step in QUEUE_STEPS:
        _queue_step(ledger, step, name, number)
    else:
        _step(ledger, step, run(name, ADA, number), number)
    _both(ledger)
    if not is_kept:
        raise _UndoneError


# the file


def test_what_cannot_be_read_keeps_nobody_from_the_file(book: Store, path: Path) -> None:
    book.transact(lambda ledger: [ledger.begin(run(name)) for name in ("r1", "r2", "r3")])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE runs SET groups = '3'")
    with pytest.raises(StoreError, match="is damaged") as kept:
        book.transact(Ledger.open_runs)
    with sqlite3.connect(path, timeout=1) as other:
        other.execute("UPDATE runs SET groups = '[]'")
    assert len(book.transact(Ledger.open_runs)) == 3
    assert kept.value  # whoever keeps the error keeps no lock


def test_the_files_are_private(book: Store, tmp_path: Path) -> None:
    book.transact(lambda ledger: ledger.begin(run()))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes["labhub.sqlite"] == 0o600
    assert set(modes.values()) == {0o600}


def test_every_write_reaches_the_disk(book: Store, path: Path) -> None:
    with book._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    again = Store(f"sqlite:///{path}")
    assert again.transact(lambda ledger: ledger.open_runs()) == ()
    again.close()


def test_a_file_that_is_no_database_is_refused_in_one_sentence(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError) as refusal:
        Store(f"sqlite:///{path}")
    assert str(refusal.value) == (
        f"{path} is damaged (file is not a database): stop the hub and put the file of your last "
        "backup in its place, or remove it with its -wal and -shm; then only receipts are lost."
    )


@pytest.mark.parametrize(
    ("column", "value"), [("reason", "'tired'"), ("at", "'yesterday'"), ("log", "'{'")]
)
def test_a_row_that_no_labhub_wrote_is_damage(
    book: Store, path: Path, column: str, value: str
) -> None:
    book.transact(lambda ledger: ledger.end(end()))
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE receipts SET {column} = {value}")  # noqa: S608 - the cases above
    with pytest.raises(StoreError, match=f"{path} is damaged"):
        book.transact(lambda ledger: ledger.last(ADA))


def test_damage_inside_the_file_is_told(book: Store, path: Path) -> None:
    book.transact(lambda ledger: [ledger.end(end(f"r{n}", log=("x" * 400,))) for n in range(50)])
    book.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(StoreError, match="is damaged"):
        Store(f"sqlite:///{path}").transact(lambda ledger: ledger.receipts("ada"))


@pytest.mark.parametrize(
    ("pragma", "sentence"),
    [
        ("query_only = ON", "{path} cannot be read and written (attempt to write a readonly"),
        ("max_page_count = 1", "{path} cannot be written, because the disk is full: free some"),
    ],
    ids=["read-only", "disk full"],
)
def test_a_file_that_takes_no_more_is_told_and_nothing_is_half_written(
    book: Store, path: Path, pragma: str, sentence: str
) -> None:
    with book._engine.connect() as connection:  # the one connection of the pool
        connection.exec_driver_sql(f"PRAGMA {pragma}")
    long = tuple("x" * 400 for _ in range(20))
    with pytest.raises(StoreError) as refusal:
        book.transact(lambda ledger: [ledger.end(end(f"r{n}", log=long)) for n in range(50)])
    assert str(refusal.value).startswith(sentence.format(path=path))
    other = Store(f"sqlite:///{path}")
    assert other.transact(lambda ledger: ledger.receipts("ada")) == ()
    other.close()


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "labhub.sqlite"
    with pytest.raises(StoreError) as refusal:
        Store(f"sqlite:///{path}")
    assert str(refusal.value) == (
        f"{path} cannot be read and written (No such file or directory): its directory must be "
        "there, and both must be writable for the hub; deploy/up makes what is missing."
    )


def test_a_file_that_others_hold_is_waited_for_and_then_told(
    book: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with book._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="was locked by another program"):
        book.transact(lambda ledger: ledger.begin(run()))
    other.execute("ROLLBACK")
    other.close()
    book.transact(lambda ledger: ledger.begin(run()))


def test_work_within_work_is_an_error_and_not_an_endless_wait(
    book: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    with pytest.raises(StoreError, match="was locked"):
        book.transact(lambda _: book.transact(lambda ledger: ledger.open_runs()))
    assert book.transact(lambda ledger: ledger.open_runs()) == ()


def test_a_newer_labhub_s_file_is_left_alone(book: Store, path: Path) -> None:
    book.close()
    with sqlite3.connect(path) as newer:
        newer.execute("UPDATE schema SET version = 9")
        newer.execute("DROP TABLE runs")
    with pytest.raises(StoreError) as refusal:
        Store(f"sqlite:///{path}")
    assert str(refusal.value) == (
        f"{path} was written by a newer labhub (schema 9, this one knows {SCHEMA}): "
        "run that version again, or put the file of your last backup in its place."
    )
    with sqlite3.connect(path) as newer:
        tables = {name for (name,) in newer.execute("SELECT name FROM sqlite_master")}
    assert "runs" not in tables


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://lab/receipts"])
def test_an_address_that_is_no_file_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="is not the address of an SQLite file"):
        Store(url)
