"""No call waits for another's trouble, and none outlives its deadline."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from spawner import checkpoint
from spawner.engine import Engine
from spawner.engine_calls import CALLS, INSPECT, PULL, STOP
from spawner.engine_errors import UnavailableError
from spawner.images import Images
from spawner.wire import Limit
from tests.lib.behind import (
    ADA,
    BOB,
    PATIENT_SECONDS,
    SHORT,
    Make,
    engine_threads,
    hang,
    listening,
    until,
)
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fake_state import Offer
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Fault, Kind

ROOT = Path(__file__).parents[2]
LOOK = {"labhub.instance": "lanes", "labhub.role": "look"}


async def unhindered(engine: Engine) -> None:
    """Inspect, list, look into an image and start, in less time than any trouble lasts."""
    images = Images(engine, LOOK)
    async with asyncio.timeout(5):
        assert not (await engine.container("bob")).ended
        assert [each.name for each in await engine.listed(BOB)] == ["bob"]
        await images.contents(await images.look(TENSORFLOW), "/")
        made = await engine.create("eve", {"Image": TENSORFLOW})
        await engine.start(made)


async def test_twice_as_many_hung_stops_as_there_are_threads_delay_nobody(
    make: Make, proxy: FaultProxy
) -> None:
    engine, fault = make(), hang(proxy, "POST", "/ada/stop$")
    stops = [asyncio.create_task(engine.stop("ada", 0)) for _ in range(2 * STOP.threads)]
    await until(lambda: fault.hits == STOP.threads)
    await unhindered(engine)
    assert not any(stop.done() for stop in stops)
    proxy.clear(fault)
    await asyncio.gather(*stops, return_exceptions=True)


async def test_hung_pulls_delay_nobody(make: Make, proxy: FaultProxy) -> None:
    engine, fault = make(), hang(proxy, "POST", "/images/create$")
    pulls = [asyncio.create_task(engine.pull("a/b:1")) for _ in range(2 * PULL.threads)]
    await until(lambda: fault.hits == PULL.threads)
    await unhindered(engine)
    await engine.stop("bob", 0)
    assert not any(pull.done() for pull in pulls)
    proxy.clear(fault)
    await asyncio.gather(*pulls, return_exceptions=True)


async def test_hung_starts_and_inspects_delay_no_stop(make: Make, proxy: FaultProxy) -> None:
    engine = make()
    faults = [hang(proxy, "POST", "/start$"), hang(proxy, "GET", "/json$")]
    calls: list[Coroutine[Any, Any, Any]] = []
    for _ in range(20):
        calls += [engine.start("ada"), engine.container("ada")]
    tasks = [asyncio.create_task(call) for call in calls]
    await until(lambda: faults[0].hits and faults[1].hits == INSPECT.threads)
    async with asyncio.timeout(5):
        await engine.stop("bob", 0)
    proxy.clear()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_call_runs_on_the_loop_or_keeps_it_waiting(
    make: Make,
    proxy: FaultProxy,
    fake_engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, names = make(), set()
    monkeypatch.setattr(
        checkpoint, "hook", lambda point: names.add((point, threading.current_thread().name))
    )
    fake_engine.life.registry["a/b:1"] = Offer()
    hang(proxy, "GET", "/bob/")
    hung = [asyncio.create_task(engine.container("bob")) for _ in range(10)]
    probe = asyncio.create_task(longest_wait(0.5))
    listener = asyncio.create_task(anext(aiter(engine.events(ADA))))
    await until(lambda: ("events:after", "engine-events") in names)
    await engine.volume("vol", "/srv/vol", {})
    made = await engine.create("eve", {"Image": TENSORFLOW, "Labels": ADA})
    await engine.start(made)
    await asyncio.gather(
        engine.log_tail(made, 1), engine.has_path(made, "/x"), engine.file(made, "/etc/passwd"),
        engine.image(TENSORFLOW), engine.listed({}), engine.container(made), engine.pull("a/b:1"),
        engine.discovered(), engine.past(),
    )  # fmt: skip
    await engine.update(made, {"PidsLimit": 64})
    await engine.stop(made, 0)
    await engine.remove(made)
    assert (await listener).action == "create"
    assert await probe < 0.4
    proxy.clear()
    await asyncio.gather(*hung)
    finished = {point.partition(":")[0] for point, _ in names if point.endswith(":after")}
    assert finished == set(CALLS) - {"has_path"}  # the path was not there
    for point, name in names:
        assert name.startswith(f"engine-{CALLS[point.partition(':')[0]].lane.name}")


async def longest_wait(seconds: float) -> float:
    """Return by how much the loop was late, at most, during these seconds."""
    worst, end = 0.0, time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        await asyncio.sleep(0.01)
        worst = max(worst, time.monotonic() - before - 0.01)
    return worst


async def test_every_call_is_what_the_table_says(make: Make, fake_engine: FakeEngine) -> None:
    engine = make()
    fake_engine.life.registry["a/b:1"] = Offer()
    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "container": lambda: engine.container("ada"),
        "listed": lambda: engine.listed({}),
        "image": lambda: engine.image(TENSORFLOW),
        "discovered": engine.discovered,
        "past": engine.past,
        "log_tail": lambda: engine.log_tail("ada", 1),
        "has_path": lambda: engine.has_path("ada", "/x"),
        "file": lambda: engine.file("ada", "/etc/passwd"),
        "volume": lambda: engine.volume("vol", "/srv/vol", {}),
        "create": lambda: engine.create("eve", {"Image": TENSORFLOW}),
        "start": lambda: engine.start("eve"),
        "update": lambda: engine.update("eve", {"PidsLimit": 64}),
        "stop": lambda: engine.stop("eve", 0),
        "remove": lambda: engine.remove("eve"),
        "pull": lambda: engine.pull("a/b:1"),
        "events": lambda: anext(aiter(engine.events({}, 1))),
    }
    assert set(calls) == set(CALLS)
    await engine.listed({})
    first = [(seen.method, seen.path) for seen in fake_engine.calls]
    assert first == [("GET", "/version"), ("GET", "/containers/json")]
    for name, call in calls.items():
        fake_engine.calls.clear()
        await call()
        [seen] = fake_engine.calls
        assert CALLS[name].takes(seen.method, f"/v1.41{seen.path}"), (name, seen)


# deadlines


async def test_a_call_without_an_answer_ends_in_time_also_when_it_has_to_queue(
    make: Make, proxy: FaultProxy
) -> None:
    engine, fault = make(0.2), hang(proxy, "GET", "/ada/json$")
    began = time.monotonic()
    errors = await asyncio.gather(
        *(engine.container("ada") for _ in range(4 * INSPECT.threads)), return_exceptions=True
    )
    assert time.monotonic() - began < 3 * 0.2 * INSPECT.seconds  # in turn it would be four
    assert {type(error) for error in errors} == {UnavailableError}
    assert {str(error) for error in errors} == {"no answer within 2 seconds"}
    assert fault.hits >= INSPECT.threads


async def test_calls_that_outlived_their_deadline_hold_no_thread(
    make: Make, proxy: FaultProxy
) -> None:
    engine = make(SHORT)
    for kind in (Kind.HANG, Kind.DRIP):
        fault = proxy.add(Fault(kind, "GET", "/ada/json$", seconds=0.1))
        errors = await asyncio.gather(
            *(engine.container("ada") for _ in range(2 * INSPECT.threads)), return_exceptions=True
        )
        assert {type(error) for error in errors} == {UnavailableError}
        assert (await engine.container("bob")).name == "bob"
        assert fault.hits >= INSPECT.threads
        proxy.clear(fault)


async def test_a_slow_answer_in_time_is_an_answer(make: Make, proxy: FaultProxy) -> None:
    engine = make()
    proxy.add(Fault(Kind.SLOW, "GET", "/ada/json$", seconds=0.5))
    proxy.add(Fault(Kind.DRIP, "GET", "/bob/json$", seconds=0.001))
    assert (await engine.container("ada")).name == "ada"
    assert (await engine.container("bob")).name == "bob"


async def test_a_call_given_up_in_the_queue_is_never_made(
    make: Make, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    engine, fault = make(), hang(proxy, "POST", "/ada/stop$")
    stops = [asyncio.create_task(engine.stop("ada", 0)) for _ in range(STOP.threads)]
    await until(lambda: fault.hits == STOP.threads)
    queued = asyncio.create_task(engine.remove("bob"))
    await asyncio.sleep(0.1)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    proxy.clear(fault)
    await asyncio.gather(*stops, return_exceptions=True)
    await engine.stop("ada", 0)
    assert fake_engine.calls_to("DELETE", "bob") == []


async def test_a_deadline_in_the_queue_is_no_call_either(make: Make) -> None:
    engine, release, made = make(SHORT), threading.Event(), []

    def stubborn(_limit: Limit) -> None:
        release.wait(PATIENT_SECONDS)

    run = engine._lanes.run
    errors = await asyncio.gather(
        *(run("remove", stubborn) for _ in range(STOP.threads)),
        run("remove", lambda _limit: made.append(1)),
        return_exceptions=True,
    )
    assert {type(error) for error in errors} == {UnavailableError}
    release.set()
    await engine.stop("ada", 0)
    assert made == []


# the end


async def test_closing_the_engine_ends_every_call_and_every_thread(
    make: Make, proxy: FaultProxy
) -> None:
    before, engine = engine_threads(), make()
    faults = [hang(proxy, "POST", ""), hang(proxy, "GET", "/ada/json$")]
    async with listening(engine, ADA) as (_, stream):
        calls = [engine.stop("ada", 0), engine.start("ada"), engine.pull("a/b:1")]
        calls += [engine.container("ada") for _ in range(2 * INSPECT.threads)]
        tasks = [asyncio.create_task(call) for call in calls]
        await until(lambda: sum(fault.hits for fault in faults) == 3 + INSPECT.threads)
        engine.close()
        async with asyncio.timeout(PATIENT_SECONDS):
            await stream
            errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(error) for error in errors} == {UnavailableError}
    with pytest.raises(UnavailableError, match="closing"):
        await engine.container("bob")
    await until(lambda: engine_threads() <= before)


SCRIPT = """
import asyncio
from spawner.engine import Engine

async def main():
    engine = Engine()
    tasks = [asyncio.create_task(engine.pull("a/b:1")), asyncio.create_task(listen(engine))]
    await asyncio.wait(tasks, timeout=0.5)
    engine.close()

async def listen(engine):
    async for _ in engine.events({}):
        pass

asyncio.run(main())
"""


def test_the_process_can_exit_in_the_middle_of_a_pull(make: Make, proxy: FaultProxy) -> None:
    fault = hang(proxy, "POST", "/images/create$")
    subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, check=True, timeout=PATIENT_SECONDS,
        env={"DOCKER_HOST": proxy.url, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert fault.hits == 1
