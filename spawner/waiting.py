"""The words for starts that wait, as the store keeps them. Pure data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from spawner.runs import Holder


@dataclass(frozen=True, slots=True)
class Waiting:
    """A start that waits until there is room: who wants what, and since when; times are UTC.

    `options` are those of the start, so that a hub that comes back can go on with it.
    `asked_seconds` is how long the server may run then, None for ever. `rank` is where an admin
    moved it: above 0 before all others, below 0 behind them. `lost_at` is since when nobody looks
    at it, None while somebody does.
    """

    holder: Holder
    since: datetime
    gpus: int
    cpus: float
    memory_bytes: int
    pids: int
    asked_seconds: int | None = None
    groups: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    rank: int = 0
    lost_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The clock was set by so much, and what was noted from a moment on has it already."""

    by: timedelta
    since: datetime
    now: datetime

    def moved(self, moment: datetime) -> datetime:
        """Return a moment by the clock as it goes now."""
        return moment if self.since <= moment <= self.now else moment + self.by

    def followed(self, waiting: Waiting) -> Waiting:
        """Return a start that has waited, and was away, for as long as before."""
        lost = waiting.lost_at
        lost_at = None if lost is None else self.moved(lost)
        return replace(waiting, since=self.moved(waiting.since), lost_at=lost_at)


@dataclass(frozen=True, slots=True)
class Drain:
    """A device that gets no new lease, because an admin wants to mend it; since when, and who."""

    device: str
    since: datetime
    actor: str = ""
