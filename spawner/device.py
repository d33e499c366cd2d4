"""A GPU or a slice of one, and how many servers may have it. Pure data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """What a lease is about: a whole GPU or a MIG slice, by its UUID.

    `places` is how many servers may have it at once: one, unless gpus.share says more. A device
    that is not healthy, is drained before maintenance, or is used by a program that is no server
    of ours gets no new lease; leases on it go on.
    """

    id: str
    places: int = 1
    healthy: bool = True
    draining: bool = False
    used_by_others: bool = False

    @property
    def leasable(self) -> bool:
        """Return whether a new lease may name it."""
        return self.healthy and not self.draining and not self.used_by_others


def named(ids: Iterable[str], share: Mapping[str, int]) -> tuple[Device, ...]:
    """Return healthy devices of these UUIDs, with as many places as gpus.share gives them."""
    return tuple(Device(each, share.get(each, 1)) for each in ids)
