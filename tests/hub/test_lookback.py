"""What a hub learns of the time before it: whether the engine ran on, and how containers ended."""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spawner.engine_errors import UnavailableError
from spawner.events import REMEMBERED, Event, Past, past
from spawner.lookback import FILE, Lookback
from spawner.sightings import Sightings

LABELS = {"labhub.instance": "lab"}
BEFORE = datetime.now(UTC) - timedelta(minutes=10)
BETWEEN = BEFORE + timedelta(minutes=5)
BETWEEN_NS = int(BETWEEN.timestamp()) * 10**9


class Remembers:
    """An engine that remembers this, or does not answer."""

    def __init__(self, *events: Event, is_whole: bool = True) -> None:
        """Answer; nobody has asked yet."""
        self.answer: Past | UnavailableError = Past(events, is_whole)
        self.asked = 0

    async def past(self) -> Past:
        self.asked += 1
        if isinstance(self.answer, UnavailableError):
            raise self.answer
        return self.answer


def event(action: str, at_ns: int = BETWEEN_NS, labels: Mapping[str, str] = LABELS) -> Event:
    return Event(action, "c1", labels, at_ns)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten minutes ago, a hub had an answer."""
    path = tmp_path / FILE
    path.touch()
    os.utime(path, (BEFORE.timestamp(), BEFORE.timestamp()))
    return path


def kept(file: Path) -> float:
    return file.stat().st_mtime


def looking(engine: Remembers, path: Path) -> tuple[Lookback, Sightings]:
    sightings = Sightings()
    return Lookback(engine, sightings, LABELS, path), sightings  # type: ignore[arg-type]


async def test_what_an_engine_without_a_memory_of_it_ran_ended_with_the_engine(file: Path) -> None:
    lookback, sightings = looking(Remembers(), file)
    assert await lookback.once()
    assert sightings.ended_with_engine("c1", BETWEEN)
    assert not sightings.ended_with_engine("c1", BEFORE - timedelta(seconds=1))
    assert not sightings.ended_with_engine("c1", datetime.now(UTC) + timedelta(seconds=1))


async def test_what_the_engine_remembers_ended_without_it(file: Path) -> None:
    lookback, sightings = looking(Remembers(event("kill"), event("die")), file)
    await lookback.once()
    assert not sightings.ended_with_engine("c1", BETWEEN)
    assert sightings.of("c1").signalled
    assert sightings.ended_with_engine("c2", BETWEEN)


@pytest.mark.parametrize(
    "strange",
    [event("kill", labels={"labhub.instance": "another"}), event("kill", at_ns=1)],
    ids=["of others", "known to the hub of then"],
)
async def test_only_what_no_hub_heard_counts(file: Path, strange: Event) -> None:
    lookback, sightings = looking(Remembers(strange), file)
    await lookback.once()
    assert not sightings.of("c1").signalled


async def test_an_engine_that_forgot_something_may_have_run_on(file: Path) -> None:
    lookback, sightings = looking(Remembers(is_whole=False), file)
    await lookback.once()
    assert not sightings.ended_with_engine("c1", BETWEEN)


async def test_an_engine_that_does_not_tell_is_asked_again_and_nothing_is_lost_meanwhile(
    file: Path,
) -> None:
    engine = Remembers()
    answer, engine.answer = engine.answer, UnavailableError("away")
    lookback, sightings = looking(engine, file)
    await lookback.answered()
    assert kept(file) == pytest.approx(BEFORE.timestamp())
    assert not sightings.ended_with_engine("c1", BETWEEN)
    engine.answer = answer
    for _ in range(2):
        await lookback.answered()
    assert sightings.ended_with_engine("c1", BETWEEN)
    assert kept(file) == pytest.approx(time.time(), abs=5)
    assert engine.asked == 2


async def test_the_first_hub_of_all_asks_nothing(tmp_path: Path) -> None:
    engine = Remembers()
    lookback, sightings = looking(engine, tmp_path / FILE)
    await lookback.answered()
    assert (tmp_path / FILE).exists()
    assert not sightings.ended_with_engine("c1", BETWEEN)
    assert engine.asked == 0


async def test_a_place_that_keeps_nothing_keeps_nobody_from_going_on(tmp_path: Path) -> None:
    lookback, _ = looking(Remembers(), tmp_path / "missing" / FILE)
    await lookback.answered()


@pytest.mark.parametrize(("others", "is_whole"), [(REMEMBERED - 2, True), (REMEMBERED - 1, False)])
def test_a_memory_that_is_full_is_not_whole(others: int, is_whole: bool) -> None:
    line = {"Type": "container", "Action": "die", "Actor": {"ID": "c1"}, "timeNano": 5}
    network = json.dumps({"Type": "network"}).encode()
    lines = [b"", json.dumps(line).encode(), *[network] * others]
    assert past(lines) == Past((Event("die", "c1", {}, 5),), is_whole)


def test_half_a_memory_is_none() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        past([b"", b'{"Type'])
