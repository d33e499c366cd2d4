"""What of a running server changes when the numbers of its person do. Pure.

    smaller numbers     hold at once; of several servers, the one that was begun last gives way
    larger numbers      hold as far as the person's other servers, their groups' totals and the
                        machine leave room; the rest follows when there is room
    less memory than    stays as it is, because the kernel would end programs; the person is told,
    the server holds    and it is tried again
    a GPU that came     nothing is changed: an update would cut the server off from it
    through a hook      (ref: https://github.com/NVIDIA/nvidia-container-toolkit/issues/48)
    shared memory       is a file system of the container's, and changes at the next start

A choice made at the start counts on: whoever chose less keeps less, and never more than the quota.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from spawner.admission import (
    CPU_PARTS,
    CPUS,
    MEMORY,
    PIDS,
    InUse,
    Measure,
    Pot,
    Room,
    pots,
    tightest,
)
from spawner.container import CPU_PERIOD_MICROSECONDS
from spawner.messages import config as messages
from spawner.options import CPUS_LEAST, MEMORY_LEAST_BYTES, PIDS_LEAST, cut
from spawner.quota import Person, Quota, Quotas, totals
from spawner.runs import Run

if TYPE_CHECKING:
    from hub_config.schema import Config

# What a server may allocate between the look at its memory and the new limit.
MARGIN_BYTES = 64 * 1024**2
MEASURES = (CPUS, MEMORY, PIDS)


@dataclass(frozen=True, slots=True)
class Limits:
    """What can be changed while a server runs."""

    cpus: float
    memory_bytes: int
    pids: int
    gpus: int = 0


LEAST = Limits(CPUS_LEAST, MEMORY_LEAST_BYTES, PIDS_LEAST)


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that runs: its limits, whose it is by now, and what was chosen when it began."""

    run: Run
    now: Limits
    person: Person
    options: object = None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a server is to have; `late` are the sentences on what cannot be now."""

    limits: Limits
    late: tuple[str, ...] = ()


def goals(
    config: "Config",
    moment: datetime,
    servers: Sequence[Standing],
    runs: Sequence[InUse],
    room: Room,
) -> dict[str, Goal]:
    """Return what each of these servers is to have, by the name of its run.

    `runs` is what all open runs may use now, those of the servers among them; `room` is the
    machine's.
    """
    found: dict[str, Goal] = {}
    in_use, quotas = {each.holder: each for each in runs}, Quotas(config, moment)
    counts = Counter(each.holder.user for each in runs)
    for each in sorted(servers, key=lambda server: server.run.began, reverse=True):
        quota = quotas.of(each.person)
        asked = cut(quota, each.options)
        mine = _of(each.person.name, in_use.values()) if counts[each.person.name] > 1 else []
        own = pots(each.run.holder, mine, quota, {}, Room())
        due = _smaller(_limits(asked), own)
        limits = due
        if any(measure.of(due) > measure.of(each.now) for measure in MEASURES):
            caps = totals(config, each.person.groups, moment)
            everybody = pots(each.run.holder, list(in_use.values()), quota, caps, room)
            limits = _grown(due, each.now, everybody)
        found[each.run.name] = Goal(limits, tuple(_late(each.run, asked, due, limits)))
        in_use[each.run.holder] = using(each, limits)
    return found


def using(server: Standing, limits: Limits) -> InUse:
    """Return what a server counts for when it has these limits."""
    return InUse(
        server.run.holder,
        server.person.groups,
        limits.cpus,
        limits.memory_bytes,
        limits.pids,
        server.run.gpus,
    )


def safe(now: Limits, goal: Goal, held_bytes: int | None) -> Goal:
    """Return the goal without what would end programs; None of bytes: nobody can measure."""
    wanted_bytes = goal.limits.memory_bytes
    if wanted_bytes >= now.memory_bytes:
        return goal
    if held_bytes is None:
        sentence = messages.memory_unknown(wanted_bytes)
    elif held_bytes + MARGIN_BYTES > wanted_bytes:
        sentence = messages.memory_in_use(wanted_bytes, held_bytes)
    else:
        return goal
    limits = replace(goal.limits, memory_bytes=now.memory_bytes)
    return Goal(limits, (sentence, *goal.late))


def at_least(now: Limits, goal: Limits) -> Limits:
    """Return, number by number, the larger of both: what to count with while nobody knows."""
    return Limits(
        max(now.cpus, goal.cpus),
        max(now.memory_bytes, goal.memory_bytes),
        max(now.pids, goal.pids),
    )


# how the engine says it


def limits_of(host_config: Mapping[str, Any]) -> Limits:
    """Return the limits of a container; LookupError, TypeError where it has none of ours."""
    return Limits(
        host_config["CpuQuota"] / CPU_PERIOD_MICROSECONDS,
        int(host_config["Memory"]),
        int(host_config["PidsLimit"]),
    )


def is_hooked(host_config: Mapping[str, Any]) -> bool:
    """Whether the container's GPUs came in behind the engine's back, so that updates lose them."""
    requests = host_config.get("DeviceRequests") or ()
    by_hook = any(each.get("Driver") != "cdi" for each in requests)
    return by_hook or host_config.get("Runtime") == "nvidia"


def body(now: Limits, limits: Limits) -> dict[str, int]:
    """Return what to tell the engine: what is different, and nothing else."""
    changed: dict[str, int] = {}
    if limits.cpus != now.cpus:
        changed["CpuPeriod"] = CPU_PERIOD_MICROSECONDS
        changed["CpuQuota"] = round(limits.cpus * CPU_PERIOD_MICROSECONDS)
    if limits.memory_bytes != now.memory_bytes:
        changed["Memory"] = changed["MemorySwap"] = limits.memory_bytes
    if limits.pids != now.pids:
        changed["PidsLimit"] = limits.pids
    return changed


# how it is decided


def _of(user: str, in_use: Iterable[InUse]) -> list[InUse]:
    return [each for each in in_use if each.holder.user == user]


def _limits(quota: Quota) -> Limits:
    return Limits(quota.cpus, quota.memory_bytes, quota.pids)


def _smaller(asked: Limits, own: Iterable[Pot]) -> Limits:
    """Return what the person's other servers leave of it, and never too little to go on."""
    left = tightest(own)

    def share(measure: Measure) -> int:
        return min(measure.of(asked), max(left[measure].left, measure.of(LEAST)))

    return _of_parts(share(CPUS), share(MEMORY), share(PIDS))


def _grown(due: Limits, now: Limits, everybody: Iterable[Pot]) -> Limits:
    """Return what everybody leaves of it; nobody else takes away what a server has."""
    left = tightest(everybody)

    def share(measure: Measure) -> int:
        wanted, has = measure.of(due), measure.of(now)
        most = left[measure].left if measure in left else wanted
        return min(wanted, max(has, most))

    return _of_parts(share(CPUS), share(MEMORY), share(PIDS))


def _of_parts(cpu_parts: int, memory_bytes: int, pids: int) -> Limits:
    return Limits(cpu_parts / CPU_PARTS, memory_bytes, pids)


def _late(run: Run, asked: Quota, due: Limits, limits: Limits) -> Iterator[str]:
    """Yield what the person is told about what is not true yet."""
    if limits != due:
        yield messages.others_have_it(due.cpus, due.memory_bytes, due.pids)
    if run.shm_bytes and asked.shm_bytes != run.shm_bytes:
        yield messages.shm_at_next_start(asked.shm_bytes)
