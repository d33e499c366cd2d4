"""Days, hours and moments, as people write them into labhub.yaml. Pure.

A moment without an offset is meant in the lab's time zone, which is not known here: it stays
without one. A period of hours belongs to the day on which it begins.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_MINUTES = 24 * 60
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_WRITE_MOMENT = "write a day like 2026-12-04, or a time like 2026-12-04 18:00"


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the day, in minutes since midnight; an end that is not later is on the next day."""

    begin_minute: int
    end_minute: int

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{_clock(self.begin_minute)}-{_clock(self.end_minute)}"

    @property
    def minutes(self) -> int:
        """Return how long it is; never zero: 00:00-00:00 is the whole day."""
        return (self.end_minute - self.begin_minute - 1) % DAY_MINUTES + 1


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def parse_days(value: object) -> tuple[int, ...]:
    """Return the days, 0 for Monday, that words such as ``mon`` and ``fri-sun`` name."""
    words = value if isinstance(value, list) else [value]
    found = {day for word in words for day in _days(word)}
    if not found:
        raise ValueError("names no day; write some, like [mon, fri-sun]")
    return tuple(sorted(found))


def _days(word: object) -> list[int]:
    first, dash, last = word.partition("-") if isinstance(word, str) else ("", "", "")
    begin, end = _day(first), _day(last if dash else first)
    if begin is None or end is None:
        shown = f'"{word[:20]}"' if isinstance(word, str) else "this"
        raise ValueError(f"{shown} is no day; write {' '.join(DAYS)}, or some like mon-fri")
    return [(begin + offset) % 7 for offset in range((end - begin) % 7 + 1)]


def _day(word: str) -> int | None:
    name = word.strip().lower()
    return next((DAYS.index(day[:3]) for day in NAMES if name in {day, day[:3]}), None)


def format_days(days: tuple[int, ...]) -> str:
    """Return days as people write them."""
    return ", ".join(DAYS[day] for day in days)


def parse_hours(value: object) -> Hours:
    """Return the part of the day that a text such as ``20:00-06:00`` names."""
    found = _HOURS.fullmatch(value.strip()) if isinstance(value, str) else None
    parts = [int(part) for part in found.groups()] if found else [99, 0, 99, 0]
    begin, end = parts[0] * 60 + parts[1], parts[2] * 60 + parts[3]
    if max(begin, end) > DAY_MINUTES or parts[1] > 59 or parts[3] > 59:  # noqa: PLR2004 - minutes
        raise ValueError('is not a part of a day; write one like "20:00-06:00", in quotes')
    return Hours(begin % DAY_MINUTES, end % DAY_MINUTES)


def parse_since(value: object) -> datetime:
    """Return the moment that a text names; a day means its beginning."""
    return _moment(value, timedelta(0))


def parse_until(value: object) -> datetime:
    """Return the moment that a text names; a day means its end."""
    return _moment(value, timedelta(days=1))


def _moment(value: object, rest_of_day: timedelta) -> datetime:
    if isinstance(value, datetime):
        return value
    text = value.strip() if isinstance(value, str) else ""
    try:
        if len(text) == len("2026-12-04"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time()) + rest_of_day
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        shown = f'"{text[:40]}"' if text and text.isprintable() else "this"
        raise ValueError(f"{shown} is no moment; {_WRITE_MOMENT}") from None


def format_moment(moment: datetime) -> str:
    """Return a moment as people write it."""
    return moment.isoformat(sep=" ", timespec="minutes")


def holds(
    moment: datetime,
    *,
    days: tuple[int, ...] | None = None,
    hours: Hours | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> bool:
    """Say whether all conditions hold at an aware moment, whose own zone is the lab's."""
    if since is not None and _before(moment, since):
        return False
    if until is not None and not _before(moment, until):
        return False
    whole_day = hours or Hours(0, 0)
    minute = moment.hour * 60 + moment.minute
    # What began yesterday may last until now.
    for days_ago in (0, 1):
        began = (moment.weekday() - days_ago) % 7
        passed = minute + days_ago * DAY_MINUTES - whole_day.begin_minute
        if (days is None or began in days) and 0 <= passed < whole_day.minutes:
            return True
    return False


def _before(moment: datetime, other: datetime) -> bool:
    return (moment.replace(tzinfo=None) if other.tzinfo is None else moment) < other
