"""The event stream tells at once, resumes where it ended, and ends when it breaks."""

import asyncio
import time

import pytest

from spawner.engine import Event
from spawner.engine_errors import UnknownError
from tests.lib.behind import (
    ADA,
    PATIENT_SECONDS,
    SHORT,
    Make,
    engine_threads,
    listening,
    until,
    value,
)
from tests.lib.fake_engine import FakeEngine
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Fault, Kind


def actions(events: list[Event]) -> list[str]:
    return [event.action for event in events]


async def test_the_stream_tells_of_its_labels_at_once(make: Make, fake_engine: FakeEngine) -> None:
    engine = make()
    lag = value("labhub_event_lag_seconds_count")
    async with listening(engine, ADA) as (heard, _):
        await engine.stop("bob", 0)
        await asyncio.to_thread(fake_engine.die, "ada", 137, oom=True)
        await engine.remove("ada")
        await until(lambda: len(heard) == 3)
    assert actions(heard) == ["oom", "die", "destroy"]
    assert heard[1].exit_code == 137
    assert {event.labels["labhub.user"] for event in heard} == {"ada"}
    assert value("labhub_event_lag_seconds_count") == lag + 3


async def test_the_stream_resumes_where_it_ended(make: Make) -> None:
    engine = make()
    async with listening(engine, ADA) as (heard, _):
        await engine.stop("ada", 0)
        await until(lambda: "die" in actions(heard))
    lag = value("labhub_event_lag_seconds_count")
    [death] = [event for event in heard if event.action == "die"]
    await engine.start("ada")
    await engine.remove("ada")
    async with listening(engine, ADA, death.time_ns) as (again, _):
        await until(lambda: "destroy" in actions(again))
    assert again[0] == death
    main = [action for action in actions(again) if action in {"die", "start", "destroy"}]
    assert main == ["die", "start", "die", "destroy"]
    assert value("labhub_event_lag_seconds_count") == lag, "what came late by design is no lag"


async def test_a_silent_stream_ends(make: Make) -> None:
    began = time.monotonic()
    async with listening(make(SHORT / 2), ADA) as (heard, task):
        async with asyncio.timeout(PATIENT_SECONDS):
            await task
    assert time.monotonic() - began > 2.5
    assert heard == []


@pytest.mark.parametrize("kind", [Kind.CUT, Kind.CUT_LINE])
async def test_a_stream_that_breaks_ends(make: Make, proxy: FaultProxy, kind: Kind) -> None:
    engine = make()
    async with listening(engine, ADA) as (heard, task):
        proxy.add(Fault(kind, "GET", "/events$"))
        await engine.stop("ada", 0)
        async with asyncio.timeout(PATIENT_SECONDS):
            await task
    assert heard == []


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.GONE_ONCE, Kind.REFUSE, Kind.HANG])
async def test_a_stream_that_cannot_begin_says_so(
    make: Make, proxy: FaultProxy, kind: Kind
) -> None:
    proxy.add(Fault(kind, "GET", "/events$"))
    with pytest.raises(UnknownError):
        await anext(aiter(make(SHORT).events(ADA)))


async def test_lines_in_no_words_we_know_are_skipped_and_logged_once(
    make: Make, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make()
    fault = proxy.add(Fault(Kind.GARBLE, "GET", "/events$", times=3))
    async with listening(engine, ADA) as (heard, _):
        for _ in range(3):
            await engine.stop("ada", 0)
            await engine.start("ada")
        await engine.remove("ada")
        await until(lambda: "destroy" in actions(heard))
    assert fault.hits == 3
    assert len([each for each in caplog.records if "no words" in each.message]) == 1


async def test_closing_the_iterator_ends_its_thread(make: Make) -> None:
    before, stream = engine_threads(), make().events(ADA, 1)
    await anext(aiter(stream))
    assert [each.name for each in engine_threads() - before] == ["engine-events"]
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: engine_threads() <= before)
