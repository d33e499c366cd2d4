"""Until when a server may run, when its user is warned, and what an extension gives. Pure.

    the session     what the quota allows now, or less where less was chosen at the start
    it is due       when it began + the session + what it was extended by
    the warning     shown from 30 min before that on, then at 10 and at 2 min; of a session shorter
                    than 2 h, the same parts of it
    it ends         when it is due, yet never before the first warning has been up for its time,
                    and never earlier than was said once a warning was up
    nobody waits    with `gpus.soft_limit` a server with a GPU goes on when it is due, and is warned
                    once somebody waits for its end; if somebody does before, it ends when it is due
    an extension    less than the quota was chosen: as often as wanted, up to the quota;
                    else by `extend`, and again after that much time; none of a server with a GPU
                    while somebody waits for its end

So a shorter session in labhub.yaml, a hub that was away and a clock that jumped end nothing
unwarned. A moment that was noted and lies in the future comes from a clock that was put back, and
counts for nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from spawner.runs import Run

WARNINGS_SECONDS = (1800, 600, 120)
SHORT_SESSION_SECONDS = 7200
# What a shorter choice is prolonged by where the quota names no step.
STEP_SECONDS = 3600


class Allowed(Protocol):
    """What a quota says about time; None is no limit, and for an extension: none is possible."""

    @property
    def session_seconds(self) -> int | None:
        """How old a server may get."""

    @property
    def idle_seconds(self) -> int | None:
        """How long nothing may happen in it."""

    @property
    def extend_seconds(self) -> int | None:
        """By how much its user may prolong the session, once per this much time."""


@dataclass(frozen=True, slots=True)
class More:
    """An extension is possible now, and gives this much; `chosen`: of what was not chosen."""

    seconds: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Later:
    """The last extension was too short a time ago."""

    seconds: int
    wait_seconds: float


@dataclass(frozen=True, slots=True)
class Never:
    """The quota has no extensions, and all of the session was chosen."""


@dataclass(frozen=True, slots=True)
class Endless:
    """There is no end that could be put off."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """Somebody waits for what the server has."""


Extension = More | Later | Never | Endless | Awaited


def chosen_seconds(wanted: Allowed, allowed: Allowed) -> int | None:
    """Return the session that was asked for where that is less than allowed, else None."""
    session = wanted.session_seconds
    return session if session is not None and _is_less(session, allowed.session_seconds) else None


def warnings(limit_seconds: float) -> tuple[float, ...]:
    """Return how many seconds before the end of such a limit its user is warned, first to last."""
    scale = min(1.0, limit_seconds / SHORT_SESSION_SECONDS)
    return tuple(each * scale for each in WARNINGS_SECONDS)


def keep(run: Run, allowed: Allowed, now: datetime, *, spared: bool = False) -> Run:
    """Return the run with what the quota allows now, and with the end that follows from it.

    One that is `spared` goes on when it is due: its end stays far enough for a warning to come.
    Where nothing is new, as nearly always, it is the very run that was given.
    """
    session = _shorter(run.chosen_seconds, allowed.session_seconds)
    ends_at, warned_at = _end(run, session, now, spared=spared)
    if (
        run.session_seconds == session
        and run.idle_seconds == allowed.idle_seconds
        and run.extend_seconds == allowed.extend_seconds
        and run.ends_at == ends_at
        and run.warned_at == warned_at
    ):
        return run
    return replace(
        run,
        session_seconds=session,
        idle_seconds=allowed.idle_seconds,
        extend_seconds=allowed.extend_seconds,
        ends_at=ends_at,
        warned_at=warned_at,
    )


def _end(
    run: Run, session: int | None, now: datetime, *, spared: bool
) -> tuple[datetime | None, datetime | None]:
    """Return when such a session ends, and since when its user is warned; None is never."""
    if session is None:
        return None, None
    due = run.began + timedelta(seconds=session + run.extended_seconds)
    first = timedelta(seconds=warnings(session)[0])
    if due - now > first:
        return due, None
    was_warned = run.warned_at is not None and run.warned_at <= now
    if spared:
        is_far = run.ends_at is not None and not was_warned and run.ends_at - now > first
        return run.ends_at if is_far else now + 2 * first, None
    if not was_warned:
        return max(due, now + first), now
    return max(due, run.ends_at or due), run.warned_at


def is_over(run: Run, now: datetime) -> bool:
    """Whether the server's time is over, and its user was warned."""
    return run.ends_at is not None and run.warned_at is not None and run.ends_at <= now


def extension(run: Run, allowed: Allowed, now: datetime, *, awaited: bool = False) -> Extension:
    """Return what an extension would give now, or why there is none.

    `awaited`: somebody waits for the server's end, and was told when that is.
    """
    if _shorter(run.chosen_seconds, allowed.session_seconds) is None:
        return Endless()
    step, left = allowed.extend_seconds, _not_chosen(run, allowed)
    if left == 0 and not step:
        return Never()
    if awaited:
        return Awaited()
    step = step or STEP_SECONDS
    if left != 0:
        return More(step if left is None else min(step, left), chosen=True)
    since = (now - run.extended_at).total_seconds() if run.extended_at is not None else step
    if 0 <= since < step:
        return Later(step, step - since)
    return More(step, chosen=False)


def extend(run: Run, allowed: Allowed, more: More, now: datetime) -> Run:
    """Return the run with its end that much later; `more` is what `extension` just returned."""
    run = keep(run, allowed, now)
    session, ends_at = run.session_seconds or 0, run.ends_at or now
    later = max(ends_at, now) + timedelta(seconds=more.seconds)
    chosen = run.chosen_seconds
    if more.chosen:
        session += more.seconds
        chosen = session if _is_less(session, allowed.session_seconds) else None
    else:
        run = replace(run, extensions=run.extensions + 1, extended_at=now)
    # Counted from the end that was shown, which may lie behind what would be due.
    extended_seconds = ceil((later - run.began).total_seconds()) - session
    run = replace(run, chosen_seconds=chosen, extended_seconds=max(0, extended_seconds))
    return keep(replace(run, ends_at=later), allowed, now)


def _not_chosen(run: Run, allowed: Allowed) -> int | None:
    """Return how much of the allowed session was not asked for; None: any amount."""
    if run.chosen_seconds is None:
        return 0
    if allowed.session_seconds is None:
        return None
    return max(0, allowed.session_seconds - run.chosen_seconds)


def _shorter(chosen: int | None, allowed: int | None) -> int | None:
    """Return the shorter of two limits, each None where there is none."""
    return min((each for each in (chosen, allowed) if each is not None), default=None)


def _is_less(seconds: int, limit: int | None) -> bool:
    return limit is None or seconds < limit
