"""Every call to the engine, every fault: nobody's server stops for it, and nothing stays behind.

The calls are those of `spawner.engine_calls.CALLS`. All cases run in parallel against one hub as
soon as the first one is asked for; the tests only look at what became of them. What is wrong with
the event stream is wrong for everybody, so those cases have a hub of their own, one at a time.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace

import pytest
import requests

from spawner import messages
from spawner.engine_calls import CALLS, STOP
from tests.lib.fake_state import Offer
from tests.lib.fault_world import PATIENCE, SECONDS, Starts, World, image_name, wait_until
from tests.lib.faults import CALL_KINDS, Fault, Kind
from tests.lib.http_wire import Call

# How many cases act at once, and how many are on their way: most wait for the next round.
ACTING, AT_ONCE = 4, 40
# One user's hanging call must delay nobody, but each holds a thread of its lane for its time.
HOLDING, HOLDING_PER_LANE = {Kind.HANG, Kind.LATE, Kind.DRIP}, 3
CREATED = requests.codes.created
PERCENTILE, START_SECONDS, STARTS_MIN = 0.95, 2.0, 40
# Those who stop while a lane is full, beyond its threads; those who start then, how many at least.
MORE, FRESH, FRESH_MIN = 4, 8, 3

pytestmark = pytest.mark.hub


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one place."""

    world: World
    user: str
    image: str
    kind: Kind
    fault: Fault

    def wait_for_hit(self) -> None:
        """Wait until the fault has happened."""
        wait_until(lambda: self.fault.hits, f"{self.kind} hit nothing")


# how to make the hub issue a call; each returns what hub and engine must agree on in the end


def starting(case: Case) -> str:
    """Start: it works, or fails with a sentence for its user."""
    answer = case.world.start(case.user, case.image)
    if case.kind is Kind.SLOW:
        assert answer.status_code == CREATED, answer.text
    assert messages.UNEXPECTED not in answer.text
    return "running" if answer.status_code == CREATED else "stopped"


def failing(case: Case) -> str:
    """Start a server that ends at once."""
    case.world.engine.next_server(user=case.user, exit_code=3, log=("no luck",))
    answer = case.world.start(case.user, case.image)
    assert "exit code 3" in answer.text
    return "stopped"


def asking(case: Case) -> str:
    """Let the hub ask after a server that runs: never is it taken for stopped."""
    before = case.world.containers(case.user)
    answer = case.world.start(case.user, case.image)
    assert answer.status_code == requests.codes.bad_request
    assert "already running" in answer.text
    assert case.world.model(case.user)["ready"]
    assert case.world.containers(case.user) == before
    return "running"


def dying(case: Case) -> str:
    """Let a server that runs die."""
    [container] = case.world.containers(case.user)
    case.world.engine.die(container.id, 1, log=("no luck",))
    case.wait_for_hit()
    return "stopped"


def stopping(case: Case) -> str:
    """Stop a server."""
    assert case.world.stop(case.user).status_code in {202, 204}
    return "stopped"


def resizing(case: Case) -> str:
    """Let a server that runs follow labhub.yaml, which nobody may notice but its limits."""
    case.world.give_another_number(case.user)
    case.wait_for_hit()
    return "running"


def measuring(case: Case) -> str:
    """Let a change of limits fail, after which the hub asks what they are."""
    update = CALLS["update"]
    meant = case.world.calls_of(case.user)
    first = Fault(Kind.ERROR, update.method, f"^{update.path_regex}$", meant, times=1)
    case.world.proxy.add(first)
    case.world.give_another_number(case.user)
    case.wait_for_hit()
    case.world.proxy.clear(first)
    return "running"


def computing(case: Case) -> str:
    """Let a server that runs have a GPU open, whoever gave it: the hub asks who that is."""
    [container] = case.world.containers(case.user)

    def is_hit() -> bool:
        report()
        return case.fault.hits > 0

    with case.world.computing(container.id) as report:
        wait_until(is_hit, f"{case.kind} hit nothing")
    return "running"


def left(case: Case) -> str:
    """Let a round find a server that nobody wants."""
    case.world.leave_server(case.user)
    case.wait_for_hit()
    return "stopped"


def left_open(case: Case) -> str:
    """Let a round find that an image was being read."""
    case.world.leave_look(case.image)
    case.wait_for_hit()
    return "stopped"


def living(case: Case) -> str:
    """Let a server run until the hub asks the engine about the machine, as it does all the time."""
    case.wait_for_hit()
    return "running"


