"""Whatever happens in whatever order: no server that somebody wants is ended, nothing stays behind.

The real spawner, launch, desk, ends, receipts, store, watch and reconcile live in a world of
doubles (tests/lib/model_engine.py, tests/lib/model_hub.py) where each call is as slow, late, lost
or repeated as hypothesis likes, the hub dies anywhere, and time passes only when told to. The
invariants are those of `Life` below; `LABHUB_LIFE_EXAMPLES` says how many lives are tried.
"""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from spawner import rows
from spawner.container import holder_of, identity_labels
from spawner.engine_errors import NotFoundError
from spawner.runs import Holder, Kind, Receipt, Run
from spawner.store import Ledger, Store
from spawner.watch import ROUND_SECONDS
from tests.lib.model_engine import Box, Call, ModelEngine
from tests.lib.model_hub import LAB, ModelHub, ModelLaunch, World
from tests.lib.still_loop import StillLoop

EXAMPLES = int(os.environ.get("LABHUB_LIFE_EXAMPLES", "200"))
MOVES = 40
ROUNDS = 3
ADA, GPU = Holder("ada", ""), Holder("ada", "gpu")
HOLDERS = st.sampled_from([ADA, GPU])
MOMENTS = st.sampled_from([0.3, 1.0, 6.0, 31.0, 62.0])
NTH = st.integers(0, 5)
STEPS = st.integers(0, 7)
TROUBLES = [
    "the engine is away",
    "the engine restarts",
    "the engine restarts, and nothing in it lives",
    "the stream breaks",
    "the stream breaks, and events are forgotten",
    "others hold the store's lock",
]


