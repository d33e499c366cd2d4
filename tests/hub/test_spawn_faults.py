"""Cancelled starts, restarted hubs and an engine that errs: nothing is lost, nothing is left."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab
from tests.lib.person import Person

EVERYTHING = ".*"
OFTEN = 10**6

pytestmark = pytest.mark.usefixtures("ada")


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Somebody with an account who has signed in."""
    lab.add_user("ada")
    return lab.login("ada")


@pytest.fixture(autouse=True)
def stopped(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """No test leaves a server, or a container that nobody wants."""
    yield
    fake_engine.clear_faults()
    lab.api("DELETE", "users/ada/server")
    wait_until(lambda: not model(lab) and not fake_engine.containers())


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def model(lab: Lab) -> dict[str, object]:
    """Return the hub's view of ada's server, empty when there is none."""
    return lab.api("GET", "users/ada").json()["servers"].get("") or {}


def ready(lab: Lab) -> bool:
    return bool(model(lab).get("ready"))


def begin_slow_start(ada: Person) -> None:
    """Press Start for a server that takes its time; the page after it comes after a second."""
    assert ada.start("ada", image="tensorflow").status_code == 302


def cancel(lab: Lab) -> list[bool]:
    """Cancel the start; return what the hub said about readiness meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lab.api, "DELETE", "users/ada/server")
        said = []
        while not answer.done():
            said.append(ready(lab))
            time.sleep(0.05)
        assert answer.result().status_code == 204
    return said


def test_a_cancelled_start_leaves_no_ghost(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(boot_seconds=60)
    begin_slow_start(ada)
    assert model(lab)["pending"] == "spawn"
    said = cancel(lab)
    assert len(said) > 3
    assert not any(said)
    assert model(lab) == {}
    wait_until(lambda: not fake_engine.containers(), seconds=2)
    assert lab.api("POST", "users/ada/server").status_code == 201


@pytest.mark.parametrize("call", ["/containers/create$", "/start$", "/volumes/create$"])
def test_a_start_cancelled_inside_a_slow_call(
    lab: Lab, ada: Person, fake_engine: FakeEngine, call: str
) -> None:
    fake_engine.delay("POST", call, 4, times=1)
    begin_slow_start(ada)
    assert not any(cancel(lab))
    assert lab.api("POST", "users/ada/server").status_code == 201
    time.sleep(4)
    wait_until(lambda: len(fake_engine.containers()) == 1)
    assert ada.get("/user/ada/api").json()["version"]


def test_a_start_that_fails_is_cancelled_meanwhile(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(exit_code=1, exit_seconds=1.5)
    fake_engine.delay("GET", "/logs$", 4, times=2)
    begin_slow_start(ada)
    wait_until(lambda: fake_engine.calls_to("GET", "/logs$"), seconds=10)
    assert lab.api("DELETE", "users/ada/server").status_code == 204
    assert model(lab) == {}
    wait_until(lambda: not fake_engine.containers(), seconds=10)


def test_a_start_is_cancelled_in_two_tabs_at_once(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=60)
    begin_slow_start(ada)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(lab.api, "DELETE", "users/ada/server") for _ in range(3)]
    assert {each.result().status_code for each in asked} <= {202, 204}
    wait_until(lambda: not model(lab), seconds=5)


def test_a_second_start_while_the_first_is_cancelled_wins(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=60)
    begin_slow_start(ada)
    cancel(lab)
    assert lab.api("POST", "users/ada/server").status_code == 201
    time.sleep(1)
    assert ready(lab)
    assert [c.status for c in fake_engine.containers()] == ["running"]


def test_a_restarted_hub_adopts_what_runs(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    [before] = fake_engine.servers()
    lab.restart_hub()
    assert ready(lab)
    assert fake_engine.containers() == [before]
    assert ada.get("/user/ada/api").json()["version"]
    assert lab.api("DELETE", "users/ada/server").status_code == 204


def test_a_hub_killed_during_a_start_adopts_what_it_began(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=2)
    with ThreadPoolExecutor(1) as pool:
        cut_off = pool.submit(lab.api, "POST", "users/ada/server")
        wait_until(lambda: [c for c in fake_engine.containers() if c.running])
        lab.stop_hub(kill=True)
        assert cut_off.exception() or cut_off.result().status_code >= 500
    [before] = fake_engine.servers()
    lab.start_hub()
    wait_until(lambda: ready(lab))
    assert fake_engine.containers() == [before]
    assert ada.get("/user/ada/api").json()["version"]


def test_a_server_that_died_while_the_hub_was_away(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    [container] = fake_engine.servers()
    lab.stop_hub()
    fake_engine.die(container.id, 1)
    lab.start_hub()
    wait_until(lambda: model(lab) == {})
    assert fake_engine.containers() == []


def test_errors_of_the_engine_stop_nobody(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    [before] = fake_engine.servers()
    fake_engine.fail("GET", EVERYTHING, status=500, times=OFTEN)
    lab.restart_hub(kill=True)
    assert ready(lab)
    fake_engine.clear_faults()
    assert fake_engine.containers() == [before]
    assert ada.get("/user/ada/api").json()["version"]


def test_an_engine_that_is_down_when_the_hub_starts(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    lab.api("POST", "users/ada/server")
    [before] = fake_engine.servers()
    fake_engine.refuse()
    lab.restart_hub(kill=True)
    assert ready(lab)
    fake_engine.resume()
    assert fake_engine.containers() == [before]
    assert ada.get("/user/ada/api").json()["version"]


UNAVAILABLE = "Docker does not answer at the moment"


def test_a_start_without_an_engine_says_so_and_works_later(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    fake_engine.refuse()
    answer = lab.api("POST", "users/ada/server")
    fake_engine.resume()
    assert answer.status_code == 503
    assert answer.json()["message"].startswith(UNAVAILABLE)
    assert lab.api("POST", "users/ada/server").status_code == 201


@pytest.mark.parametrize("call", ["/containers/create$", "/start$"])
def test_an_answer_that_never_came(lab: Lab, fake_engine: FakeEngine, call: str) -> None:
    fake_engine.drop("POST", call)
    answer = lab.api("POST", "users/ada/server")
    assert answer.json()["message"].startswith(UNAVAILABLE)
    wait_until(lambda: not fake_engine.containers(), seconds=5)
    assert lab.api("POST", "users/ada/server").status_code == 201


def test_inspects_that_fail_during_a_start_do_not_matter(lab: Lab, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(boot_seconds=2)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lab.api, "POST", "users/ada/server")
        time.sleep(0.8)
        fake_engine.fail("GET", "/containers/[0-9a-f]+/json", times=OFTEN)
        assert answer.result().status_code == 201


def test_a_leftover_is_removed_by_the_next_start(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    [leftover] = fake_engine.servers()
    fake_engine.fail("*", leftover.id, status=500, times=OFTEN)
    assert lab.api("DELETE", "users/ada/server").status_code in {202, 204}
    fake_engine.clear_faults()
    wait_until(lambda: model(lab) == {}, seconds=70)
    assert lab.api("POST", "users/ada/server").status_code == 201
    assert leftover.id not in [c.id for c in fake_engine.containers()]


def test_a_removed_container_is_a_stopped_server(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    lab.stop_hub()
    fake_engine.life.containers.clear()
    lab.start_hub()
    wait_until(lambda: model(lab) == {})


def test_slow_stops_delay_no_start(lab: Lab, fake_engine: FakeEngine) -> None:
    names = ["u1", "u2", "u3", "u4", "u5"]
    for name in names:
        lab.add_user(name)
        lab.login(name)
        fake_engine.next_server(stop_seconds=5)
        assert lab.api("POST", f"users/{name}/server").status_code == 201
    with ThreadPoolExecutor(len(names)) as pool:
        stops = [pool.submit(lab.api, "DELETE", f"users/{name}/server") for name in names]
        time.sleep(0.5)
        begin = time.monotonic()
        assert lab.api("POST", "users/ada/server").status_code == 201
        assert time.monotonic() - begin < 2
        assert not any(stop.done() for stop in stops)
        assert {stop.result().status_code for stop in stops} <= {202, 204}


def test_files_of_somebody_else_are_never_given_away(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.api("POST", "users/ada/server")
    lab.api("DELETE", "users/ada/server")
    [folder] = [each for each in lab.dir.volumes.iterdir() if "-ada-" in each.name]
    assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (200000, 0o700)
    aside = folder.rename(folder.with_name("aside"))
    folder.mkdir()
    answer = lab.api("POST", "users/ada/server").json()["message"]
    assert answer == (
        f"{folder} belongs to user id 0 instead of 200000; "
        "your administrator has to decide whose files these are."
    )
    folder.rmdir()
    aside.rename(folder)
    volume = fake_engine.life.volumes[folder.name]
    volume["Options"] = {**volume["Options"], "device": "/elsewhere"}
    answer = lab.api("POST", "users/ada/server").json()["message"]
    assert "already exists with different options" in answer
    volume["Options"] = {**volume["Options"], "device": str(folder)}
