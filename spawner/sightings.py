"""What was seen of containers while they ran, kept until their receipts are written. Pure data.

The engine forgets: after a death it tells neither how much memory there was in use, nor that
somebody else killed the container, nor that it was itself away.
"""

import signal
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from spawner.events import Event
from spawner.memory import Usage

OUTAGE_MARGIN = timedelta(seconds=3)
OUTAGES_KEPT = 20
HARMLESS = frozenset({signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH})


@dataclass(slots=True)
class Sighting:
    """What is known of one container. `outlived`: the engine of now remembers its end."""

    out_of_memory: bool = False
    signalled: bool = False
    ours: bool = False
    outlived: bool = False
    usage: Usage | None = None


class Sightings:
    """One memory for all containers of an instance."""

    def __init__(self) -> None:
        """Know nothing."""
        self._of: dict[str, Sighting] = defaultdict(Sighting)
        self._outages: deque[tuple[datetime, datetime]] = deque(maxlen=OUTAGES_KEPT)
        self._away_since: datetime | None = None

    def of(self, container: str) -> Sighting:
        """Return what is known of a container; nothing is known of one never seen."""
        return self._of[container] if container in self._of else Sighting()

    def note(self, event: Event) -> None:
        """Remember what an event tells about the end to come. Twice is like once."""
        if event.action == "oom":
            self._of[event.container].out_of_memory = True
        elif event.action == "kill" and event.signal not in HARMLESS and self._is_foreign(event):
            self._of[event.container].signalled = True

    def recall(self, event: Event) -> None:
        """Remember what the engine of now remembers of a time in which nobody listened."""
        self.note(event)
        if event.action == "die":
            self._of[event.container].outlived = True

    def _is_foreign(self, event: Event) -> bool:
        return not self.of(event.container).ours

    def end_ours(self, container: str) -> None:
        """From now on, signals to this container are the hub's own."""
        self._of[container].ours = True

    def measure(self, container: str, usage: Usage) -> int:
        """Remember how much memory was in use; return how many more processes were killed."""
        before = self._of[container].usage
        self._of[container].usage = usage
        return usage.oom_kills - (before.oom_kills if before is not None else 0)

    def forget(self, container: str) -> None:
        """The receipt is written."""
        self._of.pop(container, None)

    # the engine

    def engine_left(self, now: datetime) -> None:
        """The engine does not answer any more, since now or earlier."""
        self._away_since = self._away_since or now

    def engine_came(self, now: datetime) -> None:
        """The engine answers (again)."""
        if self._away_since is not None:
            self.engine_was_away(self._away_since - OUTAGE_MARGIN, now + OUTAGE_MARGIN)
            self._away_since = None

    def engine_was_away(self, since: datetime, until: datetime) -> None:
        """Remember a time in which the engine was away, in one piece with others that it meets."""
        apart = []
        for begin, end in self._outages:
            if begin <= until and since <= end:
                since, until = min(since, begin), max(until, end)
            else:
                apart.append((begin, end))
        self._outages = deque([*apart, (since, until)], maxlen=OUTAGES_KEPT)

    def ended_with_engine(self, container: str, at: datetime | None) -> bool:
        """Whether the engine was away when a container ended, as far as is known."""
        return self.away_at(at) and not self.of(container).outlived

    def away_at(self, moment: datetime | None) -> bool:
        """Whether the engine was away when this happened."""
        if moment is None:
            return False
        if self._away_since is not None and moment >= self._away_since - OUTAGE_MARGIN:
            return True
        return any(since <= moment <= until for since, until in self._outages)
