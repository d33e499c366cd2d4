"""What follows from a report: whose programs are on a GPU, and whether they compute."""

from dataclasses import replace

import pytest

from hub_config.schema_gpus import Gpus
from spawner.devices import Device, inventory, kept_back
from spawner.gpu_monitor import container_of
from spawner.gpu_readings import WELL, Cause, Gpu, Health, Process, Reading, Report, Slice
from spawner.gpu_view import Grants, Seen, computing, containers, is_old, parts, seen

ADA, BOB, FOREIGN = "a" * 64, "b" * 64, "f" * 64
A, B = "GPU-aaaa", "GPU-bbbb"
GRANTS: Grants = {ADA: frozenset({A}), BOB: frozenset({A}), FOREIGN: frozenset()}


def report(*gpus: Gpu) -> Report:
    return Report(0.0, 5.0, Reading(gpus))


@pytest.mark.parametrize(
    ("processes", "is_others"),
    [
        pytest.param((), False, id="nobody"),
        pytest.param((Process(1, container=ADA),), False, id="who has it"),
        pytest.param((Process(1, container=ADA), Process(2, container=BOB)), False, id="shared"),
        pytest.param((Process(1, container=""),), True, id="a program of the machine"),
        pytest.param((Process(1, container=FOREIGN),), True, id="a foreign container"),
        pytest.param((Process(1, container="e" * 64),), True, id="one that nobody knows yet"),
        pytest.param((Process(1, container=None),), True, id="nobody can tell"),
        pytest.param((Process(1, container=ADA), Process(2, container="")), True, id="both"),
    ],
)
def test_who_uses_a_gpu(processes: tuple[Process, ...], is_others: bool) -> None:
    found = seen(report(Gpu(A, processes=processes)), GRANTS)
    assert found == (Seen(A, used_by_others=is_others),)


def test_the_number_of_its_node_is_kept() -> None:
    assert seen(report(Gpu(A, minor=3)), GRANTS) == (Seen(A, minor=3),)


def test_a_server_on_a_gpu_that_is_not_its_own_is_somebody_else_there() -> None:
    [found] = seen(report(Gpu(B, processes=(Process(1, container=ADA),))), GRANTS)
    assert found.used_by_others


def test_slices_are_given_out_in_the_place_of_the_whole() -> None:
    ill = Health(Cause.ECC, 1)
    slices = (
        Slice("MIG-1", "1g.10gb", 10, 5, (Process(1, container=""),)),
        Slice("MIG-2", "2g.20gb"),
    )
    found = seen(report(Gpu(A, "H100", is_mig=True, slices=slices, health=ill)), GRANTS)
    assert found == (
        Seen("MIG-1", "1g.10gb", 10, 5, health=ill, used_by_others=True),
        Seen("MIG-2", "2g.20gb", health=ill),
    )
    assert seen(report(Gpu(A, is_mig=True)), GRANTS) == ()


def test_of_which_gpu_a_slice_is_or_was_a_part() -> None:
    cut = Gpu(A, is_mig=True, slices=(Slice("MIG-1", ""),), former_slices=("MIG-0",))
    whole = Gpu(B, former_slices=("MIG-5",))
    assert parts(report(cut, whole)) == {"MIG-0": A, "MIG-1": A, "MIG-5": B}


def test_which_containers_are_met() -> None:
    inside = Slice("MIG-1", "1g.10gb", processes=(Process(3, container=BOB),))
    met = report(
        Gpu(A, processes=(Process(1, container=ADA), Process(2, container=""), Process(4))),
        Gpu(B, is_mig=True, slices=(inside,)),
    )
    assert containers(met) == {ADA, BOB}


def on(container: str, busy: int | None = None) -> Process:
    return Process(1, memory_bytes=70 << 30, busy_percent=busy, container=container)


