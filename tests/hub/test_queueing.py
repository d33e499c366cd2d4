"""When the queue's rounds come: after every change, whoever made it, and again after errors."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub_config.schema import Config
from spawner import orders
from spawner.capacity import Facts
from spawner.desk import Desk
from spawner.entrance import Entrance, Request
from spawner.machine import MachineUnknownError
from spawner.progress import Steps
from spawner.queueing import Queueing
from spawner.runs import Holder, Reason, Run
from spawner.store import Ledger, Store, StoreError
from spawner.usage import Window
from spawner.waiting import Waiting
from tests.lib.model_hub import LAB

GIB = 1 << 30
NOW = datetime.now(UTC)
ADA, BOB = Holder("ada", ""), Holder("bob", "")
RUN = Run("lab-ada-1", ADA, "image", GIB, NOW, "c0ffee", cpus=1, pids=64, devices=("GPU-a",))
WAITING = Waiting(BOB, NOW, 1, 1.0, GIB, 64)
CONFIG = Config.model_validate({"gpus": {"devices": ["GPU-a"]}})
# A round looks at the store every 2 s, and after an error again in 3 s.
SOON_SECONDS = 8


class Hub:
    """A hub that notes what it is asked to do."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.ended: list[tuple[Holder, Reason]] = []
        self.resumed: list[Holder] = []
        self.servers: set[Holder] = set()
        self.looking: set[Holder] = set()

    def has_come(self, _run: Run) -> bool:
        return False

    def has_server(self, holder: Holder) -> bool:
        return holder in self.servers

    def busy(self) -> set[Holder]:
        return self.looking

    async def end(self, holder: Holder, reason: Reason, _container: str) -> None:
        self.ended.append((holder, reason))

    async def resume(self, waiting: Waiting) -> None:
        self.resumed.append(waiting.holder)


