"""Whatever happens in whatever order: nobody's GPU is anybody else's, and nobody waits for nothing.

The world is that of tests/lib/life.py, with two GPUs and three people: the hub dies at any moment,
the engine lies, events come twice or never, people press the same button at once and change their
minds, admins drain devices, and the clock on the wall is set forwards and back. Besides, the queue
alone lives thousands of lives without a hub (tests/unit).
`LABHUB_QUEUE_WORLDS` and `LABHUB_QUEUE_LIVES` say how many; 100,000 of each are played every night.
"""

import os
from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from hub_config.schema import Config
from spawner import orders
from spawner.gate import Look, records_of
from spawner.lease import Scene
from spawner.queue import turns
from spawner.queueing import RESUME_SECONDS
from spawner.runs import Holder
from spawner.store import Ledger, Store
from tests.hub.test_reconcile_life import NTH, STEPS, AnyLife, play, store
from tests.lib.lease_invariants import broken, kept_back, overbooked
from tests.lib.model_engine import Box
from tests.lib.model_hub import ModelHub
from tests.unit import test_queue_life

__all__ = ["store"]

WORLDS = int(os.environ.get("LABHUB_QUEUE_WORLDS", "5000"))
LIVES = int(os.environ.get("LABHUB_QUEUE_LIVES", "5000"))
DEVICES = ("GPU-a", "GPU-b")
CONFIG = Config.model_validate(
    {
        "images": {"one": {"title": "One", "image": "lab/image:1"}},
        "gpus": {"devices": list(DEVICES), "ticket_ttl": "6 h"},
        "quotas": {
            "default": {
                "cpus": 1, "memory": "1 GiB", "shm": "64 MiB", "pids": 256, "gpus": 2,
            }
        },
    }
)  # fmt: skip
PEOPLE = ("ada", "bob", "cyd")
HOLDERS = st.sampled_from([Holder(name, "") for name in PEOPLE])


def devices(box: Box) -> list[str]:
    """Return the GPUs that the engine was told to hand to a container."""
    requests: list[dict[str, Any]] = box.body["HostConfig"].get("DeviceRequests", [])
    return [each.partition("=")[2] or each for r in requests for each in r["DeviceIDs"]]


