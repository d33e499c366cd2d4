"""What one server may use, as plain numbers.

Pure: the configuration goes in, a `Quota` comes out. `container.py` turns it into the engine's
words, `messages` into a person's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hub_config.schema import Quotas


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of one server. All are hard: the kernel enforces them."""

    cpus: float
    memory_bytes: int
    shm_bytes: int
    pids: int


def effective(quotas: "Quotas") -> Quota:
    """Return the limits that hold for everybody."""
    limits = quotas.default
    return Quota(
        cpus=limits.cpus,
        memory_bytes=limits.memory,
        shm_bytes=limits.shm,
        pids=limits.pids,
    )