class Machine:
    """A machine that can be read, after so many times at which it cannot."""

    def __init__(self, failures: int = 0) -> None:
        """Fail so often."""
        self.failures = failures

    def look(self, _containers: object) -> Facts:
        self.failures -= 1
        if self.failures >= 0:
            raise MachineUnknownError("no /proc")
        return Facts(memory_bytes=1 << 40, cpus=8)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose store is there and whose engine nobody asks."""
    made = Desk(replace(LAB, state_dir=tmp_path))
    made.machine = Machine()  # type: ignore[assignment]
    return made


@asynccontextmanager
async def queueing(desk: Desk) -> AsyncIterator[Hub]:
    """Let rounds be made."""
    hub = Hub()
    rounds = Queueing(desk, hub, lambda: CONFIG)
    rounds.begin()
    yield hub
    await rounds.close()


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def test_an_order_of_another_program_is_found(desk: Desk) -> None:
    desk.store.transact(lambda ledger: ledger.begin(RUN))
    async with queueing(desk) as hub:
        await asyncio.sleep(0.5)
        assert hub.ended == []
        other = Store(f"sqlite:///{desk.store.path}")
        assert other.transact(lambda ledger: orders.release(ledger, "ada", "eve"))
        other.close()
        await until(lambda: hub.ended)
        assert hub.ended[0] == (ADA, Reason.ADMIN)


async def test_an_order_in_the_middle_of_a_round_is_found(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.store.transact(lambda ledger: ledger.begin(RUN))
    transact, given = desk.store.transact, []

    def meanwhile(work: Callable[[Ledger], Any]) -> Any:
        found = transact(work)
        if work is Ledger.is_quiet and not given:
            given.append(transact(lambda ledger: orders.release(ledger, "ada", "eve")))
        return found

    monkeypatch.setattr(desk.store, "transact", meanwhile)
    async with queueing(desk) as hub:
        await until(lambda: hub.ended)
        assert given == [True]


async def test_a_machine_that_cannot_be_read_is_looked_at_again(desk: Desk) -> None:
    desk.machine = Machine(failures=1)  # type: ignore[assignment]
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        assert hub.resumed == [BOB]


async def test_what_an_earlier_hub_left_goes_on_and_what_was_cancelled_here_does_not(
    desk: Desk,
) -> None:
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    desk.store.transact(lambda ledger: ledger.wait(replace(WAITING, holder=ADA)))
    desk.room.meet(ADA)
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        desk.room.due.set()
        await until(lambda: not desk.room.due.is_set())
        assert hub.resumed == [BOB]


async def test_whose_server_is_found_again_waits_for_nothing_more(desk: Desk) -> None:
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    desk.store.transact(lambda ledger: ledger.wait(replace(WAITING, holder=ADA)))
    async with queueing(desk) as hub:
        hub.servers.add(ADA)
        await until(lambda: len(desk.store.transact(Ledger.tickets)) == 1)
        await until(lambda: hub.resumed)
        assert hub.resumed == [BOB]


async def test_while_no_hub_is_there_nobody_loses_place_or_gpu_for_not_coming(desk: Desk) -> None:
    away = NOW - timedelta(hours=2)
    desk.store.transact(lambda ledger: ledger.begin(replace(RUN, offered=away)))
    desk.store.transact(lambda ledger: ledger.wait(replace(WAITING, lost_at=away)))
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        await asyncio.sleep(0.2)
        assert hub.ended == []
    [ticket], [run] = desk.store.transact(Ledger.tickets), desk.store.transact(Ledger.open_runs)
    assert ticket.lost_at is not None
    assert run.offered is not None
    assert min(ticket.lost_at, run.offered) >= NOW


async def test_a_store_that_is_broken_when_the_hub_comes_up_costs_nobody_the_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.store.transact(
        lambda ledger: ledger.wait(replace(WAITING, lost_at=NOW - timedelta(hours=2)))
    )
    transact, broken = desk.store.transact, [True]

    def at_first_broken(work: Callable[[Ledger], Any]) -> Any:
        if broken:
            broken.clear()
            raise StoreError
        return transact(work)

    monkeypatch.setattr(desk.store, "transact", at_first_broken)
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        await asyncio.sleep(0.2)
    assert len(transact(Ledger.tickets)) == 1


async def test_whose_turn_came_in_a_hub_that_ended_waits_again_where_they_waited(
    desk: Desk,
) -> None:
    first = replace(WAITING, since=NOW - timedelta(hours=3), rank=2, options={"gpus": 1})
    desk.store.transact(lambda ledger: ledger.call(first))
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        assert hub.resumed == [BOB]
    [back] = desk.store.transact(Ledger.tickets)
    assert back == replace(first, lost_at=back.lost_at)
    assert desk.store.transact(Ledger.called) == ()


async def test_whose_start_is_found_again_or_given_up_waits_for_nothing_more(desk: Desk) -> None:
    for holder in (ADA, BOB, Holder("cyd", "")):
        waiting = replace(WAITING, holder=holder)
        desk.store.transact(lambda ledger, each=waiting: ledger.call(each))
    async with queueing(desk) as hub:
        hub.servers.add(ADA)
        hub.looking.add(BOB)
        desk.room.dismiss(Holder("cyd", ""))
        await until(lambda: len(desk.store.transact(Ledger.called)) == 1)
        assert [each.holder for each in desk.store.transact(Ledger.called)] == [BOB]
        assert not desk.store.transact(Ledger.has_tickets)
        hub.looking.clear()
        await until(lambda: hub.resumed)
    assert [each.holder for each in desk.store.transact(Ledger.tickets)] == [BOB]


async def test_whose_start_is_under_way_in_this_hub_does_not_wait_again(desk: Desk) -> None:
    desk.store.transact(lambda ledger: ledger.call(WAITING))
    desk.room.meet(BOB)
    async with queueing(desk):
        await asyncio.sleep(1)
    assert not desk.store.transact(Ledger.has_tickets)
    assert desk.store.transact(Ledger.called) == (WAITING,)


async def test_a_turn_that_comes_while_the_hub_ends_is_kept(desk: Desk) -> None:
    run = replace(RUN, holder=BOB, container="")
    entrance = Entrance(desk, lambda: Request(CONFIG, *BOB, {}), Steps())

    def enter() -> Run:
        desk.store.transact(lambda ledger: (ledger.begin(run), ledger.call(WAITING)))
        return run

    entrance._asking = asyncio.create_task(asyncio.to_thread(enter))
    desk.room.closing = True
    await entrance.give_up()
    assert desk.store.transact(Ledger.open_runs) == ()
    assert desk.store.transact(Ledger.called) == (WAITING,)


async def test_a_turn_that_comes_while_its_person_cancels_is_given_up(desk: Desk) -> None:
    run = replace(RUN, holder=BOB, container="")
    entrance = Entrance(desk, lambda: Request(CONFIG, *BOB, {}), Steps())
    desk.store.transact(lambda ledger: (ledger.begin(run), ledger.call(WAITING)))
    entrance._asking = asyncio.create_task(asyncio.to_thread(lambda: run))
    await entrance.give_up()
    assert desk.store.transact(Ledger.open_runs) == desk.store.transact(Ledger.called) == ()


async def test_a_file_that_changes_while_the_gate_is_asked_for_the_first_time_is_not_missed(
    desk: Desk,
) -> None:
    configs = [CONFIG]
    entrance = Entrance(desk, lambda: Request(configs[-1], *BOB, {}), Steps())
    configs.append(Config.model_validate({"gpus": {"devices": ["GPU-b"]}}))
    async with asyncio.timeout(SOON_SECONDS):
        await entrance._wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(entrance._wait(), 0.2)


async def test_other_rules_for_a_user_wake_that_users_starts_and_no_others(desk: Desk) -> None:
    seats = [desk.room.sit(holder, lambda _place: None) for holder in (ADA, BOB)]
    desk.room.ask_anew("bob")
    assert [each.called.is_set() for each in seats] == [False, True]
    desk.room.ask_anew()
    assert [each.called.is_set() for each in seats] == [True, True]
    assert desk.room.due.is_set()


@pytest.mark.parametrize("hours", [5, -5])
async def test_a_clock_that_is_set_takes_no_place_and_no_gpu(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    jump = timedelta(0)
    clock = SimpleNamespace(
        time=lambda: time.time() + jump.total_seconds(), monotonic=time.monotonic
    )
    dates = SimpleNamespace(now=lambda zone: datetime.now(zone) + jump)
    monkeypatch.setattr("spawner.queueing.time", clock)
    monkeypatch.setattr("spawner.queueing.datetime", dates)
    cyd = replace(WAITING, holder=Holder("cyd", ""))
    desk.store.transact(lambda ledger: ledger.begin(replace(RUN, offered=NOW)))
    desk.store.transact(lambda ledger: (ledger.wait(WAITING), ledger.call(cyd)))
    async with queueing(desk) as hub:
        hub.looking.add(cyd.holder)
        await until(lambda: hub.resumed)
        jump = timedelta(hours=hours)
        seen = datetime.now(UTC) + jump
        late = replace(WAITING, holder=Holder("dan", ""), since=seen, lost_at=seen)
        desk.store.transact(lambda ledger: ledger.wait(late))  # noted by the clock as it is set
        await until(lambda: desk.store.transact(Ledger.tickets)[0].since != WAITING.since)
        await asyncio.sleep(1)
        assert hub.ended == []
    bob, dan = desk.store.transact(Ledger.tickets)
    [run], [called] = desk.store.transact(Ledger.open_runs), desk.store.transact(Ledger.called)
    assert (bob.lost_at, run.offered) != (None, None)
    assert dan == late
    for moment in (bob.since, called.since, bob.lost_at, run.offered):
        assert moment is not None
        assert abs(moment - jump - NOW) < timedelta(hours=1)


@pytest.mark.parametrize("hours", [24, -24])
@pytest.mark.parametrize("nth", range(1, 9))
async def test_nor_does_one_that_is_set_in_the_middle_of_a_round(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, nth: int, hours: int
) -> None:
    """Just before the hub uses its store for the `nth` time."""
    jump, transact, used = timedelta(0), desk.store.transact, 0
    clock = SimpleNamespace(
        time=lambda: time.time() + jump.total_seconds(), monotonic=time.monotonic
    )
    monkeypatch.setattr("spawner.queueing.time", clock)
    dates = SimpleNamespace(now=lambda zone=None: datetime.now(zone) + jump)
    for module in ("queueing", "queue_ledger", "gate"):
        monkeypatch.setattr(f"spawner.{module}.datetime", dates)

    def counted(work: Callable[[Ledger], Any]) -> Any:
        nonlocal used, jump
        used += 1
        if used == nth:
            jump = timedelta(hours=hours)
        return transact(work)

    cyd = replace(WAITING, holder=Holder("cyd", ""))
    transact(lambda ledger: ledger.begin(replace(RUN, offered=NOW)))
    transact(lambda ledger: (ledger.wait(WAITING), ledger.call(cyd)))
    monkeypatch.setattr(desk.store, "transact", counted)
    async with queueing(desk) as hub:
        await until(lambda: used > nth)
        for _ in range(2):
            desk.room.due.set()
            await until(lambda: not desk.room.due.is_set())
            await asyncio.sleep(0.1)
        assert hub.ended == []
    assert {each.holder for each in transact(Ledger.tickets)} == {BOB, cyd.holder}


async def test_who_asks_for_the_end_of_a_start_that_is_not_back_yet_gives_the_place_up(
    desk: Desk,
) -> None:
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    async with queueing(desk) as hub:
        await until(lambda: hub.resumed)
        desk.room.dismiss(BOB)
        await until(lambda: not desk.store.transact(Ledger.tickets))
        assert hub.resumed == [BOB]


async def test_who_comes_back_while_a_round_takes_them_out_stays(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    desk.room.dismiss(BOB)
    transact = desk.store.transact

    def meanwhile(work: Callable[[Ledger], Any]) -> Any:
        if desk.room.gone and work.__qualname__.startswith("Queueing._leave"):
            desk.room.meet(BOB)
        return transact(work)

    monkeypatch.setattr(desk.store, "transact", meanwhile)
    async with queueing(desk):
        await until(lambda: not desk.room.gone)
        await asyncio.sleep(0.2)
    assert [each.holder for each in transact(Ledger.tickets)] == [BOB]


async def test_who_could_not_be_taken_out_of_a_broken_store_is_so_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.store.transact(lambda ledger: ledger.wait(WAITING))
    request = Request(CONFIG, *BOB, {})
    entrance = Entrance(desk, lambda: request, Steps())

    def broken(_work: Callable[[Ledger], Any]) -> Any:
        raise StoreError

    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "transact", broken)
        await entrance.give_up()
    assert desk.store.transact(Ledger.tickets) == (WAITING,)
    async with queueing(desk) as hub:
        await until(lambda: not desk.store.transact(Ledger.tickets))
        assert hub.resumed == []


def test_only_gpu_time_counts_against_people(desk: Desk) -> None:
    desk.store.transact(lambda ledger: ledger.begin(replace(RUN, gpus=1)))
    plain = replace(RUN, name="lab-bob-1", holder=BOB, gpus=0, devices=())
    desk.store.transact(lambda ledger: ledger.begin(plain))
    window = Window(NOW - timedelta(hours=1), NOW + timedelta(hours=1))

    def users(**how: bool) -> list[str]:
        spans = desk.store.transact(lambda ledger: ledger.spans(window, **how))
        return sorted(each.holder.user for each in spans)

    assert (users(with_gpus=True), users()) == (["ada"], ["ada", "bob"])
