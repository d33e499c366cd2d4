"""From the driver to the lease: the real monitor and hub, over a driver that is made up."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from hub_config.status import read_status
from tests.lib.fake_engine import FakeEngine
from tests.lib.fake_state import Container
from tests.lib.gpu_machine import GpuMachine
from tests.lib.lab import Lab
from tests.lib.node import ROOT
from tests.lib.nvml_double import DRIVER, H100, gpu, mig_slice
from tests.lib.person import words
from tests.lib.starts import RUNS, WAITS, start

pytestmark = pytest.mark.hub

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"
BOTH = [gpu(A, minor=0, busy=7, used=300), gpu(B, minor=1)]
CONFIG = """\
login:
  provider: local
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
quotas:
  default: {cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 2%s}
"""
IMPATIENT = ROOT / "tests" / "lib" / "impatient_config.py"
PEOPLE = ("ada", "bob")


@pytest.fixture(scope="module")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the kernel would tell how much processor time each container took."""
    return tmp_path_factory.mktemp("cgroup")


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, cgroups: Path) -> Iterator[Lab]:
    """A lab whose engine names no GPU."""
    environ = {"LABHUB_CGROUP": str(cgroups)}
    with Lab(fake_engine.url, config=CONFIG % "", env=environ, hub_config=IMPATIENT) as running:
        for name in PEOPLE:
            running.add_user(name, admin=name == "bob")
            running.login(name)
        yield running


@pytest.fixture(scope="module")
def machine(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuMachine]:
    """The lab's machine, with two GPUs and a monitor."""
    folder = tmp_path_factory.mktemp("nvml")
    with GpuMachine(folder, lab.dir.state / "gpus", lab.dir.proc) as made:
        made.driver.says(*BOTH)
        made.start()
        yield made


@pytest.fixture(autouse=True)
def as_before(lab: Lab, machine: GpuMachine, fake_engine: FakeEngine) -> Iterator[None]:
    """Begin with two good GPUs, and leave no server."""
    machine.driver.says(*BOTH)
    until(lambda: [each["healthy"] and not each["used_by_others"] for each in devices(lab)]
          == [True, True])  # fmt: skip
    yield
    for name in PEOPLE:
        lab.api("DELETE", f"users/{name}/server")
    until(lambda: not [each for each in fake_engine.containers() if "labhub.user" in each.labels])


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def devices(lab: Lab) -> list[dict[str, Any]]:
    """Return what the hub says of the GPUs."""
    facts: list[dict[str, Any]] = read_status(lab.dir.state).get("devices", [])
    return facts


def device(lab: Lab, uuid: str) -> dict[str, Any]:
    return next(each for each in devices(lab) if each["id"] == uuid)


def waits(lab: Lab, user: str, **options: Any) -> bool:
    """Say whether a start finds no GPU; it leaves the queue again."""
    found = start(lab, user, **options) == WAITS
    lab.api("DELETE", f"users/{user}/server")
    return found


def box(engine: FakeEngine, user: str) -> Container:
    [found] = [c for c in engine.containers() if c.labels.get("labhub.user") == user and c.running]
    return found


def given(engine: FakeEngine, user: str) -> list[str]:
    """Return the GPUs that the engine was asked to give to somebody's container."""
    [request] = box(engine, user).host_config["DeviceRequests"]
    ids: list[str] = request["DeviceIDs"]
    return ids


def test_what_the_driver_says_is_what_an_admin_reads(lab: Lab) -> None:
    facts = {
        "places": 1, "model": H100, "memory_bytes": 80 << 30, "driver": DRIVER, "healthy": True,
        "used_by_others": False, "why": "", "draining": False, "held_by": [],
    }  # fmt: skip
    assert json.loads(lab.cli("device", "list", "--json")) == [
        {"id": A, "used_bytes": 300 << 20, "busy_percent": 7, **facts},
        {"id": B, "used_bytes": 0, "busy_percent": 0, **facts},
    ]
    assert H100 in lab.cli("device", "list")
    page = words(lab.login("bob").get("/hub/gpus"))
    assert f"{A} {H100} free 7 % busy, 0.3 of 80 GiB" in page
    metrics = lab.api("GET", "../metrics").text.splitlines()
    assert f'labhub_gpu_healthy{{device="{A}"}} 1.0' in metrics
    assert f'labhub_gpu_memory_used_bytes{{device="{A}"}} 3.145728e+08' in metrics
    assert f'labhub_gpu_busy_ratio{{device="{A}"}} 0.07' in metrics
    assert "labhub_gpu_seen 1.0" in metrics


