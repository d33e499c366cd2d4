"""A GPU that fell off the bus, or reported an error, gets no servers until it is well again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.gpu_health import GOOD_PROBES, MOST_FORMER, OF_PROGRAMS, follow, judge
from spawner.gpu_readings import WELL, Cause, Gpu, Health, Process, Reading, Slice
from spawner.messages.devices import quarantined

GOOD = Gpu("GPU-a", "NVIDIA H100", 0, 80 << 30)
LOST, ECC = replace(GOOD, is_lost=True), replace(GOOD, ecc_errors=2)
XID = replace(GOOD, xids=(79,))


@pytest.mark.parametrize(
    ("probes", "health"),
    [
        ([GOOD], WELL),
        ([replace(GOOD, ecc_errors=0)], WELL),
        ([replace(GOOD, ecc_errors=None)], WELL),  # this GPU does not count them
        ([LOST], Health(Cause.LOST)),
        ([LOST, GOOD], Health(Cause.LOST, good_probes=1)),
        ([LOST, GOOD, GOOD], Health(Cause.LOST, good_probes=2)),
        ([LOST, GOOD, GOOD, GOOD], WELL),
        ([LOST, GOOD, GOOD, LOST, GOOD], Health(Cause.LOST, good_probes=1)),  # from the beginning
        ([ECC, ECC], Health(Cause.ECC, 2)),  # they count until the reset
        ([ECC, GOOD, GOOD, GOOD], WELL),
        ([XID], Health(Cause.XID, 79)),
        ([XID, GOOD], Health(Cause.XID, 79, 1)),  # a Xid is told once
        ([XID, LOST, GOOD], Health(Cause.LOST, good_probes=1)),
        ([replace(GOOD, xids=(13, 31, 43, 45))], WELL),  # a program's own errors
        ([replace(GOOD, xids=(74, 31))], Health(Cause.XID, 74)),
        ([replace(LOST, ecc_errors=1, xids=(79,))], Health(Cause.LOST)),
    ],
)
def test_what_a_probe_changes(probes: list[Gpu], health: Health) -> None:
    now = WELL
    for probe in probes:
        now = judge(now, probe)
    assert now == health


PROBES = st.lists(
    st.builds(
        Gpu,
        st.just("GPU-a"),
        ecc_errors=st.none() | st.integers(0, 2),
        is_lost=st.booleans(),
        xids=st.lists(st.sampled_from([*OF_PROGRAMS, 48, 79]), max_size=2).map(tuple),
    ),
    max_size=12,
)


@given(PROBES)
def test_it_is_well_exactly_if_the_last_three_probes_found_nothing_wrong(probes: list[Gpu]) -> None:
    now, good = WELL, GOOD_PROBES
    for probe in probes:
        now = judge(now, probe)
        is_bad = probe.is_lost or probe.ecc_errors or not OF_PROGRAMS.issuperset(probe.xids)
        good = 0 if is_bad else good + 1
    assert (now.cause is None) == (good >= GOOD_PROBES)


# all GPUs together

B = Gpu("GPU-b", is_mig=True, slices=(Slice("MIG-1", "1g.10gb"), Slice("MIG-2", "2g.20gb")))
USED = replace(GOOD, busy_percent=40, processes=(Process(4711, container="c" * 64),))


@pytest.mark.parametrize(
    ("known", "reading", "gpus"),
    [
        pytest.param([], Reading((GOOD, B)), (GOOD, B), id="all are new"),
        pytest.param([GOOD], Reading((GOOD, B)), (GOOD, B), id="one was added"),
        pytest.param(
            [USED, B],
            Reading((B,)),
            (B, replace(USED, busy_percent=None, is_lost=True, health=Health(Cause.LOST))),
            id="one vanished, and who had it is not forgotten",
        ),
        pytest.param(
            [replace(GOOD, is_lost=True, health=Health(Cause.LOST))],
            Reading((GOOD,)),
            (replace(GOOD, health=Health(Cause.LOST, good_probes=1)),),
            id="it came back",
        ),
        pytest.param(
            [GOOD],
            Reading((Gpu("GPU-a", is_lost=True),)),
            (replace(GOOD, is_lost=True, health=Health(Cause.LOST)),),
            id="a lost one keeps its model",
        ),
        pytest.param(
            [B],
            Reading((replace(B, slices=(Slice("MIG-3", "7g.80gb"),)),)),
            (
                replace(
                    B,
                    slices=(Slice("MIG-3", "7g.80gb"),),
                    former_slices=tuple(each.uuid for each in B.slices),
                ),
            ),
            id="cut into other slices",
        ),
        pytest.param(
            [replace(USED, health=Health(Cause.XID, 79, 2))],
            Reading(trouble="silent"),
            (replace(USED, busy_percent=None, health=Health(Cause.XID, 79, 2)),),
            id="a driver that tells nothing changes nothing",
        ),
    ],
)
def test_which_there_are(known: list[Gpu], reading: Reading, gpus: tuple[Gpu, ...]) -> None:
    assert follow(known, reading) == replace(reading, gpus=gpus)


@given(st.lists(st.lists(st.sampled_from("abcd"), unique=True), max_size=6))
def test_none_is_ever_forgotten(probes: list[list[str]]) -> None:
    now, ever = Reading(), set()
    for names in probes:
        now = follow(now.gpus, Reading(tuple(Gpu(name) for name in names)))
        ever |= set(names)
        assert {each.uuid for each in now.gpus} == ever
        assert {each.uuid for each in now.gpus if each.health.cause is None} <= set(names)


@pytest.mark.parametrize(
    ("health", "sentence"),
    [
        (WELL, ""),
        (
            Health(Cause.LOST),
            "The driver cannot reach it: look for Xid in the kernel's log, then reset the GPU or "
            "restart the machine.",
        ),
        (
            Health(Cause.ECC, 1),
            "Its memory had 1 error that could not be corrected: stop its servers and reset it "
            "(nvidia-smi --gpu-reset).",
        ),
        (
            Health(Cause.XID, 79, 2),
            "It reported the error Xid 79: look for it in the kernel's log. It seems well again, "
            "and gets new servers after 1 more good probe.",
        ),
        (
            Health(Cause.ECC, 3, 1),
            "Its memory had 3 errors that could not be corrected: stop its servers and reset it "
            "(nvidia-smi --gpu-reset). It seems well again, and gets new servers after 2 more "
            "good probes.",
        ),
    ],
)
def test_an_admin_reads_why_and_what_to_do(health: Health, sentence: str) -> None:
    assert quarantined(health) == sentence


def cut(*slices: str, **others: Any) -> Gpu:
    return replace(GOOD, slices=tuple(Slice(each, "") for each in slices), **others)


def test_slices_that_a_gpu_had_are_remembered() -> None:
    known: tuple[Gpu, ...] = ()
    steps = [
        (cut("MIG-1", "MIG-2"), ()),
        (cut("MIG-2", "MIG-3"), ("MIG-1",)),
        (cut(is_lost=True), ("MIG-1",)),  # nobody knows what it has now
        (cut(), ("MIG-1", "MIG-2", "MIG-3")),
        (cut("MIG-1"), ("MIG-2", "MIG-3")),
    ]
    for probe, former in steps:
        [gpu] = known = follow(known, Reading((probe,))).gpus
        assert gpu.former_slices == former
    assert follow(known, Reading()).gpus[0].former_slices == ("MIG-2", "MIG-3")
    assert follow(known, Reading(trouble="silent")).gpus[0].former_slices == ("MIG-2", "MIG-3")


def test_not_all_slices_of_all_times_are_remembered() -> None:
    known: tuple[Gpu, ...] = ()
    for number in range(MOST_FORMER + 9):
        known = follow(known, Reading((cut(f"MIG-{number}"),))).gpus
    assert len(known[0].former_slices) == MOST_FORMER
    assert known[0].former_slices[-1] == f"MIG-{MOST_FORMER + 7}"
