"""Whatever happens in whatever order: no server that somebody wants is ended, nothing stays behind.

Hypothesis plays `AnyLife`; the invariants are those of tests/lib/life.py. What it once found, or
would find too seldom, is played again below. `LABHUB_LIFE_EXAMPLES` says how many lives it tries.
"""

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from spawner.engine_errors import NotFoundError
from spawner.runs import Holder
from spawner.store import Store
from tests.lib.life import ADA, GPU, Life

EXAMPLES = int(os.environ.get("LABHUB_LIFE_EXAMPLES", "150"))
MANY, MOVES = 5_000, 40
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
    "there is no space for the store",
]


class AnyLife(Life):
    """What may happen, and that it may happen at any time."""

    @initialize(holders=st.frozensets(HOLDERS))
    def begin(self, holders: frozenset[Holder]) -> None:
        self.come_up()
        for holder in sorted(holders):
            self.press(holder)
        self.pass_well(1)

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS)
    def somebody_presses_the_button(self, holder: Holder, steps: int) -> None:
        self.press(holder, steps)

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS)
    def somebody_starts_over(self, holder: Holder, steps: int) -> None:
        self.start_over(holder, steps)

    @precondition(lambda self: self.hub)
    @rule(holder=HOLDERS, steps=STEPS, old=st.booleans())
    def during_a_round_somebody_presses(self, holder: Holder, steps: int, old: bool) -> None:
        """What the engine lists for the round comes late; it may have looked before."""
        self.make_round()
        if old and self.engine.calls:
            self.engine.calls[-1].do()
        self.press(holder, steps)

    @precondition(lambda self: self.hub)
    @rule(steps=st.integers(0, 2))
    def a_round_begins(self, steps: int) -> None:
        self.make_round(steps)

    @precondition(lambda self: self.hub)
    @rule(returns=st.sampled_from([True, True, False]))
    def the_hub_dies(self, returns: bool) -> None:
        self.crash()
        if returns:
            self.boot()

    @precondition(lambda self: not self.hub)
    @rule()
    def the_hub_returns(self) -> None:
        self.boot()

    @rule(steps=STEPS, late=st.booleans())
    def all_goes_on(self, steps: int, late: bool) -> None:
        self.go_far(steps, late=late)

    @precondition(lambda self: self.engine.calls)
    @rule(nth=NTH)
    def the_engine_works(self, nth: int) -> None:
        """It does what it was asked, and has not told yet."""
        self.engine.calls[nth % len(self.engine.calls)].do()

    @precondition(lambda self: self.engine.calls)
    @rule(nth=NTH)
    def the_engine_answers(self, nth: int) -> None:
        """It answers out of turn."""
        self.answer(self.engine.calls[nth % len(self.engine.calls)])
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
            case "there is no space for the store":
                self.world.full = True
        self.loop.settle()

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

    @precondition(lambda self: self.boxes())
    @rule(nth=NTH, gone=st.booleans())
    def somebody_ends_a_container(self, nth: int, gone: bool) -> None:
        """From outside."""
        end = self.engine.drop if gone else partial(self.engine.end, exit_code=137)
        end(self.boxes()[nth % len(self.boxes())])

    @rule(seconds=MOMENTS)
    def time_passes(self, seconds: float) -> None:
        """And nobody is told anything meanwhile."""
        self.loop.let_pass(seconds)

    @rule(seconds=MOMENTS)
    def a_good_time_passes(self, seconds: float) -> None:
        self.pass_well(seconds)

    @rule()
    def quiet(self) -> None:
        self.rest()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all lives; none of them is about power cuts."""
    folder: Path = tmp_path_factory.mktemp("lives")
    opened = Store(f"sqlite:///{folder}/labhub.sqlite")
    connection = opened._engine.raw_connection()
    connection.cursor().execute("PRAGMA synchronous = OFF")
    connection.close()  # back into the pool of one
    logging.getLogger("spawner").setLevel(logging.CRITICAL)
    yield opened
    logging.getLogger("spawner").setLevel(logging.NOTSET)
    opened.close()


def play(store: Store, examples: int, kind: type[Life] = AnyLife) -> None:
    """Play so many lives of a kind."""
    lived = type("Lived", (kind,), {"store": store})
    run_state_machine_as_test(
        lived,
        settings=settings(
            max_examples=examples,
            stateful_step_count=MOVES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_life_of_any_kind(store: Store) -> None:
    play(store, EXAMPLES)


@pytest.mark.slow
def test_many_lives(store: Store) -> None:
    play(store, MANY)


# lives that went wrong once, or could


@pytest.fixture
def life(store: Store) -> Iterator[Life]:
    """A life that ends like all others: nothing is left over, and everybody agrees."""
    lived: AnyLife = type("Lived", (AnyLife,), {"store": store})()
    lived.come_up()
    lived.pass_well(1)
    yield lived
    lived.teardown()


def served(life: Life, holder: Holder = ADA) -> bool:
    """Whether the holder's one container runs as the hub believes."""
    [box] = life.boxes()
    return box.running and life.world.rows[holder].container == box.id