class AnyQueueWorld(AnyLife):
    """What may happen to people who want GPUs, of which there are too few."""

    config = CONFIG
    people = PEOPLE

    def __init__(self) -> None:
        """Let everybody want one GPU."""
        super().__init__()
        self.wanted = dict.fromkeys(PEOPLE, 1)

    @initialize(holders=st.frozensets(HOLDERS))
    def begin(self, holders: frozenset[Holder]) -> None:
        self.come_up()
        for holder in sorted(holders):
            self.press(holder)
        self.pass_well(1)

    def press(self, holder: Holder, steps: int = 0) -> None:
        """Press the button; who starts asks for as many GPUs as they want."""
        assert self.hub is not None
        if holder not in self.world.rows:
            self.hub.spawner(holder).user_options = {"gpus": self.wanted[holder.user]}
        super().press(holder, steps)

    @rule(user=st.sampled_from(PEOPLE), gpus=st.sampled_from([1, 2]))
    def somebody_wants_as_many_from_the_next_start_on(self, user: str, gpus: int) -> None:
        self.wanted[user] = gpus

    @rule(device=st.sampled_from(DEVICES), undo=st.booleans())
    def an_admin_drains_a_device(self, device: str, undo: bool) -> None:
        order = orders.undrain if undo else orders.drain
        self.store.transact(lambda ledger: order(ledger, device, "eve"))

    @rule(seconds=st.sampled_from([-86400.0, -3600.0, -2.0, 2.0, 3600.0, 86400.0]))
    def the_clock_is_set(self, seconds: float) -> None:
        """By hand or by NTP: the clock on the wall, and no monotonic one."""
        self.set_seconds += seconds

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS)
    def somebody_presses_the_button(self, holder: Holder, steps: int) -> None:
        self.press(holder, steps)

    @precondition(lambda self: self.hub)
    @rule(holders=st.permutations([Holder(name, "") for name in PEOPLE]))
    def all_press_at_once(self, holders: list[Holder]) -> None:
        for holder in holders:
            self.press(holder)

    @precondition(lambda self: self.hub)
    @rule(nth=NTH, away=st.booleans())
    def somebody_looks_or_goes_away(self, nth: int, away: bool) -> None:
        assert self.hub is not None
        if seated := self.hub.desk.room.seated():
            holder = seated[nth % len(seated)]
            self.loop.call_soon(self.hub.spawner(holder)._looked, 0 if away else 1)
            self.loop.settle()

    @invariant()
    def no_gpu_is_two_peoples(self) -> None:
        """I6: of any two runs that have not ended, and any two containers that run."""
        if not hasattr(self, "world"):
            return
        runs = self.kept()[0].values()
        leased = Counter(each for run in runs for each in run.devices)
        running = Counter(d for box in self.boxes() if box.running for d in devices(box))
        assert not [each for each, count in (leased + Counter()).items() if count > 1]
        assert not [each for each, count in running.items() if count > 1]
        held = {run.name: run.devices for run in runs}
        for box in self.boxes():
            assert len(devices(box)) in {1, 2}
            assert box.name not in held or held[box.name] == tuple(devices(box))

    @invariant()
    def nothing_is_overbooked(self) -> None:
        """What holds at any moment (tests/lib/lease_invariants.py).

        But who starts anew while nobody knows yet that their last server ended has two leases.
        """
        if self.hub is not None:
            assert overbooked(self.scene()) == []

    @invariant()
    def nobody_is_forgotten(self) -> None:
        """No life is as long as `ticket_ttl`, whatever the clock on the wall says."""
        for user in self.hub.users.values() if self.hub is not None else ():
            for spawner in user.spawners.values():
                future = spawner._spawn_future
                if future is not None and future.done() and not future.cancelled():
                    assert "Nobody looked" not in str(future.exception())

    def scene(self) -> Scene:
        """Return what the queue decides on."""
        assert self.hub is not None
        records = self.store.transact(lambda ledger: records_of(ledger, self.hub.desk))
        return Look(self.hub.desk, self.config).scene(records)

    def agree(self) -> None:
        """I5, and I7: whoever waits at rest waits because too few GPUs are free; none leaks."""
        assert self.hub is not None
        seated = set(self.hub.desk.room.seated())
        waiting = {each.holder for each in self.store.transact(Ledger.tickets)}
        assert waiting == seated == set(self.hub.busy()), (waiting, seated, self.hub.busy())
        boxes = {box.name: box for box in self.boxes()}
        assert all(box.running for box in boxes.values()), [
            (box.name, box.status) for box in boxes.values()
        ]
        assert len(boxes) == len(set(self.world.rows) - seated)
        runs, ended = self.kept()
        assert set(runs) == set(boxes)
        assert set(ended) == self.runs_ever - set(boxes)
        scene = self.scene()
        assert broken(scene) == []
        assert kept_back(scene) == []
        assert list(turns(scene, self.now())) == []

    def teardown(self) -> None:
        """Be over, whatever was wrong."""
        try:
            self.nobody_is_starved()
        finally:
            super().teardown()

    def nobody_is_starved(self) -> None:
        """I8: one after the other stops, and everybody who waits has a turn."""
        for device in DEVICES:
            self.store.transact(partial(Ledger.undrain, device=device))
        self.rest()
        for _ in PEOPLE:
            if not self.store.transact(Ledger.has_tickets):
                return
            first = self.store.transact(Ledger.open_runs)[0]
            self.press(first.holder)
            self.rest()
        assert not self.store.transact(Ledger.has_tickets)


def test_any_world_with_too_few_gpus(store: Store) -> None:
    play(store, WORLDS, AnyQueueWorld)


def test_a_start_cancelled_before_it_is_back_in_the_queue_is_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = type("Lived", (AnyQueueWorld,), {"store": store})()
    life.come_up()
    for name in PEOPLE:
        life.press(Holder(name, ""))
    life.pass_well(1)
    [waiting] = store.transact(Ledger.tickets)
    begun, start = [], ModelHub.start

    def at_once_cancelled(hub: ModelHub, holder: Holder) -> None:
        begun.append(holder)
        start(hub, holder)
        hub.spawner(holder)._spawn_future.cancel()  # before it takes its first step
        hub.press_end(holder)

    life.crash()
    with monkeypatch.context() as patch:
        patch.setattr(ModelHub, "start", at_once_cancelled)
        life.boot()
        life.pass_well(4 * RESUME_SECONDS)
    assert begun == [waiting.holder]
    assert not store.transact(Ledger.has_tickets)
    life.teardown()


def test_a_cancelled_start_that_may_yet_be_carried_out_keeps_its_gpu(store: Store) -> None:
    life = type("Lived", (AnyQueueWorld,), {"store": store})()
    life.come_up()
    ada, bob, cyd = (Holder(name, "") for name in PEOPLE)
    life.press(ada, 7)
    life.press(bob)
    while [call.name for call in life.engine.calls] != ["start"]:
        life.go_on()
        life.loop.settle()
    [start] = life.engine.calls
    life.press(bob, 1)  # cancels
    life.press(cyd, 9)
    life.answer(start)  # it overtook the removal
    life.loop.settle()
    assert len([box for box in life.boxes() if box.running]) == len(DEVICES)
    life.no_gpu_is_two_peoples()
    assert life.store.transact(Ledger.has_tickets)
    life.pass_well(2)
    assert set(life.world.rows) == {ada, cyd}
    life.teardown()


def test_thousands_of_lives_of_the_queue_alone() -> None:
    test_queue_life.play(LIVES)
