"""The GPU monitor as deploy/up starts it, on a real engine: compose.gpu.yaml, in its container.

NVIDIA's hook and driver library are made up; the image, the engine, the kernel's cgroups and what
the container may do are real.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from spawner.gpu_monitor import FILE, container_of, read
from spawner.gpu_readings import WELL, Cause, Gpu, Health, Process, Reading
from tests.lib import utility_hook
from tests.lib.images import build
from tests.lib.node import ROOT
from tests.lib.nvml_double import DRIVER, H100, LIBRARY, NvmlDouble, gpu
from tests.lib.second_engine import SecondEngine

pytestmark = pytest.mark.engine

A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"
PATH = "ENV PATH=/opt/labhub/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME = "lab-gpu-monitor"
GIB = 1 << 30


class World:
    """A machine with two GPUs and an instance's directory."""

    def __init__(self, folder: Path) -> None:
        """Make the hook, the library, and the directory where reports go."""
        self.dir, self.hook = folder / "lab", folder / "hook"
        self.reports = self.dir / "state" / "gpus"
        for each in (self.reports, self.hook):
            each.mkdir(parents=True)
        self.driver = NvmlDouble(self.reports, state="/var/lib/labhub-gpus/nvml.state")
        utility_hook.install(self.hook, self.reports / LIBRARY)
        self.driver.says(gpu(A), gpu(B, minor=1))

    def reading(self) -> Reading:
        """Return what the monitor saw last."""
        return read(self.reports).reading if (self.reports / FILE).exists() else Reading()

    def until(self, true: Callable[[Reading], object], seconds: float = 30) -> Reading:
        """Wait for a reading of which this is true."""
        deadline = time.monotonic() + seconds
        while not true(reading := self.reading()):
            assert time.monotonic() < deadline, reading
            time.sleep(0.1)
        return reading


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A machine."""
    return World(tmp_path_factory.mktemp("gpus"))


@pytest.fixture(scope="module")
def gpu_engine(world: World) -> Iterator[SecondEngine]:
    """An engine that finds the hook."""
    with SecondEngine({}, path=world.hook) as second:
        yield second


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, gpu_engine: SecondEngine) -> str:
    """The hub's image, on that engine."""
    return gpu_engine.take_image(engine, build("hub"), PATH)


@pytest.fixture(scope="module")
def monitor(world: World, gpu_engine: SecondEngine, image: str) -> Iterator[str]:
    """The monitor's container, as deploy/up makes it."""
    script = f"""
        deploy={ROOT}/deploy instance=lab dir={world.dir} scratch={world.hook} log={world.hook}/log
        . "$deploy/lib/packages.sh"
        . "$deploy/lib/start.sh"
        . "$deploy/lib/gpus.sh"
        host_has_gpu() {{ true; }}
        host_has_toolkit() {{ true; }}
        say() {{ echo "$*"; }}
        note() {{ echo "note: $*"; }}
        long() {{ shift; "$@" 2>"$scratch/err"; }}
        find_compose
        start_gpu_monitor
        """
    (world.dir / "instance.env").write_text(
        f"LABHUB_INSTANCE=lab\nLABHUB_DIR={world.dir}\nLABHUB_HUB_IMAGE={image}\nTZ=Etc/UTC\n"
    )
    environment = {**os.environ, "DOCKER_HOST": gpu_engine.url}
    done = subprocess.run(
        ["sh", "-euc", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["  GPU monitor started"], done.stdout + done.stderr
    with gpu_engine.client() as client:
        yield str(client.api.inspect_container(NAME)["Id"])
        print(client.api.logs(NAME).decode())


def test_it_gets_the_drivers_tools_and_writes_what_they_say(world: World, monitor: str) -> None:
    reading = world.until(lambda reading: reading.gpus)
    assert reading == Reading(
        (Gpu(A, H100, 0, 80 * GIB, 0, 0, 0), Gpu(B, H100, 1, 80 * GIB, 0, 0, 0)), DRIVER
    )
    assert [call for call in utility_hook.calls(world.hook) if call[0] == monitor] == [
        [monitor, "all", "utility"]
    ]


def test_it_may_write_nowhere_else_and_reach_nobody(monitor: str, gpu_engine: SecondEngine) -> None:
    script = """
        grep -E '^Cap(Eff|Bnd)' /proc/self/status
        cat /proc/net/dev | tail -n +3 | cut -d: -f1
        for place in /etc /opt/labhub /host/proc/sys/kernel /root; do
            ! touch "$place/new" 2>/dev/null || echo "$place can be written"
        done
        touch /var/lib/labhub-gpus/new && rm /var/lib/labhub-gpus/new && echo reports
        """
    with gpu_engine.client() as client:
        asked = client.api.exec_create(monitor, ["sh", "-c", script])
        words = client.api.exec_start(asked).decode().split()
    nothing = "0" * 16
    assert words == ["CapEff:", nothing, "CapBnd:", nothing, "lo", "reports"]


def test_whose_programs_they_are(world: World, gpu_engine: SecondEngine, image: str,
                                 monitor: str) -> None:  # fmt: skip
    with gpu_engine.client() as client:
        made = client.api.create_container(
            image, ["sleep", "300"], host_config=client.api.create_host_config(network_mode="none")
        )["Id"]
        try:
            client.api.start(made)
            pid = client.api.inspect_container(made)["State"]["Pid"]
            mine = os.getpid()
            world.driver.says(
                gpu(A, used=300, busy=50), f"proc {A} {pid} 200", f"proc {A} {mine} 100", gpu(B)
            )
            reading = world.until(lambda reading: reading.gpus[0].processes)
        finally:
            client.api.remove_container(made, force=True)
    own = container_of(Path("/proc/self/cgroup").read_text())
    assert reading.gpus[0].processes == (
        Process(pid, 200 << 20, 0, made), Process(mine, 100 << 20, 0, own),
    )  # fmt: skip
    assert own != made


def test_a_gpu_that_fell_off_the_bus(world: World, monitor: str) -> None:
    world.driver.says(gpu(A), gpu(B), f"lost {B}")
    world.until(lambda reading: reading.gpus[1].health == Health(Cause.LOST))
    world.driver.says(gpu(A), gpu(B))
    world.until(lambda reading: reading.gpus[1].health == WELL)


def test_it_ends_at_once_when_asked_and_so_does_one_that_hangs(
    world: World, monitor: str, gpu_engine: SecondEngine
) -> None:
    with gpu_engine.client() as client:
        for lines in ((gpu(A),), (gpu(A), "hang nvmlDeviceGetMemoryInfo")):
            world.driver.says(*lines)
            client.api.start(monitor)
            time.sleep(6)  # a probe later
            began = time.monotonic()
            client.api.stop(monitor, timeout=30)
            assert time.monotonic() - began < 15
            assert client.api.inspect_container(monitor)["State"]["ExitCode"] == 143