@pytest.mark.parametrize(
    ("busy", "processes", "who"),
    [
        pytest.param(40, (on(ADA),), {ADA}, id="alone"),
        pytest.param(0, (on(ADA),), set(), id="held memory is no work"),
        pytest.param(1, (on(ADA),), set(), id="noise is no work"),
        pytest.param(2, (on(ADA),), {ADA}, id="little work"),
        pytest.param(None, (on(ADA),), set(), id="nobody can tell"),
        pytest.param(40, (on(ADA, 0),), {ADA}, id="alone: the GPU's own number"),
        pytest.param(40, (on(ADA, 39), on(BOB, 0)), {ADA}, id="two: each one's own"),
        pytest.param(40, (on(ADA, 39), on(BOB, 0), on(BOB, 5)), {ADA, BOB}, id="its busiest"),
        pytest.param(40, (on(ADA), on(BOB)), {ADA, BOB}, id="two, and nobody tells them apart"),
        pytest.param(40, (on(ADA, 0), on("", 39)), set(), id="it is the machine's program"),
    ],
)
def test_who_computes(busy: int | None, processes: tuple[Process, ...], who: set[str]) -> None:
    assert computing(report(Gpu(A, busy_percent=busy, processes=processes))) == who


@pytest.mark.parametrize(("age", "old"), [(0, False), (29, False), (31, True)])
def test_a_report_gets_old(age: float, old: bool) -> None:
    assert is_old(report(), age) is old


# what can be given out

ILL = Seen(B, health=Health(Cause.LOST))
CDI = [f"nvidia.com/gpu={each}" for each in (A, B)]


@pytest.mark.parametrize(
    ("rules", "discovered", "shown", "devices"),
    [
        pytest.param({}, [], [Seen(B), Seen(A)], (Device(A), Device(B)), id="the driver's"),
        pytest.param({}, [CDI[0]], [Seen(B), Seen(A)], (Device(A, by_cdi=True), Device(B)),
                     id="the driver's before the engine's"),
        pytest.param({}, CDI, [], (Device(A, by_cdi=True), Device(B, by_cdi=True)),
                     id="nobody asks the driver"),
        pytest.param({}, [], [Seen("MIG-1")], (Device("MIG-1"),), id="a slice"),
        pytest.param({"devices": [B]}, [], [Seen(A), ILL], (Device(B, healthy=False),),
                     id="only those of the file"),
        pytest.param({"devices": ["GPU-typo"]}, [], [Seen(A)], (Device("GPU-typo", healthy=False),),
                     id="one that the driver does not know"),
        pytest.param({"share": {A: 2}}, [], [Seen(A, used_by_others=True)],
                     (Device(A, 2, used_by_others=True),), id="used by others"),
    ],
)  # fmt: skip
def test_which_can_be_given_out(
    rules: dict[str, object], discovered: list[str], shown: list[Seen], devices: tuple[Device, ...]
) -> None:
    assert inventory(Gpus.model_validate(rules), discovered, shown) == devices


@pytest.mark.parametrize("change", ["healthy", "draining", "used_by_others"])
def test_nobody_new_gets_one_that_is_kept_back(change: str) -> None:
    device = replace(Device(A), **{change: change != "healthy"})
    assert not device.leasable
    assert (kept_back((device, Device(B)), []), kept_back((device, Device(B)), [A])) == (1, 0)


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        ("", ""),
        ("0::/init.scope\n", ""),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", ""),
        (f"12:devices:/docker/{ADA}\n11:memory:/docker/{ADA}\n", ADA),
        (f"0::/system.slice/docker-{ADA}.scope\n", ADA),
        (f"0::/../docker-{ADA}.scope\n", ADA),  # seen from within another container
        (f"0::/docker/{FOREIGN}/docker/{ADA}\n", ADA),  # an engine in a container
        (f"0::/kubepods/pod1/cri-containerd-{ADA}.scope\n", ADA),
        (f"0::/machine/{ADA}0\n", ""),  # 65 digits are something else
        (f"0::/docker/{ADA}/init\n", ADA),
    ],
)
def test_in_which_container_a_process_runs(cgroup: str, container: str) -> None:
    assert container_of(cgroup) == container


def test_a_gpu_without_a_problem_is_well() -> None:
    assert Seen(A).health == WELL
    assert Seen(A).healthy
    assert not ILL.healthy
