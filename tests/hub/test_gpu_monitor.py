"""The real monitor and the real nvidia-ml-py, over a driver library that the tests make up."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from spawner.gpu_health import GOOD_PROBES
from spawner.gpu_monitor import FILE
from spawner.gpu_readings import WELL, Cause, Gpu, Health, Process, Reading, Report, Slice
from tests.lib.gpu_machine import INTERVAL_SECONDS, GpuMachine
from tests.lib.nvml_double import DRIVER, H100, gpu, mig_slice

A, B = "GPU-aaaaaaaa-0000", "GPU-bbbbbbbb-0000"
ADA, FOREIGN = "a" * 64, "f" * 64
EIGHT = [gpu(f"GPU-{number}", minor=number, used=number) for number in range(8)]
MIB, GIB = 1 << 20, 1 << 30
Make = Callable[..., GpuMachine]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a machine; its monitor ends with the test."""
    with ExitStack() as stack:

        def make(**how: Any) -> GpuMachine:
            folders = (tmp_path / name for name in ("driver", "state", "proc"))
            return stack.enter_context(GpuMachine(*folders, **how))

        yield make


@pytest.fixture
def machine(make: Make) -> GpuMachine:
    """A machine with a driver that knows everything."""
    return make()


def gpus_of(report: Report) -> tuple[Gpu, ...]:
    return report.reading.gpus


def health_of(uuid: str) -> Callable[[Report], Health | None]:
    def health(report: Report) -> Health | None:
        return next((each.health for each in gpus_of(report) if each.uuid == uuid), None)

    return health


def comes_back(machine: GpuMachine, cause: Cause, number: int) -> bool:
    """Whether A gets well again step by step; a busy machine may miss a step, but adds none."""
    began, steps = time.monotonic(), [Health(cause, number, good) for good in range(GOOD_PROBES)]
    trail = machine.trail(health_of(A), WELL)
    took = time.monotonic() - began
    seen = [each for each in (*steps, WELL) if each in trail]
    return trail == seen and len(seen) > 1 and took > (GOOD_PROBES - 2) * INTERVAL_SECONDS


def test_eight_gpus(machine: GpuMachine) -> None:
    machine.driver.says(*EIGHT)
    machine.start()
    report = machine.report()
    assert report.reading == Reading(
        tuple(
            Gpu(f"GPU-{number}", H100, number, 80 * GIB, number * MIB, 0, 0) for number in range(8)
        ),
        DRIVER,
    )
    assert (report.interval_seconds, abs(report.at - time.time()) < 5) == (INTERVAL_SECONDS, True)
    assert (machine.reports / FILE).stat().st_mode & 0o777 == 0o644
    assert [each.name for each in machine.reports.iterdir() if each.name != FILE] in (
        [], [f".{FILE}.new"],
    )  # fmt: skip


def test_numbers_are_read_anew_each_time(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A, used=100, busy=0))
    machine.start()
    machine.driver.says(gpu(A, used=200, busy=97), f"proc {A} 11 150", f"busy {A} 11 90")
    machine.runs(11, f"/docker/{ADA}")
    [found] = gpus_of(machine.until(lambda report: gpus_of(report)[0].processes))
    assert (found.used_bytes, found.busy_percent) == (200 * MIB, 97)
    assert found.processes == (Process(11, 150 * MIB, 90, ADA),)


def test_slices_and_another_partition_of_the_same_gpu(machine: GpuMachine) -> None:
    busy = [f"proc {A} 11 -1", "proc MIG-2 12 -1"]
    machine.runs(12, f"/system.slice/docker-{ADA}.scope")
    machine.driver.says(gpu(A), f"mig {A}", mig_slice("MIG-1", A), mig_slice("MIG-2", A), *busy)
    machine.start()
    part = f"{H100} MIG 1g.10gb"
    slices = (
        Slice("MIG-1", part, 10 * GIB, 0),
        Slice("MIG-2", part, 10 * GIB, 0, (Process(12, container=ADA),)),
    )
    [found] = machine.report().reading.gpus
    assert (found.is_mig, found.busy_percent, found.slices) == (True, None, slices)
    machine.driver.says(gpu(A), f"mig {A}", mig_slice("MIG-3", A, used=5))
    other = (Slice("MIG-3", part, 10 * GIB, 5 * MIB),)
    machine.until(lambda report: gpus_of(report)[0].slices == other)
    machine.driver.says(gpu(A, busy=3))
    machine.until(lambda report: (gpus_of(report)[0].is_mig, gpus_of(report)[0].slices)
                  == (False, ()))  # fmt: skip


