"""Every known way to a GPU that is not one's own: it works on a stock engine, and not here.

The machine is that of tests/lib/fake_gpus.py with NVIDIA's runtime as the engine's default. Each
attack is first made at a container started the stock way, where it opens what it is after; so what
is seen of our own containers says something.
"""

import asyncio
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from spawner.devices import Device
from spawner.engine import Engine
from spawner.entrance import Request
from spawner.failure import NotAsDecidedError, OtherGpusError
from spawner.gpu_view import Seen, Sight
from spawner.launch import Launch
from spawner.messages.devices import OTHER_GPUS
from spawner.nodes import Nodes
from spawner.verify import differences
from tests.lib.fake_gpus import HOOKED, FakeGpus, install
from tests.lib.gpu_probe import COUNT, FORBIDDEN, GRANTED, only, probe_inside, probe_once
from tests.lib.gpu_server import our_body, with_host_config
from tests.lib.images import build
from tests.lib.launches import launch
from tests.lib.rig import Rig, rig
from tests.lib.second_engine import SecondEngine
from tests.lib.small_servers import quick_bundle

ALL = tuple(range(COUNT))
DEVICE_FILE = "nvidia1"


@dataclass(frozen=True)
class Machine:
    """An engine whose default runtime is NVIDIA's, with an image that says nothing about GPUs."""

    gpus: FakeGpus
    second: SecondEngine
    client: docker.DockerClient
    plain: str
    device_file: Path

    def image_that_says(self, says: Mapping[str, str]) -> str:
        """Make the same image with variables."""
        lines = [f"FROM {self.plain}", *(f"ENV {key}={value}" for key, value in says.items())]
        recipe = io.BytesIO("\n".join(lines).encode())
        image, _ = self.client.images.build(fileobj=recipe, rm=True)
        return str(image.id)