def fetching(case: Case) -> str:
    """Start with an image that the engine lacks: the hub fetches it, and says how that ended."""
    name, engine = image_name(case.image), case.world.engine
    del engine.life.images[name]
    engine.life.registry[name] = Offer()
    answers = [case.world.start(case.user, case.image)]
    assert "is being fetched" in answers[-1].text
    case.wait_for_hit()

    def ended() -> bool:
        answers.append(case.world.start(case.user, case.image))
        return "is being fetched" not in answers[-1].text

    wait_until(ended, "the fetch did not end")
    if answers[-1].status_code == CREATED:
        return "running"
    assert case.kind is not Kind.SLOW
    assert "could not be fetched" in answers[-1].text
    engine.add_image(name)
    return "stopped"


@dataclass(frozen=True, slots=True)
class Site:
    """A place at which the hub issues a call: how it gets there, and whether a server runs then.

    Calls that look into an image are about nobody: `looks` says that these are meant. So are
    questions about the machine (`machine`). What `waits` for the hub to come to it needs no
    processor meanwhile.
    """

    name: str
    act: Callable[[Case], str]
    runs: bool = False
    looks: bool = False
    machine: bool = False
    waits: bool = False
    kinds: frozenset[Kind] = CALL_KINDS
    only: Callable[[Call], bool] = lambda _call: True


def reads_names(call: Call) -> bool:
    """Whether a path is one of those that are read, not only looked for."""
    return call.query["path"] in {"/etc/passwd", "/etc/group"}


# Further ways to a call show that no answer, a refusal and half an answer are taken for no more
# there, too; all that can become of the call is shown at its first places. A round makes one
# removal after the other, so a hang would hold up what all others wait for.
FURTHER = frozenset({Kind.HANG, Kind.ERROR, Kind.GONE_ONCE, Kind.TRUNCATED})
QUICK = frozenset({Kind.ERROR, Kind.GONE_ONCE, Kind.LOST})
START = Site("start", starting)
LOOK = Site("look", starting, looks=True)
END = Site("stop", stopping, runs=True)
FINISH = Site("finish", left, waits=True, kinds=FURTHER)
SITES: dict[str, tuple[Site, ...]] = {
    "container": (
        START,
        Site("poll", asking, runs=True),
        Site("death", dying, runs=True),
        Site("limits", measuring, runs=True, waits=True, kinds=FURTHER),
        Site("gpu", computing, runs=True, waits=True, kinds=FURTHER),
        FINISH,
    ),
    "listed": (START,),
    "image": (LOOK,),
    "discovered": (Site("round", living, runs=True, machine=True),),
    "log_tail": (
        Site("failure", failing),
        Site("death", dying, runs=True),
        replace(END, kinds=FURTHER),
    ),
    "has_path": (Site("look", starting, looks=True, only=lambda call: not reads_names(call)),),
    "file": (Site("look", starting, looks=True, only=reads_names),),
    "volume": (START,),
    "create": (START, LOOK),
    "start": (START,),
    "stop": (END,),
    "remove": (END, LOOK, FINISH, Site("tidy", left_open, looks=True, waits=True, kinds=QUICK)),
    "update": (Site("save", resizing, runs=True),),
    "pull": (Site("fetch", fetching, looks=True),),
}
EVENTS = {"events", "past"}  # asked by the watch, and by a hub that returns: test_event_faults.py
CASES = [
    (call, site, kind)
    for call in CALLS
    for site in SITES.get(call, ())
    for kind in sorted(site.kinds)
]


acting = threading.Semaphore(ACTING)
holding = {call.lane: threading.Semaphore(HOLDING_PER_LANE) for call in CALLS.values()}


def key(call: str, site: Site, kind: Kind) -> str:
    """Return the name of a case, which is also its image's."""
    return f"{call}-{site.name}-{kind}".replace("_", "-")


def run(world: World, call: str, site: Site, kind: Kind) -> None:
    """Let it happen to somebody, and see what becomes of all."""
    image = key(call, site, kind)
    with world.victim() as user:
        meant = world.looks_into(image) if site.looks else world.calls_of(user)
        meant = (lambda _call: True) if site.machine else meant
        with holding[CALLS[call].lane] if kind in HOLDING else nullcontext():
            with acting if site.runs else nullcontext():
                assert not site.runs or world.start(user).status_code == CREATED
            with (
                nullcontext() if site.waits else acting,
                failing_at(world, call, kind, lambda c: meant(c) and site.only(c)) as fault,
            ):
                wanted = site.act(Case(world, user, image, kind, fault))
                assert fault.hits, f"{site.name} of {call} did not meet {kind}"
                world.check_bystander()
        assert world.settle(user, image) == wanted
        world.check_bystander()
        if wanted == "stopped":
            assert world.start(user, image).status_code == CREATED


