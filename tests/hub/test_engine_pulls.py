"""A pull tells how far it is, and ends when the engine falls silent."""

import pytest

from spawner.engine_errors import EngineError, RegistryError, UnavailableError, UnknownError
from tests.lib.behind import SHORT, Make, value
from tests.lib.fake_engine import FakeEngine
from tests.lib.fake_state import Offer
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Fault, Kind


async def test_a_pull_tells_how_far_it_is(make: Make, fake_engine: FakeEngine) -> None:
    engine, told = make(), []
    fake_engine.life.registry["a/b:1"] = Offer(layers=3)
    await engine.pull("a/b:1", told.append)
    expected = ["0 of 1", "0 of 2", "0 of 3", "1 of 3", "2 of 3", "3 of 3"]
    assert told == [f"{text} layers" for text in expected]
    assert (await engine.image("a/b:1")).id


async def test_an_error_in_the_middle_of_a_pull(make: Make, fake_engine: FakeEngine) -> None:
    engine = make()
    fake_engine.life.registry["a/b:1"] = Offer(error="unexpected EOF")
    with pytest.raises(RegistryError, match="unexpected EOF"):
        await engine.pull("a/b:1")
    assert value("labhub_engine_up") == 1
    with pytest.raises(EngineError):
        await engine.image("a/b:1")


@pytest.mark.parametrize("kind", [Kind.HANG, Kind.DRIP])
async def test_a_pull_that_falls_silent_is_given_up(
    make: Make, proxy: FaultProxy, fake_engine: FakeEngine, kind: Kind
) -> None:
    engine = make(SHORT / 4)
    fake_engine.life.registry["a/b:1"] = Offer()
    proxy.add(Fault(kind, "POST", "/images/create$", seconds=0.3))
    with pytest.raises(UnavailableError, match=r"no word for 1\.5 seconds"):
        await engine.pull("a/b:1")


async def test_a_pull_that_goes_on_is_not_silent(make: Make, fake_engine: FakeEngine) -> None:
    engine = make(SHORT / 4)
    fake_engine.life.registry["a/b:1"] = Offer(layers=2, pause_seconds=0.4)  # 3 s in all
    await engine.pull("a/b:1")


async def test_a_pull_cut_off_is_unknown(
    make: Make, proxy: FaultProxy, fake_engine: FakeEngine
) -> None:
    engine = make()
    fake_engine.life.registry["a/b:1"] = Offer()
    proxy.add(Fault(Kind.TRUNCATED, "POST", "/images/create$"))
    with pytest.raises(UnknownError):
        await engine.pull("a/b:1")
