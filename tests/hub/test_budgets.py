"""Budgets over a real store: who is told, who is refused, whose server ends, and who is left be."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub_config.schema import Config
from spawner import budgets
from spawner.budget import Level, Standing
from spawner.budgets import Budgets
from spawner.quota import Person, effective
from spawner.runs import Holder, Kind, Reason, Receipt, Run, Spent
from spawner.store import Store

H, GRACE = 3600, 1800
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)  # a Wednesday
CONFIG = Config.model_validate({
    "hub": {"timezone": "UTC"},
    "quotas": {"default": {"gpus": 4, "gpu_hours": {"week": 10}}, "users": {"bob": {"gpu_hours": {
        "week": "unlimited"}}}},
})  # fmt: skip
ADA = Person("ada")
RUN = Run("r1", Holder("ada", ""), "image", 1 << 30, NOON, "c1", cpus=1.0, gpus=2)
BARE = replace(RUN, name="r2", holder=Holder("ada", "two"), gpus=0)
BOB = replace(RUN, name="r3", holder=Holder("bob", ""))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in which ada and bob have had two GPUs each since Wednesday's noon."""
    opened = Store(f"sqlite:///{tmp_path / 'labhub.sqlite'}")
    opened.transact(lambda ledger: [ledger.begin(each) for each in (RUN, BARE, BOB)])
    yield opened
    opened.close()


class Clock:
    """Budgets, and the two clocks that they are shown; hours are those after Wednesday's noon."""

    def __init__(self, store: Store) -> None:
        """Begin with nothing known."""
        self.budgets = Budgets(store)
        self.jumped = 0.0

    def look(self, hours: float, config: Config = CONFIG, *runs: Run) -> None:
        """Look at such a time, as a round of the timekeeper does."""
        local = NOON + timedelta(hours=hours)
        known = runs or (RUN, BARE, BOB)
        allowed = {each.name: effective(config, Person(each.holder.user), local) for each in known}
        steady = 5000 + (hours - self.jumped) * H
        self.budgets.look(known, allowed, GRACE, local, steady)

    @property
    def standing(self) -> Standing | None:
        """How ada stands."""
        return self.budgets.of(RUN)

    @property
    def level(self) -> Level | None:
        """How near her the end of her budget is."""
        return None if self.standing is None else self.standing.account.level


@pytest.fixture
def clock(store: Store) -> Clock:
    return Clock(store)


# with two GPUs, ten hours last for five


def test_who_uses_it_up_is_told_and_after_the_grace_period_it_ends(clock: Clock) -> None:
    steps = []
    for hours in (0.1, 3.9, 4.1, 4.8, 5.01, 5.4, 5.52):
        clock.look(hours)
        assert clock.standing is not None
        steps.append((clock.level, clock.standing.is_over))
    assert steps == [
        (Level.FAR, False),
        (Level.FAR, False),
        (Level.NEAR, False),  # less than an hour is left
        (Level.NEAR, False),
        (Level.USED_UP, False),
        (Level.USED_UP, False),
        (Level.USED_UP, True),
    ]
    due = budgets.noted(RUN, clock.standing)
    assert due.spent == Spent("week", 10 * H, 2 * 5.52 * H, datetime(2026, 12, 7, tzinfo=UTC))
    clock.look(6)
    assert budgets.noted(due, clock.standing) == due


def test_servers_without_gpus_and_people_without_limits_are_not_concerned(clock: Clock) -> None:
    clock.look(99)
    assert clock.level is Level.USED_UP
    assert (clock.budgets.of(BARE), clock.budgets.of(BOB)) == (None, None)


def test_who_has_none_now_is_not_concerned_whatever_they_had(clock: Clock, store: Store) -> None:
    end = Receipt("r1", RUN.holder, Kind.SERVER, NOON + timedelta(hours=9), Reason.USER, 1 << 30)
    store.transact(lambda ledger: ledger.end(end))
    clock.look(9.5, CONFIG, BARE, BOB)
    assert clock.budgets.of(BARE) is None


@pytest.mark.parametrize("away", [20, 200])
def test_a_hub_that_was_away_ends_nothing_untold(store: Store, away: float) -> None:
    fresh = Clock(store)
    fresh.look(away)
    assert fresh.standing is not None
    assert (fresh.level, fresh.standing.ends_in_seconds) == (Level.USED_UP, GRACE)


def test_a_smaller_budget_ends_nothing_untold_and_a_larger_one_nothing_at_all(clock: Clock) -> None:
    smaller, larger = (
        Config.model_validate({"quotas": {"default": {"gpu_hours": {"week": hours}}}})
        for hours in (1, 100)
    )
    clock.look(4)
    clock.look(4.01, smaller)
    assert clock.standing is not None
    assert clock.standing.ends_in_seconds == GRACE
    clock.look(4.2, larger)
    clock.look(4.6, smaller)
    assert clock.standing is not None
    assert clock.standing.ends_in_seconds == GRACE  # it is told anew


def test_a_budget_that_begins_anew_ends_nothing(clock: Clock) -> None:
    monday = 12 + 4 * 24
    clock.look(monday - 0.3)
    assert clock.level is Level.USED_UP
    clock.look(monday + 0.3)
    assert clock.level is Level.FAR
    assert budgets.noted(replace(RUN, spent=Spent("week", 1, 2, NOON)), clock.standing) == RUN


# unknown is not over


def test_a_clock_that_jumps_ends_nothing_that_ran_then(clock: Clock) -> None:
    clock.look(1)
    clock.jumped = 30
    clock.look(31)
    clock.look(31.6)
    assert clock.standing is None
    clock.jumped = 0
    clock.look(1.7)  # it is put right
    assert clock.standing is None
    second = replace(RUN, name="r4", began=NOON + timedelta(hours=1.8))
    clock.look(1.9, CONFIG, second, BOB)
    assert clock.level is Level.FAR


def test_a_clock_that_is_put_right_bit_by_bit_is_believed(clock: Clock) -> None:
    for step in range(12):
        clock.jumped = step * 30 / H
        clock.look(step / 2)
    assert clock.level is Level.USED_UP


def test_a_store_that_cannot_be_read_ends_nothing(
    clock: Clock, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock.look(5.1)
    with sqlite3.connect(store.path) as other:
        other.execute("""UPDATE uses SET devices = '3'""")
    clock.look(5.9)
    assert clock.standing is None
    assert "GPU time is not known" in caplog.text
    with sqlite3.connect(store.path) as other:
        other.execute("""UPDATE uses SET devices = '[]'""")
    clock.look(6)
    assert clock.standing is not None
    assert clock.standing.ends_in_seconds == GRACE


# starts


@pytest.mark.parametrize(
    ("hours", "person", "refused"),
    [
        (4.9, ADA, False),
        (5.0, ADA, True),
        (50, ADA, True),
        (12 + 4 * 24 + 0.1, ADA, False),  # on Monday
        (50, Person("bob"), False),
        (50, Person("eve"), False),
    ],
)
def test_a_start_with_gpus_is_refused_while_nothing_is_left(
    store: Store, hours: float, person: Person, *, refused: bool
) -> None:
    moment = NOON + timedelta(hours=hours)
    allowed = effective(CONFIG, person, moment)
    sentence = store.transact(lambda ledger: budgets.refusal(ledger, allowed, person, moment))
    assert ("until it begins anew on Monday, 2026-12-07, 00:00" in sentence) is refused
    assert bool(sentence) is refused
