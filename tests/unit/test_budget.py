"""What is left of a person's GPU time, when it runs out, and what is done about it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.budget import (
    Account,
    Level,
    Period,
    Standing,
    accounts,
    budgets,
    earliest,
    month,
    tightest,
    week,
)
from spawner.quota import Quota
from spawner.runs import Holder, Spent
from spawner.usage import Span, Window

H = 3600
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 12, 2, 12, tzinfo=BERLIN)  # a Wednesday
WEEK = week(NOON)


def quota(week_hours: float | None = None, month_hours: float | None = None) -> Quota:
    """A quota with these budgets."""
    found = Quota(1, 1 << 30, 1 << 20, 64, 8)
    return replace(
        found,
        week_gpu_seconds=None if week_hours is None else week_hours * H,
        month_gpu_seconds=None if month_hours is None else month_hours * H,
    )


def span(gpus: int, since: float, until: float | None = None) -> Span:
    """A use of so many GPUs, in hours after Wednesday's noon."""
    begin, end = (None if each is None else NOON + timedelta(hours=each) for each in (since, until))
    assert begin is not None
    return Span("r1", Holder("ada", ""), frozenset(), gpus, (), 1.0, 1 << 30,
                begin.astimezone(UTC), end)  # fmt: skip


def account(used: float, allowed: float = 40, gpus: int = 0, period: Period = WEEK) -> Account:
    """An account in hours, at Wednesday's noon."""
    return Account(period, allowed * H, used * H, gpus, NOON.astimezone(UTC))


def moment(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


# weeks and months


@pytest.mark.parametrize(
    ("local", "begins", "ends", "hours"),
    [
        ("2026-12-02 12:00", "2026-11-30 00:00", "2026-12-07 00:00", 168),
        ("2026-11-30 00:00", "2026-11-30 00:00", "2026-12-07 00:00", 168),
        ("2026-12-06 23:59", "2026-11-30 00:00", "2026-12-07 00:00", 168),
        ("2027-01-01 00:00", "2026-12-28 00:00", "2027-01-04 00:00", 168),
        ("2026-03-29 12:00", "2026-03-23 00:00", "2026-03-30 00:00", 167),  # summer begins
        ("2026-10-25 02:30", "2026-10-19 00:00", "2026-10-26 00:00", 169),  # summer ends
    ],
)
def test_a_week_is_from_monday_to_monday_in_the_lab(
    local: str, begins: str, ends: str, hours: int
) -> None:
    found = week(moment(local))
    assert found == Period("week", moment(begins).astimezone(UTC), moment(ends))
    assert found.until.astimezone(UTC) - found.since == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("local", "begins", "ends"),
    [
        ("2026-12-31 23:59", "2026-12-01 00:00", "2027-01-01 00:00"),
        ("2028-02-29 12:00", "2028-02-01 00:00", "2028-03-01 00:00"),
        ("2026-04-01 00:00", "2026-04-01 00:00", "2026-05-01 00:00"),
        ("2026-10-31 12:00", "2026-10-01 00:00", "2026-11-01 00:00"),
    ],
)
def test_a_month_is_the_calendar_s(local: str, begins: str, ends: str) -> None:
    assert month(moment(local)) == Period("month", moment(begins).astimezone(UTC), moment(ends))


def test_a_monday_without_midnight_begins_where_sunday_ends() -> None:
    tehran = ZoneInfo("Asia/Tehran")  # where summer began on Monday, 2021-03-22, at 00:00
    begins = datetime(2021, 3, 21, 20, 30, tzinfo=UTC)
    assert week(moment("2021-03-22 12:00", tehran)).since == begins
    assert week(moment("2021-03-21 12:00", tehran)).until.astimezone(UTC) == begins


@given(st.datetimes(timezones=st.just(BERLIN)).filter(lambda each: 1900 < each.year < 2100))
def test_every_moment_is_within_its_week_and_its_month(local: datetime) -> None:
    for period in (week(local), month(local)):
        assert period.since <= local.astimezone(UTC) < period.until.astimezone(UTC)
        assert earliest(local).since <= period.since


# accounts


def test_without_a_budget_there_is_no_account() -> None:
    assert budgets(quota(), NOON) == ()
    assert accounts(quota(), [span(8, -9)], NOON) == ()


def test_what_was_used_is_counted_in_the_period_and_until_now() -> None:
    spans = [span(2, -72, -48), span(1, -24, -20), span(3, -1), span(0, -1), span(4, 1)]
    # Monday's midnight was 60 hours ago, and the month's first day 36.
    assert accounts(quota(40, 120), spans, NOON) == (
        account(2 * 12 + 4 + 3, 40, gpus=3),
        account(4 + 3, 120, gpus=3, period=month(NOON)),
    )


