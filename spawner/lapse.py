"""What is over in the queue: tickets nobody came back for, leases that others wait for. Pure."""

from spawner.lease import Lease, Scene, Ticket


def expired(scene: Scene, now: float) -> list[Ticket]:
    """Return the tickets that nobody has looked at for `ticket_ttl`: they lose their place."""
    bound = now - scene.rules.ticket_ttl
    return [each for each in scene.tickets if each.lost is not None and each.lost <= bound]


def unclaimed(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose person did not come within `claim`: the next one gets the devices."""
    bound = now - scene.rules.claim
    return [each for each in scene.leases if each.offered is not None and each.offered <= bound]


def over(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose session is over and that have to end.

    With `soft_limit`, only those on whose devices somebody who waits could start.
    """
    found = [each for each in scene.leases if each.until is not None and each.until <= now]
    if not scene.rules.soft_limit:
        return found
    waits = any(each.wanted for each in scene.tickets)
    leasable = {each.id for each in scene.devices if each.leasable}
    return [each for each in found if waits and not leasable.isdisjoint(each.devices)]
