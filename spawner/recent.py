"""How much device time a person had lately: what is long ago counts for less. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from spawner.usage import Span


@dataclass(frozen=True, slots=True)
class Recent:
    """Device-seconds at a moment, and on how many devices they go on from there."""

    seconds: float = 0.0
    at: float = 0.0
    devices: int = 0

    def then(self, moment: float, half_life: float) -> float:
        """Return the device-seconds at a later moment; each counts half after a half-life."""
        kept: float = 0.5 ** ((moment - self.at) / half_life)
        return self.seconds * kept + self.devices * (1.0 - kept) * half_life / math.log(2)

    def changed(self, moment: float, half_life: float, devices: int) -> "Recent":
        """Return it with so many devices more (or fewer) from a moment on."""
        return Recent(self.then(moment, half_life), moment, self.devices + devices)


def lately(spans: Iterable[Span], now: datetime, half_life: float) -> dict[str, float]:
    """Return the GPU-seconds of each user, each counting half after a half-life."""
    found: dict[str, float] = {}
    for span in spans:
        if span.gpus:
            since = min(now, span.since)
            until = max(since, min(now, span.until or now))
            had = Recent(0.0, since.timestamp(), span.gpus)
            had = had.changed(until.timestamp(), half_life, -span.gpus)
            user = span.holder.user
            found[user] = found.get(user, 0.0) + had.then(now.timestamp(), half_life)
    return found
