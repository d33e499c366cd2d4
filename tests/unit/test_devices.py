"""Which GPUs there are, who gets which, and what the engine is told."""

import pytest

from hub_config.schema_gpus import Gpus
from spawner.devices import (
    Device,
    drained,
    inventory,
    kept_back,
    requests,
    unshared,
    variables,
)

A, B, C = "GPU-aaaa", "GPU-bbbb", "MIG-cccc"
DISCOVERED = [
    *(f"nvidia.com/gpu={name}" for name in ("0", B, A, "all", C)),
    "vendor.com/net=GPU-dddd",
]


@pytest.mark.parametrize(
    ("rules", "discovered", "devices"),
    [
        ({}, [], ()),
        ({}, DISCOVERED, (Device(A, by_cdi=True), Device(B, by_cdi=True), Device(C, by_cdi=True))),
        ({"devices": [B, A]}, [], (Device(B), Device(A))),
        ({"devices": [B]}, DISCOVERED, (Device(B, by_cdi=True),)),
        ({"devices": [A], "share": {A: 4, B: 2}}, [], (Device(A, 4),)),
        ({"devices": [A, B, A]}, [], (Device(A), Device(B))),
    ],
)
def test_which_there_are(
    rules: dict[str, object], discovered: list[str], devices: tuple[Device, ...]
) -> None:
    assert inventory(Gpus.model_validate(rules), discovered) == devices


def test_what_is_shared_and_is_no_device_here() -> None:
    rules = Gpus.model_validate({"share": {B: 2, "GPU-typo": 2, "all": 3}})
    assert unshared(rules, (Device(A), Device(B))) == ("GPU-typo", "all")


@pytest.mark.parametrize(
    ("devices", "taken", "count"),
    [
        ((Device(A), Device(B)), [], 0),
        ((Device(A, 3, draining=True), Device(B)), [A], 2),
        ((Device(A, healthy=False), Device(B, used_by_others=True)), [], 2),
        ((Device(A, draining=True),), [A, A], 0),  # shared by fewer from now on
        ((Device(A, draining=True),), ["GPU-gone"], 1),
    ],
)
def test_places_that_nobody_gets_now(
    devices: tuple[Device, ...], taken: list[str], count: int
) -> None:
    assert kept_back(devices, taken) == count


def test_drained_devices_are_marked() -> None:
    both = (Device(A), Device(B, draining=True))
    assert drained(both, {A}) == (Device(A, draining=True), Device(B, draining=True))


@pytest.mark.parametrize(
    ("devices", "sent"),
    [
        ((), {}),
        ((Device(A),), {"Driver": "nvidia", "DeviceIDs": [A], "Capabilities": [["gpu"]]}),
        (
            (Device(A, by_cdi=True), Device(B, by_cdi=True)),
            {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={A}", f"nvidia.com/gpu={B}"]},
        ),
        (  # one way for all of a server's devices
            (Device(A, by_cdi=True), Device(B)),
            {"Driver": "nvidia", "DeviceIDs": [A, B], "Capabilities": [["gpu"]]},
        ),
    ],
)
def test_what_the_engine_is_told(devices: tuple[Device, ...], sent: dict[str, object]) -> None:
    assert requests(devices) == ({"DeviceRequests": [sent]} if sent else {})


def test_what_programs_are_told() -> None:
    cache = {"CUDA_CACHE_PATH": "/home/.nv/ComputeCache", "CUDA_CACHE_MAXSIZE": "4294967296"}
    assert variables((), "/home") == {}
    assert variables((Device(A),), "/home") == cache
    assert variables((Device(A), Device(B, 2)), "/home") == {
        **cache,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