@pytest.fixture(scope="module")
def machine(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """The machine, with the node of its second GPU in some directory."""
    gpus = install(tmp_path_factory.mktemp("nvidia"))
    node = tmp_path_factory.mktemp("dev") / DEVICE_FILE
    os.mknod(node, 0o20666, os.makedev(195, 1))
    with SecondEngine(gpus.daemon, path=gpus.folder) as second, second.client() as client:
        plain = second.take_image(engine, build("base", "trixie"), "ENV PATH=/usr/bin:/bin")
        yield Machine(gpus, second, client, plain, node)


@pytest.fixture(autouse=True)
def stories_on_failure(request: pytest.FixtureRequest, machine: Machine) -> Iterator[None]:
    """When a test failed, print what the engine wrote and what the hook was asked for."""
    yield
    report = getattr(request.node, "labhub_report", None)
    if report is not None and report.failed:
        print(machine.second.log()[-3000:], machine.gpus.calls(), sep="\n")


def devices(numbers: tuple[int, ...]) -> tuple[Device, ...]:
    return tuple(Device(f"GPU-{number}") for number in numbers)


# What images and environments say.

WANTS_ALL = {"NVIDIA_VISIBLE_DEVICES": "all"}
# The variables, and what they open the stock way: of 2 and 3, see tests/lib/fake_gpus.py.
SAYINGS = {
    "all": (WANTS_ALL, (0, 1)),
    "another one's": ({"NVIDIA_VISIBLE_DEVICES": "GPU-1"}, (1,)),
    "a number": ({"NVIDIA_VISIBLE_DEVICES": "1"}, (1,)),
    "nothing, with an old CUDA": ({"CUDA_VERSION": "8.0.61"}, (0, 1)),
    "and GPUDirect storage": ({**WANTS_ALL, "NVIDIA_GDS": "enabled"}, (0, 1, 2)),
    "and network cards": ({**WANTS_ALL, "NVIDIA_MOFED": "enabled"}, (0, 1, 2)),
    "and switches": ({**WANTS_ALL, "NVIDIA_NVSWITCH": "enabled"}, (0, 1, 2)),
    "and GDRCopy": ({**WANTS_ALL, "NVIDIA_GDRCOPY": "enabled"}, (0, 1, 2)),
    "and a channel": ({**WANTS_ALL, "NVIDIA_IMEX_CHANNELS": "0"}, (0, 1, 3)),
}


@pytest.mark.parametrize(("says", "opens"), SAYINGS.values(), ids=SAYINGS)
def test_a_server_gets_its_lease_whatever_its_image_says(
    machine: Machine, tmp_path: Path, says: dict[str, str], opens: tuple[int, ...]
) -> None:
    image = machine.image_that_says(says)
    stock = {"Image": image, "NetworkDisabled": True}
    assert probe_once(machine.client, stock) == only(*opens, others=FORBIDDEN, by=HOOKED)
    for lease in ((), (0,)):
        body = our_body(image, tmp_path, {}, *devices(lease))
        assert probe_once(machine.client, body) == only(*lease, by=HOOKED)


MAY_ADMINISTER = {"CapAdd": ["SYS_ADMIN"]}


@pytest.mark.parametrize("what", ["NVIDIA_MIG_CONFIG_DEVICES", "NVIDIA_MIG_MONITOR_DEVICES"])
def test_no_server_may_change_slices_whatever_its_image_says(
    machine: Machine, tmp_path: Path, what: str
) -> None:
    """The toolkit gives that to nobody who may not administer the machine: their start fails."""
    image = machine.image_that_says({**WANTS_ALL, what: "all"})
    stock = {"Image": image, "NetworkDisabled": True, "HostConfig": MAY_ADMINISTER}
    assert probe_once(machine.client, stock) == only(0, 1, 3, others=FORBIDDEN, by=HOOKED)
    with pytest.raises(docker.errors.APIError):
        probe_once(machine.client, {**stock, "HostConfig": {}})
    for lease in ((), (0,)):
        body = our_body(image, tmp_path, {what: "all"}, *devices(lease))
        assert probe_once(machine.client, body) == only(*lease, by=HOOKED)
    # Nor does what the image says count where one might; without us it would.
    administers = with_host_config(body, **MAY_ADMINISTER)
    assert probe_once(machine.client, administers) == only(0, by=HOOKED)
    administers["Env"] = [each for each in body["Env"] if not each.startswith(what)]
    assert probe_once(machine.client, administers) == only(0, 3, by=HOOKED)


def test_a_server_gets_its_lease_whatever_its_environment_says(
    machine: Machine, tmp_path: Path
) -> None:
    says = {
        **WANTS_ALL, "CUDA_VERSION": "8.0.61", "NVIDIA_GDS": "enabled", "NVIDIA_IMEX_CHANNELS": "0",
    }  # fmt: skip
    variables = [f"{key}={value}" for key, value in says.items()]
    stock = {"Image": machine.plain, "Env": variables, "NetworkDisabled": True}
    assert probe_once(machine.client, stock) == only(*ALL, by=HOOKED)
    for lease in ((), (1,), (0, 1)):
        body = our_body(machine.plain, tmp_path, says, *devices(lease))
        assert probe_once(machine.client, body) == only(*lease, by=HOOKED)


@pytest.mark.parametrize("lease", [(), (0,)])
def test_only_the_hook_of_a_lease_runs(
    machine: Machine, tmp_path: Path, lease: tuple[int, ...]
) -> None:
    """What an image does to a hook, by LD_PRELOAD for one, needs a hook that runs."""
    before = len(machine.gpus.calls())
    image = machine.image_that_says(WANTS_ALL)
    probe_once(machine.client, {"Image": image, "NetworkDisabled": True})
    assert machine.gpus.calls()[before:] == [(0, 1)]
    probe_once(machine.client, our_body(image, tmp_path, WANTS_ALL, *devices(lease)))
    assert machine.gpus.calls()[before + 1 :] == ([lease] if lease else [])


# What somebody may ask the engine for. Nothing of ours does, so what came of it is refused.


@dataclass(frozen=True)
class Change:
    """Other words in HostConfig; what they open the stock way; by which of them we notice."""

    words: Mapping[str, Any]
    opens: tuple[int, ...]
    key: str

    def at(self, machine: Machine) -> dict[str, Any]:
        """Return the words as this machine understands them."""
        node = {
            "PathOnHost": str(machine.device_file),
            "PathInContainer": f"/dev/{DEVICE_FILE}",
            "CgroupPermissions": "rwm",
        }
        return {**self.words, **({"Devices": [node]} if "Devices" in self.words else {})}


def wish(driver: str = "nvidia", **what: Any) -> dict[str, Any]:
    return {"DeviceRequests": [{"Driver": driver, "Capabilities": [["gpu"]], **what}]}


EVERYTHING = ["c 195:* rwm"]
CHANNEL = "/dev/null:/var/run/nvidia-container-devices/GPU-1"
CHANGES = {
    "an empty request": Change(wish(), (0, 1), "DeviceRequests"),
    "all": Change(wish(Count=-1), (0, 1), "DeviceRequests"),
    "two, whichever": Change(wish(Count=2), (0, 1), "DeviceRequests"),
    "another one": Change(wish(DeviceIDs=["GPU-1"]), (1,), "DeviceRequests"),
    "any driver": Change(wish("", DeviceIDs=["GPU-0", "GPU-1"]), (0, 1), "DeviceRequests"),
    "another runtime": Change({"Runtime": "nvidia"}, (0, 1), "Runtime"),
    "a device file": Change({"Devices": [DEVICE_FILE]}, (1,), "Devices"),
    "a rule": Change({"DeviceCgroupRules": EVERYTHING}, ALL, "DeviceCgroupRules"),
    "the right to administer": Change({"Runtime": "nvidia", **MAY_ADMINISTER}, (0, 1), "CapAdd"),
    "nodes of one's own": Change(
        {"CapDrop": [], "CapAdd": ["MKNOD"], "DeviceCgroupRules": EVERYTHING}, ALL, "CapAdd"
    ),
    "a mount that names one": Change({"Runtime": "nvidia", "Binds": [CHANNEL]}, (1,), "Binds"),
}
# Not every machine that runs tests may give all rights away; on those that may, test_gpu_cdi.py
# shows what it opens.
CREATED_ONLY = {"privileged": Change({"Privileged": True}, ALL, "Privileged")}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_stock_way_gives_what_is_asked_for(machine: Machine, change: Change) -> None:
    host_config = {"Runtime": "runc", **change.at(machine)}
    image = machine.image_that_says(WANTS_ALL)
    body = {"Image": image, "NetworkDisabled": True, "HostConfig": host_config}
    met = probe_once(machine.client, body)
    assert tuple(n for n, what in met.items() if what in {GRANTED, HOOKED}) == change.opens


class Meddling(Engine):
    """Asks for more than it was told to, as somebody would who sits between us and the engine."""

    def __init__(self, words: Mapping[str, Any]) -> None:
        """Choose what else is asked for."""
        super().__init__()
        self._words = words

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create another container than was decided."""
        other = {**body["HostConfig"], **self._words}
        return await super().create(name, {**body, "HostConfig": other})


@pytest.fixture
def servers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An instance on that engine, where ada has an account."""
    monkeypatch.setenv("DOCKER_HOST", machine.second.url)
    with rig(machine.client) as made:
        made.sign_in("ada")
        yield made


async def launch_with_a_gpu(machine: Machine, servers: Rig) -> Launch:
    config = servers.config(machine.plain, {"gpus": 1, "devices": ["GPU-0"]})
    return await launch(servers.desk, Request(config, "ada", "", {"gpus": 1}))


@pytest.mark.parametrize(
    "change", [*CHANGES.values(), *CREATED_ONLY.values()], ids=[*CHANGES, *CREATED_ONLY]
)
def test_a_server_that_was_made_otherwise_never_runs(
    machine: Machine, servers: Rig, change: Change
) -> None:
    async def start() -> None:
        servers.desk.engine = Meddling(change.at(machine))
        started = await launch_with_a_gpu(machine, servers)
        made = await started.create(await started.prepare(), {}, ())
        with pytest.raises(NotAsDecidedError) as error:
            await started.start()
        assert change.key in error.value.keys
        assert machine.client.containers.get(made).status == "created"
        await started.failed(error.value, 1, "")
        assert await servers.desk.engine.listed(started.labels) == []
        assert servers.desk.store.transact(lambda ledger: ledger.open_runs()) == ()

    asyncio.run(start())


@pytest.mark.parametrize("lease", [(), (0,), (0, 1)])
def test_what_the_engine_made_of_ours_is_what_was_decided(
    machine: Machine, tmp_path: Path, lease: tuple[int, ...]
) -> None:
    body = our_body(machine.plain, tmp_path, WANTS_ALL, *devices(lease))
    container = machine.client.api.create_container_from_config(body)["Id"]
    try:
        made = machine.client.api.inspect_container(container)
        assert differences(body, made["Config"], made["HostConfig"], made["Mounts"]) == ()
    finally:
        machine.client.api.remove_container(container, force=True, v=True)


# What the machine really gives, whatever was asked for: its hook may be wrong about the cards.

NOWHERE = Path("/nowhere")


@pytest.fixture
def quick_servers(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """The same instance with servers that run, where NVIDIA's driver tells the cards apart."""
    monkeypatch.setenv("DOCKER_HOST", machine.second.url)
    with (
        quick_bundle(machine.client, machine.plain, {}) as bundle,
        rig(machine.client, bundle) as made,
    ):
        made.sign_in("ada")
        made.desk.sight = Sight((Seen("GPU-0", minor=0), Seen("GPU-1", minor=1)))
        yield made


async def start_with_a_gpu(machine: Machine, servers: Rig) -> Launch:
    """Start a server as far as its container runs, and return its launch."""
    started = await launch_with_a_gpu(machine, servers)
    await started.create(await started.prepare(), {}, ())
    try:
        assert await started.start()
    except OtherGpusError as error:
        failure = await started.failed(error, 1, "")
        assert failure.jupyterhub_message == OTHER_GPUS
        assert await servers.desk.engine.listed(started.labels) == []
        assert servers.desk.store.transact(lambda ledger: ledger.open_runs()) == ()
        raise
    return started


@pytest.mark.parametrize("cgroup_dir", [None, NOWHERE], ids=["cgroups", "processes"])
@pytest.mark.parametrize("nodes", [(1,), (0, 1), ()], ids=["another", "one more", "none"])
def test_a_server_that_got_other_gpus_is_removed(
    machine: Machine, quick_servers: Rig, nodes: tuple[int, ...], cgroup_dir: Path | None
) -> None:
    if cgroup_dir is not None:
        quick_servers.desk.nodes = Nodes(cgroup_dir, Path("/proc"))
    with machine.gpus.wired(0, *nodes), pytest.raises(OtherGpusError):
        asyncio.run(start_with_a_gpu(machine, quick_servers))


@pytest.mark.parametrize("cgroup_dir", [None, NOWHERE], ids=["cgroups", "processes"])
def test_a_server_that_got_its_own_goes_on(
    machine: Machine, quick_servers: Rig, cgroup_dir: Path | None
) -> None:
    if cgroup_dir is not None:
        quick_servers.desk.nodes = Nodes(cgroup_dir, Path("/proc"))
    started = asyncio.run(start_with_a_gpu(machine, quick_servers))
    assert probe_inside(machine.client, started.container) == only(0, by=HOOKED)


def test_where_nobody_can_look_other_gpus_are_not_noticed(
    machine: Machine, quick_servers: Rig
) -> None:
    """Unknown is no difference; and this is what the look is for."""
    quick_servers.desk.nodes = Nodes(NOWHERE, NOWHERE)
    with machine.gpus.wired(0, 1):
        started = asyncio.run(start_with_a_gpu(machine, quick_servers))
    assert probe_inside(machine.client, started.container) == only(1, by=HOOKED)
