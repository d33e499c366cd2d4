"""Whatever happens in whatever order: no device twice, nobody starved, no limit exceeded.

Hypothesis plays `AnyQueue`; the invariants are those of tests/lib/lease_invariants.py. A few lives
are tried here, thousands in tests/hub/test_queue_world.py.
"""

from dataclasses import replace
from math import inf

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hub_config.schema import Gpus
from spawner.devices import Device
from spawner.lapse import expired, needed
from spawner.lease import Granted, Lease, Queued, Scene, Ticket, rules
from spawner.order import line
from spawner.queue import decide, turns
from spawner.runs import Holder
from tests.lib.lease_invariants import (
    as_lease,
    broken,
    first_able,
    kept_back,
    latest_start,
    told,
    untold,
    wrong_grant,
)

EXAMPLES = 40
MOVES = 30
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
DEVICES = (Device("GPU-0"), Device("GPU-1"), Device("GPU-2"), Device("GPU-3", places=2))
QUOTAS = {"ada": 4, "bob": 2, "cyd": 1, "dan": 3}
GROUPS = {"ada": "staff", "bob": "students", "cyd": "students", "dan": "students guests"}
PRIORITIES = {"ada": 2, "bob": 0, "cyd": 0, "dan": -1}
MEMORY = ("", "memory")
CAPS = {
    ("students", "GPUs"): 3,
    MEMORY: 64,
    **{(user, "GPUs"): most for user, most in QUOTAS.items()},
}
HOLDERS = st.builds(Holder, st.sampled_from(sorted(QUOTAS)), st.sampled_from(["", "a", "b"]))
ASKED = st.sampled_from([MINUTE, HOUR, 5 * HOUR, DAY, 3 * DAY, None])
NTH = st.integers(0, 9)


