"""Where a start stands in the queue, and what its person sees of it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from spawner.messages import leases as messages
from spawner.runs import Holder
from spawner.shortage import Shortage


@dataclass(frozen=True, slots=True)
class Waits:
    """Somebody who waits: for how many GPUs, for how long they asked, since when."""

    holder: Holder
    gpus: int
    asked_seconds: float | None
    since: float

    def shown(self, now: float, *, names: bool) -> dict[str, Any]:
        """Return what others see of it."""
        text = messages.ahead(self.gpus, self.asked_seconds, now - self.since)
        return {"text": text, **({"name": self.holder.text} if names else {})}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a start stands: 1 is next; `eta`: when it begins if nobody leaves early, if known.

    `line` are all who wait, in the order in which they are served. `short`: what of its group's the
    start waits for, None when it is not for that.
    """

    position: int
    eta: float | None
    line: Sequence[Waits]
    short: Shortage | None = None

    @property
    def moment(self) -> str | None:
        """Return when it begins, to the minute, as JSON has it."""
        if self.eta is None:
            return None
        return datetime.fromtimestamp(self.eta // 60 * 60, UTC).isoformat()

    def shown(self, now: float, *, names: bool = False) -> dict[str, Any]:
        """Return what pages show, as JSON has it; names of people are for admins only."""
        gpus = self.line[self.position - 1].gpus
        eta_seconds = None if self.eta is None else max(0.0, self.eta - now)
        return {
            "position": self.position,
            "waiting": len(self.line),
            "gpus": gpus,
            "eta_seconds": eta_seconds,
            "sentence": messages.position(self.position, gpus, eta_seconds, self._why(names=names)),
            "ahead": [each.shown(now, names=names) for each in self.line[: self.position - 1]],
        }

    def _why(self, *, names: bool) -> str:
        """Say whose group has too little left, "" when it is not that."""
        if self.short is None:
            return ""
        holders = [each.text for each in self.short.holders]
        group, most, taken = self.short.group, self.short.most, self.short.taken
        return messages.in_use_by(group, most, taken, holders if names else len(holders))
