"""Which GPUs there are, who gets which, and what the engine is told."""

from dataclasses import replace

import pytest

from hub_config.schema_gpus import Gpus
from spawner.devices import (
    Device,
    as_held,
    drained,
    inventory,
    kept_back,
    requests,
    unshared,
    variables,
    with_claims,
)
from spawner.gpu_view import Seen, Sight

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


W, X = "GPU-whole", "GPU-other"
OLD = "MIG-GPU-whole/{}/0"
PARTS = {"MIG-1": W, "MIG-2": W, "MIG-3": W, "MIG-x": X}


def sight(*shown: str, parts: dict[str, str] = PARTS) -> Sight:
    return Sight(tuple(map(Seen, shown)), parts=parts)


@pytest.mark.parametrize(
    ("shown", "held", "overlaps"),
    [
        pytest.param([W, X], [], {}, id="nothing is held"),
        pytest.param([W, X], [W], {}, id="itself"),
        pytest.param(["MIG-1", "MIG-2", X], ["MIG-1", X], {}, id="its neighbour"),
        pytest.param([W, X], ["MIG-1", "MIG-2"], {W: {"MIG-1", "MIG-2"}}, id="whole again"),
        pytest.param(["MIG-1", "MIG-2", X], [W], {"MIG-1": {W}, "MIG-2": {W}}, id="cut"),
        pytest.param(["MIG-3", X], ["MIG-1"], {"MIG-3": {"MIG-1"}}, id="cut anew"),
        pytest.param(["MIG-1", "MIG-3"], ["MIG-1", "MIG-2"],
                     {"MIG-1": {"MIG-2"}, "MIG-3": {"MIG-2"}}, id="cut anew, and one is left"),
        pytest.param(["MIG-1", X, "MIG-x"], ["MIG-?"],
                     {each: {"MIG-?"} for each in ("MIG-1", X, "MIG-x")}, id="of whichever GPU"),
        pytest.param([W, X], ["GPU-gone"], {}, id="another GPU"),
    ],
)  # fmt: skip
def test_what_overlaps_what_somebody_has(
    shown: list[str], held: list[str], overlaps: dict[str, set[str]]
) -> None:
    found = as_held([Device(each) for each in shown], held, (), sight(*shown))
    assert {each.id: each.overlaps for each in found if not each.leasable} == overlaps


def test_without_a_driver_only_a_name_tells_of_which_gpu_a_slice_is() -> None:
    found = (Device(W), Device(OLD.format(1)), Device(OLD.format(2)), Device("MIG-7"))
    held = [OLD.format(1), "MIG-8"]
    left = as_held(found, held, (), Sight())
    assert [each.id for each in left if not each.overlaps] == [*(each.id for each in found[1:])]
    assert [each.id for each in as_held(found, [W], (), Sight()) if not each.overlaps] == [
        W, "MIG-7",
    ]  # fmt: skip


def test_what_others_were_given_is_theirs_whole_or_in_parts() -> None:
    found = (Device(W), Device("MIG-x"), Device("GPU-free"))
    theirs = Sight(tuple(Seen(each.id) for each in found), parts=PARTS)
    claims = replace(theirs, claimed=frozenset({"MIG-1", X}))
    assert [each.used_by_others for each in with_claims(found, claims)] == [True, True, False]
    assert not any(each.leasable for each in with_claims(found, replace(theirs, all_claimed=True)))
    assert with_claims(found, theirs) == found


def test_who_has_one_alone_shares_it_with_nobody() -> None:
    found = as_held([Device(A, 2), Device(B, 2)], [A, B], [A], Sight())
    assert found == (Device(A, 1), Device(B, 2))


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
