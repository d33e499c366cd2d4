"""The event stream tells at once, resumes where it ended, and ends when it breaks."""

import asyncio
import time

import pytest

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


async def test_the_stream_tells_of_its_labels_at_once(make: Make, fake_engine: FakeEngine) -> None:
    engine = make()
    lag = value("labhub_event_lag_seconds_count")
    async with listening(engine, ADA) as (heard, _):
        await engine.stop("bob", 0)
        await asyncio.to_thread(fake_engine.die, "ada", 137, oom=True)
        await engine.remove("ada")
        await until(lambda: len(heard) == 3)
    assert [event.action for event in heard] == ["oom", "die", "destroy"]
    assert heard[1].exit_code == 137
    assert {event.labels["labhub.user"] for event in heard} == {"ada"}
    assert value("labhub_event_lag_seconds_count") == lag + 3


async def test_the_stream_resumes_where_it_ended(make: Make) -> None:
    engine = make()
    async with listening(engine, ADA) as (heard, _):
        await engine.stop("ada", 0)
        await until(lambda: heard)
    lag = value("labhub_event_lag_seconds_count")
    await engine.start("ada")
    await engine.remove("ada")
    async with listening(engine, ADA, heard[-1].time_ns) as (again, _):
        await until(lambda: len(again) == 4)
    assert again[0] == heard[-1]
    assert [event.action for event in again] == ["die", "start", "die", "destroy"]
    assert value("labhub_event_lag_seconds_count") == lag, "what came late by design is no lag"


async def test_a_silent_stream_ends(make: Make) -> None:
    began = time.monotonic()
    async with listening(make(SHORT), ADA) as (heard, task):
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
        for _ in range(2):
            await engine.stop("ada", 0)
            await engine.start("ada")
        await until(lambda: len(heard) == 1)
    assert fault.hits == 3
    assert heard[0].action == "start"
    assert len([each for each in caplog.records if "no words" in each.message]) == 1


async def test_closing_the_iterator_ends_its_thread(make: Make) -> None:
    before, stream = engine_threads(), make().events(ADA, 1)
    await anext(aiter(stream))
    assert [each.name for each in engine_threads() - before] == ["engine-events"]
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: engine_threads() <= before)