@contextmanager
def failing_at(
    world: World, call: str, kind: Kind, meant: Callable[[Call], bool]
) -> Iterator[Fault]:
    """Let the calls that are meant fail until the end of the block."""
    known = CALLS[call]
    path = f"^{known.path_regex}$"
    fault = Fault(kind, known.method, path, meant, SECONDS.get(kind, 1.0))
    world.proxy.add(fault)
    try:
        yield fault
    finally:
        world.proxy.clear(fault)


# the tests


class Matrix:
    """All cases that were asked for, on their way."""

    def __init__(self, world: World, cases: list[tuple[str, Site, Kind]]) -> None:
        """Begin."""
        self.starts = Starts(world, ("other1", "other2"))
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self.ends: dict[str, Future[None]] = {
            key(*case): self._pool.submit(run, world, *case) for case in cases
        }

    def close(self) -> None:
        """Begin no further case."""
        self._pool.shutdown(cancel_futures=True)
        self.starts.end()


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The hub for all calls."""
    with World(AT_ONCE, [key(*case) for case in CASES]) as made:
        yield made


@pytest.fixture(scope="module")
def matrix(request: pytest.FixtureRequest, world: World) -> Iterator[Matrix]:
    """The cases that this run of pytest asks for."""
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    params = [spec.params for spec in asked if spec is not None and "site" in spec.params]
    cases = [(each["call"], each["site"], each["kind"]) for each in params]
    random.Random(1).shuffle(cases)  # noqa: S311 - else what hangs comes together
    made = Matrix(world, cases)
    yield made
    made.close()


def test_every_call_has_a_place_where_the_hub_makes_it() -> None:
    missing = set(CALLS) - set(SITES) - EVENTS
    assert not missing, f"add to SITES how to make the hub issue {', '.join(sorted(missing))}"
    assert set(SITES) <= set(CALLS)


@pytest.mark.parametrize(("call", "site", "kind"), CASES, ids=[key(*case) for case in CASES])
def test_a_fault_stops_nobody_and_leaves_nothing(
    matrix: Matrix, call: str, site: Site, kind: Kind
) -> None:
    matrix.ends[key(call, site, kind)].result(timeout=600)


def test_others_start_quickly_meanwhile(matrix: Matrix) -> None:
    for end in matrix.ends.values():
        end.exception(timeout=600)
    wait_until(lambda: len(matrix.starts.seconds) >= STARTS_MIN, "too few starts")
    assert matrix.starts.failures == []
    seconds = sorted(matrix.starts.seconds)
    late = seconds[int(PERCENTILE * len(seconds))]
    print(f"{len(seconds)} starts, median {seconds[len(seconds) // 2]:.2f} s, p95 {late:.2f} s")
    assert late < START_SECONDS


def test_a_lane_full_of_hangs_delays_no_start(matrix: Matrix, world: World) -> None:
    for end in matrix.ends.values():
        end.exception(timeout=600)
    matrix.close()
    fresh = [f"fresh{number}" for number in range(FRESH)]
    for name in fresh:
        world.add_person(name)
    with ExitStack() as stack:
        users = [stack.enter_context(world.victim()) for _ in range(STOP.threads + MORE)]
        pool = stack.enter_context(ThreadPoolExecutor(len(users)))
        assert {each.status_code for each in pool.map(world.start, users)} == {CREATED}
        meant = [world.calls_of(user) for user in users]
        with failing_at(
            world, "stop", Kind.HANG, lambda c: any(each(c) for each in meant)
        ) as fault:
            full_until = time.monotonic() + STOP.seconds * PATIENCE
            stops = [pool.submit(world.stop, user) for user in users]
            wait_until(lambda: fault.hits >= STOP.threads, "the lane is not full")
            seconds = []
            for name in fresh:
                began = time.monotonic()
                assert world.start(name).status_code == CREATED
                if began < full_until:
                    seconds.append(time.monotonic() - began)
            print(f"{len(seconds)} starts, the slowest {max(seconds):.2f} s")
            assert len(seconds) >= FRESH_MIN
            assert max(seconds) < START_SECONDS
        assert {each.result().status_code for each in stops} <= {202, 204}
        for name in fresh:
            world.stop(name)
        assert {world.settle(name) for name in (*users, *fresh)} == {"stopped"}
    world.check_bystander()


def test_nothing_is_left_in_the_end(matrix: Matrix, world: World) -> None:
    for end in matrix.ends.values():
        end.exception(timeout=600)
    matrix.close()
    wait_until(lambda: len(world.engine.containers()) == 1, "something is left")
    world.check_bystander()
