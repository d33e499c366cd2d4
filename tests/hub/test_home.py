"""The home page tells of each server how it ended, the named ones too."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from spawner.runs import Holder, Kind, Reason, Receipt, Run
from tests.lib.fake_engine import FakeEngine
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import Lab
from tests.lib.person import Person

TWO_EACH = DEFAULT_CONFIG.replace("{cpus: 1, memory: 1 GiB", "{servers: 2, cpus: 2, memory: 2 GiB")
HALF = {"cpus": 1, "memory": "1 GiB"}
NIGHT = Holder("ada", "night")
PATH = "users/ada/servers/night"
LOG = ("MemoryError: 4 GiB",)
SLOW_SECONDS = 20.0
VOLUMES, CREATE = "/volumes", "/containers/create$"


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """A labhub in which everybody may have two servers."""
    with Lab(fake_engine.url, config=TWO_EACH) as running:
        running.add_user("ada")
        yield running


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Whose home it is."""
    return lab.login("ada")


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, ada: Person, fake_engine: FakeEngine) -> Iterator[None]:
    yield
    fake_engine.clear_faults()
    lab.api("DELETE", "users/ada/server")
    lab.api("DELETE", PATH)
    until(lambda: not runs(lab) and not fake_engine.containers())


def until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def runs(lab: Lab) -> tuple[Run, ...]:
    return lab.transact(lambda ledger: ledger.open_runs())


def last(lab: Lab, holder: Holder) -> Receipt | None:
    return lab.transact(lambda ledger: ledger.last(holder))


def told(ada: Person, server: str) -> str:
    """Return what stands on the home page about one server."""
    page = ada.get("/hub/home").text
    return page.partition(f'data-server="{server}"')[2].partition("data-server=")[0]


def test_how_a_named_server_ended(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    assert lab.api("POST", PATH, json=HALF).status_code == 201
    assert "lab-end" not in told(ada, "night")
    [container] = fake_engine.servers()
    fake_engine.die(container.id, 137, oom=True, log=LOG)
    until(lambda: not runs(lab))
    assert "out of memory" in told(ada, "night")
    assert LOG[0] in told(ada, "night")
    assert "lab-end" not in told(ada, "")


def test_a_cancelled_start_of_a_named_server(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=60)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lab.api, "POST", PATH, json=HALF)
        until(lambda: [each for each in fake_engine.containers() if each.running])
        assert ada.api("DELETE", PATH).status_code == 204
    until(lambda: not runs(lab))
    assert "the start was cancelled." in told(ada, "night")


def test_what_was_killed_in_a_named_server_and_what_has_to_wait(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    assert lab.api("POST", PATH, json=HALF).status_code == 201
    [run] = runs(lab)
    killed = Receipt(run.name, NIGHT, Kind.KERNEL, run.began, Reason.OUT_OF_MEMORY, 1 << 30)
    lab.transact(lambda ledger: ledger.note_kernel(killed, 1))
    assert "A program in your server was stopped" in told(ada, "night")
    assert "A program" not in told(ada, "")
    fake_engine.fail("POST", "/update$", status=500, message="no such cgroup", times=1000)
    text = lab.dir.config.read_text()
    lab.dir.config.write_text(text.replace("cpus: 2,", "cpus: 0.5,"))
    try:
        until(lambda: 'role="status"' in told(ada, "night"))
        assert "no such cgroup" in told(ada, "night")
    finally:
        lab.dir.config.write_text(text)
    until(lambda: "no such cgroup" not in told(ada, "night"))  # the next start needs these limits


def test_a_start_cancelled_before_there_was_a_container(
    lab: Lab, ada: Person, fake_engine: FakeEngine
) -> None:
    assert lab.api("POST", "users/ada/server", json=HALF).status_code == 201
    assert ada.api("DELETE", "users/ada/server").status_code == 204
    assert "stopped by you." in told(ada, "")
    fake_engine.delay("POST", VOLUMES, SLOW_SECONDS)
    before = len(fake_engine.calls_to("POST", CREATE))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lab.api, "POST", "users/ada/server", json=HALF)
        until(lambda: runs(lab))
        assert ada.api("DELETE", "users/ada/server").status_code == 204
    until(lambda: not runs(lab))
    assert len(fake_engine.calls_to("POST", CREATE)) == before
    assert "the start was cancelled." in told(ada, "")
    end = last(lab, Holder("ada", ""))
    assert end is not None
    assert (end.reason, end.exit_code) == (Reason.CANCELLED, None)
