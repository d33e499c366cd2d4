"""What would have been: a trace of requests, played through the policy that serves people. Pure.

`ours` asks spawner/queue.py at every arrival and every end, with what the hub would know at that
moment: the limit of each request, never its run time. `fifo` serves strictly in the order of
arrival, and whoever is first blocks the others. `static` gives each user a device of their own in
turn; who asks for several gets those next to it, too. What a group may have in all holds in each.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType

from spawner.devices import Device
from spawner.lease import Granted, Lease, Rules, Scene, Ticket
from spawner.queue import turns
from spawner.recent import Recent
from spawner.runs import Holder

NO_TOTALS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Request:
    """One line of a trace; all times in seconds."""

    arrival: float
    user: str
    group: str
    gpus: int
    duration: float
    limit: float

    @property
    def run(self) -> float:
        """Return how long it runs: until it is done, or until its limit."""
        return min(self.duration, self.limit)


@dataclass(frozen=True, slots=True)
class Start:
    """When a request began, and on which devices, by their number."""

    at: float
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lab:
    """What a trace is played on: so many devices, and what labhub.yaml says about them."""

    devices: int
    rules: Rules
    priorities: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)


def fifo(
    requests: Sequence[Request], devices: int, totals: Mapping[str, int] = NO_TOTALS
) -> list[Start]:
    """Return the starts in a strict line: nobody begins before somebody who came earlier."""
    free = [(0.0, device) for device in range(devices)]
    shares = _Shares(totals)
    last, starts = 0.0, []
    for request in requests:
        chosen = [heapq.heappop(free) for _ in range(request.gpus)]
        last = max(last, request.arrival, chosen[-1][0], shares.free_at(request))
        for _, device in chosen:
            heapq.heappush(free, (last + request.run, device))
        shares.take(request, last + request.run)
        starts.append(Start(last, tuple(device for _, device in chosen)))
    return starts


def static(
    requests: Sequence[Request], devices: int, totals: Mapping[str, int] = NO_TOTALS
) -> list[Start]:
    """Return the starts where each user waits for the same devices, which others have, too."""
    free = [0.0] * devices
    shares = _Shares(totals)
    homes: dict[str, int] = {}
    starts = []
    for request in requests:
        home = homes.setdefault(request.user, len(homes) % devices)
        chosen = tuple((home + offset) % devices for offset in range(request.gpus))
        at = max(request.arrival, *(free[device] for device in chosen), shares.free_at(request))
        for device in chosen:
            free[device] = at + request.run
        shares.take(request, at + request.run)
        starts.append(Start(at, chosen))
    return starts


class _Shares:
    """From when on each device of what a group may have in all is free for its next request."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        """Begin with everything free."""
        self._free = {group: [0.0] * most for group, most in totals.items()}

    def free_at(self, request: Request) -> float:
        """Return from when on there is enough for a request."""
        free = self._free.get(request.group)
        return 0.0 if free is None else heapq.nsmallest(request.gpus, free)[-1]

    def take(self, request: Request, until: float) -> None:
        """Let a request have what is free the soonest."""
        if (free := self._free.get(request.group)) is not None:
            for _ in range(request.gpus):
                heapq.heapreplace(free, until)


def ours(requests: Sequence[Request], lab: Lab) -> list[Start]:
    """Return the starts by the policy of this package."""
    world = _World(requests, lab)
    for now in world.moments():
        world.go_on(now)
    return [world.starts[index] for index in range(len(requests))]


class _World:
    """What there is at a moment of the simulation: who waits, who runs, and what each user had."""

    def __init__(self, requests: Sequence[Request], lab: Lab) -> None:
        """Begin with nothing but the devices."""
        self.starts: dict[int, Start] = {}
        self._lab = lab
        self._devices = tuple(Device(str(number)) for number in range(lab.devices))
        self._coming = deque(enumerate(requests))
        self._requests = requests
        self._waiting: dict[int, Ticket] = {}
        self._running: dict[int, Lease] = {}
        self._ends: list[tuple[float, int]] = []
        self._used: dict[str, Recent] = {}
        self._caps = {(group, "GPUs"): most for group, most in lab.totals.items()}

    def moments(self) -> Iterator[float]:
        """Yield each moment at which something happens, until nothing is left."""
        while self._coming or self._ends:
            arrival = self._coming[0][1].arrival if self._coming else inf
            yield min(arrival, self._ends[0][0] if self._ends else inf)

    def go_on(self, now: float) -> None:
        """Let everything happen that happens at this moment."""
        while self._ends and self._ends[0][0] <= now:
            lease = self._running.pop(heapq.heappop(self._ends)[1])
            self._count(lease, now, -len(lease.devices))
        while self._coming and self._coming[0][1].arrival <= now:
            index, request = self._coming.popleft()
            self._waiting[index] = self._ticket(index, request)
        taken = sum(len(lease.devices) for lease in self._running.values())
        if self._waiting and taken < len(self._devices):
            for ticket, granted in list(turns(self._scene(now), now)):
                self._start(ticket, granted, now)

    def _ticket(self, index: int, request: Request) -> Ticket:
        return Ticket(
            holder=Holder(request.user, str(index)),
            wanted=request.gpus,
            since=request.arrival,
            asked=request.limit,
            draws={(request.group, "GPUs"): request.gpus},
            priority=self._lab.priorities.get(request.group, 0),
        )

    def _scene(self, now: float) -> Scene:
        half_life = self._lab.rules.half_life
        return Scene(
            self._lab.rules,
            self._devices,
            tuple(self._running.values()),
            tuple(self._waiting.values()),
            self._caps,
            {user: recent.then(now, half_life) for user, recent in self._used.items()},
        )

    def _start(self, ticket: Ticket, granted: Granted, now: float) -> None:
        index = int(ticket.holder.server)
        request = self._requests[index]
        del self._waiting[index]
        until = now + request.limit
        lease = Lease(ticket.holder, granted.devices, now, until, ticket.draws, granted.late)
        self._running[index] = lease
        self._count(lease, now, len(lease.devices))
        heapq.heappush(self._ends, (now + request.run, index))
        self.starts[index] = Start(now, tuple(map(int, granted.devices)))

    def _count(self, lease: Lease, now: float, devices: int) -> None:
        """Note that a user has so many devices more."""
        had = self._used.get(lease.holder.user, Recent(at=now))
        self._used[lease.holder.user] = had.changed(now, self._lab.rules.half_life, devices)


def double_leases(requests: Iterable[Request], starts: Iterable[Start]) -> int:
    """Return how often a device was given to somebody while somebody else had it."""
    spans: dict[int, list[tuple[float, float]]] = {}
    for request, start in zip(requests, starts, strict=True):
        for device in start.devices:
            spans.setdefault(device, []).append((start.at, start.at + request.run))
    return sum(_overlaps(each) for each in spans.values())


def _overlaps(spans: list[tuple[float, float]]) -> int:
    """Return how many of these begin before an earlier one is over."""
    found, over = 0, -inf
    for begin, end in sorted(spans):
        found += begin < over and begin < end
        over = max(over, end)
    return found
