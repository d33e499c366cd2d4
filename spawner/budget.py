"""What is left of a person's GPU time, and what to do about it. Pure.

    counted     the GPUs of all of a person's servers, as spawner/usage.py counts them, until now
    a week      from Monday 00:00 to Monday 00:00, a month from its first day to the next one's, in
                the lab's time zone
    told        at 80 %; again at 95 %, or when less than an hour is left at the present use
    used up     nothing with a GPU begins; what runs is told so, and goes on for the grace period
                that begins when it was told, and not before

Of a week's and a month's budget, that one counts which is used up, or will be first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Protocol

from spawner.runs import Spent
from spawner.usage import Span, Window, total

SOON_PARTS, NEAR_PARTS, NEAR_SECONDS = 0.8, 0.95, 3600
MOST_DAYS_OF_A_MONTH = 31


class Allowed(Protocol):
    """What a quota says about GPU time; None is no limit."""

    @property
    def week_gpu_seconds(self) -> float | None:
        """How much in a week."""

    @property
    def month_gpu_seconds(self) -> float | None:
        """How much in a month."""


class Level(IntEnum):
    """How near the end of a budget is; each is told once."""

    FAR = 0
    SOON = 1
    NEAR = 2
    USED_UP = 3


@dataclass(frozen=True, slots=True)
class Period:
    """The week or the month around a moment; `until` is in the lab's zone, to be told."""

    name: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """What was used of a budget until now, and how many GPUs go on using it."""

    period: Period
    allowed_seconds: float
    used_seconds: float
    gpus: int
    now: datetime

    @property
    def left_seconds(self) -> float:
        """How much is left; never less than nothing."""
        return max(0.0, self.allowed_seconds - self.used_seconds)

    @property
    def lasts_seconds(self) -> float | None:
        """How long it lasts at the present use; None: until it begins anew."""
        if not self.left_seconds:
            return 0.0
        if not self.gpus:
            return None
        rest = (self.period.until.astimezone(UTC) - self.now).total_seconds()
        lasts = self.left_seconds / self.gpus
        return lasts if lasts < rest else None

    @property
    def level(self) -> Level:
        """How near the end is."""
        if not self.left_seconds:
            return Level.USED_UP
        parts, lasts = self.used_seconds / self.allowed_seconds, self.lasts_seconds
        if parts >= NEAR_PARTS or (lasts is not None and lasts < NEAR_SECONDS):
            return Level.NEAR
        return Level.SOON if parts >= SOON_PARTS else Level.FAR


@dataclass(frozen=True, slots=True)
class Standing:
    """An account, and since when its user is told that it is used up; both on the steady clock."""

    account: Account
    grace_seconds: float
    at: float
    told_at: float | None = None

    @property
    def ends_in_seconds(self) -> float | None:
        """How long servers with GPUs still have; None: nothing ends them."""
        if self.account.level is not Level.USED_UP or self.told_at is None:
            return None
        return max(0.0, self.grace_seconds - (self.at - self.told_at))

    @property
    def is_over(self) -> bool:
        """Whether servers with GPUs end now."""
        return self.ends_in_seconds == 0

    @property
    def spent(self) -> Spent:
        """What the receipt of a server says that ends now."""
        account = self.account
        return Spent(
            account.period.name, account.allowed_seconds, account.used_seconds, account.period.until
        )


def week(local: datetime) -> Period:
    """Return the week around a moment in the lab's zone."""
    monday = _midnight(local) - timedelta(days=local.weekday())
    return Period("week", monday.astimezone(UTC), monday + timedelta(days=7))


def month(local: datetime) -> Period:
    """Return the calendar month around a moment in the lab's zone."""
    first = _midnight(local).replace(day=1)
    following = (first + timedelta(days=MOST_DAYS_OF_A_MONTH)).replace(day=1)
    return Period("month", first.astimezone(UTC), following)


def budgets(allowed: Allowed, local: datetime) -> tuple[tuple[Period, float], ...]:
    """Return the budgets that a quota sets, each with its period around a moment."""
    both = (week(local), allowed.week_gpu_seconds), (month(local), allowed.month_gpu_seconds)
    return tuple((period, seconds) for period, seconds in both if seconds is not None)


def earliest(local: datetime) -> Window:
    """Return the time in which any budget counts what was used."""
    return Window(min(week(local).since, month(local).since), local.astimezone(UTC))


def accounts(allowed: Allowed, spans: Iterable[Span], local: datetime) -> tuple[Account, ...]:
    """Return what a person, whose spans these are, has used of each of their budgets."""
    mine, now = tuple(spans), local.astimezone(UTC)
    gpus = sum(span.gpus for span in mine if span.until is None and span.since <= now)
    return tuple(
        Account(period, seconds, total(mine, Window(period.since, now)).gpu_seconds, gpus, now)
        for period, seconds in budgets(allowed, local)
    )


def tightest(found: Iterable[Account]) -> Account | None:
    """Return the account that is used up, or will be first; None where there is none."""
    return min(found, key=_tightness, default=None)


def _tightness(account: Account) -> tuple[float, float, float]:
    """Return what sorts first whatever is told first: used up for longest, soonest, most."""
    lasts = account.lasts_seconds
    if account.level is Level.USED_UP:
        return -account.level, 0, -account.period.until.timestamp()
    if lasts is not None:
        return -account.level, 1, lasts
    return -account.level, 2, -account.used_seconds / account.allowed_seconds


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
