"""The hub's look at the monitor's reports: what it believes, for how long, and whom it asks."""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spawner.container import RUN_LABEL
from spawner.engine_answers import Container, Listed, Made
from spawner.engine_errors import EngineError, NotFoundError, UnavailableError
from spawner.gpu_monitor import FILE, read, write
from spawner.gpu_readings import Cause, Gpu, Health, Process, Reading, Report
from spawner.gpu_view import Seen, Sight
from spawner.gpu_watch import AROUND_SECONDS, WINDOW_SECONDS, GpuWatch

ADA, BOB, FOREIGN = "a" * 64, "b" * 64, "f" * 64
A = "GPU-aaaa"
LOST = Health(Cause.LOST)


class Engine:
    """An engine that knows some containers' labels, and can refuse to tell."""

    def __init__(self) -> None:
        """Know ada's container, which has a lease on the GPU, and a foreign one."""
        self.labels = {
            ADA: {"labhub.instance": "lab", RUN_LABEL: json.dumps({"devices": [A]})},
            BOB: {"labhub.instance": "lab", RUN_LABEL: json.dumps({"devices": []})},
            FOREIGN: {"labhub.instance": "another", RUN_LABEL: json.dumps({"devices": [A]})},
        }
        self.error: EngineError | None = None
        self.asked: list[str] = []
        self.running: list[str] = []
        self.listings = 0
        self.host_config: dict[str, Any] = {}

    async def listed(self, _labels: Mapping[str, str]) -> list[Listed]:
        """Return the containers that run, or fail."""
        self.listings += 1
        if self.error is not None:
            raise self.error
        return [Listed(each, "box", "running", self.labels[each], "") for each in self.running]

    async def container(self, identifier: str) -> Container:
        """Return a container, or fail."""
        self.asked.append(identifier)
        if self.error is not None:
            raise self.error
        if identifier not in self.labels:
            raise NotFoundError("no such container")
        labels: Mapping[str, str] = self.labels[identifier]
        return Container(identifier, "box", "running", 0, False, "", labels, {},
                         made=Made({}, self.host_config, ()))  # fmt: skip


