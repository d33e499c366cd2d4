"""What was used: spans cut to a window, and their sums by person and by group."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.runs import Holder, Run
from spawner.usage import (
    GIB,
    NO_GROUP,
    Amount,
    Span,
    Window,
    amount,
    by_group,
    by_user,
    span_of,
    total,
)

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
H = 3600


def at(hours: float) -> datetime:
    """A moment, in hours after noon."""
    return NOON + timedelta(hours=hours)


ADA = Span("r1", Holder("ada", ""), frozenset({"staff", "vision"}), 2, ("A", "B"), 4.0, 8 * GIB,
           at(0), at(3))  # fmt: skip
BOB = Span("r2", Holder("bob", ""), frozenset({"vision"}), 1, ("A",), 0.5, GIB, at(1))
EVE = replace(BOB, run="r3", holder=Holder("eve", "gpu"), groups=frozenset(), gpus=0, devices=())
DAY = Window(at(-12), at(12))


@pytest.mark.parametrize(
    ("since", "until", "window", "hours"),
    [
        (0, 3, (-12, 12), 3),  # inside
        (0, 3, (1, 2), 1),  # around
        (0, 3, (2, 12), 1),  # it began before
        (0, 3, (-12, 1), 1),  # it ends after
        (0, 3, (3, 12), 0),  # it ended as the window begins
        (0, 3, (-12, 0), 0),  # it begins as the window ends
        (0, None, (-12, 12), 12),  # it goes on
        (0, None, (-12, -1), 0),  # it goes on, and began after
        (0, 0, (-12, 12), 0),  # it was no time at all
        (3, 0, (-12, 12), 0),  # nobody wrote this
        (0, 3, (12, -12), 0),  # nobody asks this
    ],
)
def test_a_span_counts_as_far_as_it_lies_in_the_window(
    since: float, until: float | None, window: tuple[float, float], hours: float
) -> None:
    span = replace(ADA, since=at(since), until=None if until is None else at(until))
    found = amount(span, Window(at(window[0]), at(window[1])))
    assert found == Amount(2 * hours * H, 4 * hours * H, 8 * hours * H)


def test_each_person_has_all_of_their_servers() -> None:
    second = replace(ADA, run="r4", holder=Holder("ada", "two"), gpus=1, until=at(1))
    assert by_user([ADA, BOB, EVE, second], DAY) == {
        "ada": Amount(7 * H, 16 * H, 32 * H),
        "bob": Amount(11 * H, 5.5 * H, 11 * H),
        "eve": Amount(0, 5.5 * H, 11 * H),
    }


def test_who_is_in_two_groups_counts_for_each_and_once_in_the_total() -> None:
    assert by_group([ADA, BOB, EVE], DAY) == {
        "staff": Amount(6 * H, 12 * H, 24 * H),
        "vision": Amount(17 * H, 17.5 * H, 35 * H),
        NO_GROUP: Amount(0, 5.5 * H, 11 * H),
    }
    assert total([ADA, BOB, EVE], DAY) == Amount(17 * H, 23 * H, 46 * H)


def test_who_used_nothing_is_not_named() -> None:
    assert by_user([ADA, BOB], Window(at(-2), at(0))) == {}
    assert by_group([], DAY) == {}


def test_a_place_on_a_shared_gpu_counts_as_a_whole_one() -> None:
    run = Run("r5", Holder("ada", ""), "image", GIB, at(0), cpus=1.0, gpus=1, devices=("A",),
              groups=frozenset({"staff"}))  # fmt: skip
    shared = [span_of(run, at(0)), span_of(replace(run, name="r6"), at(0))]
    assert shared[0] == Span("r5", run.holder, run.groups, 1, ("A",), 1.0, GIB, at(0))
    assert total(shared, Window(at(0), at(1))).gpu_seconds == 2 * H


# whatever was noted, and whatever the clock did

MOMENTS = st.integers(-(10**9), 10**9).map(lambda each: NOON + timedelta(milliseconds=each))
SPANS = st.builds(
    Span,
    run=st.sampled_from(["r1", "r2", "r3"]),
    holder=st.builds(Holder, st.sampled_from(["ada", "bob", "eve"]), st.sampled_from(["", "two"])),
    groups=st.frozensets(st.sampled_from(["staff", "vision", "night"])),
    gpus=st.integers(0, 8),
    devices=st.just(()),
    cpus=st.floats(0, 128),
    memory_bytes=st.integers(0, 1024 * GIB),
    since=MOMENTS,
    until=st.none() | MOMENTS,  # before `since`, too: a clock that was put back
)
WINDOWS = st.builds(Window, MOMENTS, MOMENTS)


def near(found: Amount, wanted: Amount) -> bool:
    """Whether two amounts are the same but for rounding."""
    return (found.gpu_seconds, found.cpu_seconds, found.gib_seconds) == pytest.approx(
        (wanted.gpu_seconds, wanted.cpu_seconds, wanted.gib_seconds), rel=1e-9, abs=1e-3
    )


@given(st.lists(SPANS), WINDOWS)
def test_all_persons_together_are_the_total(spans: list[Span], window: Window) -> None:
    assert near(sum(by_user(spans, window).values(), Amount()), total(spans, window))


@given(st.lists(SPANS), WINDOWS)
def test_no_group_has_more_than_the_total_and_all_together_have_it(
    spans: list[Span], window: Window
) -> None:
    groups, whole = by_group(spans, window), total(spans, window)
    assert all(each.gpu_seconds <= whole.gpu_seconds + 1e-3 for each in groups.values())
    assert sum(each.gpu_seconds for each in groups.values()) >= whole.gpu_seconds - 1e-3


@given(st.lists(SPANS), st.lists(MOMENTS, min_size=3, max_size=3).map(sorted))
def test_the_parts_of_a_window_add_up(spans: list[Span], cuts: list[datetime]) -> None:
    begin, middle, end = cuts
    parts = total(spans, Window(begin, middle)) + total(spans, Window(middle, end))
    # What goes on lasts to the end of what is asked about, so that it is asked as ended by then.
    closed = [span if span.until else replace(span, until=end) for span in spans]
    assert near(parts, total(closed, Window(begin, end)))


@given(SPANS, WINDOWS)
def test_nothing_is_ever_less_than_nothing(span: Span, window: Window) -> None:
    found = amount(span, window)
    assert min(found.gpu_seconds, found.cpu_seconds, found.gib_seconds) >= 0