class Life(RuleBasedStateMachine):
    """A world, and the hub that lives in it."""

    store: Store

    @initialize(holders=st.frozensets(HOLDERS))
    def begin(self, holders: frozenset[Holder]) -> None:
        """A strange container runs, the hub comes up, some have servers."""
        self.loop = StillLoop()
        self.engine = ModelEngine(self.loop)
        self.engine.before_end = self.ends
        self.world = World(self.engine, self.store)
        self.runs_ever: set[str] = set()
        self.wrong: list[Receipt] = []
        self.was_written = True
        labels = {**identity_labels("another", *ADA), "labhub.instance": "another"}
        self.stranger = self.engine.add("another-ada", labels, LAB.network)
        self.engine.run(self.stranger)
        clock = SimpleNamespace(time_ns=self.engine.tick, time=self.loop.time)
        launch = functools.partial(ModelLaunch, self.world)
        self.patches = [
            mock.patch("spawner.launch.time", clock),
            mock.patch("spawner.watch.time", clock),
            mock.patch("spawner.spawner.Launch", launch),
            mock.patch("spawner.ready._first_answer", self.world.first_answer),
            mock.patch("spawner.store.Ledger", functools.partial(WatchedLedger, self)),
        ]
        for patch in self.patches:
            patch.start()
        self.hub: ModelHub | None = None
        self.boot()
        for holder in sorted(holders):
            self.somebody_presses_the_button(holder, 0)
        self.a_good_time_passes(1)

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
        assert not self.hub.busy()
        boxes = {box.name: box for box in self.boxes()}
        assert all(box.running for box in boxes.values())
        assert {holder_of(box.labels) for box in boxes.values()} == set(self.world.rows)
        assert len(boxes) == len(self.world.rows)
        runs, ended = self.kept()
        assert set(runs) == set(boxes)
        assert set(ended) == self.runs_ever - set(boxes)

    # what is

    def boxes(self) -> list[Box]:
        return [box for box in self.engine.boxes.values() if box is not self.stranger]

    def kept(self) -> tuple[dict[str, Run], list[str]]:
        """Return the open runs, and the name of each run that has a receipt, once per receipt."""
        if self.was_written:
            runs, receipts = self.store.transact(
                lambda ledger: (ledger.open_runs(), ledger.receipts("ada", 1000))
            )
            ended = [each.run for each in receipts if each.kind is Kind.SERVER]
            self.was_written, self.seen = False, ({run.name: run for run in runs}, ended)
        return self.seen

    # people

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS)
    def somebody_presses_the_button(self, holder: Holder, steps: int) -> None:
        """Start, Cancel or Stop, whichever the page shows; nothing while it stops."""
        pending = self.hub.spawner(holder).pending
        if pending == "spawn" or (holder in self.world.rows and not pending):
            self.begins(functools.partial(self.hub.end, holder), steps)
        elif not pending:
            self.begins(functools.partial(self.hub.start, holder), steps)

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS, old=st.booleans())
    def during_a_round_somebody_presses(self, holder: Holder, steps: int, old: bool) -> None:
        """What the engine lists for the round comes late; it may have looked before."""
        self.a_round_begins(0)
        if old and self.engine.calls:
            self.engine.calls[-1].do()
        self.somebody_presses_the_button(holder, steps)

    # the hub

    @precondition(lambda self: self.hub)
    @rule(returns=st.sampled_from([True, True, False]))
    def crash(self, returns: bool) -> None:
        """All that the hub had in mind is gone; the calls it made are still on their way."""
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
        if returns:
            self.boot()

    @precondition(lambda self: not self.hub)
    @rule()
    def boot(self) -> None:
        self.hub = ModelHub(self.world)
        self.loop.create_task(self.hub.begin())
        self.loop.settle()

    @precondition(lambda self: self.hub)
    @rule(steps=st.integers(0, 2))
    def a_round_begins(self, steps: int) -> None:
        """Or will, when the present one is over."""
        self.begins(self.hub.desk.round_due.set, steps)

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
            self.work_and_answer(calls[0])
        elif streams := [stream for stream in self.engine.streams if stream.coming]:
            streams[0].heard.put_nowait(streams[0].coming.pop(0))
        elif deaf := [box for box in self.boxes() if box.running and not box.answers.is_set()]:
            deaf[0].answers.set()
        else:
            return False
        return True

    def work_and_answer(self, call: Call) -> None:
        call.do()
        call.answer()
        self.engine.calls.remove(call)

    @rule(steps=STEPS, late=st.booleans())
    def all_goes_on(self, steps: int, late: bool) -> None:
        """Oldest first; answers that are late already may be later still."""
        for _ in range(steps):
            self.go_on([call for call in self.engine.calls if late or not call.worked])
            self.loop.settle()

    @precondition(lambda self: self.engine.calls)
    @rule(nth=NTH)
    def the_engine_works(self, nth: int) -> None:
        """It does what it was asked, and has not told yet."""
        self.engine.calls[nth % len(self.engine.calls)].do()

    @precondition(lambda self: self.engine.calls)
    @rule(nth=NTH)
    def the_engine_answers(self, nth: int) -> None:
        """It answers out of turn."""
        self.work_and_answer(self.engine.calls[nth % len(self.engine.calls)])
        self.loop.settle()

    @precondition(lambda self: self.engine.calls)
    @rule(nth=NTH, gone=st.booleans())
    def an_answer_is_wrong(self, nth: int, gone: bool) -> None:
        """The connection breaks, and what was asked may still be done; or a look finds nothing."""
        call = self.engine.calls[nth % len(self.engine.calls)]
        if gone and call.name == "container":
            call.worked, call.error = True, NotFoundError("No such container")
        call.answer()
        self.loop.settle()

    @rule(trouble=st.sampled_from(TROUBLES))
    def trouble_comes(self, trouble: str) -> None:
        """And stays until all is well, where that is its nature."""
        match trouble:
            case "the engine is away":
                self.engine.away = True
                self.engine.restart(live_restore=True)
            case "the engine restarts" | "the engine restarts, and nothing in it lives":
                self.engine.restart(live_restore=not trouble.endswith("lives"))
                self.engine.run(self.stranger)  # by its own hub
            case "the stream breaks" | "the stream breaks, and events are forgotten":
                if trouble.endswith("forgotten"):
                    self.engine.told.clear()
                self.engine.cut()
            case "others hold the store's lock":  # what waits for it goes on one by one
                self.loop.held = self.loop.held or []
        self.loop.settle()

    def all_is_well(self) -> None:
        self.engine.away = False
        held, self.loop.held = self.loop.held or [], None
        for work in held:
            work()

    # events

    @precondition(lambda self: any(stream.coming for stream in self.engine.streams))
    @rule(nth=NTH, times=st.integers(0, 2))
    def an_event_comes(self, nth: int, times: int) -> None:
        """Out of turn, twice, or never."""
        for stream in self.engine.streams:
            if stream.coming:
                event = stream.coming.pop(nth % len(stream.coming))
                for _ in range(times):
                    stream.heard.put_nowait(event)
        self.loop.settle()

    # from outside

    @precondition(lambda self: self.boxes())
    @rule(nth=NTH, gone=st.booleans())
    def somebody_ends_a_container(self, nth: int, gone: bool) -> None:
        box = self.boxes()[nth % len(self.boxes())]
        (self.engine.drop if gone else functools.partial(self.engine.end, exit_code=137))(box)

    # time

    @rule(seconds=MOMENTS)
    def time_passes(self, seconds: float) -> None:
        """And nobody is told anything meanwhile."""
        self.loop.let_pass(seconds)

    @rule(seconds=MOMENTS)
    def a_good_time_passes(self, seconds: float) -> None:
        """Everybody has an answer at once."""
        self.all_is_well()
        self.loop.let_pass(seconds, self.go_on)

    @rule()
    def quiet(self) -> None:
        """A few rounds in a good time, and everybody agrees."""
        if self.hub is None:
            self.boot()
        self.a_good_time_passes(ROUNDS * ROUND_SECONDS)
        self.agree()

    def teardown(self) -> None:
        try:
            self.quiet()
        finally:
            self.crash(returns=False)
            for patch in self.patches:
                patch.stop()
            self.loop.close()
            with self.store._engine.begin() as connection:
                for table in (rows.runs, rows.receipts):
                    connection.execute(sa.delete(table))


class WatchedLedger(Ledger):
    """A ledger that shows what is written into it."""

    def __init__(self, life: Life, connection: sa.Connection) -> None:
        """Stand on this connection."""
        super().__init__(connection)
        self._life = life

    def begin(self, run: Run) -> None:
        """Note a run."""
        self._life.runs_ever.add(run.name)
        super().begin(run)

    def _write(self, operation: str) -> None:
        self._life.was_written = True
        super()._write(operation)

    def end(self, receipt: Receipt) -> bool:
        """Note its end."""
        self._life.writes(receipt)
        return super().end(receipt)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """One store for all lives; none of them is about power cuts."""
    opened = Store(f"sqlite:///{tmp_path}/labhub.sqlite")
    connection = opened._engine.raw_connection()
    connection.cursor().execute("PRAGMA synchronous = OFF")
    connection.close()  # back into the pool of one
    logging.getLogger("spawner").setLevel(logging.CRITICAL)
    yield opened
    logging.getLogger("spawner").setLevel(logging.NOTSET)
    opened.close()


def test_a_life_of_any_kind(store: Store) -> None:
    lived = type("Lived", (Life,), {"store": store})
    run_state_machine_as_test(
        lived,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=MOVES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