class AnyQueue(RuleBasedStateMachine):
    """A hub's queue without a hub: what may happen, and that it may happen at any time."""

    def __init__(self) -> None:
        """Begin with idle devices."""
        super().__init__()
        self.now = 1_000_000.0
        self.scene = Scene(rules(Gpus()), DEVICES, caps=CAPS)
        self.promised: tuple[Ticket, float] | None = None

    @rule(
        holder=HOLDERS,
        wanted=st.integers(0, 4),
        asked=ASKED,
        gib=st.integers(1, 64),
        rank=st.sampled_from([0, 0, 0, 0, 1, -1]),
    )
    def somebody_wants_devices(
        self, holder: Holder, wanted: int, asked: float | None, gib: int, rank: int
    ) -> None:
        if any(each.holder == holder for each in (*self.scene.leases, *self.scene.tickets)):
            return
        keys = [(group, "GPUs") for group in (holder.user, *GROUPS[holder.user].split())]
        draws = {**dict.fromkeys(keys, wanted), MEMORY: gib}
        if any(amount > CAPS.get(key, amount) for key, amount in draws.items()):
            return  # nobody may wait for more than there ever is (spawner/admission.py)
        priority = PRIORITIES[holder.user]
        ticket = Ticket(holder, wanted, self.now, asked, draws, priority, rank)
        self.scene = replace(self.scene, tickets=(*self.scene.tickets, ticket))
        late = {each.holder for each in line(self.scene, self.scene.tickets, self.now)}
        if rank or (self.promised and self.promised[0].holder not in late):
            self.promised = None
        self.serve()

    @precondition(lambda self: self.scene.tickets)
    @rule(nth=NTH)
    def somebody_leaves_the_queue(self, nth: int) -> None:
        tickets = self.scene.tickets
        self.scene = replace(self.scene, tickets=_without(tickets, nth))
        self.serve()

    @precondition(lambda self: self.scene.leases)
    @rule(nth=NTH)
    def a_server_stops(self, nth: int) -> None:
        self.scene = replace(self.scene, leases=_without(self.scene.leases, nth))
        self.serve()

    @rule(seconds=st.sampled_from([1.0, MINUTE, HOUR, 9 * HOUR, DAY]))
    def time_goes_on(self, seconds: float) -> None:
        """Sessions end while others wait, and whoever waits gets its turn at that moment."""
        until = self.now + seconds
        while (moment := self.next_end()) <= until:
            self.go_on_to(moment)
        self.go_on_to(until)

    @rule(nth=st.integers(0, 3), healthy=st.booleans(), draining=st.booleans())
    def a_device_changes(self, nth: int, healthy: bool, draining: bool) -> None:
        devices = list(self.scene.devices)
        devices[nth] = replace(devices[nth], healthy=healthy, draining=draining)
        self.scene = replace(self.scene, devices=tuple(devices))
        self.promised = None
        self.serve()

    @rule()
    def the_hub_is_restarted(self) -> None:
        tickets = tuple(replace(each, lost=self.now) for each in self.scene.tickets)
        self.scene = replace(self.scene, tickets=tickets)

    @precondition(lambda self: self.scene.tickets)
    @rule(nth=NTH)
    def somebody_comes_back(self, nth: int) -> None:
        tickets = list(self.scene.tickets)
        nth %= len(tickets)
        tickets[nth] = replace(tickets[nth], lost=None)
        self.scene = replace(self.scene, tickets=tuple(tickets))
        self.serve()

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert broken(self.scene) == []
        assert kept_back(self.scene) == []

    @invariant()
    def everybody_is_told_the_same(self) -> None:
        """A waiting start is told its place; places are 1 to n, and nobody is told of a device."""
        told = [decide(self.scene, each, self.now) for each in self.scene.tickets]
        places = sorted(each.position for each in told if isinstance(each, Queued))
        assert places == list(range(1, len(told) + 1))

    def teardown(self) -> None:
        """When nobody comes any more and nothing is broken, everybody gets their turn."""
        present = tuple(replace(each, lost=None) for each in self.scene.tickets)
        self.scene = replace(self.scene, devices=DEVICES, tickets=present)
        self.promised = None
        self.serve()
        for _ in range(len(present)):
            if self.scene.tickets:
                ended = [each for each in self.scene.leases if each.until is not None]
                self.scene = replace(self.scene, leases=tuple(ended))
                self.serve()
                self.go_on_to(min(self.next_end(), self.now + 30 * DAY))
        assert not self.scene.tickets or self.scene.leases
        self.drain()
        assert self.scene.tickets == ()

    def drain(self) -> None:
        """Let every session end, one after another."""
        while self.scene.tickets and self.scene.leases:
            self.scene = replace(self.scene, leases=self.scene.leases[1:])
            self.serve()

    def go_on_to(self, moment: float) -> None:
        """End what is over at a moment, and let everybody start whose turn it is then."""
        self.now = moment
        gone = expired(self.scene, self.now)
        tickets = tuple(each for each in self.scene.tickets if each not in gone)
        self.scene = replace(self.scene, tickets=tickets)
        self.warn()
        left = [each for each in self.scene.leases if not (was_told(each) and each.until <= moment)]
        self.scene = replace(self.scene, leases=tuple(left))
        self.serve()

    def next_end(self) -> float:
        """Return when the next session ends, or its person is to be told of that."""
        moments = [each.until - each.notice for each in self.scene.leases if each.until is not None]
        return min((each for each in moments if each > self.now), default=inf)

    def warn(self) -> None:
        """Tell those who have to end soon, and nobody else (spawner/times.py)."""
        wanted = {each.holder for each in needed(self.scene, self.now)}
        self.scene = replace(
            self.scene, leases=tuple(self.noted(each, wanted) for each in self.scene.leases)
        )

    def noted(self, lease: Lease, wanted: set[Holder]) -> Lease:
        """Return a lease with the end that its person is told, now that these are wanted."""
        if lease.devices and lease.holder not in wanted:
            return untold(lease)
        is_near = lease.due is not None and lease.due - lease.notice <= self.now
        return told(lease, self.now) if is_near and lease.notice else lease

    def serve(self) -> None:
        """Let everybody start whose turn it is."""
        first = first_able(self.scene, self.now)
        if self.promised and first and first[0].priority > self.promised[0].priority:
            self.promised = None
        for ticket, granted in list(turns(self.scene, self.now)):
            assert wrong_grant(self.scene, ticket, granted) == []
            same = decide(self.scene, ticket, self.now)
            tickets = tuple(each for each in self.scene.tickets if each.holder != ticket.holder)
            leases = (*self.scene.leases, as_lease(ticket, granted, self.now))
            self.scene = replace(self.scene, tickets=tickets, leases=leases)
            assert isinstance(same, Granted | Queued)
        assert list(turns(self.scene, self.now)) == []
        self.warn()
        self.look_at_the_first()

    def look_at_the_first(self) -> None:
        """Compare the latest start of the first of the line with what it was before."""
        found = latest_start(self.scene, self.now)
        before, self.promised = self.promised, found
        if found and before and found[0] == before[0]:
            assert found[1] <= max(before[1], self.now) + 1e-3


