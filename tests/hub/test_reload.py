"""Save labhub.yaml, and within seconds it is true, or a sentence says why not."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub_config.reload import LiveConfig
from hub_config.status import read_status
from spawner.desk import Desk
from spawner.live import Live, Told
from spawner.resize import limits_of
from spawner.runs import Holder, Run
from spawner.store import Ledger
from tests.lib.crash_points import Orders
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.lab import Lab
from tests.lib.model_hub import LAB
from tests.lib.node import ROOT
from tests.lib.person import words

pytestmark = pytest.mark.hub

MIB, GIB = 1024**2, 1024**3
CONFIG = """\
hub: {%s}
login:
  provider: local
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
quotas:
  default: {cpus: %s, memory: %s, shm: 64 MiB, pids: %s}
  groups: {staff: {cpus: 3}}
"""
HUB = ""
GROUP = "staff"
CRASH_CONFIG = ROOT / "tests" / "lib" / "crash_reload_config.py"
SOON_SECONDS = 5.0


def text(*, cpus: float = 1, memory: str = "1 GiB", pids: int = 256, hub: str = HUB) -> str:
    return CONFIG % (hub, cpus, memory, pids)


def until(true: Callable[[], object], seconds: float = SOON_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def save(lab: Lab, content: str) -> None:
    lab.dir.save(content)


def status(lab: Lab) -> dict[str, Any]:
    """Return what `labhub status --json` prints, without a program's start at each look."""
    return read_status(lab.dir.state)


@pytest.fixture(scope="module")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the kernel would tell how much memory each container holds."""
    return tmp_path_factory.mktemp("cgroup")


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, cgroups: Path) -> Iterator[Lab]:
    """A lab whose file changes all the time."""
    environ = {"LABHUB_CGROUP": str(cgroups)}
    with Lab(fake_engine.url, config=text(), env=environ) as running:
        running.add_user("ada")
        running.add_user("grace", admin=True)
        for name in ("ada", "grace"):
            running.login(name)
        yield running


@pytest.fixture(autouse=True)
def as_it_began(request: pytest.FixtureRequest, logs_on_failure: None) -> Iterator[None]:
    """Leave the file as it was, and no server."""
    yield
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        lab.api("DELETE", "users/ada/server")
        save(lab, text())
        until(lambda: status(lab)["config"]["valid"] and not status(lab)["config"]["waits"])


class Box:
    """Ada's container."""

    def __init__(self, lab: Lab, engine: FakeEngine, cgroups: Path) -> None:
        """Start it."""
        answer = lab.api("POST", "users/ada/server")
        assert answer.status_code == 201, answer.text
        self._engine = engine
        [container] = [each for each in engine.containers() if each.running]
        self.id = container.id
        self._place = cgroups / "memory" / "docker" / self.id
        self._place.mkdir(parents=True)
        self.hold(100 * MIB)

    def hold(self, count: int) -> None:
        """Let its programs hold so much memory."""
        for name in ("memory.usage_in_bytes", "memory.max_usage_in_bytes"):
            (self._place / name).write_text(f"{count}\n")
        (self._place / "memory.stat").write_text("total_inactive_file 0\ntotal_active_file 0\n")
        (self._place / "memory.oom_control").write_text("oom_kill 0\n")

    def limits(self) -> tuple[float, int, int, int]:
        """Return cores, memory, memory and swap, processes, as the engine has them."""
        [host] = [each.host_config for each in self._engine.containers() if each.id == self.id]
        return (
            host["CpuQuota"] / host["CpuPeriod"],
            host["Memory"],
            host["MemorySwap"],
            host["PidsLimit"],
        )

    def runs(self) -> bool:
        """Whether it runs, and is the only one."""
        return [each.id for each in self._engine.containers() if each.running] == [self.id]


@pytest.fixture
def box(lab: Lab, fake_engine: FakeEngine, cgroups: Path) -> Box:
    """A container that runs while the file changes."""
    return Box(lab, fake_engine, cgroups)


