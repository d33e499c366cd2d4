"""What is over in the queue: tickets nobody came back for, leases that others wait for. Pure."""

from spawner.lease import Lease, Scene, Ticket
from spawner.relief import helpful


def expired(scene: Scene, now: float) -> list[Ticket]:
    """Return the tickets that nobody has looked at for `ticket_ttl`: they lose their place."""
    bound = now - scene.rules.ticket_ttl
    return [each for each in scene.tickets if each.lost is not None and each.lost <= bound]


def unclaimed(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose person did not come within `claim`, and whose end helps others.

    No more than are waited for, from those first that are kept the longest.
    """
    bound = now - scene.rules.claim
    kept = [(each.offered, each) for each in scene.leases if each.offered is not None]
    late = sorted((pair for pair in kept if pair[0] <= bound), key=lambda pair: pair[0])
    return helpful(scene, [lease for _, lease in late], now)


def needed(scene: Scene, now: float) -> list[Lease]:
    """Return the leases whose end others wait for: those have to end when their session is over.

    No more than are waited for, from those first that end the soonest, and of these from who has
    had theirs the longest. What has no end cannot be waited for.
    """
    # An end that was told and is here comes before one that is still to be told: else the first
    # would be taken back at that very moment, and told again the next, and so for ever.
    ending = [
        (max(each.until, now + each.notice), each.since, each)
        for each in scene.leases
        if each.until is not None
    ]
    ending.sort(key=lambda each: each[:2])
    return helpful(scene, [lease for *_, lease in ending], now)