class Clock:
    """A clock that the test moves on."""

    def __init__(self) -> None:
        """Begin long after the machine did."""
        self.now = 5000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class World:
    """A watch over a folder, an engine and a clock."""

    def __init__(self, folder: Path) -> None:
        """Begin without a report."""
        self.folder = folder / "gpus"
        self.folder.mkdir()
        self.engine, self.clock = Engine(), Clock()
        self.desk: Any = SimpleNamespace(
            lab=SimpleNamespace(state_dir=folder, name="lab"),
            engine=self.engine,
            sight=Sight(),
            detach=asyncio.ensure_future,
            gpu_busy=None,
            room=SimpleNamespace(due=asyncio.Event()),
        )
        self.watch = GpuWatch(self.desk, self.clock)

    def reports(self, *gpus: Gpu, trouble: str = "", age: float = 0.0) -> None:
        """Let the monitor write a report, that many seconds ago."""
        reading = Reading(gpus, "550", trouble)
        write(self.folder, Report(time.time() - age, 5.0, reading))

    async def look(self) -> Sight:
        """Look, and wait for what was asked."""
        await self.watch.look()
        await self.settle()
        sight: Sight = self.desk.sight
        return sight

    async def settle(self) -> None:
        """Let the engine answer."""
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A machine whose monitor has said nothing yet."""
    return World(tmp_path)


def used(container: str | None, *, busy: int = 0) -> Gpu:
    return Gpu(A, busy_percent=busy, processes=(Process(1, container=container),))


async def test_without_a_monitor_there_is_nothing_to_say(world: World) -> None:
    assert await world.look() == Sight()
    assert not world.watch.is_busy(ADA)


@pytest.mark.parametrize(
    ("container", "is_others"), [(ADA, False), (BOB, True), (FOREIGN, True), ("e" * 64, True)]
)
async def test_each_container_is_asked_about_once(
    world: World, container: str, is_others: bool
) -> None:
    for _ in range(3):
        world.reports(used(container))
        assert (await world.look()).seen == (Seen(A, busy_percent=0, used_by_others=is_others),)
    is_known = container in world.engine.labels
    assert world.engine.asked == [container] * (1 if is_known else 3)


async def test_while_the_engine_does_not_tell_it_counts_as_somebody_elses(world: World) -> None:
    world.engine.error = UnavailableError("no answer")
    world.reports(used(ADA))
    assert (await world.look()).seen[0].used_by_others
    world.engine.error = None
    world.reports(used(ADA))
    assert not (await world.look()).seen[0].used_by_others


async def test_an_engine_that_is_slow_delays_no_look(world: World) -> None:
    answer = asyncio.Event()

    async def slow(identifier: str) -> Container:
        await answer.wait()
        return await Engine().container(identifier)

    world.engine.container = slow  # type: ignore[method-assign]
    for _ in range(3):
        world.reports(used(ADA, busy=50))
        assert (await world.look()).seen[0].used_by_others
    assert world.watch.is_busy(ADA)
    answer.set()
    await world.settle()
    assert not world.desk.sight.seen[0].used_by_others


async def test_a_report_that_gets_old_stays_and_says_so(world: World) -> None:
    world.reports(Gpu(A, health=LOST))
    at = read(world.folder).at
    assert await world.look() == Sight((Seen(A, health=LOST),), "550")
    world.clock.now += 29
    assert (await world.look()).trouble == ""
    world.clock.now += 2
    sight = await world.look()
    since = datetime.fromtimestamp(at, UTC).astimezone()
    assert sight == Sight(
        (Seen(A, health=LOST),),
        "550",
        f"The GPU monitor has said nothing since {since:%Y-%m-%d %H:%M:%S}; what it said last "
        "still counts. Look at its container's log, and restart it.",
    )
    world.reports(Gpu(A))
    assert await world.look() == Sight((Seen(A),), "550")


async def test_a_hub_that_begins_believes_no_report_of_yesterday(world: World) -> None:
    world.reports(Gpu(A, health=LOST), age=86_400)
    world.watch.begin()
    assert world.desk.sight.seen == (Seen(A, health=LOST),)
    assert world.desk.sight.trouble.startswith("The GPU monitor has said nothing since ")
    assert world.desk.gpu_busy == world.watch.is_busy
    await world.watch.close()


async def test_a_hub_begins_whatever_the_monitors_clock_said(world: World) -> None:
    for at in (0.0, float((1 << 36) - 1)):
        write(world.folder, Report(at, 5.0, Reading((Gpu(A),), "550")))
        world.watch.begin()
        world.clock.now += 100
        sight = await world.look()
        assert sight.seen == (Seen(A),)
        assert sight.trouble.startswith("The GPU monitor has said nothing since ")
        await world.watch.close()


async def test_a_clock_that_is_set_makes_nothing_old(world: World) -> None:
    world.reports(Gpu(A))
    await world.look()
    world.reports(Gpu(A), age=7200)
    assert (await world.look()).trouble == ""
    world.reports(Gpu(A), age=-7200)
    assert (await world.look()).trouble == ""


async def test_a_driver_that_is_silent(world: World) -> None:
    world.reports(Gpu(A), trouble="no NVML here: NVIDIA's driver is not loaded")
    assert await world.look() == Sight(
        (Seen(A),),
        "550",
        "NVIDIA's driver tells nothing about the GPUs (no NVML here: NVIDIA's driver is not "
        "loaded).",
    )


@pytest.mark.parametrize("text", ["", "{}", "[[", '{"version": 2}', "\x00" * 100])
async def test_what_cannot_be_read_changes_nothing(world: World, text: str) -> None:
    world.reports(Gpu(A, health=LOST))
    await world.look()
    (world.folder / FILE).write_text(text)
    sight = await world.look()
    assert sight.seen == (Seen(A, health=LOST),)
    assert sight.trouble.startswith("What the GPU monitor wrote cannot be read (")
    world.reports(Gpu(A))
    assert await world.look() == Sight((Seen(A),), "550")


async def test_a_report_that_vanished_changes_nothing(world: World) -> None:
    world.reports(Gpu(A, health=LOST))
    await world.look()
    (world.folder / FILE).unlink()
    assert (await world.look()).seen == (Seen(A, health=LOST),)


async def test_a_file_that_did_not_change_is_not_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    original = Path.read_text

    def counted(path: Path, *how: str) -> str:
        reads.append(path.name)
        return original(path, *how)

    monkeypatch.setattr(Path, "read_text", counted)
    world.reports(Gpu(A))
    for _ in range(4):
        await world.look()
    assert reads == [FILE]


# who computes


async def test_what_computed_lately_is_busy(world: World) -> None:
    world.reports(used(ADA, busy=50))
    await world.look()
    assert world.watch.is_busy(ADA)
    assert not world.watch.is_busy(BOB)
    for _ in range(5):  # reports go on, and it computes no more
        world.clock.now += 5
        world.reports(used(ADA))
        await world.look()
    assert world.watch.is_busy(ADA)
    world.clock.now += WINDOW_SECONDS - 25 + 1
    world.reports(used(ADA))
    await world.look()
    assert not world.watch.is_busy(ADA)


async def test_a_program_that_came_and_went_between_two_looks_at_servers_counts(
    world: World,
) -> None:
    world.reports(used(ADA, busy=50))
    await world.look()
    world.clock.now += 5
    world.reports(Gpu(A, busy_percent=0))
    await world.look()
    assert world.watch.is_busy(ADA)


@pytest.mark.parametrize(("busy", "stays"), [(50, True), (0, False)])
async def test_unknown_is_not_idle(world: World, busy: int, stays: bool) -> None:
    world.reports(used(ADA, busy=busy))
    await world.look()
    world.clock.now += 86_400  # the monitor hangs
    await world.look()
    assert world.watch.is_busy(ADA) is stays


async def test_a_file_of_somebody_else_ends_nothing(world: World) -> None:
    world.watch.begin()
    (world.folder / FILE).mkdir()
    await world.look()
    assert "cannot be read" in world.desk.sight.trouble
    os.rmdir(world.folder / FILE)  # noqa: PTH106
    world.reports(Gpu(A))
    assert (await world.look()).seen == (Seen(A),)
    await world.watch.close()


# who else has what


GIVEN = {"DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["0"], "Capabilities": [["gpu"]]}]}


async def test_what_a_foreign_container_was_given_and_does_not_use_is_its_own(world: World) -> None:
    world.engine.running, world.engine.host_config = [ADA, BOB, FOREIGN], GIVEN
    world.reports(Gpu(A), Gpu("GPU-bbbb"))
    for _ in range(3):
        assert (await world.look()).claimed == {A}
        world.clock.now += AROUND_SECONDS
    assert (world.engine.asked, world.engine.listings) == ([FOREIGN], 3)
    assert world.desk.room.due.is_set()
    world.engine.running = []
    world.desk.room.due.clear()
    assert (await world.look()).claimed == set()
    assert world.desk.room.due.is_set()


async def test_while_the_engine_does_not_answer_what_others_have_stays(world: World) -> None:
    world.engine.running, world.engine.host_config = [FOREIGN], GIVEN
    world.reports(Gpu(A))
    await world.look()
    world.clock.now += AROUND_SECONDS
    world.engine.running, world.engine.error = [], UnavailableError("no answer")
    assert (await world.look()).claimed == {A}


async def test_before_the_engine_answered_everything_may_be_somebodys(world: World) -> None:
    world.engine.error = UnavailableError("no answer")
    world.reports(Gpu(A))
    world.watch.begin()
    assert world.desk.sight.is_claimed(A)
    await world.settle()
    assert (await world.look()).is_claimed(A)
    world.engine.error = None
    assert not (await world.look()).is_claimed(A)
    await world.watch.close()


async def test_one_that_the_engine_does_not_describe_is_asked_about_again(world: World) -> None:
    world.engine.running, world.engine.host_config = [FOREIGN], GIVEN
    original, world.engine.container = world.engine.container, refuse  # type: ignore[method-assign]
    world.reports(Gpu(A))
    assert (await world.look()).claimed == set()
    world.engine.container = original  # type: ignore[method-assign]
    world.clock.now += AROUND_SECONDS
    assert (await world.look()).claimed == {A}


async def refuse(identifier: str) -> Container:
    raise UnavailableError(identifier)


async def test_without_a_gpu_nobody_looks_around(world: World) -> None:
    world.watch = GpuWatch(world.desk, world.clock, has_gpus=lambda: False)
    for _ in range(3):
        await world.look()
        world.clock.now += AROUND_SECONDS
    assert world.engine.listings == 0
