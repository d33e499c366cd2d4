"""What holds of leases and tickets, whatever happens. Pure; each broken rule is a sentence.

1. A device is never in more leases than it has places; a lease never names one twice.
2. A server has one lease or one ticket, never both, never two.
3. Of nothing more is in use than there is: not of a group's total, not of the machine's memory.
4. A new lease names only devices that are healthy, not drained and not used by others, and as many
   as were wanted.
5. Nobody is starved: the first of the line that can start at all has a latest start, by all
   limits, which never moves away while nothing breaks, and nobody of more priority comes to stand
   before it, which ends when it has waited for as long as that counts; and when nobody comes any
   more, everybody gets their turn.
6. Nothing is kept back: a ticket that could start alone on an idle machine is not left waiting.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import inf

from spawner.law import law
from spawner.lease import Granted, Lease, Scene, Ticket
from spawner.order import line
from spawner.plan import Plan
from spawner.times import warnings


def broken(scene: Scene) -> list[str]:
    """Return what is wrong at any moment (rules 1 to 3)."""
    return [*overbooked(scene), *_holders(scene)]


def overbooked(scene: Scene) -> list[str]:
    """Return what is promised twice at any moment (rules 1 and 3)."""
    return [*_devices(scene), *_sums(scene)]


def _devices(scene: Scene) -> Iterator[str]:
    taken = Counter(device for lease in scene.leases for device in lease.devices)
    for device in scene.devices:
        if taken[device.id] > device.places:
            yield f"{device.id} is in {taken[device.id]} leases and has {device.places} places"
    for lease in scene.leases:
        if len(set(lease.devices)) < len(lease.devices):
            yield f"{lease.holder} has a device twice: {lease.devices}"


def _holders(scene: Scene) -> Iterator[str]:
    for holder, count in Counter(each.holder for each in (*scene.leases, *scene.tickets)).items():
        if count > 1:
            yield f"{holder} has {count} leases and tickets"


def _sums(scene: Scene) -> Iterator[str]:
    for key, most in scene.caps.items():
        had = sum(each.draws.get(key, 0) for each in scene.leases)
        if had > most:
            yield f"{had} of {key} are in use, and there are {most}"


def wrong_grant(scene: Scene, ticket: Ticket, granted: Granted) -> list[str]:
    """Return what is wrong with what a ticket got (rule 4)."""
    leasable = {each.id for each in scene.devices if each.leasable}
    wrong = [f"{ticket.holder} got {each}" for each in granted.devices if each not in leasable]
    if len(granted.devices) != ticket.wanted:
        wrong.append(f"{ticket.holder} wanted {ticket.wanted} and got {granted.devices}")
    return wrong


def first_able(scene: Scene, now: float) -> tuple[Ticket, float] | None:
    """Return the first of the line that can start at all, and when if all take all their time.

    Who wants more devices than are left while one is mended cannot.
    """
    plan = Plan(scene, now)
    starts = ((each, plan.reserve(each)) for each in line(scene, scene.tickets, now))
    return next(((each, moment) for each, moment in starts if moment < inf), None)


def latest_start(scene: Scene, now: float) -> tuple[Ticket, float] | None:
    """Return the first of the line that can start, and until when it does by all limits (rule 5).

    None where the line has its part of the machine, or a session has no end.
    """
    if any(each.until is None for each in scene.leases):
        return None
    lent = sum(len(each.devices) for each in scene.leases if each.late)
    strict = law(scene, line(scene, scene.tickets, now), now)
    if lent >= strict.share * len(Plan(scene, now).places):
        return None
    return first_able(scene, now)


def kept_back(scene: Scene) -> list[str]:
    """Return who waits although nothing is in use (rule 6); called after all turns."""
    free = sum(each.leasable for each in scene.devices)
    waiting = [each for each in scene.tickets if each.wanted <= free]
    if scene.leases or not waiting:
        return []
    return [f"{each.holder} waits for {each.wanted} of {free} idle devices" for each in waiting]


def as_lease(ticket: Ticket, granted: Granted, now: float) -> Lease:
    """Return the lease that a ticket becomes."""
    until = None if ticket.asked is None else now + ticket.asked
    return untold(
        Lease(ticket.holder, granted.devices, now, until, ticket.draws, granted.late, due=until)
    )


def told(lease: Lease, now: float) -> Lease:
    """Return a lease whose person is told at this moment when it ends."""
    assert lease.due is not None
    return replace(lease, until=max(lease.due, now + lease.notice), notice=0.0)


def untold(lease: Lease) -> Lease:
    """Return a lease whose person knows of no end but that of the session."""
    notice = 0.0 if lease.due is None else warnings(lease.due - lease.since)[0]
    return replace(lease, until=lease.due, notice=notice)