@pytest.mark.parametrize(
    "fallen",
    [
        pytest.param([gpu(A), f"lost {A}"], id="the driver knows it and cannot reach it"),
        pytest.param([], id="the driver does not know it any more"),
        pytest.param([gpu(A), "answer nvmlDeviceGetMemoryInfo 999"], id="unknown error"),
        pytest.param([gpu(A), "answer nvmlDeviceGetMemoryInfo 6"], id="not found"),
        pytest.param([gpu(A), "answer nvmlDeviceGetHandleByIndex_v2 28"], id="GPU not found"),
    ],
)
def test_a_gpu_that_falls_off_the_bus_comes_back_after_three_probes(
    machine: GpuMachine, fallen: list[str]
) -> None:
    machine.driver.says(gpu(A), gpu(B))
    machine.start()
    machine.driver.says(*fallen, gpu(B))
    if "answer" in "".join(fallen):
        machine.driver.says(*fallen)  # it hits every GPU
    report = machine.until(lambda report: health_of(A)(report) == Health(Cause.LOST))
    lost = next(each for each in gpus_of(report) if each.uuid == A)
    assert (lost.model, lost.memory_bytes, lost.is_lost) == (H100, 80 * GIB, True)
    machine.driver.says(gpu(A), gpu(B))
    assert comes_back(machine, Cause.LOST, 0)


@pytest.mark.parametrize("code", [2, 4, 999], ids=["invalid", "forbidden", "unknown error"])
@pytest.mark.parametrize(
    "name",
    [
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetMigMode",
    ],
)
def test_what_the_driver_does_not_tell_is_not_nothing(
    machine: GpuMachine, name: str, code: int
) -> None:
    says = [gpu(A), f"proc {A} 11 1"]
    machine.driver.says(*says)
    machine.start()
    machine.driver.says(*says, f"answer {name} {code}")
    machine.until(lambda report: health_of(A)(report) == Health(Cause.LOST))
    [known] = machine.report().reading.gpus
    assert (known.is_mig, [each.pid for each in known.processes]) == (False, [11])


@pytest.mark.parametrize(
    "fault",
    [
        "nvmlDeviceGetMigMode 999",
        "nvmlDeviceGetMaxMigDeviceCount 999",
        "nvmlDeviceGetMigDeviceHandleByIndex 999",
        "nvmlDeviceGetComputeRunningProcesses_v3 999",
    ],
)
def test_slices_that_the_driver_does_not_tell_of_stay(machine: GpuMachine, fault: str) -> None:
    says = [gpu(A), f"mig {A}", mig_slice("MIG-1", A), "proc MIG-1 12 -1"]
    machine.driver.says(*says)
    machine.start()
    [before] = machine.report().reading.gpus
    machine.driver.says(*says, f"answer {fault}")
    machine.until(lambda report: health_of(A)(report) == Health(Cause.LOST))
    [known] = machine.report().reading.gpus
    assert (known.is_mig, known.slices) == (True, before.slices)
    assert [each.pid for each in known.slices[0].processes] == [12]


def test_who_may_not_see_all_programs_of_a_gpu_sees_those_of_its_slices(
    machine: GpuMachine,
) -> None:
    forbidden = "answer nvmlDeviceGetGraphicsRunningProcesses_v3 4"
    machine.driver.says(gpu(A), f"mig {A}", forbidden)
    machine.start()
    [known] = machine.report().reading.gpus
    assert (known.health, known.processes) == (WELL, ())


def test_programs_that_draw_use_a_gpu_too(machine: GpuMachine) -> None:
    both = [f"proc {A} 11 150", f"draw {A} 11 150"]
    machine.driver.says(gpu(A), *both, f"draw {A} 12 4", f"busy {A} 12 3")
    machine.start()
    computes, draws = Process(11, 150 * MIB, 0), Process(12, 4 * MIB, 3)
    assert machine.gpus()[A].processes == (computes, draws)


def test_only_the_gpu_that_fell_is_in_quarantine(machine: GpuMachine) -> None:
    machine.driver.says(*EIGHT)
    machine.start()
    machine.driver.says(*EIGHT, "lost GPU-5")
    report = machine.until(lambda report: health_of("GPU-5")(report) != WELL)
    assert [each.uuid for each in gpus_of(report) if each.health != WELL] == ["GPU-5"]


def test_a_xid_is_told_once_and_a_programs_own_not_at_all(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A), gpu(B), f"xid {A} 48")  # of before the monitor: nobody is told
    machine.start()
    assert health_of(A)(machine.report()) == WELL
    machine.driver.says(gpu(A), gpu(B), f"xid {A} 48", f"xid {B} 31", f"xid {A} 79")
    machine.until(lambda report: health_of(A)(report) != WELL)
    assert comes_back(machine, Cause.XID, 79)
    assert health_of(B)(machine.report()) == WELL
    assert "Xid 31 on GPU-bbbb" in machine.monitor.tail()


