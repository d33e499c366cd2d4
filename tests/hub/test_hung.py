"""A server that does not answer when the hub comes back is kept, and can be ended."""

import time
from collections.abc import Callable, Iterator

import pytest

from spawner.runs import Holder, Reason, Receipt
from tests.lib.fake_engine import FakeEngine
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import Lab
from tests.lib.person import Person

TWO_EACH = DEFAULT_CONFIG.replace("{cpus: 1, memory: 1 GiB", "{servers: 2, cpus: 2, memory: 2 GiB")
HALF = {"cpus": 1, "memory": "1 GiB"}
OK, HUNG = 200, 503
DONE = {202, 204}


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """A labhub in which everybody may have two servers."""
    with Lab(fake_engine.url, config=TWO_EACH) as running:
        running.add_user("ada")
        running.add_user("grace", admin=True)
        yield running


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Who owns the server."""
    return lab.login("ada")


@pytest.fixture
def hung(lab: Lab, ada: Person, fake_engine: FakeEngine) -> Iterator[str]:
    """The container of ada's server, which answers nothing but errors since the hub came back."""
    assert lab.api("POST", "users/ada/server", json=HALF).status_code == 201
    [container] = fake_engine.servers()
    answers(fake_engine, HUNG)
    lab.restart_hub(kill=True)
    assert model(lab)["pending"] == "check"
    yield container.id
    for each in fake_engine.containers():
        fake_engine.die(each.id, 0)
    until(lambda: not model(lab) and not fake_engine.containers())


def answers(fake_engine: FakeEngine, status: int) -> None:
    """Let all servers answer so from now on."""
    for each in fake_engine.containers():
        assert each.server is not None
        each.server.api_status = status


def until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def model(lab: Lab, server: str = "") -> dict[str, object]:
    servers = lab.api("GET", "users/ada").json()["servers"]
    return servers.get(server) or {}


def ended(lab: Lab) -> Receipt:
    """Wait until nothing is left of a server; return how it ended."""
    until(lambda: not model(lab) and not lab.transact(lambda ledger: ledger.open_runs()))
    return lab.transact(lambda ledger: ledger.receipts("ada"))[0]


def test_an_admin_stops_it(lab: Lab, hung: str, fake_engine: FakeEngine) -> None:
    grace = lab.login("grace")
    assert grace.api("DELETE", "users/ada/server").status_code in DONE
    assert (ended(lab).reason, ended(lab).actor) == (Reason.ADMIN, "grace")
    assert fake_engine.containers() == []
    assert "/user/ada/" not in lab.api("GET", "proxy").json()
    assert lab.api("POST", "users/ada/server", json=HALF).status_code == 201


def test_its_owner_stops_it(lab: Lab, ada: Person, hung: str, fake_engine: FakeEngine) -> None:
    for path in ("/hub/home", "/hub/spawn-pending/ada"):
        page = ada.get(path).text
        assert "has not answered" in page
        assert 'data-stop="/hub/api/users/ada/server"' in page
    assert ada.api("DELETE", "users/ada/server").status_code in DONE
    assert (ended(lab).reason, ended(lab).actor) == (Reason.USER, "ada")
    assert fake_engine.containers() == []


def test_a_named_one_is_stopped_and_deleted(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    assert lab.api("POST", "users/ada/servers/second", json=HALF).status_code == 201
    answers(fake_engine, HUNG)
    lab.restart_hub(kill=True)
    assert "has not answered" in ada.get("/hub/home").text
    path = "users/ada/servers/second"
    assert ada.api("DELETE", path, json={"remove": True}).status_code in DONE
    until(lambda: "second" not in lab.api("GET", "users/ada").json()["servers"])
    assert fake_engine.containers() == []
    assert (ended(lab).holder, ended(lab).reason) == (Holder("ada", "second"), Reason.USER)


def test_what_an_admin_releases_ends(lab: Lab, hung: str, fake_engine: FakeEngine) -> None:
    lab.transact(lambda ledger: ledger.ask_stop(Holder("ada", ""), Reason.ADMIN, ""))
    assert ended(lab).reason is Reason.ADMIN
    assert fake_engine.containers() == []
    assert "/user/ada/" not in lab.api("GET", "proxy").json()


def test_nobody_ends_it_who_was_not_asked_to(
    lab: Lab, ada: Person, hung: str, fake_engine: FakeEngine
) -> None:
    time.sleep(3)
    assert model(lab)["pending"] == "check"
    answers(fake_engine, OK)
    until(lambda: model(lab).get("ready"))
    assert [each.id for each in fake_engine.containers()] == [hung]
    assert ada.api("DELETE", "users/ada/server").status_code in DONE
