"""The engine, the hub and the proxy restart, in any order, under servers in which people work.

On an engine of its own (tests/lib/reachable_engine.py), with real servers and real kernels.
"""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest

from spawner import messages
from spawner.engine import Engine
from spawner.runs import Reason
from tests.lib.images import build
from tests.lib.kernel import Memory, remember
from tests.lib.node import ROOT
from tests.lib.person import words
from tests.lib.reachable_engine import ReachableEngine
from tests.lib.real_lab import RealLab, wait_until
from tests.lib.small_servers import debian_with_python, lend_bundle

PEOPLE = ("ada", "ben")
ROUTES_SECONDS = 10
# After a click; a start and a stop take about a second each.
MOMENTS_SECONDS = (0.1, 0.4, *(pytest.param(each, marks=pytest.mark.slow) for each in (0.0, 0.9)))
PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AWAY = messages.engine_trouble("")

at_any_moment = pytest.mark.parametrize("after_seconds", MOMENTS_SECONDS)
with_live_restore_or_without = pytest.mark.parametrize("live_restore", [True, False])
by_signal = pytest.mark.parametrize("kill", [False, True], ids=["ended", "killed"])


@pytest.fixture(scope="module")
def second(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[ReachableEngine]:
    """An engine that may be restarted, with the bundle and an image called `debian`."""
    with (
        debian_with_python(engine, labels) as image,
        ReachableEngine({"live-restore": True}) as own,
        own.client() as client,
    ):
        client.images.get(own.take_image(engine, image, PATH)).tag("debian")
        lend_bundle(engine, build("bundle"), client)
        yield own


@pytest.fixture(scope="module")
def lab(second: ReachableEngine) -> Iterator[RealLab]:
    """A labhub on that engine."""
    images = {"debian": "debian"}
    with RealLab(second.url, images, build("bundle"), address=second.address) as running:
        for name in PEOPLE:
            running.add_person(name)
        yield running


@pytest.fixture
def memories(lab: RealLab, second: ReachableEngine) -> Iterator[dict[str, Memory]]:
    """Everybody's server runs, with a kernel that keeps a number; everything is put right after."""
    start_all(lab)
    yield {name: remember(lab.kernels(name), f"47{number}1") for number, name in enumerate(PEOPLE)}
    second.end()
    second.begin()
    lab.restart_hub(kill=True)
    for name in PEOPLE:
        lab.stop_server(name)
    lab.wait_for_agreement()


def restart(second: ReachableEngine, *, live_restore: bool) -> None:
    """Let the engine run with this configuration."""
    if second.config["live-restore"] != live_restore:
        second.end()
        second.begin(**{"live-restore": live_restore})


@pytest.fixture
def survives(second: ReachableEngine) -> None:
    """Servers go on without the engine."""
    restart(second, live_restore=True)


@pytest.fixture
def takes_all_along(second: ReachableEngine) -> None:
    """Servers end with the engine."""
    restart(second, live_restore=False)


def ends(lab: RealLab) -> dict[str, list[Reason]]:
    """Return how everybody's servers ended, newest first."""
    return {name: [each.reason for each in lab.receipts(name)] for name in PEOPLE}


def page(lab: RealLab, name: str) -> str:
    """Return what somebody reads on the hub's home page."""
    person = lab.visitor()
    person.submit(person.get("/hub/login"), {"username": name, "password": "any"})
    return words(person.get("/hub/home"))


def assert_all_run_on(lab: RealLab, memories: dict[str, Memory], before: Any) -> None:
    """Nothing ended, and nothing is said to have ended."""
    assert all(memory.is_kept() for memory in memories.values())
    assert lab.said() == dict.fromkeys(PEOPLE, "ready")
    assert ends(lab) == before


def start_all(lab: RealLab) -> None:
    """Whatever happened, a click starts a server."""
    for name in PEOPLE:
        lab.start_server(name)
    assert lab.said() == dict.fromkeys(PEOPLE, "ready"), lab.logs()


def die_and_return(lab: RealLab, second: ReachableEngine, after_seconds: float) -> None:
    """Kill the engine at this moment, let it come back, and wait until everybody agrees."""
    time.sleep(after_seconds)
    second.end(kill=True)
    second.begin()
    wait_until(lambda: not any(map(lab.pending, PEOPLE)), "the hub to be done", seconds=60)
    lab.wait_for_agreement()


@contextmanager
def bystander(lab: RealLab, second: ReachableEngine, *, live_restore: bool) -> Iterator[None]:
    """On such an engine somebody else works, and notices nothing, or that the engine ended."""
    restart(second, live_restore=live_restore)
    lab.wait_for_agreement()
    lab.stop_server("ben")
    lab.start_server("ben")
    memory, before = remember(lab.kernels("ben"), "4711"), ends(lab)["ben"]
    yield
    if live_restore:
        assert memory.is_kept()
        assert (lab.said()["ben"], ends(lab)["ben"]) == ("ready", before)
    else:
        assert "ben" not in lab.said()
        assert ends(lab)["ben"] == [Reason.ENGINE_RESTARTED, *before]


def test_an_engine_that_came_back_knows_what_a_volume_points_to(
    second: ReachableEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", second.url)

    def volume() -> str:
        return asyncio.run(Engine().volume("labtest-points", str(tmp_path), {}))

    assert volume() == str(tmp_path)
    second.end()
    second.begin()
    assert volume() == str(tmp_path)


@by_signal
@pytest.mark.usefixtures("survives")
def test_with_live_restore_all_servers_outlive_the_engine(
    lab: RealLab, second: ReachableEngine, memories: dict[str, Memory], *, kill: bool
) -> None:
    before = ends(lab)
    second.end(kill=kill)
    wait_until(lambda: AWAY in page(lab, "ada"), "the banner")
    assert_all_run_on(lab, memories, before)
    second.begin()
    lab.wait_for_agreement()
    wait_until(lambda: AWAY not in page(lab, "ada"), "the banner to go")
    assert_all_run_on(lab, memories, before)


@by_signal
@pytest.mark.usefixtures("takes_all_along")
def test_without_live_restore_the_engine_is_what_ended_them(
    lab: RealLab, second: ReachableEngine, memories: dict[str, Memory], *, kill: bool
) -> None:
    before = ends(lab)
    second.end(kill=kill)
    second.begin()
    wait_until(lambda: not lab.said(), "the hub to know that nothing runs")
    lab.wait_for_agreement()
    assert ends(lab) == {name: [Reason.ENGINE_RESTARTED, *before[name]] for name in PEOPLE}
    assert messages.receipt(lab.receipts("ada")[0], viewer="ada") in page(lab, "ada")
    start_all(lab)


@at_any_moment
@with_live_restore_or_without
def test_an_engine_that_dies_during_a_start_leaves_nothing_half_made(
    lab: RealLab, second: ReachableEngine, after_seconds: float, *, live_restore: bool
) -> None:
    with bystander(lab, second, live_restore=live_restore):
        lab.api("POST", "users/ada/server", json={})
        die_and_return(lab, second, after_seconds)
    start_all(lab)
    lab.stop_server("ada")


@at_any_moment
@with_live_restore_or_without
def test_an_engine_that_dies_during_a_stop_forgets_none(
    lab: RealLab, second: ReachableEngine, after_seconds: float, *, live_restore: bool
) -> None:
    with bystander(lab, second, live_restore=live_restore):
        lab.start_server("ada")
        before = ends(lab)["ada"]
        lab.api("DELETE", "users/ada/server")
        die_and_return(lab, second, after_seconds)
    # The tests' token is an admin's. When it asked for the end matters, not who was quicker.
    assert ends(lab)["ada"] == [Reason.ADMIN, *before]
    assert "ada" not in lab.said()


@pytest.mark.usefixtures("survives")
def test_a_hub_that_is_up_before_the_engine_says_so_and_adopts_what_runs(
    lab: RealLab, second: ReachableEngine, memories: dict[str, Memory]
) -> None:
    before = ends(lab)
    lab.stop_hub(kill=True)
    second.end()
    begin = len(lab.hub.log.read_text())
    lab.start_hub()
    wait_until(lambda: "Docker does not answer" in lab.hub.log.read_text()[begin:], "the log")
    wait_until(lambda: AWAY in page(lab, "ada"), "the banner")
    assert_all_run_on(lab, memories, before)
    second.begin()
    lab.wait_for_agreement()
    wait_until(lambda: AWAY not in page(lab, "ada"), "the banner to go")
    assert_all_run_on(lab, memories, before)


@pytest.mark.usefixtures("takes_all_along")
def test_a_hub_that_is_up_before_an_engine_that_lost_all_loses_no_end(
    lab: RealLab, second: ReachableEngine, memories: dict[str, Memory]
) -> None:
    before = ends(lab)
    lab.stop_hub(kill=True)
    second.end()
    lab.start_hub()
    second.begin()
    wait_until(lambda: not lab.said(), "the hub to know that nothing runs")
    lab.wait_for_agreement()
    assert ends(lab) == {name: [Reason.ENGINE_RESTARTED, *before[name]] for name in PEOPLE}
    start_all(lab)


def test_a_second_hub_on_the_directory_refuses_and_leaves_the_first_alone(
    lab: RealLab, memories: dict[str, Memory]
) -> None:
    before, pid = ends(lab), lab.hub.pid
    second_hub = subprocess.run(
        lab.hub.argv, env=lab.env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert second_hub.returncode == 1
    sentence = messages.second_hub(lab.dir.state / "hub.lock")
    assert second_hub.stderr.splitlines()[-1] == sentence
    assert "Traceback" not in second_hub.stderr
    assert (lab.hub.pid, lab.hub.ended) == (pid, None)
    lab.wait_for_agreement()
    assert_all_run_on(lab, memories, before)


def test_a_proxy_that_is_killed_and_comes_back_has_its_routes_in_ten_seconds(
    lab: RealLab, memories: dict[str, Memory]
) -> None:
    before = ends(lab)
    lab.proxy.end(kill=True)
    assert not lab.answers("ada")
    lab.start_proxy()
    wait_until(lambda: all(map(lab.answers, PEOPLE)), "the routes", ROUTES_SECONDS)
    assert_all_run_on(lab, memories, before)
