"""When a server is idle: what counts as use, and that unknown is not idle."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from spawner.idleness import REPORT_SECONDS, Answer, Use

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = 3600
ROUND_SECONDS = 30
QUIET, BUSY = Answer(is_busy=False, last_activity=NOON), Answer(is_busy=True, last_activity=NOON)


def clock(steady: float) -> datetime:
    """What a wall clock says that was never set."""
    return NOON + timedelta(seconds=steady)


def look(
    use: Use,
    steady: float,
    *,
    cores: float | None = 0.003,
    said: datetime = NOON,
    answer: Answer | None = QUIET,
) -> None:
    """Look once more, as a round does; a server that is due to be asked answers."""
    use.hub_says(said, clock(steady), steady)
    spent = None if cores is None else (use.cpu_seconds or 0.0) + cores * (steady - use.cpu_at)
    use.measure(spent, clock(steady), steady)
    if use.is_due_to_be_asked(HOUR, steady):
        use.asks()
        use.answer(answer, clock(steady), steady)


def lived(until: int, **what: object) -> Use:
    """A server that was looked at in every round since its first second."""
    use = Use(last=0.0)
    for steady in range(0, until + 1, ROUND_SECONDS):
        look(use, steady, **what)  # type: ignore[arg-type]
    return use


def test_a_server_in_which_nothing_happens_is_idle_after_its_limit() -> None:
    assert not lived(HOUR - ROUND_SECONDS).is_idle(HOUR, HOUR - ROUND_SECONDS)
    use = lived(HOUR)
    assert use.is_idle(HOUR, HOUR)
    assert use.idle_for(HOUR) == HOUR


def test_without_a_limit_none_is_idle_and_none_is_asked() -> None:
    use = lived(10 * HOUR)
    assert not use.is_idle(None, 10 * HOUR)
    assert not use.is_due_to_be_asked(None, 10 * HOUR)


@pytest.mark.parametrize(
    "what",
    [
        {"cores": 1.0},
        {"cores": 0.10},  # since the first look, so it could be taken for the server's own
        {"cores": None},  # nobody can tell
        {"answer": BUSY},  # a kernel that sleeps in the middle of a cell
        {"answer": None},  # the server does not answer
    ],
)
def test_what_computes_and_what_is_unknown_is_not_idle(what: dict[str, object]) -> None:
    assert not lived(2 * HOUR, **what).is_idle(HOUR, 2 * HOUR)


@pytest.mark.parametrize(
    ("own", "then", "busy"),
    [
        (0.003, 0.05, True),
        (0.003, 0.02, False),  # an open JupyterLab that asks for news
        (0.03, 0.045, False),
        (0.03, 0.06, True),
        (0.5, 0.06, False),  # a server that always computed has no baseline of its own
        (0.5, 0.08, True),
    ],
)
def test_more_than_two_hundredths_of_a_core_beyond_its_own_is_use(
    own: float, then: float, busy: bool
) -> None:
    use = lived(600, cores=own)
    before = use.last
    look(use, 660, cores=then)
    assert (use.last == 660) is busy
    assert use.busy_at == (clock(660) if busy else use.busy_at)
    assert busy or use.last == before


@pytest.mark.parametrize(
    ("spent_seconds", "busy"), [(0.001, False), (0.03, False), (0.1, False), (0.2, True)]
)
def test_what_an_answer_takes_is_no_use(spent_seconds: float, busy: bool) -> None:
    """Of a limit so short that looks are less than a second apart."""
    use = lived(600)
    use.asks()
    use.measure((use.cpu_seconds or 0) + spent_seconds, clock(600.75), 600.75)
    assert (use.last == 600.75) is busy


def test_only_so_much_is_an_answer() -> None:
    use = lived(600)
    use.asks()
    for steady in (601.0, 602.0):
        use.measure((use.cpu_seconds or 0) + 0.08, clock(steady), steady)
    assert use.last == 602.0


def test_two_looks_at_once_measure_nothing() -> None:
    use = lived(600)
    use.measure((use.cpu_seconds or 0) + 1, clock(600.1), 600.1)
    assert use.last == 0


@pytest.mark.parametrize(
    "happens",
    [
        lambda use, s: use.hub_says(clock(s), clock(s), s),
        lambda use, s: use.used(s),
        lambda use, s: use.gpu_is_busy(clock(s), s),
        lambda use, s: use.answer(Answer(True, NOON), clock(s), s),
        lambda use, s: use.answer(Answer(False, clock(s)), clock(s), s),
        lambda use, s: use.measure((use.cpu_seconds or 0) + 30, clock(s), s),
    ],
    ids=["the server told", "Lab saw somebody", "GPU", "kernel", "it did something", "CPU"],
)
def test_each_of_these_is_use(happens: Callable[[Use, float], None]) -> None:
    use = lived(HOUR)
    happens(use, HOUR + 15)
    assert use.last == HOUR + 15
    assert not use.is_idle(HOUR, HOUR + 15)


def test_activity_counts_from_when_it_was_not_from_when_it_was_told() -> None:
    use = lived(600)
    use.hub_says(clock(700), clock(900), 900.0)
    assert use.last == 700


def test_a_wall_clock_that_is_set_makes_nothing_idle_and_nothing_busy() -> None:
    use = lived(600)
    tomorrow = clock(900) + timedelta(days=1)
    use.hub_says(clock(880), tomorrow, 900.0)  # told in the old time, heard in the new one
    assert use.last == 900 - REPORT_SECONDS
    use.hub_says(tomorrow, clock(960), 960.0)  # and the other way round
    assert use.last == 960


def test_an_old_answer_does_not_end_what_was_used_since() -> None:
    use = lived(HOUR)
    use.used(HOUR + 1)
    assert not use.is_idle(HOUR, 2 * HOUR + 1)
    use.answer(QUIET, clock(2 * HOUR + 1), 2 * HOUR + 1)
    assert use.is_idle(HOUR, 2 * HOUR + 1)


def test_it_is_asked_once_before_the_warning_and_again_when_the_limit_is_over() -> None:
    asked, use = [], Use(last=0.0)
    for steady in range(0, HOUR + 2 * ROUND_SECONDS, ROUND_SECONDS):
        look(use, steady)
        if use.asked_at == steady:
            asked.append(steady)
    assert asked == [HOUR - 15 * 60, HOUR, HOUR + ROUND_SECONDS]


def test_a_hub_that_was_restarted_counts_anew() -> None:
    use = Use(last=5000.0)
    use.hub_says(NOON - timedelta(days=3), NOON, 5000.0)
    use.measure(1e6, NOON, 5000.0)
    assert use.idle_for(5000.0 + HOUR) == HOUR