def calls(life: Life) -> list[str]:
    return [call.name for call in life.engine.calls]


def test_a_start_cancelled_in_a_create_that_fails_later_does_not_end_the_next_one(
    life: Life,
) -> None:
    life.press(ADA, 1)
    life.press(ADA)  # cancels
    life.press(ADA, 9)
    assert served(life)
    [create] = life.engine.calls
    create.answer()  # the connection broke
    life.loop.settle()
    assert calls(life) == ["create", "container"]
    for _ in range(4):
        life.go_on(life.engine.calls[1:])
        life.loop.settle()
    assert served(life)


def test_polls_that_are_late_do_not_end_the_next_server(life: Life) -> None:
    life.press(ADA, 9)
    life.engine.drop(life.boxes()[0])
    life.make_round(1)
    life.make_round(1)
    polls = list(life.engine.calls)
    assert [call.name for call in polls] == ["container", "container"]
    life.press(ADA, 2)  # Stop: nothing is there, so it is quick
    life.press(ADA, 4)  # Start
    life.hold()
    for poll in polls:
        life.answer(poll)
        life.loop.settle()
    life.pass_well(1)
    assert served(life)


def test_a_start_over_a_server_that_died_ends_that_one_first(life: Life) -> None:
    life.press(ADA, 9)
    life.engine.drop(life.boxes()[0])
    life.make_round(1)  # its poll is under way
    life.start_over(ADA)
    while "create" not in [call.name for call in life.engine.calls]:
        assert life.go_on()
        life.loop.settle()
    _, ended = life.kept()
    assert len(ended) == 1


def test_a_server_whose_address_nobody_noted_is_found_when_the_engine_answers(life: Life) -> None:
    life.press(ADA, 4)
    [box] = life.boxes()
    assert box.running
    life.crash()
    life.engine.away = True
    life.boot()
    life.loop.let_pass(60)
    life.pass_well(5)
    assert life.boxes() == [box]
    assert life.world.rows[ADA].address == box.address
    assert not life.hub.busy()


def test_a_list_that_is_older_than_a_start_closes_nothing(life: Life) -> None:
    life.press(ADA, 1)
    life.make_round()
    create, listed = life.engine.calls
    assert (create.name, listed.name) == ("create", "listed")
    listed.do()
    life.go_far(8)
    assert served(life)
    life.answer(listed)
    life.loop.settle()


def test_a_list_that_comes_while_somebody_starts_closes_nothing(life: Life) -> None:
    life.press(ADA, 1)
    life.make_round(1)
    life.go_far(8)
    assert served(life)


def test_a_start_that_is_quicker_than_a_round_is_left_alone(life: Life) -> None:
    life.make_round()
    [listed] = life.engine.calls
    life.press(ADA, 9)
    assert served(life)
    life.answer(listed)
    life.loop.settle()
    assert served(life)


def test_a_server_that_never_answers_a_new_hub_is_stopped_when_somebody_wants_it(
    life: Life,
) -> None:
    life.press(ADA, 9)
    assert served(life)
    [box] = life.boxes()
    box.answers.clear()
    life.crash()
    life.boot()
    for moment in range(100):
        if moment == 20:
            assert life.hub.spawner(ADA).pending == "check"
            life.press(ADA)
        for call in tuple(life.engine.calls):
            life.answer(call)
        life.loop.settle()
        life.loop.let_pass(0.1)
    life.hold()
    assert life.boxes() == []
    assert life.kept() == ({}, [box.name])
