"""Whether one more server fits: into what its person, their groups and the machine have. Pure.

Everything counts that was begun and has no receipt yet, at its limits: what a server may use, not
what it uses. So nothing that was promised can be missing later.

    whose            what of            none left, or too little
    ---------------  -----------------  ------------------------------------------------
    the person       the quota          Refused: their other servers have it
    each group       `total:`           Wait: other members have it; Refused: never enough
    the machine      memory, CPUs       Wait: others have it; Refused: never enough
    the machine      GPUs               the same, by device (spawner/gate.py)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from spawner.messages import quotas as messages
from spawner.quota import Quota, Total
from spawner.runs import Holder, Run

# The engine counts processor time in these, so a sum of them is exact.
CPU_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class InUse:
    """What one server that was begun may use, or that `waits` will."""

    holder: Holder
    groups: frozenset[str]
    cpus: float
    memory_bytes: int
    pids: int
    gpus: int = 0
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What all servers of a machine may have together, besides GPUs; None is no limit."""

    memory_bytes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Admitted:
    """It fits."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It does not fit, and waiting does not help; the sentence is for the person."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It does not fit now, and will when others stop; the sentence is for the person."""

    sentence: str


Answer = Admitted | Refused | Wait


class Using(Protocol):
    """Whatever says how much of each there is, or is used: a quota, a server, its limits."""

    @property
    def cpus(self) -> float:
        """In cores."""

    @property
    def memory_bytes(self) -> int:
        """Without swap: there is none."""

    @property
    def pids(self) -> int:
        """Processes and threads."""

    @property
    def gpus(self) -> int:
        """Whole ones."""


class Measure(NamedTuple):
    """One of the things there is only so much of: how to count it, and how to say it."""

    of: Callable[[Using], int]
    words: Callable[[int], str]
    plural: str


def _cpu_parts(cpus: float) -> int:
    return round(cpus * CPU_PARTS)


CPUS = Measure(
    lambda each: _cpu_parts(each.cpus), lambda parts: messages.cores(parts / CPU_PARTS), "CPU cores"
)
MEMORY = Measure(lambda each: each.memory_bytes, messages.memory, "memory")
GPUS = Measure(lambda each: each.gpus, messages.gpus, "GPUs")
PIDS = Measure(lambda each: each.pids, messages.processes, "processes")
SERVERS = Measure(lambda _each: 1, messages.servers, "servers")
MEASURES = (CPUS, MEMORY, GPUS, PIDS, SERVERS)


@dataclass(frozen=True, slots=True)
class Pot:
    """What somebody has of something: how much in all, how much others have, how to refuse."""

    measure: Measure
    most: int
    taken: int
    group: str | None = None  # None: the person's own; "": the machine's

    @property
    def left(self) -> int:
        """Return what there is for one more server; a limit may have shrunk below what is taken."""
        return max(0, self.most - self.taken)

    def answer(self, wanted: int) -> Answer:
        """Return whether so much of it can be had."""
        if wanted <= self.left:
            return Admitted()
        return _person(self) if self.group is None else _others(self, wanted, self.group)


def admit(wanted: Quota, found: Iterable[Pot]) -> Answer:
    """Return whether a server of this size fits into all of these pots."""
    for pot in found:
        answer = pot.answer(pot.measure.of(wanted))
        if not isinstance(answer, Admitted):
            return answer
    return Admitted()


def pots(
    holder: Holder,
    in_use: Sequence[InUse],
    entitlement: Quota,
    totals: Mapping[str, Total],
    host: Room,
) -> Iterator[Pot]:
    """Yield all that a new server has to fit into but the machine's GPUs, in the order of refusal.

    `entitlement` is what its person may have, `totals` what their groups may. A run of this very
    server does not count: the new one takes its place. What their other servers wait for counts
    for the person as if they had it.
    """
    each_other = [each for each in in_use if each.holder != holder]
    mine = [each for each in each_other if each.holder.user == holder.user]
    others = [each for each in each_other if not each.waits]
    yield Pot(SERVERS, entitlement.servers, len(mine))
    for measure in (CPUS, MEMORY, GPUS, PIDS):
        yield Pot(measure, measure.of(entitlement), sum(map(measure.of, mine)))
    for (group, measure), most in caps(totals, host).items():
        sharers = [each for each in others if not group or group in each.groups]
        yield Pot(measure, most, sum(map(measure.of, sharers)), group)


def caps(totals: Mapping[str, Total], host: Room) -> dict[tuple[str, Measure], int]:
    """Return how much several people have together: of a group, or ("") of the machine."""
    machine = {MEMORY: host.memory_bytes, CPUS: _parts(host.cpus)}
    owners = [
        *((group, _of_group(total)) for group, total in sorted(totals.items())),
        ("", machine),
    ]
    return {
        (owner, measure): most
        for owner, amounts in owners
        for measure, most in amounts.items()
        if most is not None
    }


def _of_group(total: Total) -> Mapping[Measure, int | None]:
    return {
        SERVERS: total.servers,
        CPUS: _parts(total.cpus),
        MEMORY: total.memory_bytes,
        GPUS: total.gpus,
    }


def _parts(cpus: float | None) -> int | None:
    return None if cpus is None else _cpu_parts(cpus)


def _person(pot: Pot) -> Refused:
    """Say what a person's other servers leave."""
    words = pot.measure.words
    if pot.measure == SERVERS:
        return Refused(messages.too_many_servers(pot.most))
    if pot.left == 0:
        return Refused(messages.person_used_up(words(pot.most)))
    if pot.taken == 0:
        return Refused(messages.too_much(words(pot.most)))
    return Refused(messages.person_full(words(pot.left), words(pot.most)))


def _others(pot: Pot, wanted: int, group: str) -> Refused | Wait:
    """Say what the members of a group, or everybody on the machine, leave."""
    words = pot.measure.words
    most, left = words(pot.most), words(pot.left)
    if wanted > pot.most:
        return Refused(messages.group_never(group, most) if group else messages.host_never(most))
    if pot.left == 0:
        if group:
            return Wait(messages.group_used_up(group, most))
        return Wait(messages.host_used_up(pot.measure.plural))
    return Wait(messages.group_full(group, left, most) if group else messages.host_full(left))


def tightest(found: Iterable[Pot]) -> dict[Measure, Pot]:
    """Return, for each thing there is only so much of, the pot that has the least left."""
    least: dict[Measure, Pot] = {}
    for pot in found:
        if pot.measure not in least or pot.left < least[pot.measure].left:
            least[pot.measure] = pot
    return least


def in_time(found: Iterable[Pot]) -> Iterator[Pot]:
    """Yield the pots as they are when everybody else has stopped: what waiting can give."""
    for pot in found:
        yield pot if pot.group is None else replace(pot, taken=0)


def counted(run: Run, whole: Callable[[Run], Quota]) -> InUse:
    """Return what an open run counts for; `whole` says what its person may have.

    One that an older labhub began did not note everything: it was that person's only server, so
    it counts for all they may have.
    """
    noted = run if run.pids else whole(run)
    return InUse(run.holder, run.groups, noted.cpus, run.memory_bytes, noted.pids, noted.gpus)
