"""A server sees its own GPUs and no others, on a machine where every container gets all of them.

The machine: NVIDIA's runtime is the engine's default, and the image says
NVIDIA_VISIBLE_DEVICES=all, as upstream's TensorFlow image does. Both are common and both are
traps; the same image started the stock way shows that the trap works.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from spawner.devices import Device
from tests.lib import gpu_server
from tests.lib.fake_gpus import install
from tests.lib.images import build
from tests.lib.second_engine import SecondEngine

LIST_GPUS = ["sh", "-c", "ls /dev/nvidia* 2>/dev/null; echo done"]
ALL = "/dev/nvidia0\n/dev/nvidia1\ndone\n"
NONE = "done\n"


@pytest.fixture(scope="module")
def gpu_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """An engine whose default runtime is NVIDIA's."""
    gpus = install(tmp_path_factory.mktemp("nvidia"))
    with SecondEngine(gpus.daemon, path=gpus.folder) as second:
        yield second


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient, gpu_engine: SecondEngine) -> str:
    """An image that wants all GPUs."""
    variables = "ENV PATH=/usr/bin:/bin NVIDIA_VISIBLE_DEVICES=all"
    return gpu_engine.take_image(engine, build("base", "trixie"), variables)


def our_body(
    image: str, folder: Path, hub_environment: dict[str, str], *devices: Device
) -> dict[str, Any]:
    """Return the real create body of a server, made to list GPUs instead of serving."""
    body = gpu_server.our_body(image, folder, hub_environment, *devices)
    return {**body, "Entrypoint": LIST_GPUS, "Cmd": []}


def printed(second: SecondEngine, body: dict[str, Any]) -> str:
    """Run a container to its end and return what it wrote."""
    with second.client() as client:
        container = client.api.create_container_from_config(body)["Id"]
        try:
            client.api.start(container)
            client.api.wait(container, timeout=30)
            return str(client.api.logs(container).decode())
        finally:
            client.api.remove_container(container, force=True, v=True)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        pytest.param({}, ALL, id="as the image says"),
        pytest.param({"Env": ["NVIDIA_VISIBLE_DEVICES=1"]}, "/dev/nvidia1\ndone\n", id="one"),
        pytest.param({"Env": ["NVIDIA_VISIBLE_DEVICES=void"]}, NONE, id="void alone"),
        pytest.param({"HostConfig": {"Runtime": "runc"}}, NONE, id="runc alone"),
    ],
)
def test_the_stock_way_gets_what_it_asks_for(
    gpu_engine: SecondEngine, image: str, change: dict[str, Any], seen: str
) -> None:
    body = {"Image": image, "Entrypoint": LIST_GPUS, "NetworkDisabled": True, **change}
    assert printed(gpu_engine, body) == seen


@pytest.mark.parametrize(
    "hub_environment",
    [
        pytest.param({}, id="as always"),
        pytest.param({"NVIDIA_VISIBLE_DEVICES": "all"}, id="set by somebody"),
    ],
)
def test_ours_sees_none(
    gpu_engine: SecondEngine, image: str, tmp_path: Path, hub_environment: dict[str, str]
) -> None:
    assert printed(gpu_engine, our_body(image, tmp_path, hub_environment)) == NONE


@pytest.mark.parametrize("runtime", ["runc", "nvidia"])
def test_each_of_the_two_defences_holds_alone(
    gpu_engine: SecondEngine, image: str, tmp_path: Path, runtime: str
) -> None:
    body = our_body(image, tmp_path, {})
    body["HostConfig"]["Runtime"] = runtime
    if runtime == "runc":
        body["Env"] = [pair for pair in body["Env"] if not pair.startswith("NVIDIA")]
    assert printed(gpu_engine, body) == NONE


@pytest.mark.parametrize(
    ("uuids", "seen"),
    [
        (["GPU-0"], "/dev/nvidia0\ndone\n"),
        (["GPU-1"], "/dev/nvidia1\ndone\n"),
        (["GPU-0", "GPU-1"], ALL),
    ],
)
def test_ours_sees_its_own_and_no_other(
    gpu_engine: SecondEngine, image: str, tmp_path: Path, uuids: list[str], seen: str
) -> None:
    body = our_body(image, tmp_path, {"NVIDIA_VISIBLE_DEVICES": "all"}, *map(Device, uuids))
    assert printed(gpu_engine, body) == seen


def test_a_gpu_that_is_not_there_is_refused_in_words(
    gpu_engine: SecondEngine, image: str, tmp_path: Path
) -> None:
    with pytest.raises(docker.errors.APIError):
        printed(gpu_engine, our_body(image, tmp_path, {}, Device("GPU-none")))
