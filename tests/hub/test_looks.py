"""In which order store, hub and engine are asked and told, and what counts as proof."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auth.accounts import Account
from hub_config.schema import Config
from spawner.container import Server, identity_labels
from spawner.desk import Desk
from spawner.engine import Container, Listed
from spawner.engine_errors import EngineError, NotFoundError, UnavailableError, UnknownError
from spawner.engine_health import Health
from spawner.entrance import Entered, Request
from spawner.events import Event
from spawner.images import Images
from spawner.launch import Launch
from spawner.metrics import RECONCILE_ACTIONS
from spawner.options import Choice
from spawner.progress import Steps
from spawner.quota import Quota
from spawner.receipts import Asked as Wanted
from spawner.receipts import Story
from spawner.runs import Holder, Reason, Run
from spawner.store import Ledger, StoreError
from spawner.waiting import Waiting
from spawner.watch import ROUND_SECONDS, Watch
from tests.lib.behind import until
from tests.lib.model_hub import CONFIG, LAB

ADA = Holder("ada", "")
LABELS = identity_labels(LAB.name, *ADA)
ACCOUNT = Account("ada", 200_000, "a" * 16, "issuer", "subject", "ada", "Ada")
GONE, SILENT = NotFoundError("no such container"), UnknownError("broken off")


def box(name: str, status: str = "running") -> Container:
    return Container(name, name, status, 0, False, "", LABELS, {})


class Told:
    """An engine that answers as it is told, and refuses what it is told to refuse."""

    def __init__(
        self, known: Mapping[str, Container | Exception], listed: list[str] | Exception
    ) -> None:
        """Know containers by id; list these, each with the state that it is known by."""
        self.known, self.names, self.health = known, listed, Health()
        self.asked: list[str] = []

    async def container(self, name: str) -> Container:
        answer = self.known.get(name, GONE)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def discovered(self) -> tuple[str, ...]:
        return ()

    async def listed(self, _labels: Mapping[str, str]) -> list[Listed]:
        self.asked.append("engine")
        if isinstance(self.names, Exception):
            raise self.names
        return [Listed(name, name, self._state(name), LABELS, "") for name in self.names]

    async def remove(self, _container: str) -> None:
        self.asked.append("remove")

    def _state(self, name: str) -> str:
        known = self.known.get(name)
        return known.status if isinstance(known, Container) else "running"


class Clings(Told):
    """An engine in which a container made for reading was left, and stays as long as it likes."""

    def __init__(self, removal: EngineError | asyncio.Event) -> None:
        """Refuse each removal, or let it last until the event."""
        super().__init__({}, [])
        self.removal, self.removals = removal, 0

    async def listed(self, labels: Mapping[str, str]) -> list[Listed]:
        if labels.get("labhub.role") == "look":
            return [Listed(name, name, "created", labels, "") for name in ("left", "left too")]
        return await super().listed(labels)

    async def remove(self, _container: str) -> None:
        self.removals += 1
        if isinstance(self.removal, asyncio.Event):
            await self.removal.wait()
        else:
            raise self.removal


def desk_with(engine: Any, folder: Path) -> Desk:
    desk = Desk(dataclasses.replace(LAB, state_dir=folder))
    desk.engine = engine
    desk.images = Images(engine, {"labhub.role": "look"})
    return desk


OLD, NEW, ENDED = box("old"), box("new"), box("ended", "exited")


@pytest.mark.parametrize(
    ("identifier", "known", "listed", "outcome"),
    [
        ("old", {"old": OLD}, SILENT, OLD),  # the id is enough for a yes
        ("", {"old": OLD}, ["old"], OLD),
        ("old", {"new": NEW}, ["new"], NEW),
        ("", {"ended": ENDED, "new": NEW}, ["ended", "new"], NEW),  # who runs counts
        ("old", {}, [], None),  # and both for a no
        ("", {}, [], None),
        ("old", {"old": SILENT}, [], SILENT),
        ("old", {}, SILENT, SILENT),
        ("", {}, SILENT, SILENT),
        ("old", {"new": SILENT}, ["new"], SILENT),
        ("old", {}, ["old"], UnknownError("container old is listed and not found")),
    ],
)
async def test_only_an_id_and_a_list_prove_that_a_server_is_gone(
    identifier: str,
    known: dict[str, Container | Exception],
    listed: list[str] | Exception,
    outcome: Container | Exception | None,
    tmp_path: Path,
) -> None:
    desk = desk_with(Told(known, listed), tmp_path)
    if isinstance(outcome, Exception):
        with pytest.raises(UnknownError, match=str(outcome)):
            await desk.find(identifier, LABELS)
    else:
        assert await desk.find(identifier, LABELS) is outcome


class Asked:
    """A hub that notes when it is asked."""

    def __init__(self, asked: list[str]) -> None:
        """Note it there."""
        self.asked = asked

    def active(self) -> dict[Holder, str]:
        self.asked.append("hub")
        return {}

    def busy(self) -> set[Holder]:
        self.asked.append("busy")
        return {Holder("ada", "")}

    async def notify(self, holder: Holder, container: str = "") -> None:  # noqa: ARG002
        self.asked.append(f"notify {holder.user}")


async def test_a_round_looks_in_the_order_that_an_old_answer_cannot_hurt(tmp_path: Path) -> None:
    engine = Told({}, [])
    desk = desk_with(engine, tmp_path)
    opened = desk.receipts.open_runs

    async def open_runs() -> tuple[Run, ...] | None:
        engine.asked.append("store")
        return await opened()

    desk.receipts.open_runs = open_runs  # type: ignore[method-assign]
    await Watch(desk, Asked(engine.asked)).round()
    assert engine.asked[:5] == ["store", "busy", "engine", "hub", "busy"]


async def test_what_was_left_of_a_look_and_cannot_be_removed_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Clings(UnknownError("driver failed to remove root filesystem"))
    desk = desk_with(engine, tmp_path)
    watch = Watch(desk, Asked([]))
    for rounds in (1, 2):
        await watch.round()
        await until(lambda: engine.removals == 2 * rounds)  # noqa: B023
    assert desk.trouble == ""
    assert [each.message for each in caplog.records if "root filesystem" in each.message] == [
        f"Removing container {name}, made for reading an image: {engine.removal}"
        for name in ("left", "left too")
    ]


async def test_a_removal_that_hangs_keeps_no_round_and_is_not_asked_for_twice(
    tmp_path: Path,
) -> None:
    engine = Clings(asyncio.Event())
    watch = Watch(desk_with(engine, tmp_path), Asked([]))
    async with asyncio.timeout(5):
        for _ in range(3):
            await watch.round()
            await asyncio.sleep(0.01)
    assert engine.removals == 1
    engine.removal.set()
    await until(lambda: engine.removals == 2)


async def test_a_round_without_a_store_takes_no_server_for_one_that_the_store_lost(
    tmp_path: Path,
) -> None:
    class Fails:
        def transact(self, _work: object) -> None:
            raise StoreError("no space left")

    class Knows(Asked):
        def active(self) -> dict[Holder, str]:
            return {Holder("ada", ""): "old"}

        def busy(self) -> set[Holder]:
            return set()

    engine = Told({"old": OLD}, ["old"])
    desk = desk_with(engine, tmp_path)
    desk.store = Fails()  # type: ignore[assignment]
    recorded = RECONCILE_ACTIONS.labels("record")._value
    before = recorded.get()
    await Watch(desk, Knows([])).round()
    assert recorded.get() == before


@pytest.mark.parametrize("error", [None, UnavailableError("cut"), UnknownError("broken off")])
async def test_after_a_gap_in_the_events_a_round_is_made_at_once(
    tmp_path: Path, error: EngineError | None
) -> None:
    class Breaks(Told):
        gap, looks = asyncio.Event(), asyncio.Queue[None]()

        async def events(
            self, _labels: object, _since: object, begun: Callable[[], None]
        ) -> AsyncIterator[Event]:
            begun()
            await self.gap.wait()
            self.gap.clear()
            if error is not None:
                raise error
            for none in ():
                yield none

        async def listed(self, labels: Mapping[str, str]) -> list[Listed]:
            self.looks.put_nowait(None)
            return await super().listed(labels)

    engine = Breaks({}, [])
    watch = Watch(desk_with(engine, tmp_path), Asked([]))
    watch.begin()
    async with asyncio.timeout(ROUND_SECONDS / 2):
        await engine.looks.get()
        for _ in range(2):
            engine.gap.set()
            await engine.looks.get()
    await watch.close()


@pytest.mark.parametrize("action", ["pause", "unpause"])
async def test_a_server_that_is_paused_is_asked_after(tmp_path: Path, action: str) -> None:
    class Tells(Told):
        async def events(self, *_: object) -> AsyncIterator[Event]:
            yield Event(action, "old", LABELS, 1)
            await asyncio.Event().wait()

    hub = Asked([])
    watch = Watch(desk_with(Tells({}, []), tmp_path), hub)
    watch.begin()
    await until(lambda: "notify ada" in hub.asked)
    await watch.close()


async def test_a_run_is_in_the_store_before_its_container_exists(tmp_path: Path) -> None:
    class Creates(Told):
        async def create(self, name: str, _body: Mapping[str, Any]) -> str:
            [run] = desk.store.transact(Ledger.open_runs)
            assert (run.name, run.container) == (name, "")
            return "made"

    desk = desk_with(Creates({}, []), tmp_path)
    config: Config = CONFIG
    quota = Quota(cpus=1, memory_bytes=1 << 30, shm_bytes=1 << 26, pids=256)
    texts = {f.name: "x" for f in dataclasses.fields(Server)}
    facts = {
        **texts,
        "instance": LAB.name,
        "key": "a" * 16,
        "server": "",
        "user": "ada",
        "quota": quota,
        "shared": (),
    }
    server = Server(**facts)  # type: ignore[arg-type]
    run = Run("lab-ada-1", Holder("ada", ""), "image", 1 << 30, datetime.now(UTC))
    desk.store.transact(lambda ledger: ledger.begin(run))
    entered = Entered(Request(config, "ada", "", {}), {}, ACCOUNT, Choice("one", quota), run)
    assert await Launch(desk, entered, Steps()).create(server, {}, ()) == "made"
    [run] = desk.store.transact(Ledger.open_runs)
    assert (run.container, run.memory_bytes) == ("made", 1 << 30)


async def test_a_start_that_failed_clears_nothing_away_any_more(tmp_path: Path) -> None:
    class Late(Told):
        async def listed(self, labels: Mapping[str, str]) -> list[Listed]:
            await asyncio.sleep(0.05)
            return await super().listed(labels)

        async def image(self, _name: str) -> None:
            raise UnavailableError("away")

    engine = Late({"new": NEW}, ["new"])
    desk = desk_with(engine, tmp_path)
    quota = Quota(cpus=1, memory_bytes=1 << 30, shm_bytes=1 << 26, pids=256)
    run = Run("lab-ada-1", Holder("ada", ""), "image", 1 << 30, datetime.now(UTC))
    entered = Entered(Request(CONFIG, "ada", "", {}), {}, ACCOUNT, Choice("one", quota), run)
    with pytest.raises(UnavailableError):
        await Launch(desk, entered, Steps()).prepare()
    await asyncio.sleep(0.1)
    assert engine.asked == []


# what comes late is about the run that it was meant for


def begun(desk: Desk, *names: str) -> list[Run]:
    """Begin one run after the other, for the same server; each is its container's name, too."""
    runs = [Run(each, ADA, "image", 1 << 30, datetime.now(UTC), container=each) for each in names]
    for run in runs:
        desk.store.transact(lambda ledger, run=run: ledger.begin(run))
    return runs


