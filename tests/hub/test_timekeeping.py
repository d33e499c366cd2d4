"""The timekeeper alone, over a real store: what it notes, and what it never undoes."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub_config.schema import Config
from spawner.idleness import Answer
from spawner.room import Room
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Ledger, Store
from spawner.timekeeping import Living, NotNowError, Timekeeper
from spawner.timepiece import Timepiece
from spawner.times import Awaited

ADA = Holder("ada", "")
RUN = Run("lab-ada-1", ADA, "lab/image:1", 1 << 30, datetime.now(UTC), container="c0")
H = 3600
WEDNESDAY = datetime(2026, 12, 2, 12, tzinfo=UTC)


class Hub:
    """A hub with one server, which notes what it was told to end."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.ended: list[tuple[Holder, Reason]] = []
        self.runs = "c0"
        self.culls = 0
        self.culled = asyncio.Event()

    def living(self) -> Mapping[Holder, Living]:
        """Return the one server."""
        return {ADA: Living(frozenset(), None)}

    def container(self, holder: Holder) -> str:
        """Return its container."""
        return self.runs if holder == ADA else ""

    async def ask(self, _holder: Holder) -> Answer | None:
        """Do nothing."""
        return Answer(is_busy=False, last_activity=None)

    async def end(self, holder: Holder, reason: Reason, _container: str) -> None:
        """Note it."""
        self.ended.append((holder, reason))

    async def cull(self) -> None:
        """Take as long as the test likes."""
        self.culls += 1
        await self.culled.wait()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one open run."""
    opened = Store(f"sqlite:///{tmp_path / 'labhub.sqlite'}")
    opened.transact(lambda ledger: ledger.begin(RUN))
    yield opened
    opened.close()


@pytest.fixture
def keeper(store: Store, tmp_path: Path) -> Timekeeper:
    """A timekeeper of that store, with sessions of 12 h that are extended by 2 h."""
    rules = {"session": "12 h", "extend": "2 h"}
    config = Config.model_validate({"quotas": {"default": rules}})
    desk = SimpleNamespace(
        lab=SimpleNamespace(cgroup_dir=tmp_path),
        store=store,
        time_due=asyncio.Event(),
        detach=asyncio.ensure_future,
        gpu_busy=lambda _container: False,
        room=Room(),
    )
    return Timekeeper(desk, Hub(), lambda: config)  # type: ignore[arg-type]


def noted(store: Store) -> Run:
    [run] = store.transact(Ledger.open_runs)
    return run


async def test_what_a_round_finds_is_noted_once(
    store: Store, keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = []
    original = Ledger.note_times

    def note(ledger: Ledger, run: Run) -> None:
        notes.append(run.name)
        original(ledger, run)

    monkeypatch.setattr(Ledger, "note_times", note)
    for _ in range(3):
        await keeper.round()
    assert notes == [RUN.name]
    assert noted(store).ends_at == RUN.began + timedelta(hours=12)


async def test_a_round_that_began_before_an_extension_does_not_undo_it(
    store: Store, keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keeper.round()
    began, go = asyncio.Event(), asyncio.Event()
    original, measure = asyncio.to_thread, keeper._measure

    async def slow(function: Any, *args: Any) -> Any:
        if function == measure:
            began.set()
            await go.wait()
        return await original(function, *args)

    keeper._measure = measure  # type: ignore[method-assign] - one object, to be recognised
    monkeypatch.setattr(asyncio, "to_thread", slow)
    # A shorter session came meanwhile, so that the round has something to note.
    store.transact(lambda ledger: ledger.note_times(replace(RUN, session_seconds=H)))
    round_ = asyncio.ensure_future(keeper.round())
    await began.wait()
    extension = asyncio.ensure_future(keeper.extend(ADA))
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(round_, extension)
    assert (noted(store).extensions, noted(store).extended_seconds) == (1, 2 * H)
    piece = keeper.of(ADA)
    assert piece is not None
    assert piece.run == noted(store)


async def test_clicks_at_once_extend_once(store: Store, keeper: Timekeeper) -> None:
    await keeper.round()
    outcomes = await asyncio.gather(*(keeper.extend(ADA) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(each, NotNowError) for each in outcomes) == 4
    assert noted(store).extensions == 1


@pytest.mark.parametrize(("devices", "is_refused"), [(("GPU-a",), True), ((), False)])
async def test_a_gpu_that_somebody_waits_for_is_not_kept_for_longer(
    store: Store, keeper: Timekeeper, devices: tuple[str, ...], is_refused: bool
) -> None:
    end = Receipt(RUN.name, ADA, Kind.SERVER, RUN.began, Reason.USER, RUN.memory_bytes)
    run = replace(RUN, name="lab-ada-2", devices=devices, gpus=len(devices))
    store.transact(lambda ledger: (ledger.end(end), ledger.begin(run)))
    await keeper.round()
    keeper._desk.room.wanted_back = frozenset({ADA})
    piece = keeper.of(ADA)
    assert piece is not None
    assert piece.shown()["extend"] == ("" if is_refused else "Extend by 2 h")
    if is_refused:
        with pytest.raises(NotNowError) as refused:
            await keeper.extend(ADA)
        assert refused.value.why == Awaited()
        keeper._desk.room.wanted_back = frozenset()
    await keeper.extend(ADA)
    assert noted(store).extensions == 1


async def test_a_session_that_is_over_is_ended(store: Store, keeper: Timekeeper) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    over = replace(RUN, session_seconds=12 * H, extend_seconds=2 * H, ends_at=past, warned_at=past)
    began = past - timedelta(hours=12)
    end = Receipt(RUN.name, ADA, Kind.SERVER, past, Reason.USER, RUN.memory_bytes)
    store.transact(lambda ledger: ledger.end(end))
    store.transact(lambda ledger: ledger.begin(replace(over, name="lab-ada-2", began=began)))
    await keeper.round()
    await asyncio.sleep(0)
    assert keeper._hub.ended == [(ADA, Reason.TIME_LIMIT)]  # type: ignore[attr-defined]


def spending(keeper: Timekeeper, gpus: int, **budget: float) -> None:
    """Let the one server have GPUs, and its person a budget of GPU time."""
    rules = {"default": {"gpu_hours": budget}}
    config = Config.model_validate({"quotas": rules, "gpus": {"grace": "5 s"}})
    keeper._config = lambda: config
    past = WEDNESDAY - timedelta(hours=1)
    end = Receipt(RUN.name, ADA, Kind.SERVER, past, Reason.USER, RUN.memory_bytes)
    run = replace(RUN, name="lab-ada-2", began=past, gpus=gpus)
    keeper._desk.store.transact(lambda ledger: (ledger.end(end), ledger.begin(run)))


async def steps(keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch, *ahead: float) -> list[Any]:
    """Take a round after each of these seconds on both clocks; return what was ended by then."""

    class Clock(datetime):
        """The clock on the wall, so much ahead."""

        ahead = 0.0

        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return (WEDNESDAY + timedelta(seconds=cls.ahead)).astimezone(tz)

    began = time.monotonic()
    monkeypatch.setattr("spawner.timekeeping.datetime", Clock)
    monkeypatch.setattr("spawner.timekeeping.time.monotonic", lambda: began + Clock.ahead)
    found = []
    for seconds in ahead:
        Clock.ahead = seconds
        await keeper.round()
        await asyncio.sleep(0)
        found.append(list(keeper._hub.ended))  # type: ignore[attr-defined]
    return found


async def test_gpu_time_that_is_used_up_ends_a_server_with_gpus_after_the_grace_period(
    store: Store, keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    spending(keeper, 1, week=0.5, month=0.5)
    ended = await steps(keeper, monkeypatch, 0, 4, 6)
    assert ended == [[], [], [(ADA, Reason.GPU_HOURS)]]
    spent = noted(store).spent
    assert spent is not None
    assert (spent.allowed_seconds, spent.used_seconds) == (1800, pytest.approx(3606, abs=2))
    piece = keeper.of(ADA)
    assert piece is not None
    assert (piece.shown()["gpu_step"], piece.shown()["gpu_left"]) == (3, "0 s")


@pytest.mark.parametrize(("gpus", "hours"), [(0, 0.5), (1, 50)])
async def test_without_gpus_or_with_enough_left_a_server_goes_on(
    store: Store, keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch, gpus: int, hours: float
) -> None:
    spending(keeper, gpus, month=hours)
    assert await steps(keeper, monkeypatch, 0, 6, 60) == [[], [], []]
    assert noted(store).spent is None
    piece = keeper.of(ADA)
    assert piece is not None
    assert piece.shown()["gpu_warning"] == ""


async def test_rounds_go_on_while_servers_are_culled(
    keeper: Timekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub: Any = keeper._hub
    monkeypatch.setattr(Timepiece, "is_idle", property(lambda _: True))
    for _ in range(3):
        async with asyncio.timeout(5):
            await keeper.round()
        await asyncio.sleep(0)
    assert hub.culls == 1
    hub.culled.set()
    await asyncio.sleep(0.05)
    await keeper.round()
    await asyncio.sleep(0)
    assert hub.culls == 2


async def test_a_gpu_that_computes_is_use(keeper: Timekeeper) -> None:
    await keeper.round()
    use = keeper._uses[RUN.name]
    assert use.gpu_busy_at is None
    keeper._desk.gpu_busy = lambda container: container == RUN.container
    await keeper.round()
    assert use.gpu_busy_at is not None
    assert use.idle_for(time.monotonic()) < 1


async def test_of_another_container_nothing_is_known(keeper: Timekeeper) -> None:
    await keeper.round()
    keeper._hub.runs = "c1"  # type: ignore[attr-defined]
    assert keeper.of(ADA) is None
    assert keeper._desk.time_due.is_set()
    assert await keeper.extend(ADA) is None
    assert keeper.keep(ADA) is None
