"""What is over in the queue: tickets nobody came back for, leases that others wait for. Pure."""

from spawner.lease import Lease, Scene, Ticket


def expired(scene: Scene, now: float) -> list[Ticket]:
    """Return the tickets that nobody has looked at for `ticket_ttl`: they lose their place."""
    bound = now - scene.rules.ticket_ttl
    return [each for each in scene.tickets if each.lost is not None and each.lost <= bound]


def unclaimed(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose person did not come within `claim`, while others wait for devices."""
    bound = now - scene.rules.claim
    if not _wanted(scene):
        return []
    return [each for each in scene.leases if each.offered is not None and each.offered <= bound]


def over(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose session is over and that have to end, after a warning.

    With `soft_limit` only as many devices are wanted back as others wait for, from those first who
    have had theirs the longest.
    """
    found = [each for each in scene.leases if each.due is not None and each.due <= now]
    if not scene.rules.soft_limit:
        return found
    # What is a part of a device, or the whole of it, keeps that from others.
    useful = {each.id for each in scene.devices if each.leasable}
    useful |= {held for each in scene.devices for held in each.overlaps}
    wanted, back = _wanted(scene), []
    for lease in sorted(found, key=lambda each: each.since):
        if not lease.devices:
            back.append(lease)
        elif wanted > 0 and not useful.isdisjoint(lease.devices):
            back.append(lease)
            wanted -= len(useful.intersection(lease.devices))
    return back


def _wanted(scene: Scene) -> int:
    """Return how many devices are waited for."""
    return sum(each.wanted for each in scene.tickets)