def test_uncorrected_errors_of_the_memory_count_until_the_reset(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A, ecc=2))
    machine.start()
    assert health_of(A)(machine.report()) == Health(Cause.ECC, 2)
    time.sleep(5 * INTERVAL_SECONDS)
    assert health_of(A)(machine.report()) == Health(Cause.ECC, 2)
    machine.driver.says(gpu(A))
    assert comes_back(machine, Cause.ECC, 2)


def test_a_monitor_that_was_killed_remembers_who_is_in_quarantine(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A), gpu(B))
    machine.start()
    machine.driver.says(gpu(B))
    machine.until(lambda report: health_of(A)(report) == Health(Cause.LOST))
    machine.monitor.end(kill=True)
    machine.start()
    assert health_of(A)(machine.report()) == Health(Cause.LOST)
    assert health_of(B)(machine.report()) == WELL


ONE, TWO = "gpus/0000:01:00.0", "gpus/0000:02:00.0"
PART, PARTS = "capabilities/gpu0/mig/gi7/ci0", "capabilities/gpu0/mig/gi8/ci0"


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        pytest.param([ONE], [gpu(A), gpu(B)], [ONE, TWO], id="a GPU"),
        pytest.param(
            [ONE, PART], [gpu(A), f"mig {A}", mig_slice("MIG-1", A)], [ONE, PARTS], id="a slice"
        ),
    ],
)
def test_what_is_added_while_the_machine_runs(
    machine: GpuMachine, before: list[str], lines: list[str], after: list[str]
) -> None:
    machine.lists(*before)
    machine.driver.says(gpu(A))
    machine.start()
    machine.driver.says(*lines)
    machine.lists(*after)
    # Docker starts it anew, and only then its container has the new device.
    deadline = time.monotonic() + 10
    while machine.monitor.ended is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert machine.monitor.ended == 0
    machine.start()
    assert sum(1 + len(each.slices) for each in machine.gpus().values()) == 2
    time.sleep(3 * INTERVAL_SECONDS)
    assert machine.monitor.ended is None


def test_a_gpu_that_is_taken_out_ends_nothing(machine: GpuMachine) -> None:
    machine.lists(ONE, TWO)
    machine.driver.says(gpu(A), gpu(B))
    machine.start()
    machine.driver.says(gpu(A))
    machine.lists(ONE)
    machine.until(lambda report: health_of(B)(report) == Health(Cause.LOST))
    machine.driver.says(gpu(A), gpu(B))
    machine.lists(ONE, TWO)
    machine.until(lambda report: health_of(B)(report) == WELL)
    assert machine.monitor.ended is None


def test_where_programs_run(machine: GpuMachine) -> None:
    machine.runs(1, "/init.scope")
    machine.runs(2, f"/docker/{ADA}")
    machine.runs(3, f"/../docker-{FOREIGN}.scope")
    machine.driver.says(gpu(A), *(f"proc {A} {pid} 1" for pid in (1, 2, 3, 4)))
    machine.start()
    where = {each.pid: each.container for each in machine.gpus()[A].processes}
    assert where == {1: "", 2: ADA, 3: FOREIGN, 4: None}
    machine.ends(2)  # it ends before the driver has noticed
    machine.until(lambda report: gpus_of(report)[0].processes[1].container is None)


def test_a_thousand_programs(machine: GpuMachine) -> None:
    pids = range(1000, 2000)
    machine.driver.says(gpu(A), *(f"proc {A} {pid} 1" for pid in pids))
    machine.start()
    assert [each.pid for each in machine.gpus()[A].processes] == list(pids)


# old drivers and broken ones

ALL = Gpu(A, H100, 3, 80 * GIB, 7 * MIB, 5, 0, processes=(Process(11, MIB, 4),))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nvmlDeviceGetUtilizationRates", {"busy_percent": None}),
        ("nvmlDeviceGetMemoryInfo", {"memory_bytes": None, "used_bytes": None}),
        ("nvmlDeviceGetTotalEccErrors", {"ecc_errors": None}),
        ("nvmlDeviceGetMinorNumber", {"minor": None}),
        ("nvmlDeviceGetName", {"model": ""}),
        ("nvmlDeviceGetMigMode", {}),
        ("nvmlDeviceGetProcessUtilization", {"processes": (Process(11, MIB),)}),
        ("nvmlDeviceGetComputeRunningProcesses_v3", {"processes": ()}),
        ("nvmlDeviceGetGraphicsRunningProcesses_v3", {}),
        ("nvmlEventSetCreate", {}),
        ("nvmlDeviceRegisterEvents", {}),
        ("nvmlSystemGetDriverVersion", {}),
        ("nvmlShutdown", {}),
    ],
)
@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "not supported"])
def test_what_a_driver_does_not_know_is_not_told(
    make: Make, name: str, known: dict[str, object], is_missing: bool
) -> None:
    machine = make(without=[name] if is_missing else [])
    fault = [] if is_missing else [f"answer {name} 3"]
    lines = [gpu(A, minor=3, used=7, busy=5), f"proc {A} 11 1", f"busy {A} 11 4", *fault]
    machine.driver.says(*lines)
    machine.start()
    driver = "" if name == "nvmlSystemGetDriverVersion" else DRIVER
    facts = {each: getattr(ALL, each) for each in Gpu.__dataclass_fields__} | known
    assert machine.report().reading == Reading((Gpu(**facts),), driver)