async def test_a_start_that_is_cancelled_late_asks_for_no_other_run_s_end(tmp_path: Path) -> None:
    desk = desk_with(Told({}, []), tmp_path)
    old, _ = begun(desk, "old", "new")
    quota = Quota(cpus=1, memory_bytes=1 << 30, shm_bytes=1 << 26, pids=256)
    entered = Entered(Request(CONFIG, "ada", "", {}), {}, ACCOUNT, Choice("one", quota), old)
    await Launch(desk, entered, Steps()).cancelled()
    [left] = desk.store.transact(Ledger.open_runs)
    assert (left.name, left.stop) == ("new", None)
    [end] = desk.store.transact(lambda ledger: ledger.receipts("ada"))
    assert (end.run, end.reason) == ("old", Reason.CANCELLED)


async def test_a_stop_that_comes_late_ends_no_other_run(tmp_path: Path) -> None:
    desk = desk_with(Told({}, []), tmp_path)
    _, new = begun(desk, "old", "new")
    await desk.stop(ADA, "old", Wanted(Reason.USER, "ada"), 0)
    assert desk.store.transact(Ledger.open_runs) == (new,)
    receipt = desk.store.transact(lambda ledger: ledger.last(ADA))
    assert receipt is not None
    assert (receipt.run, receipt.reason, receipt.actor) == ("old", Reason.USER, "ada")


