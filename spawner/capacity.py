"""From what a machine has to what servers may have of it. Pure.

`host.reserve` is never given out: it is for the system, the hub and every other program. Where
those really use more than that, servers get so much less, because it is gone all the same:

    memory for servers = (all memory - the larger of reserve and what others use) x overcommit

CPUs are shared by the kernel and run out for nobody, so they are counted only where
`host.overcommit.cpus` says how often each may be promised.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spawner.admission import Room

if TYPE_CHECKING:
    from hub_config.schema import Host


@dataclass(frozen=True, slots=True)
class Facts:
    """A machine: its memory and cores, and how much memory programs hold that are no servers."""

    memory_bytes: int
    cpus: int
    others_bytes: int = 0


def capacity(rules: "Host", facts: Facts) -> Room:
    """Return what all servers of the machine may have together."""
    free_bytes = facts.memory_bytes - max(rules.reserve.memory, facts.others_bytes)
    memory_bytes = max(0, int(free_bytes * rules.overcommit.memory))
    if rules.overcommit.cpus is None:
        return Room(memory_bytes)
    free_cpus = max(0.0, facts.cpus - rules.reserve.cpus)
    return Room(memory_bytes, free_cpus * rules.overcommit.cpus)
