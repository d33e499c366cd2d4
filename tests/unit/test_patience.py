"""For how long something is kept for who is away, whatever becomes of the clock on the wall."""

from dataclasses import replace

import pytest

from spawner.lapse import expired, unclaimed
from spawner.lease import Lease, Ticket
from spawner.patience import Patience
from tests.unit.test_queue import DAY, NOW, TWO, has, scene, wants

ADA, BOB = wants("ada", lost=NOW), has("bob", "GPU-a", offered=NOW)
PLACE_SECONDS, GPU_SECONDS = 1800, 900


def over(
    patience: Patience,
    seconds: float,
    *,
    set_seconds: float = 0,
    ticket: Ticket = ADA,
    lease: Lease = BOB,
) -> list[str]:
    """Return who loses something so long after noon, of a clock that was set by so much."""
    here = scene(lease, devices=TWO[:1], tickets=[ticket])
    now = NOW + seconds + set_seconds
    counted = patience.counted(here, now, seconds)
    return [each.holder.user for each in (*expired(counted, now), *unclaimed(counted, now))]


def test_what_is_kept_is_kept_for_its_time() -> None:
    patience = Patience()
    moments = (0, GPU_SECONDS - 1, GPU_SECONDS, PLACE_SECONDS - 1, PLACE_SECONDS)
    assert [over(patience, each) for each in moments] == [
        [], [], ["bob"], ["bob"], ["ada", "bob"],
    ]  # fmt: skip


@pytest.mark.parametrize("sets", [[DAY], [-DAY], [DAY, -DAY], [-DAY, -2 * DAY, DAY]])
def test_a_clock_that_is_set_takes_nothing(sets: list[float]) -> None:
    patience = Patience()
    over(patience, 0)
    assert [over(patience, 60, set_seconds=each) for each in sets] == [[] for _ in sets]
    assert over(patience, GPU_SECONDS - 1, set_seconds=sets[-1]) == []
    assert over(patience, GPU_SECONDS, set_seconds=sets[-1]) == ["bob"]


def test_a_hub_that_has_just_come_up_keeps_everything_anew() -> None:
    ticket, lease = replace(ADA, lost=0.0), replace(BOB, offered=0.0)
    assert over(Patience(), 0, ticket=ticket, lease=lease) == []


def test_who_came_and_went_again_is_away_anew() -> None:
    patience = Patience()
    over(patience, 0)
    again = replace(ADA, lost=NOW + 1000)
    assert over(patience, 1000, ticket=again) == ["bob"]
    assert over(patience, PLACE_SECONDS, ticket=again) == ["bob"]
    assert over(patience, 1000 + PLACE_SECONDS, ticket=again) == ["ada", "bob"]


def test_who_is_here_is_not_away() -> None:
    patience = Patience()
    for seconds in (0, 10 * PLACE_SECONDS):
        here = {"ticket": replace(ADA, lost=None), "lease": replace(BOB, offered=None)}
        assert over(patience, seconds, **here) == []  # type: ignore[arg-type]