def run_of(lab: Lab) -> Run:
    [run] = lab.transact(Ledger.open_runs)
    return run


# the file


def test_a_saved_file_holds_for_servers_that_run_and_for_the_next_start(lab: Lab, box: Box) -> None:
    save(lab, text(cpus=2, memory="2 GiB", pids=512))
    until(lambda: box.limits() == (2, 2 * GIB, 2 * GIB, 512))
    until(
        lambda: (run_of(lab).cpus, run_of(lab).memory_bytes, run_of(lab).pids) == (2, 2 * GIB, 512)
    )
    save(lab, text(cpus=0.5, memory="512 MiB", pids=128))
    until(lambda: box.limits() == (0.5, 512 * MIB, 512 * MIB, 128))
    until(lambda: run_of(lab).memory_bytes == 512 * MIB)
    assert box.runs()
    assert "512 MiB" in words(lab.login("ada").get("/hub/home"))


def test_a_file_written_in_place_holds_too(lab: Lab, box: Box) -> None:
    lab.dir.config.write_text(text(pids=300))
    until(lambda: box.limits()[3] == 300)


def test_a_file_that_is_being_written_is_not_taken_for_whole(lab: Lab, box: Box) -> None:
    whole = text(cpus=2, pids=400)
    partial = whole[: whole.index("  groups")].replace("cpus: 2", "cpus: 9")
    end = time.monotonic() + 2
    while time.monotonic() < end:  # never the same for long
        lab.dir.config.write_text(partial + "#" * int(10 * time.monotonic() % 97))
        time.sleep(0.1)
    assert box.limits()[0] == 1
    lab.dir.config.write_text(whole)
    until(lambda: box.limits()[0] == 2)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (text().replace("memory", "memmory"), 'did you mean "memory"?'),
        (text(cpus=-1), "quotas.default.cpus"),
        ("", "the file is empty"),
        ("quotas: [", "labhub.yaml:"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_changes_nothing_and_admins_are_told(
    lab: Lab, box: Box, wrong: str | None, why: str
) -> None:
    before = box.limits()
    if wrong is None:
        lab.dir.config.unlink()
    else:
        save(lab, wrong)
    until(lambda: not status(lab)["config"]["valid"])
    facts = status(lab)
    assert any(why in error for error in facts["config"]["errors"]), facts
    page = words(lab.login("grace").get("/hub/home"))
    assert "the settings from before still hold" in page
    assert "still hold" not in words(lab.login("ada").get("/hub/home"))
    metrics = lab.api("GET", "../metrics").text
    assert "labhub_config_valid 0.0" in metrics
    assert box.limits() == before
    assert box.runs()
    assert lab.api("POST", "users/grace/server").status_code == 201
    assert lab.api("DELETE", "users/grace/server").status_code == 204


def test_status_says_by_its_exit_status_whether_all_is_well(lab: Lab) -> None:
    assert "holds as it was read" in lab.cli("status")
    save(lab, "nothing: here")
    until(lambda: "wrong since" in lab.cli("status", check=False))
    with pytest.raises(RuntimeError, match="ended with 1"):
        lab.cli("status")
    facts = json.loads(lab.cli("status", "--json", check=False))
    assert facts == {"hub": {"runs": True}, "servers": 0, **status(lab)}


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (text(hub="url: https://lab.example.org"), "hub.url"),
        (text().replace("provider: local", "provider: local\n  admins: [ada]"), "login"),
    ],
)
def test_what_needs_a_new_hub_says_so(lab: Lab, content: str, key: str) -> None:
    save(lab, content)
    until(lambda: status(lab)["config"]["waits"])
    [sentence] = status(lab)["config"]["waits"]
    assert sentence.startswith(f"{key} was changed: run deploy/up")
    assert sentence in words(lab.login("grace").get("/hub/home"))