def was_told(lease: Lease) -> bool:
    """Return whether somebody knows that this ends when it does."""
    return lease.until is not None and not lease.notice


def _without(items: tuple, nth: int) -> tuple:  # type: ignore[type-arg]
    """Return all but one."""
    nth %= len(items)
    return (*items[:nth], *items[nth + 1 :])


def play(examples: int) -> None:
    """Play so many lives of a queue."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        AnyQueue,
        settings=settings(
            max_examples=examples,
            stateful_step_count=MOVES,
            deadline=None,
            suppress_health_check=quiet,
        ),
    )


def test_any_life_of_a_queue() -> None:
    play(EXAMPLES)


def test_who_has_priority_may_come_to_stand_before_the_first_of_the_line() -> None:
    life = AnyQueue()
    for holder, asked, gib in (
        (Holder("bob", "a"), HOUR, 30),
        (Holder("cyd", ""), MINUTE, 38),
        (Holder("bob", ""), HOUR, 1),
        (Holder("ada", ""), 5 * HOUR, 27),
    ):
        life.somebody_wants_devices(holder=holder, wanted=0, asked=asked, gib=gib, rank=0)
    life.time_goes_on(seconds=1.0)
    for server, asked, gib in (("b", MINUTE, 38), ("a", HOUR, 7)):
        holder = Holder("ada", server)
        life.somebody_wants_devices(holder=holder, wanted=0, asked=asked, gib=gib, rank=0)
    life.teardown()


def test_a_start_without_a_limit_counts_at_once_as_it_does_later() -> None:
    life = AnyQueue()
    for holder, wanted, asked, gib in (
        (Holder("ada", "b"), 0, MINUTE, 1),
        (Holder("bob", ""), 2, MINUTE, 1),
        (Holder("ada", "a"), 0, MINUTE, 33),
        (Holder("bob", "a"), 0, MINUTE, 41),
        (Holder("cyd", ""), 1, HOUR, 13),
        (Holder("dan", ""), 1, HOUR, 7),
        (Holder("ada", ""), 0, None, 17),
    ):
        life.somebody_wants_devices(holder=holder, wanted=wanted, asked=asked, gib=gib, rank=0)
    life.teardown()


def test_while_a_device_is_mended_who_can_start_on_the_others_is_not_starved() -> None:
    life = AnyQueue()
    life.a_device_changes(nth=3, healthy=True, draining=True)
    for holder, wanted, asked in (
        (Holder("ada", ""), 2, DAY),
        (Holder("ada", "a"), 4, HOUR),
        (Holder("dan", ""), 3, HOUR),
    ):
        life.somebody_wants_devices(holder=holder, wanted=wanted, asked=asked, gib=1, rank=0)
    life.time_goes_on(seconds=9 * HOUR)
    small = Holder("cyd", "")
    life.somebody_wants_devices(holder=small, wanted=1, asked=DAY, gib=1, rank=0)
    life.teardown()
