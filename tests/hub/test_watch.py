"""Ends are seen at once, written once, and told in words; what is left over is cleaned up."""

import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import docker
import pytest
import requests

from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Store
from tests.lib.fake_engine import FakeEngine
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import Lab
from tests.lib.node import ROOT, proxy_path
from tests.lib.person import Person, words
from tests.lib.processes import free_ports, listens
from tests.lib.refusing_front import RefusingFront

CULLER_TOKEN = secrets.token_hex(16)
ADA = Holder("ada", "")
OFTEN = 10**6
# Two servers each, and what both need together.
TWO_EACH = DEFAULT_CONFIG.replace("{cpus: 1, memory: 1 GiB", "{servers: 2, cpus: 2, memory: 2 GiB")
HALF = {"cpus": 1, "memory": "1 GiB"}


@pytest.fixture(scope="module")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the kernel would tell how much memory each container used."""
    return tmp_path_factory.mktemp("cgroup")


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, cgroups: Path) -> Iterator[Lab]:
    """A labhub that looks for memory there, and knows a culler."""
    environ = {"LABHUB_CGROUP": str(cgroups), "LABHUB_TEST_CULLER_TOKEN": CULLER_TOKEN}
    config = ROOT / "tests" / "lib" / "watch_config.py"
    with Lab(fake_engine.url, config=TWO_EACH, env=environ, hub_config=config) as running:
        running.add_user("ada")
        running.add_user("grace", admin=True)
        yield running


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Who owns the server."""
    return lab.login("ada")


@pytest.fixture(scope="module")
def grace(lab: Lab) -> Person:
    """Who may do anything."""
    return lab.login("grace")


@pytest.fixture
def running(lab: Lab, ada: Person, fake_engine: FakeEngine) -> Iterator[str]:
    """The id of the container of ada's server; nothing is left at the end."""
    assert lab.api("POST", "users/ada/server", json=HALF).status_code == 201
    [container] = fake_engine.servers()
    yield container.id
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


def answers(lab: Lab) -> bool:
    """Whether the proxy has the way to ada's server, who need not be signed in for this answer."""
    page = requests.get(f"{lab.url}/user/ada/api", timeout=10, allow_redirects=False)
    return page.status_code == 200


@contextmanager
def store(lab: Lab) -> Iterator[Store]:
    opened = Store(f"sqlite:///{lab.dir.state / 'labhub.sqlite'}")
    try:
        yield opened
    finally:
        opened.close()


def open_runs(lab: Lab) -> tuple[Run, ...]:
    with store(lab) as opened:
        return opened.transact(lambda ledger: ledger.open_runs())


def receipts(lab: Lab) -> tuple[Receipt, ...]:
    with store(lab) as opened:
        return opened.transact(lambda ledger: ledger.receipts("ada"))


def stopped(lab: Lab) -> Receipt:
    """Wait until the hub knows that the server ended; return its receipt, the only new one."""
    wait_until(lambda: not model(lab) and not open_runs(lab))
    newest = receipts(lab)[0]
    assert [each.run for each in receipts(lab)].count(newest.run) == 1
    return newest


def outside(fake_engine: FakeEngine) -> docker.APIClient:
    """Return what somebody on the machine has: Docker's own command line, so to speak."""
    return docker.APIClient(base_url=fake_engine.url)


# who asked


