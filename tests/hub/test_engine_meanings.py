"""What an engine's answers mean, which questions are asked again, and what is told of it."""

import asyncio
import logging
import re
from contextlib import suppress

import pytest

from spawner.engine_errors import (
    EngineError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UnknownError,
)
from spawner.lanes import QUICK_SECONDS
from tests.lib.behind import ADA, SHORT, Make, hang, outcomes, value
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fake_engine import Fault as EngineFault
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import CALL_KINDS, Fault, Kind


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.HALF_JSON])
@pytest.mark.parametrize("path", ["/ada/json$", "/containers/json$", "/images/.*/json$"])
async def test_half_an_answer_is_unknown(
    make: Make, proxy: FaultProxy, kind: Kind, path: str
) -> None:
    engine = make()
    fault = proxy.add(Fault(kind, "GET", path))
    asked = {
        "/ada/json$": engine.container("ada"),
        "/containers/json$": engine.listed(ADA),
        "/images/.*/json$": engine.image(TENSORFLOW),
    }
    with pytest.raises(UnknownError) as caught:
        await asked.pop(path)
    for other in asked.values():
        await other
    assert type(caught.value) is UnknownError
    assert fault.hits == 3


async def test_half_an_archive_is_unknown(make: Make, proxy: FaultProxy) -> None:
    engine = make()
    proxy.add(Fault(Kind.TRUNCATED, "GET", "/archive$"))
    with pytest.raises(UnknownError):
        await engine.file("ada", "/etc/passwd")


async def test_404_of_the_object_is_gone_and_of_the_list_is_unknown(
    make: Make, fake_engine: FakeEngine
) -> None:
    engine = make()
    fake_engine.fail("GET", "/containers", status=404, times=10, message="No such container: x")
    with pytest.raises(NotFoundError):
        await engine.container("ada")
    with pytest.raises(UnknownError) as caught:
        await engine.listed(ADA)
    assert not isinstance(caught.value, NotFoundError)
    with pytest.raises(NotFoundError):  # that is not: no such path
        await engine.has_path("ada", "/x")


async def test_a_404_without_the_engines_words_is_unknown(
    make: Make, fake_engine: FakeEngine
) -> None:
    engine = make()
    fake_engine.fail("GET", "/ada/json", status=404, times=3, message="page not found")
    with pytest.raises(UnknownError) as caught:
        await engine.container("ada")
    assert not isinstance(caught.value, NotFoundError)


async def test_what_is_gone_needs_no_end(make: Make) -> None:
    engine = make()
    for _ in range(2):
        await engine.stop("ada", 0)
        await engine.remove("ada")
    assert await engine.listed(ADA) == []


async def test_the_list_shows_all_of_these_labels(make: Make) -> None:
    engine = make()
    await engine.stop("ada", 0)
    [ada] = await engine.listed(ADA)
    assert (ada.name, ada.state, ada.ended, ada.labels) == ("ada", "exited", True, ADA)
    assert {each.name for each in await engine.listed({})} == {"ada", "bob"}
    assert await engine.listed({**ADA, "labhub.server": "x"}) == []
    state = await engine.container("ada")
    assert state.started_at is not None
    assert state.finished_at is not None
    assert state.started_at <= state.finished_at
    assert (await engine.container("bob")).finished_at is None


# retries


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.REFUSE, Kind.LOST, Kind.TRUNCATED])
async def test_a_question_is_asked_three_times(make: Make, proxy: FaultProxy, kind: Kind) -> None:
    engine = make()
    fault = proxy.add(Fault(kind, "GET", "/ada/json$", times=2))
    assert (await engine.container("ada")).name == "ada"
    assert fault.hits == 2
    fault = proxy.add(Fault(kind, "GET", "/ada/json$"))
    with pytest.raises(UnknownError):
        await engine.container("ada")
    assert fault.hits == 3


@pytest.mark.parametrize("kind", [Kind.ERROR, Kind.REFUSE, Kind.LOST])
async def test_an_order_is_given_once(make: Make, proxy: FaultProxy, kind: Kind) -> None:
    engine = make()
    fault = proxy.add(Fault(kind, "*", "create|start|stop|/eve"))
    fault.where = lambda call: call.method in {"POST", "DELETE"}
    orders = [
        engine.create("eve", {"Image": TENSORFLOW}),
        engine.volume("vol", "/srv/vol", {}),
        engine.start("ada"),
        engine.stop("ada", 0),
        engine.remove("eve"),
        engine.pull("a/b:1"),
    ]
    for count, order in enumerate(orders, start=1):
        with pytest.raises(UnknownError):
            await order
        assert fault.hits == count


