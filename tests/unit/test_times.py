"""Until when a server may run: a table of lives, and what holds for any of them."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawner import times
from spawner.runs import Holder, Run
from spawner.times import Awaited, Endless, Later, More, Never

H, MIN, DAY = 3600, 60, 86400
NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RUN = Run("lab-ada-1", Holder("ada", ""), "lab/image:1", 1 << 30, NINE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a quota says about time."""

    session_seconds: int | None = 12 * H
    idle_seconds: int | None = None
    extend_seconds: int | None = None


TWELVE, EXTENDS, FREE = Rules(), Rules(extend_seconds=2 * H), Rules(None)


def at(hours: float) -> datetime:
    """The moment so many hours after the server began."""
    return NINE + timedelta(hours=hours)


def ends_after(run: Run) -> float | None:
    """The hours from the beginning to the end."""
    return None if run.ends_at is None else (run.ends_at - NINE).total_seconds() / H


def kept(run: Run, rules: Rules, *hours: float) -> Run:
    """The run after it was looked at at these hours."""
    for hour in hours:
        run = times.keep(run, rules, at(hour))
    return run


def extended(run: Run, rules: Rules, hour: float) -> Run:
    """The run after its user pressed Extend, which must be possible."""
    more = times.extension(run, rules, at(hour))
    assert isinstance(more, More), more
    return times.extend(run, rules, more, at(hour))


# the end


@pytest.mark.parametrize(
    ("chosen", "rules", "hours"),
    [
        (None, TWELVE, 12),
        (2 * H, TWELVE, 2),
        (2 * H, FREE, 2),
        (12 * H, Rules(4 * H), 4),  # what was allowed when it was chosen is not allowed any more
        (None, FREE, None),
    ],
)
def test_a_server_ends_when_its_session_is_over(
    chosen: int | None, rules: Rules, hours: float | None
) -> None:
    run = kept(replace(RUN, chosen_seconds=chosen), rules, 0)
    assert ends_after(run) == hours
    assert run.session_seconds == (None if hours is None else hours * H)
    assert run.warned_at is None


@pytest.mark.parametrize(
    ("session", "warned"),
    [
        (12 * H, (30 * MIN, 10 * MIN, 2 * MIN)),
        (2 * H, (30 * MIN, 10 * MIN, 2 * MIN)),
        (1 * H, (15 * MIN, 5 * MIN, 1 * MIN)),
        (8, (2, 2 / 3, 8 / 60)),
    ],
)
def test_warnings_are_scaled_for_short_sessions(session: int, warned: tuple[float, ...]) -> None:
    assert times.warnings(session) == pytest.approx(warned)


def test_the_warning_goes_up_half_an_hour_before_the_end() -> None:
    assert kept(RUN, TWELVE, 11.49).warned_at is None
    assert kept(RUN, TWELVE, 11.49, 11.5, 11.8).warned_at == at(11.5)


def test_it_is_over_only_once_it_was_warned() -> None:
    run = kept(RUN, TWELVE, 0)
    assert not times.is_over(run, at(13))
    run = kept(run, TWELVE, 11.5)
    assert not times.is_over(run, at(11.99))
    assert times.is_over(run, at(12))


# what happens meanwhile


def test_a_longer_session_in_the_file_prolongs_running_servers() -> None:
    assert ends_after(kept(kept(RUN, TWELVE, 1), Rules(24 * H), 2)) == 24
    warned = kept(RUN, TWELVE, 11.75)
    assert kept(warned, Rules(24 * H), 11.8) == kept(RUN, Rules(24 * H), 2)
    assert ends_after(kept(warned, FREE, 11.8)) is None


def test_it_does_not_prolong_what_was_chosen_to_be_shorter() -> None:
    assert ends_after(kept(replace(RUN, chosen_seconds=2 * H), Rules(24 * H), 1)) == 2


def test_a_shorter_one_ends_them_earlier_and_never_unwarned() -> None:
    run = kept(RUN, TWELVE, 5)
    assert ends_after(kept(run, Rules(8 * H), 6)) == 8
    shortened = kept(run, Rules(4 * H), 6)
    assert (ends_after(shortened), shortened.warned_at) == (6.5, at(6))
    assert ends_after(kept(shortened, Rules(4 * H), 6.1, 6.4)) == 6.5
    # an end that was said stays said, also when the file changes once more
    assert ends_after(kept(shortened, Rules(H), 6.1)) == 6.5


def test_a_hub_that_was_away_when_the_warning_was_due_warns_first() -> None:
    run = kept(RUN, TWELVE, 11, 15)
    assert ends_after(run) == 15.5


def test_a_short_break_costs_nobody_anything_and_gives_nothing_away() -> None:
    assert ends_after(kept(RUN, TWELVE, 11.5, 11.999, 12.1)) == 12


def test_a_clock_that_jumps_ahead_and_back_ends_nothing() -> None:
    jumped = kept(RUN, EXTENDS, 5, 30)
    assert not times.is_over(jumped, at(30))
    back = kept(jumped, EXTENDS, 5.1)
    assert back == kept(RUN, EXTENDS, 5)
    assert isinstance(
        times.extension(replace(back, extended_at=at(29)), EXTENDS, at(5.2)), More
    )  # an extension of tomorrow is none


# extensions


