"""The hub is killed at every named point of a server's life, and comes back.

Whatever it was at: everybody else's kernel is alive with what it knew; what was begun is finished
or gone; hub, store and engine agree; every run has its receipt; nobody else's containers were
touched. All points take minutes: without `tests/run --slow`, a third of them is tried each day.
"""

import datetime as dt
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

import spawner
from spawner.container import identity_labels
from spawner.engine_calls import CALLS
from spawner.runs import Kind
from tests.lib.agreement import Story
from tests.lib.images import build
from tests.lib.kernel import Memory, remember
from tests.lib.lives import SCENES, VICTIM, Scene, died, stop
from tests.lib.real_lab import RealLab, wait_until
from tests.lib.small_servers import debian_with_python, image_in_a_mood, quick_bundle

BYSTANDER = "bystander"
POINTS_AT_LEAST = 40
DAYS = 3
DEATH_SECONDS = 5
# Images are fetched in the background; no server's life depends on it.
# tests/hub/test_reload.py has those of a file that changes, tests/hub/test_queue_crashes.py,
# tests/hub/test_waiting.py and tests/hub/test_queue_world.py those of the queue.
OF_A_FILE = ("pull", "update", "discovered", "past", "store.resize", "store.note_times")
OF_THE_QUEUE = (
    "wait", "leave", "settle", "follow", "look", "move", "drain", "claim", "rename", "withdraw"
)  # fmt: skip
NOT_IN_A_LIFE = {
    f"{each}:{side}"
    for each in (*OF_A_FILE, *(f"store.{name}" for name in OF_THE_QUEUE))
    for side in ("before", "after")
}


@dataclass(frozen=True)
class Place:
    """One instance, somebody whose server runs in it, and containers that are none of its."""

    lab: RealLab
    memory: Memory
    foreign: tuple[str, ...]
    untouched: tuple[Any, ...]