def test_a_run_is_open_while_its_server_runs(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    [run] = open_runs(lab)
    [container] = fake_engine.servers()
    assert (run.name, run.holder, run.container) == (container.name, ADA, running)
    assert run.memory_bytes == 1 << 30


def test_stopped_by_its_user(lab: Lab, ada: Person, running: str) -> None:
    assert ada.api("DELETE", "users/ada/server").status_code == 204
    receipt = stopped(lab)
    assert (receipt.reason, receipt.actor, receipt.holder) == (Reason.USER, "ada", ADA)


def test_stopped_by_an_admin(lab: Lab, grace: Person, running: str) -> None:
    assert grace.api("DELETE", "users/ada/server").status_code == 204
    receipt = stopped(lab)
    assert (receipt.reason, receipt.actor) == (Reason.ADMIN, "grace")


def test_stopped_by_the_culler(lab: Lab, running: str) -> None:
    url = f"{lab.url}/hub/api/users/ada/server"
    headers = {"Authorization": f"token {CULLER_TOKEN}"}
    assert requests.delete(url, headers=headers, timeout=30).status_code == 204
    assert stopped(lab).reason is Reason.IDLE


def test_a_cancelled_start(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(boot_seconds=60)
    assert ada.start("ada", image="tensorflow").status_code == 302
    wait_until(lambda: [each for each in fake_engine.containers() if each.running])
    assert lab.api("DELETE", "users/ada/server").status_code == 204
    assert stopped(lab).reason is Reason.CANCELLED


def test_a_cancelled_start_of_a_named_server(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=60)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lab.api, "POST", "users/ada/servers/second", json=HALF)
        wait_until(lambda: len([each for each in fake_engine.containers() if each.running]) == 2)
        assert lab.api("DELETE", "users/ada/servers/second").status_code == 204
    second = lab.api("GET", "users/ada").json()["servers"].get("second") or {}
    assert not second.get("ready")
    wait_until(lambda: [each.id for each in fake_engine.containers()] == [running])
    wait_until(lambda: len(open_runs(lab)) == 1)
    receipt = receipts(lab)[0]
    assert (receipt.holder, receipt.reason) == (Holder("ada", "second"), Reason.CANCELLED)
    assert model(lab)["ready"]


# what happened


@pytest.mark.parametrize(
    ("exit_code", "oom", "reason"),
    [(3, False, Reason.EXITED), (0, False, Reason.EXITED), (137, True, Reason.OUT_OF_MEMORY)],
)
def test_a_server_that_ends_is_seen_at_once(  # noqa: PLR0913, PLR0917 - fixtures and values
    lab: Lab, running: str, fake_engine: FakeEngine, exit_code: int, oom: bool, reason: Reason
) -> None:
    fake_engine.die(running, exit_code, oom=oom, log=("the last words",))
    wait_until(lambda: not model(lab), seconds=3)
    receipt = stopped(lab)
    assert (receipt.reason, receipt.exit_code) == (reason, exit_code)
    assert receipt.log[-1] == "the last words"
    wait_until(lambda: not fake_engine.containers())


def test_without_memory_the_peak_is_the_limit(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    fake_engine.die(running, 137, oom=True)
    receipt = stopped(lab)
    assert (receipt.peak_bytes, receipt.limit_bytes) == (1 << 30, 1 << 30)


def test_killed_from_outside(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    outside(fake_engine).kill(running)
    receipt = stopped(lab)
    assert (receipt.reason, receipt.actor) == (Reason.ADMIN, "")


def test_removed_from_outside(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    outside(fake_engine).remove_container(running, force=True)
    assert stopped(lab).reason in {Reason.ADMIN, Reason.LOST}


def test_a_start_that_dies(lab: Lab, ada: Person, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(exit_code=1, log=("ImportError",))
    assert lab.api("POST", "users/ada/server").status_code == 500
    receipt = stopped(lab)
    assert (receipt.reason, receipt.exit_code) == (Reason.START_FAILED, 1)
    assert receipt.log == ("ImportError",)


def test_a_paused_server_runs(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    fake_engine.life.container(running).status = "paused"
    lab.restart_hub()
    assert model(lab)
    fake_engine.life.container(running).status = "running"
    wait_until(lambda: model(lab).get("ready"))
    assert [each.id for each in fake_engine.containers()] == [running]


@pytest.mark.parametrize(
    ("exit_code", "restarts", "reason"),
    [
        (3, False, Reason.EXITED),
        (0, False, Reason.EXITED),
        (143, False, Reason.UNKNOWN),
        (3, True, Reason.EXITED),
        (0, True, Reason.ENGINE_RESTARTED),
        (137, True, Reason.ENGINE_RESTARTED),
        (143, True, Reason.ENGINE_RESTARTED),
    ],
)
def test_an_end_while_the_hub_was_away(  # noqa: PLR0913, PLR0917 - fixtures and values
    lab: Lab, running: str, fake_engine: FakeEngine, exit_code: int, restarts: bool, reason: Reason
) -> None:
    lab.stop_hub(kill=True)
    fake_engine.die(running, exit_code)
    if restarts:
        fake_engine.life.events.clear()
    lab.start_hub()
    receipt = stopped(lab)
    assert (receipt.reason, receipt.exit_code) == (reason, exit_code)


def test_killed_while_the_hub_was_away(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    lab.stop_hub(kill=True)
    outside(fake_engine).kill(running)
    lab.start_hub()
    assert stopped(lab).reason is Reason.ADMIN


def test_gone_while_the_hub_was_away(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    lab.stop_hub(kill=True)
    fake_engine.life.containers.clear()
    lab.start_hub()
    assert stopped(lab).reason is Reason.LOST


# memory


def use(cgroups: Path, container: str, *, peak_bytes: int, kills: int) -> None:
    """Let the kernel tell this of a container."""
    folder = cgroups / "memory" / "docker" / container
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max_usage_in_bytes").write_text(f"{peak_bytes}\n")
    (folder / "memory.oom_control").write_text(
        f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
    )


def test_the_peak_is_measured_before_the_end(
    lab: Lab, ada: Person, running: str, cgroups: Path
) -> None:
    use(cgroups, running, peak_bytes=700 << 20, kills=0)
    assert ada.api("DELETE", "users/ada/server").status_code == 204
    assert stopped(lab).peak_bytes == 700 << 20


def test_a_killed_kernel_leaves_a_receipt_and_the_server_goes_on(
    lab: Lab, ada: Person, running: str, cgroups: Path, fake_engine: FakeEngine
) -> None:
    use(cgroups, running, peak_bytes=1 << 30, kills=1)
    container = fake_engine.life.container(running)
    for _ in range(3):  # the engine may say it more than once
        fake_engine.tell("oom", container.id)
    wait_until(lambda: receipts(lab)[0].kind is Kind.KERNEL)
    time.sleep(1)
    assert [each.kind for each in receipts(lab)[:2]] == [Kind.KERNEL, Kind.SERVER]
    assert model(lab)["ready"]
    assert "out of memory" in words(ada.get("/hub/home")).lower()


# what is left over


def test_a_server_nobody_wants_is_ended(
    lab: Lab, ada: Person, running: str, fake_engine: FakeEngine
) -> None:
    body = fake_engine.bodies("POST", "/containers/create")[-1]
    lab.stop_hub(kill=True)
    engine = outside(fake_engine)
    stranger = {**body, "Labels": {**body["Labels"], "labhub.instance": "another"}}
    orphan = {**body, "Labels": {**body["Labels"], "labhub.user": "nobody"}}
    ids = [
        engine.create_container_from_config(each, name)["Id"]
        for name, each in {"stranger": stranger, "orphan": orphan, "half-made": body}.items()
    ]
    for each in ids[:2]:
        engine.start(each)
    lab.start_hub()
    wait_until(lambda: {each.id for each in fake_engine.containers()} == {running, ids[0]})
    assert model(lab)["ready"]
    assert fake_engine.life.container(ids[0]).running
    engine.remove_container(ids[0], force=True)


def test_a_store_that_was_lost_is_filled_again(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    [before] = open_runs(lab)
    lab.stop_hub(kill=True)
    for file in lab.dir.state.glob("labhub.sqlite*"):
        file.unlink()
    lab.start_hub()
    wait_until(lambda: open_runs(lab))
    [after] = open_runs(lab)
    assert (after.name, after.holder, after.container) == (before.name, ADA, running)
    # Its image is the engine's word for it now, and it began when its container was started.
    assert replace(after, image=before.image, began=before.began) == before


# the engine comes and goes


@pytest.mark.parametrize("is_there", [False, True], ids=["refuses", "answers-500"])
def test_admins_read_that_the_engine_is_away(  # noqa: PLR0913, PLR0917 - fixtures and a value
    lab: Lab, ada: Person, grace: Person, running: str, fake_engine: FakeEngine, is_there: bool
) -> None:
    sentence = "Docker does not answer at the moment"
    if is_there:
        fake_engine.fail("GET", "", times=OFTEN)
        lab.api("POST", "users/ada/server")  # that one runs, says the hub, once it has asked
    else:
        fake_engine.refuse()
    wait_until(lambda: sentence in words(grace.get("/hub/home")), seconds=5)
    assert "(Docker: " in words(grace.get("/hub/home"))
    assert "(Docker: " not in words(ada.get("/hub/home"))
    assert model(lab)["ready"]
    fake_engine.clear_faults()
    if not is_there:
        fake_engine.resume()
    wait_until(lambda: sentence not in words(grace.get("/hub/home")))
    assert [each.id for each in fake_engine.containers()] == [running]


def test_an_end_without_events_is_found_by_a_round(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    fake_engine.refuse()  # ends the stream, and what happens now is never told
    fake_engine.die(running, 3)
    fake_engine.life.events.clear()
    fake_engine.resume()
    assert stopped(lab).exit_code == 3


def test_what_happens_is_counted(lab: Lab, running: str, fake_engine: FakeEngine) -> None:
    fake_engine.die(running, 3)
    stopped(lab)
    metrics = requests.get(
        f"{lab.url}/hub/metrics", headers={"Authorization": f"token {lab.token}"}, timeout=30
    ).text
    counts = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[:1] != "#")
    assert float(counts['labhub_server_ends_total{reason="exited"}']) >= 1
    assert float(counts["labhub_engine_up"]) == 1
    assert float(counts["labhub_event_lag_seconds_count"]) >= 1
    assert 'labhub_reconcile_actions_total{action="close"}' in counts
    create = 'labhub_engine_calls_total{call="create",lane="start",outcome="ok"}'
    assert float(counts[create]) >= 1


# one hub, one proxy


def test_a_second_hub_on_the_same_directory_refuses(lab: Lab, running: str) -> None:
    command = [sys.executable, "-m", "hub_config.hub", "-f", str(lab.hub_config)]
    environ = {**lab.env, "LABHUB_HUB_PORT": "1"}
    second = subprocess.run(
        command, env=environ, cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert "hub.lock: another hub runs on this directory" in second.stderr
    assert "Traceback" not in second.stderr
    assert model(lab)["ready"]


def test_a_proxy_that_was_killed_has_its_routes_back(lab: Lab, ada: Person, running: str) -> None:
    lab.proxy.end(kill=True)
    lab.start_proxy()
    began = time.monotonic()
    wait_until(lambda: ada.get("/user/ada/api").status_code == 200, seconds=10)
    assert time.monotonic() - began < 10
    assert ada.get("/hub/home").status_code == 200


def test_a_proxy_that_refuses_the_first_questions_has_its_routes_back(
    lab: Lab, running: str
) -> None:
    lab.proxy.end(kill=True)
    [behind] = free_ports(1)
    environ = {**lab.env, "PATH": proxy_path(), "LABHUB_API_PORT": str(behind)}
    lab.proxy.start(environ, ROOT)
    try:
        lab.proxy.wait_for(lambda: listens(behind))
        with RefusingFront(lab.dir.api_port, behind, times=2) as front:
            wait_until(lambda: answers(lab), seconds=10)
            assert front.refused == 2
    finally:
        lab.proxy.end()
        lab.start_proxy()
    wait_until(lambda: answers(lab), seconds=10)


@pytest.mark.slow
def test_an_end_while_the_proxy_is_away_leaves_no_ghost(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    lab.proxy.end(kill=True)
    fake_engine.die(running, 3)
    time.sleep(40)  # JupyterHub gives up after 30 seconds
    lab.start_proxy()
    wait_until(lambda: not open_runs(lab), seconds=60)
    wait_until(lambda: not model(lab), seconds=10)


# the store


def test_a_store_that_cannot_write_loses_no_end(
    lab: Lab, running: str, fake_engine: FakeEngine
) -> None:
    with closing(sqlite3.connect(lab.dir.state / "labhub.sqlite", isolation_level=None)) as file:
        file.execute(
            "CREATE TRIGGER no BEFORE INSERT ON receipts BEGIN SELECT RAISE(FAIL, 'told to'); END"
        )
        fake_engine.die(running, 3)
        wait_until(lambda: not model(lab))
        assert [each.id for each in fake_engine.containers()] == [running]
        assert open_runs(lab)
        file.execute("DROP TRIGGER no")
    lab.restart_hub()  # the next round comes at once
    assert stopped(lab).exit_code == 3