async def test_a_refusal_is_an_answer_and_not_asked_again(
    make: Make, fake_engine: FakeEngine
) -> None:
    engine = make()
    fake_engine.fail("GET", "/ada/json", status=400, message="bad parameter")
    with pytest.raises(RefusedError, match="bad parameter"):
        await engine.container("ada")
    assert len(fake_engine.calls_to("GET", "/ada/json")) == 1


async def test_a_question_without_an_answer_is_not_asked_again(
    make: Make, proxy: FaultProxy
) -> None:
    engine, fault = make(SHORT), hang(proxy, "GET", "/ada/json$")
    with pytest.raises(UnavailableError):
        await engine.container("ada")
    assert fault.hits == 1


async def test_a_question_that_failed_slowly_is_not_asked_again(
    make: Make, fake_engine: FakeEngine
) -> None:
    engine = make()
    slow = EngineFault("GET", re.compile("/ada/json"), 9, status=500, seconds=QUICK_SECONDS + 0.2)
    fake_engine.faults.append(slow)
    with pytest.raises(UnknownError):
        await engine.container("ada")
    assert len(fake_engine.calls_to("GET", "/ada/json")) == 1


async def test_another_engine_on_the_socket_is_asked_for_its_version(
    make: Make, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    await engine.container("ada")
    monkeypatch.setattr(fake_engine, "api_version", "1.40")
    assert (await engine.container("ada")).name == "ada"
    assert len(fake_engine.calls_to("GET", "/version")) == 2


@pytest.mark.parametrize("kind", sorted(CALL_KINDS))
async def test_the_question_for_the_version_may_fail_and_says_nothing_about_containers(
    make: Make, proxy: FaultProxy, kind: Kind
) -> None:
    engine = make(SHORT)
    fault = proxy.add(Fault(kind, "GET", "^/version$", seconds=0.05))
    with suppress(UnknownError):  # a NotFoundError would be taken for an end
        assert (await engine.container("ada")).name == "ada"
    assert fault.hits
    proxy.clear(fault)
    assert (await engine.container("ada")).name == "ada"


# what is told


def timed(outcome: str) -> float:
    """Return how many calls of the lane have ended so, and were timed."""
    return value("labhub_engine_call_duration_seconds_count", lane="inspect", outcome=outcome)


async def test_metrics_count_every_outcome(
    make: Make, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    engine, before = make(SHORT), outcomes("container")
    durations = {name: timed(name) for name in before}
    await engine.container("ada")
    for status in (404, 409, 400):
        fake_engine.fail("GET", "/ada/json", status=status, message="No such container: ada")
        with pytest.raises(EngineError):
            await engine.container("ada")
    proxy.add(Fault(Kind.HALF_JSON, "GET", "/ada/json$", times=3))
    with pytest.raises(UnknownError):
        await engine.container("ada")
    assert value("labhub_engine_up") == 1
    hang(proxy, "GET", "/ada/json$")
    with pytest.raises(UnavailableError):
        await engine.container("ada")
    assert value("labhub_engine_up") == 0
    assert outcomes("container") == {name: count + 1 for name, count in before.items()}
    assert len(before) == 6
    assert {name: timed(name) for name in before} == {
        name: count + 1 for name, count in durations.items()
    }


async def test_an_engine_that_is_away_is_logged_once_and_its_return_too(
    make: Make, fake_engine: FakeEngine, caplog: pytest.LogCaptureFixture,
    proxy: FaultProxy,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, logger="spawner.engine")
    engine = make()
    fault = proxy.add(Fault(Kind.REFUSE))
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await engine.container("ada")
        with pytest.raises(UnavailableError):
            await engine.remove("ada")
    assert (value("labhub_engine_up"), bool(engine.health.trouble)) == (0, True)
    proxy.clear(fault)
    for _ in range(3):
        await engine.container("ada")
    assert (value("labhub_engine_up"), engine.health.trouble) == (1, "")
    told = [(each.levelname, each.message.partition(":")[0]) for each in caplog.records]
    assert told == [("WARNING", "Docker does not answer"), ("INFO", "Docker answers again")]


async def test_one_hung_call_among_answers_is_no_engine_that_is_away(
    make: Make, proxy: FaultProxy
) -> None:
    engine = make(SHORT)
    hang(proxy, "GET", "/ada/json$")
    hung = asyncio.create_task(engine.container("ada"))
    await asyncio.sleep(0.1)
    await engine.container("bob")
    with pytest.raises(UnavailableError):
        await hung
    assert value("labhub_engine_up") == 1
    assert engine.health.trouble == ""


async def test_a_host_that_is_no_unix_socket_is_unavailable(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make()
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with pytest.raises(UnavailableError, match="not a unix socket"):
        await engine.container("ada")