def test_a_machine_without_the_library(machine: GpuMachine) -> None:
    (machine.folder / "libnvidia-ml.so.1").unlink()
    machine.start()
    assert machine.report().reading == Reading(
        trouble="no NVML here: this machine or this container has no libnvidia-ml.so.1"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("answer nvmlInitWithFlags 9", "no NVML here: NVIDIA's driver is not loaded"),
        ("answer nvmlInitWithFlags 18", "NVML: "),  # the driver was upgraded, and not loaded anew
        ("answer nvmlDeviceGetCount_v2 999", "NVML: "),
    ],
)
def test_a_driver_that_is_silent_for_a_while_changes_nothing(
    machine: GpuMachine, fault: str, said: str
) -> None:
    machine.driver.says(gpu(A, busy=50), f"proc {A} 11 1")
    machine.start()
    machine.lists(ONE)  # so that the library is opened anew
    machine.monitor.end()
    machine.start()
    machine.driver.says(gpu(A), fault)
    machine.lists()
    report = machine.until(lambda report: report.reading.trouble)
    assert report.reading.trouble.startswith(said)
    [known] = report.reading.gpus
    assert (known.health, known.busy_percent, len(known.processes)) == (WELL, None, 1)
    machine.driver.says(gpu(A, busy=60))
    machine.until(lambda report: (report.reading.trouble, gpus_of(report)[0].busy_percent)
                  == ("", 60))  # fmt: skip


def test_a_call_that_hangs_makes_the_report_old_and_the_monitor_ends_all_the_same(
    machine: GpuMachine,
) -> None:
    machine.driver.says(gpu(A))
    machine.start()
    machine.driver.says(gpu(A), "hang nvmlDeviceGetMemoryInfo")
    time.sleep(3 * INTERVAL_SECONDS)
    stamp = machine.stamp()
    time.sleep(5 * INTERVAL_SECONDS)
    assert machine.stamp() == stamp
    began = time.monotonic()
    machine.monitor.end(grace_seconds=10)
    assert time.monotonic() - began < 5
    machine.driver.says(gpu(A))
    machine.start()
    assert machine.stamp() > stamp


def test_it_ends_by_sigterm(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A))
    machine.start()
    os.kill(machine.monitor.pid, signal.SIGTERM)
    deadline = time.monotonic() + 5
    while machine.monitor.ended is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert machine.monitor.ended == -signal.SIGTERM


def test_no_room_on_the_disk_ends_nothing(machine: GpuMachine) -> None:
    machine.driver.says(gpu(A))
    machine.start()
    blocked = machine.reports / f".{FILE}.new"
    while True:  # the monitor may be about to write
        blocked.unlink(missing_ok=True)
        try:
            blocked.mkdir()
            break
        except FileExistsError:
            continue
    stamp = machine.stamp()
    time.sleep(5 * INTERVAL_SECONDS)
    assert (machine.stamp(), machine.monitor.ended) == (stamp, None)
    blocked.rmdir()
    machine.until(lambda report: report.at > stamp)


@pytest.mark.parametrize("text", ["", "{", '{"version": 99}', "[1]"])
def test_a_report_that_was_damaged_is_written_anew(machine: GpuMachine, text: str) -> None:
    (machine.reports / FILE).write_text(text)
    machine.driver.says(gpu(A))
    environment = {**os.environ, **machine.driver.environment}
    machine.monitor.start(environment, Path(__file__).parents[2])
    machine.monitor.wait_for(lambda: (machine.reports / FILE).read_text() != text)
    assert set(machine.gpus()) == {A}


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "soon", "1e9"])
def test_an_interval_must_be_one(tmp_path: Path, interval: str) -> None:
    argv = ["python", "-m", "spawner.gpu_monitor", "--state-dir", str(tmp_path)]
    done = subprocess.run(
        [*argv, "--interval", interval], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--interval" in done.stderr
