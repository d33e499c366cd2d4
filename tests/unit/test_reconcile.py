"""What a round does about each disagreement of hub, store and engine, and about none."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawner.reconcile import Action, Close, Finish, Notify, Record, Seen, View, reconcile
from spawner.runs import Holder, Run

ADA, GPU, BOB = Holder("ada", ""), Holder("ada", "gpu"), Holder("bob", "")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def seen(container: str, holder: Holder = ADA, *, ended: bool = False) -> Seen:
    """A container; its name begins with its id, so that names grow as the ids do."""
    return Seen(container, f"{container}-name", holder, ended)


def run(container: str, holder: Holder = ADA) -> Run:
    """The run of that container."""
    return Run(f"{container}-name", holder, "lab/image:1", 1 << 30, NOON, container)


def decided(
    *containers: Seen,
    active: dict[Holder, str] | None = None,
    busy: Iterable[Holder] = (),
    runs: tuple[Run, ...] | None = (),
) -> tuple[Action, ...]:
    """What a round decides when it sees this."""
    return reconcile(View(containers, active or {}, frozenset(busy), runs))


# a world that agrees


def test_where_nothing_is_nothing_is_done() -> None:
    assert decided() == ()


def test_a_server_that_runs_as_hub_and_store_believe_is_left_alone() -> None:
    assert decided(seen("c1"), active={ADA: "c1"}, runs=(run("c1"),)) == ()


def test_a_server_that_runs_under_a_container_the_hub_has_not_noted_is_left_alone() -> None:
    assert decided(seen("c1"), active={ADA: ""}, runs=(run("c1"),)) == ()


def test_two_servers_of_one_user_are_two() -> None:
    runs = (run("c1"), run("c2", GPU))
    assert decided(seen("c1"), seen("c2", GPU), active={ADA: "c1", GPU: "c2"}, runs=runs) == ()


def test_a_store_that_does_not_answer_lost_nothing() -> None:
    assert decided(seen("c1"), active={ADA: "c1"}, runs=None) == ()
    assert decided(seen("c1"), seen("c2", BOB), active={ADA: "c1"}, runs=None) == (
        Finish(seen("c2", BOB)),
    )


# the rows of the table, top down

BUSY = [
    ((seen("c1"),), {}, ()),
    ((seen("c1", ended=True),), {ADA: "c1"}, (run("c1"),)),
    ((seen("c1"),), {ADA: "c1"}, ()),
    ((seen("c1"), seen("c2")), {ADA: "c2"}, (run("c1"), run("c2"))),
    ((), {ADA: "c1"}, (run("c1"),)),
    ((), {}, (run("c1"),)),
]


@pytest.mark.parametrize(("containers", "active", "runs"), BUSY)
def test_whoever_starts_or_stops_is_left_to_finish(
    containers: tuple[Seen, ...], active: dict[Holder, str], runs: tuple[Run, ...]
) -> None:
    assert decided(*containers, active=active, runs=runs) != ()
    assert decided(*containers, active=active, runs=runs, busy={ADA}) == ()
    assert decided(*containers, active=active, runs=runs, busy={GPU}) != ()


def test_a_server_the_store_knows_nothing_of_is_recorded() -> None:
    assert decided(seen("c1"), active={ADA: "c1"}) == (Record(seen("c1")),)


def test_a_server_whose_container_ended_is_asked_after() -> None:
    ended = seen("c1", ended=True)
    assert decided(ended, active={ADA: "c1"}, runs=(run("c1"),)) == (Notify(ADA),)


def test_a_server_that_ended_before_its_container_was_noted_is_asked_after() -> None:
    ended = seen("c1", ended=True)
    assert decided(ended, active={ADA: ""}, runs=(run("c1"),)) == (Notify(ADA),)


@pytest.mark.parametrize("ended", [True, False])
def test_what_an_earlier_attempt_left_is_finished(ended: bool) -> None:
    left, runs = seen("c1", ended=ended), (run("c1"), run("c2"))
    assert decided(left, seen("c2"), active={ADA: "c2"}, runs=runs) == (Finish(left),)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("runs", [(), (run("c1"),)])
def test_what_nobody_believes_in_is_finished(ended: bool, runs: tuple[Run, ...]) -> None:
    left = seen("c1", ended=ended)
    assert decided(left, runs=runs) == (Finish(left),)


def test_a_server_without_any_container_is_asked_after() -> None:
    assert decided(active={ADA: "c1"}) == (Notify(ADA),)


def test_a_run_whose_container_is_gone_is_closed() -> None:
    assert decided(runs=(run("c1"),)) == (Close(run("c1")),)


def test_a_run_whose_container_was_never_made_is_closed() -> None:
    begun = Run("c1-name", ADA, "lab/image:1", 1 << 30, NOON)
    assert decided(runs=(begun,)) == (Close(begun),)


def test_a_server_that_is_gone_is_asked_after_and_its_run_closed() -> None:
    actions = decided(active={ADA: "c1"}, runs=(run("c1"),))
    assert actions == (Notify(ADA), Close(run("c1")))


# several containers of one server


def test_one_that_runs_outlives_the_known_one_that_is_gone() -> None:
    actions = decided(seen("c2"), active={ADA: "c1"}, runs=(run("c1"), run("c2")))
    assert actions == (Close(run("c1")),)


def test_the_known_one_counts_although_it_ended_and_another_runs() -> None:
    known, other = seen("c1", ended=True), seen("c2")
    assert decided(known, other, active={ADA: "c1"}, runs=(run("c1"), run("c2"))) == (
        Notify(ADA),
        Finish(other),
    )


def test_of_two_that_run_and_are_not_known_the_later_attempt_counts() -> None:
    two = seen("c1"), seen("c2")
    assert decided(*two, active={ADA: ""}, runs=(run("c1"), run("c2"))) == (Finish(two[0]),)


def test_of_two_unknown_ones_the_one_that_runs_counts() -> None:
    earlier, later = seen("c1"), seen("c2", ended=True)
    actions = decided(earlier, later, active={ADA: ""}, runs=(run("c1"), run("c2")))
    assert actions == (Finish(later),)


def test_several_that_nobody_believes_in_are_all_finished() -> None:
    two = seen("c1"), seen("c2", ended=True)
    assert decided(*two) == (Finish(two[0]), Finish(two[1]))


def test_one_user_s_disorder_is_not_another_s() -> None:
    left, ended = seen("c1"), seen("c3", BOB, ended=True)
    actions = decided(left, seen("c2", GPU), ended, active={GPU: "c2", BOB: "c3"}, busy={BOB})
    assert actions == (Finish(left), Record(seen("c2", GPU)))


# any world

few = settings(max_examples=40, deadline=None)
HOLDERS = st.sampled_from([ADA, GPU, BOB])
CONTAINERS = st.lists(
    st.builds(
        lambda number, holder, ended: seen(f"c{number}", holder, ended=ended),
        st.integers(1, 5), HOLDERS, st.booleans(),
    ),
    max_size=5, unique_by=lambda each: each.container,
)  # fmt: skip
NUMBERS = st.sampled_from(["", "c1", "c2", "c3"])
VIEWS = st.builds(
    View,
    CONTAINERS.map(tuple),
    st.dictionaries(HOLDERS, NUMBERS),
    st.frozensets(HOLDERS),
    st.lists(st.builds(run, NUMBERS, HOLDERS), max_size=4, unique_by=lambda each: each.name).map(
        tuple
    ),
)


def holder_of(action: Action) -> Holder:
    match action:
        case Notify(holder=holder):
            return holder
        case Close(run=closed):
            return closed.holder
        case _:
            return action.seen.holder


@few
@given(VIEWS)
def test_in_any_world_only_what_nobody_wants_is_ended(view: View) -> None:
    actions = reconcile(view)
    assert not {holder_of(action) for action in actions} & set(view.busy)
    for action in actions:
        if isinstance(action, Finish):
            mine = [each for each in view.seen if each.holder == action.seen.holder]
            known = view.active.get(action.seen.holder)
            assert action.seen.container != known
            assert known is None or len(mine) > 1
        if isinstance(action, Close):
            assert action.run.name not in {each.name for each in view.seen}


@few
@given(VIEWS)
def test_the_order_in_which_the_engine_lists_does_not_matter(view: View) -> None:
    decisions = {
        frozenset(reconcile(View(tuple(order), view.active, view.busy, view.runs)))
        for order in list(permutations(view.seen))[:24]
    }
    assert len(decisions) == 1
