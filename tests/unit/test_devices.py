"""Which GPUs there are, who gets which, and what the engine is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_config.schema_gpus import Gpus
from spawner.devices import Device, assign, free_places, inventory, requests, variables

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
    ],
)
def test_which_there_are(
    rules: dict[str, object], discovered: list[str], devices: tuple[Device, ...]
) -> None:
    assert inventory(Gpus.model_validate(rules), discovered) == devices


@pytest.mark.parametrize(
    ("devices", "taken", "count", "got"),
    [
        ((Device(A), Device(B)), [], 1, (A,)),
        ((Device(A), Device(B)), [A], 1, (B,)),  # never the same one twice
        ((Device(A), Device(B)), [A, B], 1, None),
        ((Device(A), Device(B)), [], 2, (A, B)),
        ((Device(A), Device(B)), [A], 2, None),
        ((Device(A), Device(B)), [], 0, ()),
        ((Device(A, 2), Device(B)), [], 1, (B,)),  # alone, while that is possible
        ((Device(A, 2), Device(B)), [B], 1, (A,)),
        ((Device(A, 2), Device(B)), [B, A], 1, (A,)),
        ((Device(A, 2), Device(B)), [B, A, A], 1, None),
        ((Device(A, 2),), [], 2, None),  # two places on one device are not two devices
        ((Device(A, 2), Device(B, 2)), [A], 1, (B,)),  # the emptier one
        ((Device(A),), ["GPU-gone"], 1, (A,)),
    ],
)
def test_who_gets_which(
    devices: tuple[Device, ...], taken: list[str], count: int, got: tuple[str, ...] | None
) -> None:
    assert assign(devices, taken, count) == got


DEVICES = st.lists(
    st.builds(Device, st.sampled_from([f"GPU-{each}" for each in "abcdefgh"]), st.integers(1, 3)),
    unique_by=lambda each: each.id,
).map(tuple)


@given(DEVICES, st.lists(st.integers(0, 4), max_size=20))
def test_no_place_is_ever_given_twice(devices: tuple[Device, ...], wishes: list[int]) -> None:
    taken: list[str] = []
    for count in wishes:
        got = assign(devices, taken, count)
        if got is None:
            assert sum(map(bool, free_places(devices, taken).values())) < count
            continue
        assert len(set(got)) == len(got) == count
        taken += got
    assert all(taken.count(each.id) <= each.places for each in devices)


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
