"""The devices' places and their near future, while one decision is being made. Pure.

A place is free now, or until its lease ends by its limit, and perhaps reserved from some moment
on. A ticket may start on places that are free now if by its own limit it surely ends before anybody
else's reserved start on them: that is what lets short requests go ahead of a large one that waits,
without delaying it (EASY backfill). Totals of groups and the machine's memory are kept in the same
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
    """Something there is only `most` of; `spans`: from when until when how much of it is used."""

    most: int
    spans: list[tuple[float, float, int]] = field(default_factory=list)

    def add(self, amount: int, begin: float, end: float) -> None:
        """Count a lease, or a start that is reserved."""
        self.spans.append((begin, end, amount))

    def left_at(self, moment: float) -> int:
        """Return how much is left at a moment."""
        used = sum(amount for begin, end, amount in self.spans if begin <= moment < end)
        return self.most - used

    def fits(self, amount: int, begin: float, end: float) -> bool:
        """Return whether so much is left from one moment to another: there is less at starts."""
        if amount > self.left_at(begin):
            return False
        starts = (start for start, _, _ in self.spans if begin < start < end)
        return all(amount <= self.left_at(start) for start in starts)

    def earliest(self, amount: int, moment: float, length: float) -> float:
        """Return the first moment from this one on at which so much is left for so long."""
        for begin in sorted({moment, *(end for _, end, _ in self.spans if end > moment)}):
            if self.fits(amount, begin, begin + length):
                return begin
        return inf


class Plan:
    """Who has what, until when, and who has reserved what; changes as a decision goes on."""

    def __init__(self, scene: Scene, now: float, *, guess: bool = True) -> None:
        """Begin with the leases there are; `guess` when those end that have no limit."""
        self.now, self._guess = now, guess
        self.places = list(_places(scene, now, guess=guess))
        self.free = [each for each in self.places if each.free_at <= now]
        self._scene = scene
        self._pots: dict[tuple[str, str], Pot] = {}

    def may_fit(self, tickets: Iterable[Ticket]) -> bool:
        """Return whether any of these could perhaps start now; says so quickly."""
        count = len(self.free)
        latest = max((each.reserved_at for each in self.free), default=self.now)
        return any(
            not each.wanted or (each.wanted <= count and self.now + _length(each) <= latest)
            for each in tickets
        )

    def fitting(self, ticket: Ticket) -> list[Place] | None:
        """Return the places that a ticket can start on now; None when it cannot."""
        if ticket.wanted > len(self.free):
            return None
        until = self.now + _length(ticket)
        found = [each for each in self.free if each.reserved_at >= until]
        if len(found) < ticket.wanted:
            return None
        # A device of one's own, or else the emptiest; of equal ones that which is reserved the
        # soonest: the others are for those who stay longer.
        found.sort(key=lambda each: (each.order[0], each.crowd, each.reserved_at, each.order))
        chosen = list(_different(found, ticket.wanted))
        if len(chosen) < ticket.wanted:
            return None
        pots = self._of(ticket)
        return chosen if all(pot.fits(each, self.now, until) for pot, each in pots) else None

    def start(self, ticket: Ticket, chosen: list[Place]) -> None:
        """Let a ticket have these places from now on, as the lease that it becomes would have."""
        endless = ticket.asked is None and self._guess
        until = self.now + (OVERTIME_SECONDS if endless else _length(ticket))
        for place in chosen:
            self.free.remove(place)
            place.free_at = until
            place.after = max(place.after, until)
            for other in self.free:
                other.crowd += other.device == place.device
        for pot, amount in self._of(ticket):
            pot.add(amount, self.now, until)

    def reserve(self, ticket: Ticket, part: float = 1.0) -> float:
        """Keep the places that are free the soonest for a ticket; return when it starts.

        `part` is how much of the time until then it is expected to take. One that never starts, as
        things are, keeps nothing. Where only nobody can tell when it starts, what it needs is kept.
        """
        found = sorted(
            self.places, key=lambda each: (each.after, each.order[0], each.crowd, each.order)
        )
        chosen = list(_different(found, ticket.wanted))
        start = max((each.after for each in chosen), default=inf if ticket.wanted else self.now)
        pots = self._of(ticket)
        for pot, amount in pots:
            start = max(start, pot.earliest(amount, start, _length(ticket)))
        if start < inf:
            start = self.now + (start - self.now) * part
        elif self._guess or any(amount > pot.most for pot, amount in pots):
            return inf
        for place in chosen:
            place.reserved_at = min(place.reserved_at, start)
            place.after = start + _length(ticket)
        for pot, amount in pots:
            pot.add(amount, start, start + _length(ticket))
        return start

    def settle(self, ticket: Ticket) -> float:
        """Give a ticket its start, behind those that have theirs; return when it is.

        It may be before some of theirs where it surely ends before they begin.
        """
        fitting = self.fitting(ticket)
        if fitting is not None:
            self.start(ticket, fitting)
            return self.now
        start, chosen = self._gap(ticket)
        if not chosen:
            return self.reserve(ticket)
        for place in chosen:
            place.free_at = start + _length(ticket)
        for pot, amount in self._of(ticket):
            pot.add(amount, start, start + _length(ticket))
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
            if chosen and all(pot.fits(each, start, start + length) for pot, each in pots):
                return start, chosen
        return inf, []

    def _of(self, ticket: Ticket) -> list[tuple[Pot, int]]:
        """Return what the ticket draws on besides devices, and how much of it."""
        caps = self._scene.caps
        found = ((key, amount) for key, amount in ticket.draws.items() if amount and key in caps)
        return [(self._pot(key), amount) for key, amount in found]

    def _pot(self, key: tuple[str, str]) -> Pot:
        if key not in self._pots:
            pot = self._pots[key] = Pot(self._scene.caps[key])
            for lease in self._scene.leases:
                if amount := lease.draws.get(key, 0):
                    pot.add(amount, self.now, ends(lease, self.now, guess=self._guess))
        return self._pots[key]


def ends(lease: Lease, now: float, *, guess: bool) -> float:
    """Return when a lease is over: by its limit; without one, after as long again as it was.

    Unless that is a `guess` too much: then never. Nobody's ends before they were told in time.
    """
    if lease.until is None:
        return now + max(now - lease.since, OVERTIME_SECONDS) if guess else inf
    end = max(lease.until, now + lease.notice)
    return end if end > now else now + OVERTIME_SECONDS


def _length(ticket: Ticket) -> float:
    return inf if ticket.asked is None else ticket.asked


def _places(scene: Scene, now: float, *, guess: bool) -> Iterator[Place]:
    """Yield all places of devices that may get leases; those that leases have, and the free."""
    taken: dict[str, list[float]] = {}
    for lease in scene.leases:
        for name in lease.devices:
            taken.setdefault(name, []).append(ends(lease, now, guess=guess))
    for number, device in enumerate(scene.devices):
        if device.leasable:
            order = (device.places > 1, number)
            until = sorted(taken[device.id]) if device.id in taken else []
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