@pytest.mark.parametrize(
    ("chosen", "rules", "outcome"),
    [
        (None, TWELVE, Never()),
        (None, EXTENDS, More(2 * H, chosen=False)),
        (None, FREE, Endless()),
        (None, Rules(None, extend_seconds=H), Endless()),
        (4 * H, TWELVE, More(1 * H, chosen=True)),
        (4 * H, EXTENDS, More(2 * H, chosen=True)),
        (11 * H, EXTENDS, More(1 * H, chosen=True)),  # up to the quota, and not beyond
        (4 * H, FREE, More(1 * H, chosen=True)),
        (4 * H, Rules(None, extend_seconds=6 * H), More(6 * H, chosen=True)),
        (4 * H, Rules(2 * H, extend_seconds=H), More(1 * H, chosen=False)),
    ],
)
def test_what_an_extension_gives(
    chosen: int | None, rules: Rules, outcome: times.Extension
) -> None:
    run = kept(replace(RUN, chosen_seconds=chosen), rules, 0)
    assert times.extension(run, rules, at(1)) == outcome


@pytest.mark.parametrize(
    ("chosen", "rules", "outcome"),
    [
        (None, TWELVE, Never()),
        (None, FREE, Endless()),
        (None, EXTENDS, Awaited()),
        (1 * H, TWELVE, Awaited()),
        (1 * H, FREE, Awaited()),
    ],
)
def test_nothing_is_extended_while_somebody_waits_for_its_end(
    chosen: int | None, rules: Rules, outcome: times.Extension
) -> None:
    run = kept(replace(RUN, chosen_seconds=chosen), rules, 0)
    assert times.extension(run, rules, at(0.5), awaited=True) == outcome


def test_one_click_moves_the_end_and_the_next_is_possible_after_that_much_time() -> None:
    run = extended(kept(RUN, EXTENDS, 11.5), EXTENDS, 11.6)
    assert (ends_after(run), run.extensions, run.warned_at) == (14, 1, None)
    assert times.extension(run, EXTENDS, at(12.6)) == Later(2 * H, 1 * H)
    run = extended(kept(run, EXTENDS, 13.5), EXTENDS, 13.6)
    assert (ends_after(run), run.extensions, run.extended_at) == (16, 2, at(13.6))


def test_who_chose_less_may_extend_up_to_the_quota_and_then_as_everybody() -> None:
    run = kept(replace(RUN, chosen_seconds=9 * H), EXTENDS, 8.5)
    ends = []
    for _ in range(2):
        run = extended(run, EXTENDS, 8.9)
        ends.append((ends_after(run), run.extensions, run.chosen_seconds))
    assert ends == [(11, 0, 11 * H), (12, 0, None)]
    run = extended(run, EXTENDS, 8.9)
    assert (ends_after(run), run.extensions) == (14, 1)
    assert isinstance(times.extension(run, EXTENDS, at(9)), Later)


def test_an_extension_counts_from_the_end_that_was_shown() -> None:
    shortened = Rules(4 * H, extend_seconds=2 * H)
    run = extended(kept(RUN, shortened, 6), shortened, 6.25)
    assert ends_after(run) == 8.5
    late = extended(kept(RUN, EXTENDS, 11.5), EXTENDS, 12.01)  # over, and not yet ended
    assert ends_after(late) == pytest.approx(14.01, abs=0.001)


def test_an_extension_shorter_than_the_warning_gives_no_more_than_itself() -> None:
    rules = Rules(12 * H, extend_seconds=10 * MIN)
    run = extended(kept(RUN, rules, 11.5), rules, 11.7)
    assert ends_after(run) == pytest.approx(12 + 1 / 6)
    assert run.warned_at == at(11.5)


# any life

seconds = st.one_of(st.none(), st.integers(1, 3 * DAY))
any_rules = st.builds(Rules, seconds, st.none(), seconds)
steps = st.lists(st.tuples(st.floats(0.001, 20), any_rules, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=50)
@given(chosen=seconds, life=steps)
def test_a_warning_is_up_for_its_full_time_and_what_was_said_stays_said(
    chosen: int | None, life: list[tuple[float, Rules, bool]]
) -> None:
    run, hour = replace(RUN, chosen_seconds=chosen), 0.0
    for pause, rules, press in life:
        hour += pause
        before, run = run, times.keep(run, rules, at(hour))
        if run.warned_at == at(hour):
            first = timedelta(seconds=times.warnings(run.session_seconds or 0)[0])
            assert run.ends_at is not None
            assert run.ends_at >= at(hour) + first
        elif run.warned_at is not None:
            assert run.warned_at == before.warned_at
            assert run.ends_at is not None
            assert before.ends_at is not None
            assert run.ends_at >= before.ends_at
        else:
            assert not times.is_over(run, at(hour))
        if press and isinstance(more := times.extension(run, rules, at(hour)), More):
            shown, run = run.ends_at, times.extend(run, rules, more, at(hour))
            assert shown is not None
            assert run.ends_at is not None
            assert run.ends_at >= max(shown, at(hour)) + timedelta(seconds=more.seconds)
        assert times.keep(run, rules, at(hour)) is run


@settings(max_examples=50)
@given(first=any_rules, then=any_rules, hour=st.floats(0, 30))
def test_a_more_generous_quota_never_ends_a_server_earlier(
    first: Rules, then: Rules, hour: float
) -> None:
    before = times.keep(RUN, first, at(hour))
    after = times.keep(before, then, at(hour))
    if then.session_seconds is None or before.ends_at is None:
        return
    if first.session_seconds is not None and then.session_seconds >= first.session_seconds:
        assert after.ends_at is not None
        assert after.ends_at >= before.ends_at - timedelta(seconds=times.WARNINGS_SECONDS[0])
