"""The devices' places and their near future, while one decision is being made. Pure.

A place is free now, or until its lease ends by its limit, and perhaps reserved from some moment
on. A ticket may start on places that are free now if by its own limit it surely ends before anybody
else's reserved start on them: that is what lets short requests go ahead of a large one that waits,
without delaying it (EASY backfill). Totals of groups and quotas of persons are kept in the same
way: now, and at each reserved start.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from spawner.lease import Lease, Scene, Ticket

# A session whose time is over, or has none, is expected to go on for so long at least.
OVERTIME_SECONDS = 300.0


@dataclass(slots=True)
class Place:
    """One place on a device: from when on it is free, and from when on it is reserved.

    `after` is when it is free again after the last reservation; `crowd` how many have places on
    the device already, and `order` that of the devices: those that nobody shares come first.
    """

    device: str
    order: tuple[bool, int]
    crowd: int
    free_at: float
    reserved_at: float = inf
    after: float = 0.0


@dataclass(slots=True)
class Pot:
    """What a group or a person may have together: `most`, and who has how much until when."""

    most: int
    taken: int = 0
    ends: list[tuple[float, int]] = field(default_factory=list)
    reserved: list[tuple[float, int]] = field(default_factory=list)

    def add(self, devices: int, until: float) -> None:
        """Count a lease."""
        self.taken += devices
        self.ends.append((until, devices))

    def left_at(self, moment: float) -> int:
        """Return how much is left at a moment, when reserved starts by then have happened."""
        gone = sum(devices for until, devices in self.ends if until <= moment)
        reserved = sum(devices for start, devices in self.reserved if start <= moment)
        return self.most - self.taken + gone - reserved

    def fits(self, devices: int, until: float) -> bool:
        """Return whether so many fit now, and still do at each reserved start before `until`."""
        if devices > self.most - self.taken:
            return False
        starts = (start for start, _ in self.reserved if start < until)
        return all(devices <= self.left_at(start) for start in starts)

    def earliest(self, devices: int, moment: float) -> float:
        """Return the first moment from this one on at which so many are left."""
        for until in sorted(until for until, _ in self.ends if until > moment):
            if devices <= self.left_at(moment):
                return moment
            moment = until
        return moment if devices <= self.left_at(moment) else inf


class Plan:
    """Who has what, until when, and who has reserved what; changes as a decision goes on."""

    def __init__(self, scene: Scene, now: float) -> None:
        """Begin with the leases there are."""
        self.now = now
        self.places = list(_places(scene, now))
        self.free = [each for each in self.places if each.free_at <= now]
        self._scene = scene
        self._pots: dict[tuple[str, str], Pot] = {}

    def may_fit(self, tickets: Iterable[Ticket]) -> bool:
        """Return whether any of these could perhaps start now; says so quickly."""
        if not self.free:
            return False
        count, longest = len(self.free), max(each.reserved_at for each in self.free) - self.now
        return any(
            each.wanted <= count and (inf if each.asked is None else each.asked) <= longest
            for each in tickets
        )

    def fitting(self, ticket: Ticket) -> list[Place]:
        """Return the places that a ticket can start on now; none when it cannot."""
        if ticket.wanted > len(self.free):
            return []
        until = self.now + _length(ticket)
        found = [each for each in self.free if each.reserved_at >= until]
        if len(found) < ticket.wanted:
            return []
        # A device of one's own, or else the emptiest; of equal ones that which is reserved the
        # soonest: the others are for those who stay longer.
        found.sort(key=lambda each: (each.order[0], each.crowd, each.reserved_at, each.order))
        chosen = list(_different(found, ticket.wanted))
        if not chosen or not all(pot.fits(ticket.wanted, until) for pot in self._of(ticket)):
            return []
        return chosen

    def start(self, ticket: Ticket, chosen: list[Place]) -> None:
        """Let a ticket have these places from now on."""
        until = self.now + _length(ticket)
        for place in chosen:
            self.free.remove(place)
            place.free_at = until
            place.after = max(place.after, until)
            for other in self.free:
                other.crowd += other.device == place.device
        for pot in self._of(ticket):
            pot.add(ticket.wanted, until)

    def reserve(self, ticket: Ticket, part: float = 1.0) -> float:
        """Keep the places that are free the soonest for a ticket; return when it starts.

        `part` is how much of the time until then it is expected to take.
        """
        found = sorted(
            self.places, key=lambda each: (each.after, each.order[0], each.crowd, each.order)
        )
        chosen = list(_different(found, ticket.wanted))
        start = max((each.after for each in chosen), default=inf)
        for pot in self._of(ticket):
            start = max(start, pot.earliest(ticket.wanted, start))
        if start < inf:
            start = self.now + (start - self.now) * part
        for place in chosen:
            place.reserved_at = min(place.reserved_at, start)
            place.after = start + _length(ticket)
        for pot in self._of(ticket):
            pot.reserved.append((start, ticket.wanted))
        return start

    def settle(self, ticket: Ticket) -> float:
        """Give a ticket its start, behind those that have theirs; return when it is.

        It may be before some of theirs where it surely ends before they begin.
        """
        if chosen := self.fitting(ticket):
            self.start(ticket, chosen)
            return self.now
        start, chosen = self._gap(ticket)
        if not chosen:
            return self.reserve(ticket)
        for place in chosen:
            place.free_at = start + _length(ticket)
        for pot in self._of(ticket):
            pot.reserved.append((start, ticket.wanted))
        return start

    def _gap(self, ticket: Ticket) -> tuple[float, list[Place]]:
        """Return the soonest start on places that are free before others have reserved them."""
        length = _length(ticket)
        gaps = [each for each in self.places if each.free_at + length <= each.reserved_at < inf]
        for place in sorted(gaps, key=lambda each: each.free_at):
            start = place.free_at
            open_then = [g for g in gaps if g.free_at <= start and start + length <= g.reserved_at]
            chosen = list(_different(open_then, ticket.wanted))
            pots = self._of(ticket)
            if chosen and all(pot.earliest(ticket.wanted, start) <= start for pot in pots):
                return start, chosen
        return inf, []

    def _of(self, ticket: Ticket) -> list[Pot]:
        """Return what the ticket has to fit into besides the machine."""
        totals = self._scene.totals
        groups = ticket.groups & totals.keys() if totals else ()
        found = [self._pot(("group", group), totals[group]) for group in groups]
        if ticket.quota is not None:
            found.append(self._pot(("user", ticket.holder.user), ticket.quota))
        return found

    def _pot(self, key: tuple[str, str], most: int) -> Pot:
        if key not in self._pots:
            pot = self._pots[key] = Pot(most)
            kind, name = key
            for lease in self._scene.leases:
                if name in lease.groups if kind == "group" else name == lease.holder.user:
                    pot.add(len(lease.devices), ends(lease, self.now))
        return self._pots[key]


def ends(lease: Lease, now: float) -> float:
    """Return when a lease is over: by its limit; without one, after as long again as it was."""
    if lease.until is None:
        return now + max(now - lease.since, OVERTIME_SECONDS)
    return lease.until if lease.until > now else now + OVERTIME_SECONDS


def _length(ticket: Ticket) -> float:
    return inf if ticket.asked is None else ticket.asked


def _places(scene: Scene, now: float) -> Iterator[Place]:
    """Yield all places of devices that may get leases; those that leases have, and the free."""
    taken: dict[str, list[float]] = {}
    for lease in scene.leases:
        for name in lease.devices:
            taken.setdefault(name, []).append(ends(lease, now))
    for number, device in enumerate(scene.devices):
        if device.leasable:
            order = (device.places > 1, number)
            until = sorted(taken.get(device.id, ()))
            free = max(0, device.places - len(until))
            for moment in [*until[len(until) + free - device.places :], *[now] * free]:
                yield Place(device.id, order, len(until), moment, after=moment)


def _different(places: Iterable[Place], wanted: int) -> Iterator[Place]:
    """Yield so many places, each on another device; none when there are too few devices."""
    found: dict[str, Place] = {}
    for place in places:
        found.setdefault(place.device, place)
        if len(found) == wanted:
            return iter(found.values())
    return iter(())