async def test_a_stop_of_a_run_without_a_known_container_says_why(tmp_path: Path) -> None:
    class Ends(Told):
        async def stop(self, container: str, _grace_seconds: int) -> None:
            self.known = {container: box(container, "exited")}

        async def remove(self, _container: str) -> None:
            self.known = {}

    desk = desk_with(Ends({"old": OLD}, ["old"]), tmp_path)
    run = Run("old", ADA, "image", 1 << 30, datetime.now(UTC))
    desk.store.transact(lambda ledger: ledger.begin(run))  # and the store refused the binding
    await desk.stop(ADA, "old", Wanted(Reason.USER, "ada"), 0)
    receipt = desk.store.transact(lambda ledger: ledger.last(ADA))
    assert receipt is not None
    assert (receipt.run, receipt.reason) == ("old", Reason.USER)


@pytest.mark.parametrize(
    ("story", "noted"),
    [(Story(answered=False), Reason.START_FAILED), (Story(), Reason.UNKNOWN)],
)
async def test_why_the_hub_ends_a_server_is_noted_before_it_does(
    tmp_path: Path, story: Story, noted: Reason
) -> None:
    """For the next hub, should this one die at that: it would see a signal and nobody's name."""

    class Dies(Told):
        async def stop(self, _container: str, _grace_seconds: int) -> None:
            raise UnavailableError("and the hub with it")

    desk = desk_with(Dies({"old": OLD}, ["old"]), tmp_path)
    begun(desk, "old")
    called = Waiting(ADA, datetime.now(UTC), 1, 1.0, 1 << 30, 64)
    desk.store.transact(lambda ledger: ledger.call(called))
    with pytest.raises(UnavailableError):
        await desk.ends.end(OLD, 0, story)
    [left] = desk.store.transact(Ledger.open_runs)
    assert left.stop is noted
    assert desk.store.transact(Ledger.called) == (called,)  # it goes back to the queue
