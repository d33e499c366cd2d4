"""Whose end would help those who wait. Pure.

A start waits for devices, or for a group's total or the machine's memory, or for several of these.
Only a server that has something of what is short helps by its end: while a group's total is used
up, another group's device is of no use to its members, and memory is no device.
"""

from collections.abc import Iterable

from spawner.lease import Lease, Scene, Ticket
from spawner.queue import served


def helpful(scene: Scene, leases: Iterable[Lease], now: float) -> list[Lease]:
    """Return those of these leases whose end brings a start nearer; no more than are needed.

    The first of the leases that helps the first ticket comes first, and so on. A start that is not
    possible as things are, whatever ends, needs nothing.
    """
    left, found, stock = list(leases), [], _Stock(scene)
    for ticket in served(scene, now) if left else ():
        if not stock.can_ever_have(ticket):
            continue
        while (lease := stock.helping(left, ticket)) is not None:
            left.remove(lease)
            stock.give_back(lease)
            found.append(lease)
        stock.take(ticket)
        if not left:
            break
    return found


class _Stock:
    """What is free: places by device, and what is left of everything else."""

    def __init__(self, scene: Scene) -> None:
        """Begin with what no lease has."""
        self._most = scene.caps
        self._left = dict(scene.caps)
        self._places = {each.id: each.places for each in scene.devices if each.leasable}
        for lease in scene.leases:
            self._count(lease, -1)

    def can_ever_have(self, ticket: Ticket) -> bool:
        """Return whether there is so much at all."""
        enough = all(amount <= self._most.get(key, amount) for key, amount in ticket.draws.items())
        return enough and ticket.wanted <= len(self._places)

    def helping(self, leases: Iterable[Lease], ticket: Ticket) -> Lease | None:
        """Return the first lease that has something that the ticket is short of.

        Devices help nobody who is short of something else: more come with what that comes from.
        """
        if short := self._short(ticket):
            return next((each for each in leases if any(map(each.draws.get, short))), None)
        if ticket.wanted <= sum(free > 0 for free in self._places.values()):
            return None
        full = {device for device, free in self._places.items() if free <= 0}
        return next((each for each in leases if not full.isdisjoint(each.devices)), None)

    def give_back(self, lease: Lease) -> None:
        """Count what a lease has as free."""
        self._count(lease, 1)

    def take(self, ticket: Ticket) -> None:
        """Keep for a ticket what it needs; who is short of more than devices lets others by."""
        if self._short(ticket):
            return
        free = sorted((n, each) for each, n in self._places.items() if n > 0)
        for _, device in free[-ticket.wanted :] if ticket.wanted else ():
            self._places[device] -= 1
        for key in ticket.draws.keys() & self._left.keys():
            self._left[key] -= ticket.draws[key]

    def _short(self, ticket: Ticket) -> list[tuple[str, str]]:
        """Return what is not left for a ticket, besides devices."""
        draws = ticket.draws.items()
        return [key for key, amount in draws if amount > self._left.get(key, amount)]

    def _count(self, lease: Lease, sign: int) -> None:
        for device in lease.devices:
            if device in self._places:
                self._places[device] += sign
        for key in lease.draws.keys() & self._left.keys():
            self._left[key] += sign * lease.draws[key]