def test_a_burst_of_a_thousand_saves_drops_nobody(lab: Lab, box: Box) -> None:
    """Saved as fast as a disk can; the hub reads what it meets, and at last the last one."""
    before = lab.api("GET", "users/ada").json()["servers"][""]
    for number in range(1000):
        content = text(cpus=1 + number % 2) if number % 10 else "wrong: yes"
        lab.dir.config.write_text(f"{content}# {number}\n")
    save(lab, text(cpus=1.5))
    until(lambda: box.limits()[0] == 1.5)
    after = lab.api("GET", "users/ada").json()["servers"][""]
    assert box.runs()
    assert (after["started"], after["ready"]) == (before["started"], True)


class Hub:
    """A hub with one server, as far as limits go."""

    def standing(self) -> dict[Holder, Told]:
        return {Holder("ada", ""): Told(frozenset(), {})}


async def test_a_thousand_reloads_drop_nobody(
    tmp_path: Path, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one is read, and followed by a container that runs throughout; wrong ones are not."""
    monkeypatch.setenv("DOCKER_HOST", fake_engine.url)
    path = tmp_path / "labhub.yaml"
    path.write_text(text())
    config = LiveConfig(path, {}, settled_seconds=0)
    desk = Desk(dataclasses.replace(LAB, state_dir=tmp_path, proc_dir=Path("/proc")))
    limits = {"CpuPeriod": 100_000, "CpuQuota": 100_000, "Memory": GIB, "PidsLimit": 256}
    labels = {"labhub.instance": LAB.name, "labhub.role": "server", "labhub.user": "ada"}
    body = {"Image": TENSORFLOW, "Labels": labels, "HostConfig": limits}
    name = f"{LAB.name}-ada"
    container = await desk.engine.create(name, body)
    await desk.engine.start(container)
    run = Run(name, Holder("ada", ""), "image", GIB, datetime.now(UTC), container, cpus=1, pids=256)
    desk.store.transact(lambda ledger: ledger.begin(run))
    live, before = Live(desk, Hub(), config), await desk.engine.container(container)
    wrong = 0
    for number in range(1, 1001):
        is_wrong = number % 10 == 0
        wrong += is_wrong
        path.write_text(f"{'wrong: yes' if is_wrong else text(cpus=1 + number % 3)}# {number}\n")
        assert config.look()
        assert bool(config.reading.errors) is is_wrong
        assert not await live.round()
    now = await desk.engine.container(container)
    updates = len(fake_engine.calls_to("POST", f"/{container}/update$"))
    await desk.engine.remove(container)
    desk.engine.close()
    assert (now.status, now.started_at, wrong) == ("running", before.started_at, 100)
    assert (limits_of(now.made.host_config).cpus, updates) == (config().quotas.default.cpus, 900)


# what cannot be


def test_memory_in_use_stays_until_it_is_free(lab: Lab, box: Box) -> None:
    box.hold(900 * MIB)
    save(lab, text(cpus=2, memory="512 MiB"))
    until(lambda: box.limits()[0] == 2)
    assert box.limits()[1] == GIB
    until(lambda: status(lab)["late"])
    [late] = status(lab)["late"]
    assert late["user"] == "ada"
    assert "uses 900 MiB" in late["why"][0]
    assert "uses 900 MiB" in words(lab.login("ada").get("/hub/home"))
    assert run_of(lab).memory_bytes == GIB
    box.hold(200 * MIB)
    until(lambda: box.limits()[1:3] == (512 * MIB, 512 * MIB), seconds=8)
    until(lambda: not status(lab)["late"])


def test_an_engine_that_refuses_is_asked_again(lab: Lab, box: Box, fake_engine: FakeEngine) -> None:
    fake_engine.fail("POST", "/update$", status=500, message="no such luck", times=2)
    save(lab, text(cpus=2))
    until(lambda: status(lab)["late"])
    assert "no such luck" in status(lab)["late"][0]["why"][0]
    until(lambda: box.limits()[0] == 2, seconds=10)
    until(lambda: not status(lab)["late"])


def test_a_file_saved_during_a_start_holds_for_what_began_by_the_last_one(
    lab: Lab, fake_engine: FakeEngine, cgroups: Path
) -> None:
    create = "POST", "/containers/create$"
    made = len(fake_engine.calls_to(*create))
    fake_engine.delay(*create, 3, times=1)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(Box, lab, fake_engine, cgroups)
        until(lambda: len(fake_engine.calls_to(*create)) > made)
        save(lab, text(cpus=2))
        box = starting.result()
    until(lambda: box.limits()[0] == 2)


def test_growth_waits_for_room_on_the_machine(lab: Lab, box: Box) -> None:
    lab.dir.machine(memory_bytes=2 * GIB)
    time.sleep(10.5)  # what the machine has is looked at every ten seconds
    try:
        save(lab, text(memory="4 GiB"))
        until(lambda: box.limits()[1] == 2 * GIB)
        until(lambda: status(lab)["late"])
        assert "others use what it would take" in status(lab)["late"][0]["why"][0]
    finally:
        lab.dir.machine(memory_bytes=1 << 40)
    until(lambda: box.limits()[1] == 4 * GIB, seconds=15)


# groups


def test_who_joins_a_group_gets_its_numbers_at_once(lab: Lab, box: Box) -> None:
    assert lab.api("POST", f"groups/{GROUP}").status_code in {201, 409}
    lab.api("POST", f"groups/{GROUP}/users", json={"users": ["ada"]})
    until(lambda: box.limits()[0] == 3)
    assert run_of(lab).groups == {GROUP}
    lab.api("DELETE", f"groups/{GROUP}/users", json={"users": ["ada"]})
    until(lambda: box.limits()[0] == 1)


# many


def test_all_of_many_servers_follow(lab: Lab, fake_engine: FakeEngine) -> None:
    names = [f"many{number}" for number in range(8)]
    for name in names:
        lab.add_user(name)
        lab.login(name)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: lab.api("POST", f"users/{name}/server"), names))
    assert {answer.status_code for answer in answers} == {201}
    save(lab, text(cpus=1.25))

    def followed() -> bool:
        hosts = [each.host_config for each in fake_engine.containers() if each.running]
        return len(hosts) == len(names) and all(each["CpuQuota"] == 125_000 for each in hosts)

    until(followed)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: lab.api("DELETE", f"users/{name}/server"), names))


# the hub dies


@pytest.fixture(scope="module")
def fragile(
    fake_engine: FakeEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lab, Orders]]:
    """A lab whose hub dies on order."""
    orders = Orders(tmp_path_factory.mktemp("orders"))
    environ, config = orders.environment, CRASH_CONFIG
    with Lab(fake_engine.url, config=text(), env=environ, hub_config=config) as lab:
        lab.add_user("ada")
        lab.login("ada")
        yield lab, orders


@pytest.mark.parametrize(
    "point",
    ["update:before", "update:after", "store.resize:before", "store.resize:after"],
)
@pytest.mark.parametrize(("cpus", "after"), [(2, 2.0), (0.5, 0.5)], ids=["more", "less"])
def test_a_hub_that_dies_meanwhile_ends_what_it_began(
    fragile: tuple[Lab, Orders], fake_engine: FakeEngine, point: str, cpus: float, after: float
) -> None:
    lab, orders = fragile
    save(lab, text())
    assert lab.api("POST", "users/ada/server").status_code == 201
    [box] = [each for each in fake_engine.containers() if each.running]
    until(lambda: box.host_config["CpuQuota"] == 100_000)
    orders.write(f"{point}#1")
    save(lab, text(cpus=cpus))
    until(lambda: lab.hub.ended is not None, seconds=10)
    orders.take_back()
    lab.restart_hub(kill=True)
    until(lambda: box.host_config["CpuQuota"] == after * 100_000, seconds=10)
    until(lambda: run_of(lab).cpus == after)
    assert lab.api("DELETE", "users/ada/server").status_code == 204
