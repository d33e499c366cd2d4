"""Events that lie, streams that break, rounds that fail, hubs that return into all that.

Events are hints: whatever becomes of them, a server that died is noticed, by the next event, by a
new stream or by the round every 30 seconds, and nobody else's is touched. These faults are
everybody's, so each case has a hub to itself; a few hubs share the cases.
"""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from spawner.engine_calls import CALLS
from tests.lib.fault_world import SECONDS, Starts, World, wait_until
from tests.lib.faults import CALL_KINDS, STREAM_KINDS, Fault, Kind

HUBS = 3
CREATED = requests.codes.created
EVENTS = f"^{CALLS['events'].path_regex}$"
LISTED = f"^{CALLS['listed'].path_regex}$"
# A stream has no body to halve, and nothing that the engine could do although nobody listens.
OPENING_KINDS = CALL_KINDS - {Kind.HALF_JSON, Kind.LOST, Kind.LATE}

pytestmark = pytest.mark.hub


def dies(world: World, user: str) -> None:
    """Let the server of a user die."""
    [container] = world.containers(user)
    world.engine.die(container.id)


def dies_during_a_cut(world: World, user: str, fault: Fault) -> None:
    """Let it die in the moment in which the stream breaks; the hub has to begin another one."""
    cut = world.proxy.add(Fault(Kind.CUT, "GET", EVENTS, times=1))
    dies(world, user)
    wait_until(lambda: cut.hits and fault.hits, f"{fault.kind} hit nothing")


def told_wrongly(world: World, user: str, kind: Kind) -> None:
    """A server dies while the stream lies."""
    fault = world.proxy.add(Fault(kind, "GET", EVENTS, seconds=SECONDS.get(kind, 1)))
    dies(world, user)
    wait_until(lambda: fault.hits, f"{kind} hit nothing")


def told_of_others(world: World, user: str, kind: Kind) -> None:
    """A server dies, and the stream, which goes on, says nothing of it: only a round can know."""
    others = Starts(world, ("other",))
    [container] = world.containers(user)
    fault = world.proxy.add(Fault(kind, "GET", EVENTS, text=container.id))
    try:
        dies(world, user)
        assert world.settle(user) == "stopped"
    finally:
        others.end()
    assert fault.hits
    assert others.failures == []


def not_told(world: World, user: str, kind: Kind) -> None:
    """A server dies, the stream breaks, and no other one begins."""
    fault = world.proxy.add(Fault(kind, "GET", EVENTS, seconds=SECONDS.get(kind, 1)))
    dies_during_a_cut(world, user, fault)


def not_listed(world: World, user: str, kind: Kind) -> None:
    """A server dies, the stream breaks, and the round that follows learns nothing."""
    everybodys = world.calls_of("")
    fault = Fault(kind, "GET", LISTED, everybodys, SECONDS.get(kind, 1))
    dies_during_a_cut(world, user, world.proxy.add(fault))


def restarted(world: World, _user: str, kind: Kind) -> None:
    """A hub returns while every call fails, the first question for the version included."""
    fault = world.proxy.add(Fault(kind, seconds=SECONDS.get(kind, 1)))
    world.lab.restart_hub(kill=True)
    wait_until(lambda: fault.hits, f"{kind} hit nothing")


Happening = Callable[[World, str, Kind], None]
CASES: list[tuple[Happening, Kind, str]] = [
    *((told_wrongly, kind, "stopped") for kind in sorted(STREAM_KINDS)),
    (told_of_others, Kind.DROP, "stopped"),
    *((not_told, kind, "stopped") for kind in sorted(OPENING_KINDS)),
    *((not_listed, kind, "stopped") for kind in sorted(CALL_KINDS)),
    *((restarted, kind, "running") for kind in sorted(CALL_KINDS)),
]


def name_of(happening: Happening, kind: Kind) -> str:
    return f"{happening.__name__}-{kind}"


def run(worlds: "queue.SimpleQueue[World]", happening: Happening, kind: Kind, wanted: str) -> None:
    """Let it happen in one of the worlds, and see what becomes of all, then and afterwards."""
    world = worlds.get(timeout=600)
    try:
        with world.victim() as user:
            assert world.start(user).status_code == CREATED
            happening(world, user, kind)
            if wanted == "stopped":
                assert world.settle(user) == wanted
            world.check_bystander()
            world.proxy.clear()
            assert world.settle(user) == wanted
            wait_until(lambda: "/events" in [call.path for call in world.proxy.open], "no stream")
            world.check_bystander()
    finally:
        world.proxy.clear()
        worlds.put(world)


@pytest.fixture(scope="module")
def ends(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """The cases that this run of pytest asks for, on their way."""
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [spec.params for spec in specs if spec is not None and "happening" in spec.params]
    worlds: queue.SimpleQueue[World] = queue.SimpleQueue()
    with ExitStack() as stack, ThreadPoolExecutor(HUBS) as pool:
        for made in pool.map(lambda _number: stack.enter_context(World(1)), range(HUBS)):
            worlds.put(made)
        yield {
            name_of(case["happening"], case["kind"]): pool.submit(run, worlds, **case)
            for case in asked
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize(
    ("happening", "kind", "wanted"), CASES, ids=[name_of(*case[:2]) for case in CASES]
)
def test_an_end_is_noticed_and_nothing_else_ends(
    ends: dict[str, Future[None]], happening: Happening, kind: Kind, wanted: str
) -> None:
    ends[name_of(happening, kind)].result(timeout=600)
