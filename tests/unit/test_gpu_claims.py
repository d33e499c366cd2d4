"""Which GPUs containers have that are no servers of ours."""

from typing import Any

import pytest

from spawner.gpu_claims import ALL, Claim, claim, claimed
from spawner.gpu_readings import Gpu

A, B = "GPU-aaaa", "GPU-bbbb"
NOTHING = Claim()
WATCHES = "NVIDIA_DRIVER_CAPABILITIES=utility"


def ids(*words: str) -> Claim:
    return Claim(ids=frozenset(words))


def numbers(*found: int) -> Claim:
    return Claim(numbers=frozenset(found))


def asks(*wanted: str, driver: str = "", count: int = 0, caps: tuple[str, ...] = ("gpu",)) -> Any:
    """Return a HostConfig as `docker run --gpus` makes it."""
    request = {"Driver": driver, "Count": count, "DeviceIDs": list(wanted) or None,
               "Capabilities": [list(caps)], "Options": {}}  # fmt: skip
    return {"DeviceRequests": [request]}


def cdi(*names: str) -> Any:
    return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": list(names)}]}


@pytest.mark.parametrize(
    ("environment", "host_config", "found"),
    [
        pytest.param([], {}, NOTHING, id="nothing"),
        pytest.param([], {"DeviceRequests": None, "Devices": None}, NOTHING, id="nothing at all"),
        pytest.param(["NVIDIA_VISIBLE_DEVICES=all"], {"Runtime": "runc"}, NOTHING, id="an image"),
        pytest.param([], asks(count=-1), ALL, id="--gpus all"),
        pytest.param([], asks(), ALL, id="an empty request"),
        pytest.param([], asks(count=2), numbers(0, 1), id="--gpus 2"),
        pytest.param([], asks(A, "1", "2:0"), Claim(False, frozenset({A}), frozenset({1, 2})),
                     id="device=…"),
        pytest.param([], asks("all"), ALL, id="device=all"),
        pytest.param([], asks(A, driver="nvidia", caps=()), ids(A), id="by driver"),
        pytest.param([], asks(driver="amd", count=-1, caps=("rocm",)), NOTHING, id="another's"),
        pytest.param([], asks(count=-1, caps=("gpu", "utility")), NOTHING, id="a monitor"),
        pytest.param([WATCHES], asks(count=-1), NOTHING, id="a monitor, by its environment"),
        pytest.param([WATCHES], asks(count=-1, caps=("gpu", "compute", "utility")), ALL,
                     id="it computes all the same"),
        pytest.param([], cdi(f"nvidia.com/gpu={A}", "vendor.com/net=0"), ids(A), id="CDI"),
        pytest.param([], cdi("nvidia.com/gpu=MIG-1", "nvidia.com/gpu=1"),
                     Claim(False, frozenset({"MIG-1"}), frozenset({1})), id="CDI, a slice"),
        pytest.param([], cdi("nvidia.com/gpu=all"), ALL, id="CDI, all"),
        pytest.param([], cdi("nvidia.com/gpu=new-words"), ALL, id="CDI, nobody knows what"),
        pytest.param(["NVIDIA_VISIBLE_DEVICES=all"], {"Runtime": "nvidia"}, ALL, id="runtime"),
        pytest.param([f"NVIDIA_VISIBLE_DEVICES={A},1"], {"Runtime": "nvidia"},
                     Claim(False, frozenset({A}), frozenset({1})), id="runtime, some"),
        pytest.param(["NVIDIA_VISIBLE_DEVICES=void"], {"Runtime": "nvidia"}, NOTHING, id="void"),
        pytest.param(["NVIDIA_VISIBLE_DEVICES=all", WATCHES], {"Runtime": "nvidia"}, NOTHING,
                     id="runtime, a monitor"),
        pytest.param([], {"Devices": [{"PathOnHost": "/dev/nvidia1"}, {"PathOnHost": "/dev/fuse"},
                                      {"PathOnHost": "/dev/nvidiactl"}]}, numbers(1), id="nodes"),
        pytest.param([], {"Devices": [{}]}, ALL, id="an engine that says something else"),
    ],
)  # fmt: skip
def test_what_a_container_was_given(environment: list[str], host_config: Any, found: Claim) -> None:
    assert claim({"Env": environment}, host_config) == found


@pytest.mark.parametrize(
    ("claims", "uuids"),
    [
        ([], set()),
        ([ids("GPU-x"), numbers(1)], {"GPU-x", B}),
        ([numbers(5)], {A}),  # the number of its node
        ([numbers(9)], set()),
    ],
)
def test_which_gpus_these_are(claims: list[Claim], uuids: set[str]) -> None:
    assert claimed(claims, (Gpu(A, minor=5), Gpu(B, minor=1))) == uuids