@pytest.mark.parametrize(
    ("used", "gpus", "lasts", "level"),
    [
        (0, 0, None, Level.FAR),
        (31.9, 0, None, Level.FAR),
        (32, 0, None, Level.SOON),  # 80 %
        (38, 0, None, Level.NEAR),  # 95 %
        (39.9, 0, None, Level.NEAR),
        (40, 0, 0, Level.USED_UP),
        (99, 4, 0, Level.USED_UP),
        (10, 1, 30, Level.FAR),
        (36, 4, 1, Level.SOON),
        (36.1, 4, 0.975, Level.NEAR),  # less than an hour
        (0, 50, 0.8, Level.NEAR),
    ],
)
def test_how_long_it_lasts_and_how_near_the_end_is(
    used: float, gpus: int, lasts: float | None, level: Level
) -> None:
    found = account(used, gpus=gpus)
    assert found.level is level
    assert found.lasts_seconds == (None if lasts is None else pytest.approx(lasts * H))


def test_what_lasts_until_it_begins_anew_does_not_run_out() -> None:
    rest = WEEK.until.astimezone(UTC) - timedelta(hours=2)
    assert replace(account(36, gpus=1), now=rest).lasts_seconds is None
    assert replace(account(36, gpus=3), now=rest).lasts_seconds == pytest.approx(4 / 3 * H)


@pytest.mark.parametrize(
    ("weekly", "monthly", "first"),
    [
        (account(10, gpus=1), account(10, 20, 1, month(NOON)), "month"),  # it ends sooner
        (account(39, gpus=1), account(10, 20, 1, month(NOON)), "week"),
        (account(10), account(10, 12, 0, month(NOON)), "month"),  # more of it is used
        (account(40, gpus=1), account(19.9, 20, 1, month(NOON)), "week"),  # it is used up
        (account(40, gpus=1), account(20, 20, 1, month(NOON)), "month"),  # and for longer
    ],
)
def test_the_budget_that_ends_first_counts(weekly: Account, monthly: Account, first: str) -> None:
    for both in ((weekly, monthly), (monthly, weekly)):
        found = tightest(both)
        assert found is not None
        assert found.period.name == first
    assert tightest(()) is None


# what is done


@pytest.mark.parametrize(
    ("used", "told_ago", "ends_in", "over"),
    [
        (39.9, None, None, False),
        (39.9, 9999, None, False),  # a larger budget came meanwhile
        (40, None, None, False),  # nobody told them
        (40, 0, 1800, False),
        (50, 1799, 1, False),
        (40, 1800, 0, True),
        (40, 9999, 0, True),
    ],
)
def test_servers_end_when_the_grace_period_since_it_was_told_is_over(
    used: float, told_ago: float | None, ends_in: float | None, *, over: bool
) -> None:
    told_at = None if told_ago is None else 20_000 - told_ago
    found = Standing(account(used), 1800, 20_000, told_at)
    assert (found.ends_in_seconds, found.is_over) == (ends_in, over)


def test_a_receipt_says_what_was_used_and_when_it_begins_anew() -> None:
    found = Standing(account(40.5), 1800, 20_000, 0).spent
    assert found == Spent("week", 40 * H, 40.5 * H, moment("2026-12-07 00:00"))


SPANS = st.lists(
    st.builds(
        lambda gpus, since, lasts: span(gpus, since, None if lasts is None else since + lasts),
        st.integers(0, 8),
        st.floats(-2000, 2000),
        st.none() | st.floats(-500, 500),
    ),
    max_size=8,
)


@given(SPANS, st.floats(0.01, 500), st.floats(0.01, 500))
def test_whatever_was_noted_nobody_is_told_of_less_than_nothing(
    spans: list[Span], weekly: float, monthly: float
) -> None:
    for found in accounts(quota(weekly, monthly), spans, NOON):
        assert 0 <= found.left_seconds <= found.allowed_seconds
        assert found.used_seconds >= 0
        assert (found.level is Level.USED_UP) == (found.left_seconds == 0)
        assert found.lasts_seconds is None or found.lasts_seconds >= 0


@given(SPANS, st.floats(0.01, 500), st.floats(0.1, 500))
def test_a_larger_budget_is_never_nearer_its_end(
    spans: list[Span], weekly: float, more: float
) -> None:
    [less_of_it], [more_of_it] = (
        accounts(quota(hours), spans, NOON) for hours in (weekly, weekly + more)
    )
    assert more_of_it.level <= less_of_it.level


@given(st.floats(0.1, 30), st.integers(1, 8))
def test_it_runs_out_when_it_was_said_to(hours: float, gpus: int) -> None:
    spans = [span(gpus, 0)]
    [before] = accounts(quota(hours), spans, NOON + timedelta(seconds=1))
    assert before.lasts_seconds is not None
    for part, level in ((0.999, {Level.NEAR, Level.SOON}), (1.001, {Level.USED_UP})):
        later = NOON.astimezone(UTC) + timedelta(seconds=1 + part * before.lasts_seconds)
        [found] = accounts(quota(hours), spans, later.astimezone(BERLIN))
        assert found.level in level


def test_a_window_of_days_is_read_for_both() -> None:
    assert earliest(NOON) == Window(WEEK.since, NOON.astimezone(UTC))
