"""Lives of servers: a world in which anything may happen to them, and what must hold in it.

The real spawner, launch, desk, ends, receipts, store, watch and reconcile live in a world of
doubles (model_engine.py, model_hub.py): each call is as slow, late, lost or wrong as a test likes,
the hub dies anywhere, and time passes only when it is told to. The invariants stand here, once.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest import mock

import sqlalchemy as sa
from hypothesis.stateful import RuleBasedStateMachine, invariant

from hub_config.schema import Config
from spawner import rows
from spawner.container import holder_of, identity_labels
from spawner.runs import Holder, Kind, Receipt, Run
from spawner.snapshot import Snapshot
from spawner.store import Ledger, Store
from spawner.watch import ROUND_SECONDS
from tests.lib.model_engine import EPOCH, Box, Call, ModelEngine
from tests.lib.model_hub import CONFIG, LAB, ModelHub, ModelLaunch, World
from tests.lib.still_loop import StillLoop

ROUNDS = 3
ADA, GPU = Holder("ada", ""), Holder("ada", "gpu")


class Life(RuleBasedStateMachine):
    """A world, and the hub that lives in it. `store` is emptied at the end."""

    store: Store
    config: Config = CONFIG
    people = ("ada",)
    hub: ModelHub | None = None
    # By how much the clock on the wall was set, which no monotonic one follows.
    set_seconds = 0.0

    def come_up(self) -> None:
        """Begin: somebody else's container runs, and the hub comes up."""
        self.loop = StillLoop()
        self.engine = ModelEngine(self.loop)
        self.engine.before_end = self.ends
        self.world = World(self.engine, self.store, self.config)
        self.runs_ever: set[str] = set()
        self.wrong: list[Receipt] = []
        self.was_written = True
        labels = {**identity_labels("another", *ADA), "labhub.instance": "another"}
        body = {"Labels": labels, "HostConfig": {"NetworkMode": LAB.network}}
        self.stranger = self.engine.add("another-ada", body)
        self.engine.run(self.stranger)
        clock = SimpleNamespace(time_ns=self.engine.tick)
        set_clock = SimpleNamespace(
            time_ns=lambda: self.engine.tick() + round(self.set_seconds * 1e9)
        )
        queue_clock = SimpleNamespace(time=self.now, monotonic=self.loop.time)
        dates = SimpleNamespace(now=lambda _zone=None: datetime.fromtimestamp(self.now(), UTC))
        self.patches = [
            mock.patch("spawner.entrance.time", set_clock),
            mock.patch("spawner.watch.time", clock),
            mock.patch("spawner.queueing.time", queue_clock),
            mock.patch("spawner.progress.time", queue_clock),
            mock.patch("spawner.queueing.datetime", dates),
            mock.patch("spawner.gate.datetime", dates),
            mock.patch("spawner.queue_ledger.datetime", dates),
            mock.patch("spawner.spawner.Launch", functools.partial(ModelLaunch, self.world)),
            mock.patch("spawner.ready._first_answer", self.world.first_answer),
            mock.patch("spawner.store.Ledger", functools.partial(WatchedLedger, self)),
        ]
        for patch in self.patches:
            patch.start()
        self.boot()

    # the invariants: the first four hold at any moment

    def is_wanted(self, name: str) -> bool:
        """Whether this is somebody's server, coming up or running, as far as they know."""
        return name in self.world.wanted and name not in self.engine.over

    def ends(self, box: Box) -> None:
        """I1: what somebody wants is not ended. I2: nor is anything of another instance."""
        assert box is not self.stranger, "that is somebody else's"
        assert not self.is_wanted(box.name), f"{box.name} is wanted"

    def writes(self, receipt: Receipt) -> None:
        """I3: of what somebody wants no receipt is written."""
        if self.is_wanted(receipt.run):
            self.wrong.append(receipt)  # what is raised here, the hub would catch

    @invariant()
    def hold(self) -> None:
        """I4: each wanted server has a row in the hub and an open run, whose end nobody asked for.

        No run is both open and ended, and none has two receipts.
        """
        assert self.wrong == []
        assert self.world.failures == []
        runs, ended = self.kept()
        assert len(ended) == len(set(ended))
        assert not set(runs) & set(ended)
        for name in filter(self.is_wanted, self.world.wanted):
            assert self.world.wanted[name] in self.world.rows, f"the hub forgot {name}"
            assert name not in runs or runs[name].stop is None
        for box in self.boxes():
            if self.is_wanted(box.name):
                assert self.world.rows[holder_of(box.labels)].container in {"", box.id}
                assert box.name in runs, f"{box.name} is not open"

    def agree(self) -> None:
        """I5: at rest, hub, store and engine tell the same, and every end has its receipt."""
        assert self.hub is not None
        assert not self.hub.busy()
        boxes = {box.name: box for box in self.boxes()}
        assert all(box.running for box in boxes.values())
        assert {holder_of(box.labels) for box in boxes.values()} == set(self.world.rows)
        assert len(boxes) == len(self.world.rows)
        runs, ended = self.kept()
        assert set(runs) == set(boxes)
        assert set(ended) == self.runs_ever - set(boxes)

    # what is

    def now(self) -> float:
        """Return the moment as a POSIX timestamp."""
        return EPOCH.timestamp() + self.loop.time() + self.set_seconds

    def boxes(self) -> list[Box]:
        """Return the containers of this instance."""
        return [box for box in self.engine.boxes.values() if box is not self.stranger]

    def kept(self) -> tuple[dict[str, Run], list[str]]:
        """Return the open runs, and the name of each run that has a receipt, once per receipt."""
        if self.was_written:
            runs, receipts = self.store.transact(
                lambda ledger: (
                    ledger.open_runs(),
                    [each for name in self.people for each in ledger.receipts(name, 1000)],
                )
            )
            ended = [each.run for each in receipts if each.kind is Kind.SERVER]
            self.was_written, self.seen = False, ({run.name: run for run in runs}, ended)
        return self.seen

    # people and the hub

    def press(self, holder: Holder, steps: int = 0) -> None:
        """Press Start, Cancel or Stop, whichever the page shows; nothing while it stops."""
        assert self.hub is not None
        pending = self.hub.spawner(holder).pending
        if pending in {"spawn", "check"} or (holder in self.world.rows and not pending):
            self.begins(functools.partial(self.hub.press_end, holder), steps)
        elif not pending:
            self.begins(functools.partial(self.hub.start, holder), steps)

    def start_over(self, holder: Holder, steps: int = 0) -> None:
        """Ask for a start of a server that the hub calls ready; nothing while it is not."""
        assert self.hub is not None
        if holder in self.world.rows and not self.hub.spawner(holder).pending:
            self.begins(functools.partial(self.hub.start_over, holder), steps)

    def make_round(self, steps: int = 0) -> None:
        """Let a round begin, or be the next thing to do when the present one is over."""
        assert self.hub is not None
        self.begins(self.hub.desk.round_due.set, steps)

    def boot(self) -> None:
        """Let the hub come up."""
        self.hub = ModelHub(self.world)
        self.loop.create_task(self.hub.begin())
        self.loop.settle()

    def crash(self) -> None:
        """Let all that the hub had in mind be gone; the calls it made are still on their way."""
        if self.hub is None:
            return
        self.hub.die()
        self.hub = None
        running = {box.name for box in self.boxes() if box.running}
        for name in set(self.world.wanted) - running:
            del self.world.wanted[name]
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.settle()
        self.loop.held = self.loop.held and []

    # what is asked of the engine and of the store

    def begins(self, what: Callable[[], None], steps: int) -> None:
        """Something begins, and overtakes what is under way by so many steps."""
        before = set(self.engine.calls)
        self.loop.call_soon(what)
        self.loop.settle()
        for _ in range(steps):
            self.go_on([call for call in self.engine.calls if call not in before])
            self.loop.settle()

    def go_on(self, calls: Sequence[Call] | None = None) -> bool:
        """Let the next thing happen as it should; say whether there was any."""
        calls = self.engine.calls if calls is None else calls
        if self.loop.held:
            self.loop.held.pop(0)()
        elif calls:
            self.answer(calls[0])
        elif streams := [stream for stream in self.engine.streams if stream.coming]:
            streams[0].heard.put_nowait(streams[0].coming.pop(0))
        elif deaf := [box for box in self.boxes() if box.running and not box.answers.is_set()]:
            deaf[0].answers.set()
        else:
            return False
        return True

    def go_far(self, steps: int, *, late: bool = False) -> None:
        """Go on, the oldest call first; what is late already may be later still."""
        for _ in range(steps):
            self.go_on([call for call in self.engine.calls if late or not call.worked])
            self.loop.settle()

    def answer(self, call: Call) -> None:
        """Let the engine do it, unless it has, and say so."""
        call.do()
        call.answer()
        self.engine.calls.remove(call)

    # time

    def all_is_well(self) -> None:
        """Let every trouble be over."""
        self.engine.away = self.world.full = False
        held, self.loop.held = self.loop.held or [], None
        for work in held:
            work()

    def pass_well(self, seconds: float) -> None:
        """Let time pass in which everybody has an answer at once."""
        self.all_is_well()
        self.loop.let_pass(seconds, self.go_on)

    def rest(self) -> None:
        """A few rounds later, everybody agrees."""
        if self.hub is None:
            self.boot()
        self.pass_well(ROUNDS * ROUND_SECONDS)
        self.agree()

    def teardown(self) -> None:
        """Rest, and be over."""
        try:
            self.rest()
            self.hold()
        finally:
            self.crash()
            for patch in self.patches:
                patch.stop()
            self.loop.close()
            with self.store._engine.begin() as connection:
                for table in reversed(rows.metadata.sorted_tables):
                    if table is rows.schema:
                        continue
                    connection.execute(sa.delete(table))


class WatchedLedger(Ledger):
    """A ledger that shows what is written into it."""

    def __init__(self, life: Life, connection: sa.Connection, snapshot: Snapshot) -> None:
        """Stand on this connection."""
        super().__init__(connection, snapshot)
        self._life = life

    def begin(self, run: Run) -> None:
        """Note a run."""
        self._life.runs_ever.add(run.name)
        super().begin(run)

    def withdraw(self, name: str) -> None:
        """Forget a run."""
        super().withdraw(name)
        if self._end_of(name) is None and self.run(name) is None:
            self._life.runs_ever.discard(name)

    def _write(self, operation: str) -> None:
        self._life.was_written = True
        super()._write(operation)

    def end(self, receipt: Receipt) -> bool:
        """Note its end."""
        self._life.writes(receipt)
        return super().end(receipt)
