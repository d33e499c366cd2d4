"""Who has which devices, who waits for how many, and by which rules. Pure data.

A moment is a number of seconds since a moment that is the same for all, like a POSIX timestamp.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spawner.devices import Device
from spawner.runs import Holder

if TYPE_CHECKING:
    from hub_config.schema import Gpus


# What there is only so much of, besides devices: a group's name (empty: the machine) and what of
# it, with how much of that is drawn, or there is.
Draws = Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Lease:
    """Devices that a server has, by their UUIDs, since when and until when.

    `until` is its end as its person was told, `due` that of its session: it may go on after that
    while nobody waits. None is never. `notice`: it ends so many seconds after it is told at the
    earliest; 0 once it was told. `late`: it was granted because its ticket had waited so long.
    `offered` is since when the devices are kept for a person who was away when their turn came;
    None when nobody has to come.
    """

    holder: Holder
    devices: tuple[str, ...]
    since: float
    until: float | None = None
    draws: Draws = field(default_factory=dict)
    late: bool = False
    offered: float | None = None
    due: float | None = None
    notice: float = 0.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A start that wants devices: how many, and for how long at most (None: for ever).

    It may want none, and only memory of a machine that is full. `priority` is that of the person's
    groups. One with a `rank` was moved by an admin: above 0 before all others, below 0 behind them.
    `lost` is since when nobody looks at it (the browser is closed, the hub is down): it keeps its
    place for a while.
    """

    holder: Holder
    wanted: int
    since: float
    asked: float | None = None
    draws: Draws = field(default_factory=dict)
    priority: int = 0
    rank: int = 0
    lost: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What labhub.yaml says about the queue, in seconds; its defaults stand in the schema."""

    half_life: float
    reserve_after: float
    ticket_ttl: float
    claim: float
    soft_limit: bool


def rules(gpus: "Gpus") -> Rules:
    """Return the rules of the file."""
    return Rules(
        half_life=gpus.half_life,
        reserve_after=gpus.reserve_after,
        ticket_ttl=gpus.ticket_ttl,
        claim=gpus.claim,
        soft_limit=gpus.soft_limit,
    )


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a decision depends on, but the moment.

    The tickets are in the order of coming. `caps` is how much there is in all of what servers draw
    on besides devices, `used` how many device-seconds each user had lately (spawner/recent.py).
    """

    rules: Rules
    devices: Sequence[Device]
    leases: Sequence[Lease] = ()
    tickets: Sequence[Ticket] = ()
    caps: Draws = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Granted:
    """These devices are the server's, and with `late` because its turn was overdue."""

    devices: tuple[str, ...]
    late: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """It waits; position 1 is the next. `eta`: when it starts if nobody comes or leaves early.

    None of `eta` is: nobody can tell, because a device has to be mended first, for example.
    """

    position: int
    eta: float | None


Decision = Granted | Queued