@pytest.fixture(scope="module")
def images(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[dict[str, str]]:
    """What the lab offers. Each has an id of its own, so the hub looks into each anew."""
    with ExitStack() as stack:
        quick = stack.enter_context(debian_with_python(engine, labels))
        moods = {
            mood: stack.enter_context(image_in_a_mood(engine, quick, mood, labels))
            for mood in ("deaf", "dead", "again")
        }
        yield {"quick": quick, **moods}


@pytest.fixture(scope="module")
def foreign(
    engine: docker.DockerClient, images: dict[str, str], labels: dict[str, str]
) -> Iterator[tuple[str, ...]]:
    """The same user's server in another instance, one that was only created, and a stranger."""
    other = labels | identity_labels("labhub-other", VICTIM, "")
    with ExitStack() as stack:
        made = []
        for marks, runs in ((other, True), (other, False), (labels, True)):
            container = engine.containers.create(images["quick"], ["sleep", "1h"], labels=marks)
            stack.callback(container.remove, force=True)
            if runs:
                container.start()
            made.append(container.id)
        yield tuple(made)


@pytest.fixture(scope="module")
def place(
    engine: docker.DockerClient,
    images: dict[str, str],
    foreign: tuple[str, ...],
    labels: dict[str, str],
) -> Iterator[Place]:
    """The bystander's server has the real bundle; later ones have the quick one."""
    with (
        quick_bundle(engine, images["quick"], labels) as quick,
        RealLab("unix:///var/run/docker.sock", images, build("bundle")) as lab,
    ):
        for name in (BYSTANDER, VICTIM):
            lab.add_person(name)
        lab.start_server(BYSTANDER, "quick")
        memory = remember(lab.kernels(BYSTANDER), "4711")
        lab.env["LABHUB_BUNDLE"] = quick
        yield Place(lab, memory, foreign, states(lab, foreign))


@pytest.fixture
def lab(place: Place, request: pytest.FixtureRequest) -> Iterator[RealLab]:
    """A hub that has looked into no image yet, and nothing of the victim: so it is left, too."""
    place.lab.orders.write("")
    yield place.lab
    place.lab.orders.take_back()
    report = getattr(request.node, "labhub_report", None)
    if report is None or report.failed:
        clean_up(place.lab)


@pytest.fixture
def lab_of_its_own(lab: RealLab) -> Iterator[RealLab]:
    """The same, for a test in which the hub does not die."""
    lab.restart_hub(kill=True)
    yield lab
    lab.restart_hub(kill=True)


@pytest.fixture
def victim_memory(lab: RealLab) -> Memory:
    """What a kernel of the victim knows, whose server has the real bundle for once."""
    quick = lab.env["LABHUB_BUNDLE"]
    lab.env["LABHUB_BUNDLE"] = build("bundle")
    lab.restart_hub(kill=True)
    lab.env["LABHUB_BUNDLE"] = quick
    lab.start_server(VICTIM, "quick")
    return remember(lab.kernels(VICTIM), "42")


def clean_up(lab: RealLab) -> None:
    """Let the next test begin with nothing of the victim, whatever this one left."""
    with lab.engine() as engine:
        for box in lab.boxes():
            if box.user != BYSTANDER:
                engine.api.remove_container(box.id, force=True)
    lab.restart_hub(kill=True)
    stop(lab)
    lab.wait_for_agreement()


def states(lab: RealLab, containers: tuple[str, ...]) -> tuple[Any, ...]:
    with lab.engine() as engine:
        found = map(engine.api.inspect_container, containers)
        return tuple((each["Id"], each["State"]) for each in found)


def known_points() -> set[str]:
    """Return all points that stand in the code."""
    code = "".join(path.read_text() for path in Path(spawner.__file__).parent.glob("*.py"))
    writes = re.findall(r'_write\("(\w+)"\)', code)
    calls = [*CALLS, *(f"store.{write}" for write in writes)]
    around = {f"{call}:{side}" for call in calls for side in ("before", "after")}
    return around | set(re.findall(r'reached\("([\w.:]+)"\)', code))


def test_every_point_in_the_code_is_in_a_scene() -> None:
    in_scenes = {point for scene in SCENES for point in scene.points()}
    assert in_scenes == known_points() - NOT_IN_A_LIFE


def test_start_and_stop_alone_pass_forty_points() -> None:
    assert len(SCENES[0].occurrences()) >= POINTS_AT_LEAST


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_passes_its_points(lab_of_its_own: RealLab, scene: Scene) -> None:
    lab = lab_of_its_own
    scene.prepare(lab)
    lab.orders.write("")
    scene.happens(lab)
    lab.wait_for_agreement()
    wanted = set(scene.occurrences())
    wait_until(lambda: wanted <= set(lab.orders.reached()), "all points", DEATH_SECONDS)
    stop(lab)


def cases() -> list[Any]:
    """Return all scenes with all their points; those that are not today's are slow."""
    today = dt.datetime.now(tz=dt.UTC).timetuple().tm_yday
    every = [(scene, point) for scene in SCENES for point in scene.occurrences()]
    return [
        pytest.param(
            scene,
            point,
            id=f"{scene.name}-{point}",
            marks=[] if (number + today) % DAYS == 0 else [pytest.mark.slow],
        )
        for number, (scene, point) in enumerate(every)
    ]


@pytest.mark.parametrize(("scene", "point"), cases())
def test_a_hub_killed_there_comes_back_and_nothing_is_lost_or_left(
    lab: RealLab, place: Place, scene: Scene, point: str
) -> None:
    receipts = server_receipts(lab)
    begun = kill_hub_at(lab, scene, point)

    lab.orders.write("")
    lab.start_hub()
    assert_nothing_is_amiss(place, lab.wait_for_agreement())
    assert place.memory.is_kept()
    assert set(server_receipts(lab) - receipts) <= scene.reasons

    begun += live_on(lab)
    assert_nothing_is_amiss(place, lab.wait_for_agreement())
    assert sum((server_receipts(lab) - receipts).values()) == begun


def kill_hub_at(lab: RealLab, scene: Scene, point: str) -> int:
    """Let the hub die at a point of a scene; return how many runs it had begun."""
    scene.prepare(lab)
    begun = runs_begun(lab)
    lab.orders.write(point)
    with suppress(requests.RequestException, TimeoutError):
        scene.happens(lab)
    wait_until(lambda: died(lab), f"the hub to die at {point}", DEATH_SECONDS)
    assert lab.hub.ended == -signal.SIGKILL
    assert lab.orders.reached()[-1] == point
    return begun + runs_begun(lab)


def test_a_server_whose_end_was_not_noted_goes_on_with_its_kernel(
    lab: RealLab, victim_memory: Memory
) -> None:
    lab.orders.write("store.ask_stop:before#1")
    with suppress(requests.RequestException, TimeoutError):
        stop(lab)
    wait_until(lambda: died(lab), "the hub to die before it noted the end", DEATH_SECONDS)

    lab.orders.write("")
    lab.start_hub()
    assert {BYSTANDER, VICTIM} <= lab.wait_for_agreement().answering
    assert victim_memory.is_kept()

    stop(lab)
    assert VICTIM not in lab.said()
    lab.wait_for_agreement()


def live_on(lab: RealLab) -> int:
    """End what runs, or begin again what does not: both must work. Return the runs begun."""
    if VICTIM not in lab.said():
        lab.start_server(VICTIM, "again")
        assert lab.said()[VICTIM] == "ready"
    stop(lab)
    assert VICTIM not in lab.said()
    return runs_begun(lab)


def assert_nothing_is_amiss(place: Place, story: Story) -> None:
    assert BYSTANDER in story.answering
    assert states(place.lab, place.foreign) == place.untouched


def server_receipts(lab: RealLab) -> Counter[Any]:
    """Return the reasons of the victim's ends."""
    return Counter(each.reason for each in lab.receipts(VICTIM) if each.kind is Kind.SERVER)


def runs_begun(lab: RealLab) -> int:
    """Return how many runs were begun since the last order."""
    return sum(each.startswith("store.begin:after#") for each in lab.orders.reached())
