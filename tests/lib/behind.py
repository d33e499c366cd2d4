"""Engines behind a fault proxy, for tests of the boundary itself, without a hub.

Fixtures: `proxy` stands before `fake_engine`; `make` makes engines that speak through it, and the
containers ada and bob run meanwhile.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from spawner.engine import Engine, Event
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Fault, Kind

ADA, BOB = {"labhub.user": "ada"}, {"labhub.user": "bob"}
SHORT = 0.1  # patience: a second for an inspect, six of silence
PATIENT_SECONDS = 20
Make = Callable[..., Engine]


@pytest.fixture(scope="module")
def proxy(fake_engine: FakeEngine) -> Iterator[FaultProxy]:
    """Lie between the engines of a module and the fake one."""
    with FaultProxy(fake_engine.socket) as running:
        yield running


@pytest.fixture
def make(
    proxy: FaultProxy, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Make]:
    """Make engines of some patience, which are closed in the end."""
    made: list[Engine] = []
    monkeypatch.setenv("DOCKER_HOST", proxy.url)

    def engine(patience: float = 1.0) -> Engine:
        made.append(Engine(patience))
        return made[-1]

    asyncio.run(_begin(engine()))
    fake_engine.calls.clear()
    yield engine
    proxy.clear()
    fake_engine.clear_faults()
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    asyncio.run(_end(engine()))
    for each in made:
        each.close()
    for name in fake_engine.life.registry:
        fake_engine.life.images.pop(name, None)
    fake_engine.life.registry.clear()


async def _begin(engine: Engine) -> None:
    for labels in (ADA, BOB):
        name = labels["labhub.user"]
        await engine.start(await engine.create(name, {"Image": TENSORFLOW, "Labels": labels}))


async def _end(engine: Engine) -> None:
    for each in await engine.listed({}):
        await engine.remove(each.id)


async def until(true: Callable[[], object]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(PATIENT_SECONDS):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def hang(proxy: FaultProxy, method: str, path: str) -> Fault:
    """Let these calls hang until the fault is cleared."""
    return proxy.add(Fault(Kind.HANG, method, path))


def outcomes(call: str) -> dict[str, float]:
    """Return how often a call ended how, so far."""
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    return {
        sample.labels["outcome"]: sample.value
        for sample in samples
        if sample.name == "labhub_engine_calls_total" and sample.labels["call"] == call
    }


def value(name: str, **labels: str) -> float:
    """Return what a metric says now; it must exist."""
    found = REGISTRY.get_sample_value(name, labels)
    assert found is not None
    return found


def engine_threads() -> set[threading.Thread]:
    """Return the threads that engines have now."""
    return {each for each in threading.enumerate() if each.name.startswith("engine-")}


@contextlib.asynccontextmanager
async def listening(
    engine: Engine, labels: dict[str, str], since_ns: int | None = None
) -> AsyncIterator[tuple[list[Event], "asyncio.Task[None]"]]:
    """Collect events; the task ends when the stream does."""
    heard: list[Event] = []
    before = outcomes("events")["ok"]

    async def listen() -> None:
        async for event in engine.events(labels, since_ns):
            heard.append(event)  # noqa: PERF401

    task = asyncio.create_task(listen())
    await until(lambda: task.done() or outcomes("events")["ok"] > before)
    try:
        yield heard, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