def test_a_gpu_in_quarantine_gets_no_new_server_and_keeps_the_one_it_has(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    assert start(lab, "ada", gpus=1) == RUNS
    mine = given(fake_engine, "ada")
    other = B if mine == [A] else A
    machine.driver.says(*BOTH, f"lost {other}")
    until(lambda: not device(lab, other)["healthy"])
    assert "The driver cannot reach it" in device(lab, other)["why"]
    banner = "1 GPU is in quarantine, without new servers"
    assert banner in words(lab.login("bob").get("/hub/home"))
    assert banner not in words(lab.login("ada").get("/hub/home"))
    assert waits(lab, "bob", gpus=1)
    machine.driver.says(*BOTH, f"lost {mine[0]}")
    until(lambda: device(lab, other)["healthy"] and not device(lab, mine[0])["healthy"])
    assert start(lab, "bob", gpus=1) == RUNS
    assert given(fake_engine, "bob") == [other]
    assert given(fake_engine, "ada") == mine
    lab.api("DELETE", "users/ada/server")
    assert waits(lab, "ada", gpus=1)  # it is nobody's, and still lost
    machine.driver.says(*BOTH)
    until(lambda: device(lab, mine[0])["healthy"])
    assert start(lab, "ada", gpus=1) == RUNS


def test_a_gpu_that_others_use_is_not_free(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    client = docker.DockerClient(base_url=fake_engine.url)
    body = {"Image": "tensorflow/tensorflow:2.9.0-gpu-jupyter",
            "Labels": {"labhub.instance": "another"}}  # fmt: skip
    foreign = client.api.create_container_from_config(body, "foreign")["Id"]
    try:
        for cgroup in ("/user.slice/session-2.scope", f"/docker/{foreign}", f"/docker/{'e' * 64}"):
            machine.runs(77, cgroup)
            machine.driver.says(*BOTH, f"proc {A} 77 1000")
            until(lambda: device(lab, A)["used_by_others"])
            assert "no server of labhub" in device(lab, A)["why"]
            assert waits(lab, "ada", gpus=2)
            assert start(lab, "ada", gpus=1) == RUNS
            assert given(fake_engine, "ada") == [B]
            lab.api("DELETE", "users/ada/server")
            machine.driver.says(*BOTH)
            until(lambda: not device(lab, A)["used_by_others"])
    finally:
        client.api.remove_container(foreign, force=True)
        client.close()


@pytest.mark.parametrize(
    ("host_config", "free"),
    [
        ({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]}, []),
        ({"DeviceRequests": [{"Count": 1, "Capabilities": [["gpu"]]}]}, [B]),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={B}"]}]}, [A]),
        ({"Devices": [{"PathOnHost": "/dev/nvidia0"}]}, [B]),
    ],
    ids=["all", "one", "by name", "by its node"],
)
def test_a_gpu_that_a_foreign_container_has_and_does_not_use_is_not_free(
    lab: Lab, fake_engine: FakeEngine, host_config: dict[str, Any], free: list[str]
) -> None:
    client = docker.DockerClient(base_url=fake_engine.url)
    body = {"Image": "tensorflow/tensorflow:2.9.0-gpu-jupyter",
            "Labels": {"labhub.instance": "another"}, "HostConfig": host_config}  # fmt: skip
    foreign = client.api.create_container_from_config(body, "foreign")["Id"]
    try:
        client.api.start(foreign)
        until(lambda: [e["id"] for e in devices(lab) if not e["used_by_others"]] == free)
        assert "A container that is no server of labhub" in lab.cli("device", "list")
        lab.restart_hub()
        assert waits(lab, "ada", gpus=len(free) + 1)
        if free:
            assert start(lab, "ada", gpus=1) == RUNS
            assert given(fake_engine, "ada") == free
    finally:
        client.api.remove_container(foreign, force=True)
        client.close()
    until(lambda: not any(each["used_by_others"] for each in devices(lab)))


def test_a_server_on_its_own_gpu_is_no_other(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    assert start(lab, "ada", gpus=1) == RUNS
    [mine] = given(fake_engine, "ada")
    machine.runs(78, f"/docker/{box(fake_engine, 'ada').id}")
    machine.driver.says(*BOTH, f"proc {mine} 78 70000")
    machine.until(lambda report: any(each.processes for each in report.reading.gpus))
    until(lambda: not device(lab, mine)["used_by_others"])
    other = B if mine == A else A
    machine.driver.says(*BOTH, f"proc {other} 78 10")  # one that it has no lease on
    until(lambda: device(lab, other)["used_by_others"])
    lab.api("DELETE", "users/ada/server")


def test_slices_are_given_out_in_the_place_of_the_whole(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    slices = ["MIG-11111111-0000", "MIG-22222222-0000"]
    parts = [mig_slice(each, A) for each in slices]
    machine.driver.says(gpu(A), gpu(B), f"mig {A}", *parts, f"lost {B}")
    until(lambda: {each["id"]: each["healthy"] for each in devices(lab)}
          == {B: False, slices[0]: True, slices[1]: True})  # fmt: skip
    assert start(lab, "ada", gpus=1) == RUNS
    assert start(lab, "bob", gpus=1) == RUNS
    assert sorted(given(fake_engine, "ada") + given(fake_engine, "bob")) == slices


def ids(lab: Lab) -> set[str]:
    return {each["id"] for each in devices(lab)}


def test_a_gpu_of_which_somebody_has_a_slice_goes_to_nobody_when_it_is_whole_again(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    first, second, third = (f"MIG-{number}-0000" for number in range(3))
    machine.driver.says(gpu(A), f"mig {A}", mig_slice(first, A), gpu(B), f"lost {B}")
    until(lambda: ids(lab) == {first, B})
    assert start(lab, "ada", gpus=1) == RUNS
    assert given(fake_engine, "ada") == [first]
    machine.driver.says(gpu(A), gpu(B), f"lost {B}")
    until(lambda: ids(lab) == {A, B})
    assert waits(lab, "bob", gpus=1)
    told = lab.cli("device", "list")
    assert f"{A}  0 of 1" in told
    assert f"{A}: A server has {first}, which is a part of it, or was" in told
    lab.restart_hub()
    assert waits(lab, "bob", gpus=1)
    machine.monitor.end(kill=True)
    machine.start()
    assert waits(lab, "bob", gpus=1)
    parts = [mig_slice(each, A) for each in (second, third)]
    machine.driver.says(gpu(A), f"mig {A}", *parts, gpu(B), f"lost {B}")  # another partition
    until(lambda: ids(lab) == {second, third, B})
    assert waits(lab, "bob", gpus=1)
    machine.driver.says(gpu(A), f"mig {A}", *parts, gpu(B))
    until(lambda: device(lab, B)["healthy"])
    assert start(lab, "bob", gpus=1) == RUNS  # one of another GPU is free all the same
    assert given(fake_engine, "bob") == [B]
    lab.api("DELETE", "users/bob/server")
    lab.api("DELETE", "users/ada/server")
    until(lambda: start(lab, "bob", gpus=2) == RUNS)


def test_slices_of_a_gpu_that_somebody_has_as_a_whole_go_to_nobody(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    machine.driver.says(gpu(A), gpu(B), f"lost {B}")
    until(lambda: not device(lab, B)["healthy"])
    assert start(lab, "ada", gpus=1) == RUNS
    assert given(fake_engine, "ada") == [A]
    slices = ["MIG-8-0000", "MIG-9-0000"]
    parts = [mig_slice(each, A) for each in slices]
    machine.driver.says(gpu(A), f"mig {A}", *parts, gpu(B), f"lost {B}")
    until(lambda: ids(lab) == {*slices, B})
    assert waits(lab, "bob", gpus=1)
    lab.api("DELETE", "users/ada/server")
    until(lambda: start(lab, "bob", gpus=2) == RUNS)
    assert given(fake_engine, "bob") == slices


def test_a_monitor_that_hangs_delays_nobody_and_admins_read_it(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine
) -> None:
    machine.driver.says(gpu(A), gpu(B, ecc=1))
    until(lambda: not device(lab, B)["healthy"])
    machine.driver.says(*BOTH, "hang nvmlDeviceGetMemoryInfo")
    until(lambda: read_status(lab.dir.state)["gpus"]["trouble"])
    for command in (("device", "list"), ("status",)):
        assert "The GPU monitor has said nothing since" in lab.cli(*command)
    began = time.monotonic()
    assert start(lab, "ada", gpus=1) == RUNS
    assert time.monotonic() - began < 10
    assert given(fake_engine, "ada") == [A]
    assert waits(lab, "bob", gpus=1)  # what it said last still counts
    assert "labhub_gpu_seen 0.0" in lab.api("GET", "../metrics").text.splitlines()
    lab.restart_hub()  # and a hub that begins then knows no more
    assert waits(lab, "bob", gpus=1)
    machine.monitor.end(kill=True)
    machine.driver.says(*BOTH)
    machine.start()
    until(lambda: device(lab, B)["healthy"])
    assert start(lab, "bob", gpus=1) == RUNS


def test_a_server_whose_gpu_computes_is_not_idle(
    lab: Lab, machine: GpuMachine, fake_engine: FakeEngine, cgroups: Path
) -> None:
    lab.dir.save(CONFIG % ", idle: 6 s")
    try:
        for name in PEOPLE:
            assert start(lab, name, gpus=1) == RUNS
            folder = cgroups / "cpuacct" / "docker" / box(fake_engine, name).id
            folder.mkdir(parents=True)
            (folder / "cpuacct.usage").write_text("0\n")
        boxes = {name: box(fake_engine, name).id for name in PEOPLE}
        mine, others = given(fake_engine, "ada")[0], given(fake_engine, "bob")[0]
        machine.runs(81, f"/docker/{boxes['ada']}")
        machine.runs(82, f"/docker/{boxes['bob']}")
        machine.driver.says(
            gpu(mine, busy=55), f"proc {mine} 81 70000",
            gpu(others, busy=0), f"proc {others} 82 70000",
        )  # fmt: skip
        began = time.monotonic()
        until(lambda: not runs(lab, "bob"), seconds=40)  # held memory is no work
        assert runs(lab, "ada")
        time.sleep(max(0.0, 20 - (time.monotonic() - began)))
        assert runs(lab, "ada")
    finally:
        lab.dir.save(CONFIG % "")


def runs(lab: Lab, user: str) -> bool:
    return bool(lab.api("GET", f"users/{user}").json()["servers"])
