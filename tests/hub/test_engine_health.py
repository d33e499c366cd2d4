"""What is concluded from an engine that is away, hangs, or answers nonsense, and who is told."""

import asyncio
import dataclasses
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spawner.desk import Desk
from spawner.engine_errors import UnknownError
from spawner.runs import Holder
from spawner.watch import Watch
from tests.lib.behind import ADA, SHORT, Make, until, value
from tests.lib.fake_engine import FakeEngine
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Fault, Kind
from tests.lib.model_hub import LAB

# What the log says once, by what the engine does to every call.
TOLD = {
    Kind.REFUSE: "Docker does not answer",
    Kind.HANG: "Docker does not answer",
    Kind.ERROR: "Docker answers, but nothing of use",
    Kind.TRUNCATED: "Docker answers, but nothing of use",
}
EVENTS = "/events$"

every_trouble = pytest.mark.parametrize("kind", TOLD)


class Quiet:
    """A hub without servers, which notes what it is told to ask after."""

    def __init__(self) -> None:
        """Note nothing yet."""
        self.notified: list[tuple[Holder, str]] = []

    def active(self) -> dict[Holder, str]:
        return {}

    def busy(self) -> set[Holder]:
        return set()

    async def notify(self, holder: Holder, container: str = "") -> None:
        self.notified.append((holder, container))


@pytest.fixture
def desk(make: Make, tmp_path: Path) -> Iterator[Desk]:
    """What a hub of little patience has, behind the proxy."""
    lab = dataclasses.replace(LAB, state_dir=tmp_path, engine_patience=SHORT)
    make()  # speaks through the proxy from here on
    made = Desk(lab)
    yield made
    made.engine.close()
    made.store.close()


async def watching(desk: Desk, hub: Quiet | None = None) -> Watch:
    """Let the watch begin, and have its first rounds behind it."""
    watch = Watch(desk, hub or Quiet())
    begun = value("labhub_engine_calls_total", lane="events", call="events", outcome="ok")
    watch.begin()
    await until(
        lambda: (
            value("labhub_engine_calls_total", lane="events", call="events", outcome="ok") > begun
        )
    )
    await asyncio.sleep(0.3)
    return watch


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says of the engine, without the engine's own words."""
    return [each.message.partition(":")[0] for each in caplog.records]


@every_trouble
async def test_trouble_is_told_at_once_once_and_so_is_its_end(
    desk: Desk, proxy: FaultProxy, caplog: pytest.LogCaptureFixture, kind: Kind
) -> None:
    caplog.set_level(logging.INFO, logger="spawner.engine")
    watch = await watching(desk)
    fault = proxy.add(Fault(kind))
    for _ in range(3):
        with pytest.raises(UnknownError):
            await desk.engine.container("ada")
    async with asyncio.timeout(5):  # and not in half a minute, with the next round
        await until(lambda: desk.trouble)
    assert value("labhub_engine_up") == 0
    await asyncio.sleep(1.5)  # some rounds
    assert desk.trouble
    proxy.clear(fault)
    async with asyncio.timeout(10):
        await until(lambda: not desk.trouble)
    assert value("labhub_engine_up") == 1
    assert told(caplog) == [TOLD[kind], "Docker answers again"]
    await watch.close()


async def test_what_is_wrong_with_one_container_is_no_trouble_of_the_engine(
    desk: Desk, proxy: FaultProxy, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="spawner.engine")
    watch = await watching(desk)
    proxy.add(Fault(Kind.ERROR, "GET", "/ada/json$"))
    fake_engine.calls.clear()
    for _ in range(5):
        with pytest.raises(UnknownError):
            await desk.engine.container("ada")
        await desk.engine.listed(ADA)
        await asyncio.sleep(0.1)
        assert (desk.trouble, value("labhub_engine_up")) == ("", 1)
    # Each round asks once for the GPUs: the first such answer was a reason for one, no other was.
    assert len(fake_engine.calls_to("GET", "/info")) == 1
    assert told(caplog) == []
    await watch.close()


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.TRUNCATED])
async def test_an_engine_that_answers_nonsense_is_not_away(
    desk: Desk, proxy: FaultProxy, kind: Kind
) -> None:
    watch = await watching(desk)
    proxy.add(Fault(kind, "GET", "/containers/json$"))
    desk.round_due.set()
    await until(lambda: desk.trouble)
    assert not desk.sightings.away_at(datetime.now(UTC))
    await watch.close()


@pytest.mark.parametrize(("kind", "away"), [(Kind.ERROR, False), (Kind.REFUSE, True)])
async def test_only_an_engine_that_nobody_reaches_is_away(
    desk: Desk, proxy: FaultProxy, fake_engine: FakeEngine, kind: Kind, away: bool
) -> None:
    watch = await watching(desk)
    proxy.add(Fault(Kind.CUT, "GET", EVENTS, times=1))
    fault = proxy.add(Fault(kind, path=EVENTS if kind is Kind.ERROR else ""))
    await asyncio.to_thread(fake_engine.tell, "exec_start", "ada")
    await until(lambda: fault.hits > 2)
    assert desk.trouble
    assert desk.sightings.away_at(datetime.now(UTC)) == away
    await watch.close()
