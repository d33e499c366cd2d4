"""How strict the line of those who have waited long is: by who stands in it, and how long. Pure.

A strict line bounds the longest wait and makes the mean long. So it is only as strict as it helps:

- Nobody stands in it: a large request is all that could be overtaken for long, and it is kept
  devices as soon as it is the first of the ranking.
- Nobody has waited in it for two days: strict. What comes later and is not short does not go first.
- Somebody has: there is more to do than the server can, and everybody waits for long; what comes
  later and asks for less goes first in a quarter of the machine.
- Nobody has or wants more than one device: no large request waits for a gap, so half of the machine
  is enough for the line; after two days it is strict only with what asks for most of a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spawner.lease import Scene, Ticket

HOUR = 3600.0
# Somebody has waited for so long: it is not the order of the line that makes them wait.
LONG_WAIT_SECONDS = 48 * HOUR
# People ask for two or three times as much as they need: this part of it is what is expected.
EXPECTED_PART = 0.4


@dataclass(frozen=True, slots=True)
class Law:
    """By which the line and the ranking of one round share the machine.

    While the part `share` of it is out by the line, the line stands still: who asks for `short` at
    most starts first, then again the line, then the others; with None all others start first.
    Of the time that the leases before it have left, the `first` of the line is expected to wait for
    this part when it wants several devices, and the first of the ranking for the part `ranked`:
    nobody else gets what is kept for them who does not surely end before.
    """

    share: float
    short: float | None
    first: float
    ranked: float = 1.0

    def part_of_first(self, ticket: Ticket) -> float:
        """Return the part that a ticket at the head of the line is expected to wait for."""
        return self.first if ticket.wanted > 1 else EXPECTED_PART

    def part_of_ranked(self, ticket: Ticket) -> float:
        """Return the part that a ticket which is first in the ranking is expected to wait for."""
        return self.ranked if ticket.wanted > 1 else 1.0


NOBODY_LATE = Law(0.75, None, first=EXPECTED_PART, ranked=EXPECTED_PART)
SHORT_WAIT = Law(0.75, 8 * HOUR, first=0.1)
LONG_WAIT = Law(0.75, None, first=EXPECTED_PART)
ONE_EACH_SHORT_WAIT = Law(0.5, 8 * HOUR, first=EXPECTED_PART)
ONE_EACH_LONG_WAIT = Law(0.5, 20 * HOUR, first=EXPECTED_PART)


def law(scene: Scene, late: Sequence[Ticket], now: float) -> Law:
    """Return the law that holds while these stand in the line."""
    if not late:
        return NOBODY_LATE
    long = now - min(each.since for each in late) >= LONG_WAIT_SECONDS
    if _one_each(scene):
        return ONE_EACH_LONG_WAIT if long else ONE_EACH_SHORT_WAIT
    return LONG_WAIT if long else SHORT_WAIT


def _one_each(scene: Scene) -> bool:
    """Return whether nobody wants or has more than one device."""
    return all(each.wanted <= 1 for each in scene.tickets) and all(
        len(each.devices) <= 1 for each in scene.leases
    )
