"""What is remembered of containers and of the engine until a receipt tells it."""

from datetime import UTC, datetime, timedelta

import pytest

from spawner.events import Event
from spawner.memory import Usage
from spawner.sightings import OUTAGE_MARGIN, OUTAGES_KEPT, Sighting, Sightings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, TICK = timedelta(minutes=1), timedelta(microseconds=1)


def event(action: str, container: str = "c1") -> Event:
    return Event(action, container, {}, 1)


@pytest.fixture
def sightings() -> Sightings:
    """A memory in which nothing is."""
    return Sightings()


# containers


def test_nothing_is_known_of_a_container_never_seen(sightings: Sightings) -> None:
    assert sightings.of("c1") == Sighting()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("action", "known"),
    [
        ("oom", Sighting(out_of_memory=True)),
        ("kill", Sighting(signalled=True)),
        ("die", Sighting()),
        ("destroy", Sighting()),
        ("start", Sighting()),
    ],
)
def test_an_event_told_twice_is_one(
    sightings: Sightings, action: str, known: Sighting, times: int
) -> None:
    for _ in range(times):
        sightings.note(event(action))
    assert sightings.of("c1") == known
    assert sightings.of("c2") == Sighting()


def test_the_order_of_events_does_not_matter(sightings: Sightings) -> None:
    for action in ("die", "kill", "oom"):
        sightings.note(event(action, "c1"))
    for action in ("oom", "kill", "die"):
        sightings.note(event(action, "c2"))
    assert sightings.of("c1") == sightings.of("c2") == Sighting(out_of_memory=True, signalled=True)


def test_a_signal_of_the_hub_is_nobody_else_s(sightings: Sightings) -> None:
    sightings.end_ours("c1")
    sightings.note(event("kill"))
    assert not sightings.of("c1").signalled


def test_a_signal_before_the_hub_s_own_stays_somebody_else_s(sightings: Sightings) -> None:
    sightings.note(event("kill"))
    sightings.end_ours("c1")
    assert sightings.of("c1").signalled


def test_memory_that_ran_out_while_the_hub_ends_it_is_remembered(sightings: Sightings) -> None:
    sightings.end_ours("c1")
    sightings.note(event("oom"))
    assert sightings.of("c1").out_of_memory


def test_a_measurement_tells_how_many_more_were_killed(sightings: Sightings) -> None:
    told = [sightings.measure("c1", Usage(1 << 20, kills)) for kills in (2, 2, 5)]
    assert told == [2, 0, 3]
    assert sightings.measure("c2", Usage(1 << 20, 1)) == 1
    assert sightings.of("c1").usage == Usage(1 << 20, 5)


def test_what_has_its_receipt_is_forgotten(sightings: Sightings) -> None:
    sightings.note(event("oom"))
    sightings.forget("c1")
    sightings.forget("c1")
    assert sightings.of("c1") == Sighting()


def test_looking_at_a_container_remembers_nothing(sightings: Sightings) -> None:
    sightings.of("c1").out_of_memory = True
    assert sightings.of("c1") == Sighting()


# the engine


def test_an_engine_that_never_left_was_never_away(sightings: Sightings) -> None:
    sightings.engine_came(NOON)
    assert not sightings.away_at(NOON)


def test_an_end_at_a_time_nobody_knows_has_no_outage(sightings: Sightings) -> None:
    sightings.engine_left(NOON)
    assert not sightings.away_at(None)


def test_while_the_engine_is_away_everything_since_falls_into_it(sightings: Sightings) -> None:
    sightings.engine_left(NOON)
    assert sightings.away_at(NOON + 60 * MINUTE)
    assert sightings.away_at(NOON - OUTAGE_MARGIN)
    assert not sightings.away_at(NOON - OUTAGE_MARGIN - TICK)


def test_an_outage_lasts_from_the_first_failure_to_the_first_answer(sightings: Sightings) -> None:
    for moment in (NOON, NOON + MINUTE):
        sightings.engine_left(moment)
    for moment in (NOON + 2 * MINUTE, NOON + 9 * MINUTE):
        sightings.engine_came(moment)
    edges = NOON - OUTAGE_MARGIN, NOON + 2 * MINUTE + OUTAGE_MARGIN
    assert all(sightings.away_at(moment) for moment in (*edges, NOON + MINUTE))
    assert not sightings.away_at(edges[0] - TICK)
    assert not sightings.away_at(edges[1] + TICK)


def test_an_outage_that_somebody_else_found_counts_too(sightings: Sightings) -> None:
    sightings.engine_was_away(NOON, NOON + MINUTE)
    assert sightings.away_at(NOON + MINUTE)
    assert not sightings.away_at(NOON + 2 * MINUTE)


def test_outages_that_overlap_are_one_and_push_no_other_out(sightings: Sightings) -> None:
    sightings.engine_was_away(NOON - 60 * MINUTE, NOON - 59 * MINUTE)
    for number in range(2 * OUTAGES_KEPT):
        moment = NOON + number * OUTAGE_MARGIN
        sightings.engine_left(moment)
        sightings.engine_came(moment)
    assert sightings.away_at(NOON - 60 * MINUTE)
    assert sightings.away_at(NOON)
    assert sightings.away_at(moment)


def test_the_oldest_outages_are_forgotten(sightings: Sightings) -> None:
    for number in range(OUTAGES_KEPT + 1):
        sightings.engine_was_away(NOON + number * MINUTE, NOON + number * MINUTE)
    assert not sightings.away_at(NOON)
    assert sightings.away_at(NOON + MINUTE)
    assert sightings.away_at(NOON + OUTAGES_KEPT * MINUTE)
