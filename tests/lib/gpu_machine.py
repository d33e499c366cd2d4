"""A machine whose GPUs are made up: the driver's double, the kernel's files, the real monitor."""

import shutil
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from spawner.gpu_monitor import FILE, read
from spawner.gpu_readings import Gpu, Report
from tests.lib.node import ROOT
from tests.lib.nvml_double import NvmlDouble
from tests.lib.processes import Process

INTERVAL_SECONDS = 0.1


class GpuMachine:
    """One machine and one monitor on it, which ends with the block."""

    def __init__(
        self, folder: Path, reports: Path, proc: Path, *, without: Collection[str] = ()
    ) -> None:
        """Make a machine with a driver and no GPU; reports go into a folder of their own."""
        self.folder, self.reports, self.proc = folder, reports, proc
        for each in (folder, reports, proc):
            each.mkdir(parents=True, exist_ok=True)
        self.driver = NvmlDouble(folder, without)
        argv = [
            sys.executable, "-m", "spawner.gpu_monitor", "--state-dir", str(reports),
            "--proc", str(proc), "--interval", str(INTERVAL_SECONDS),
        ]  # fmt: skip
        self.monitor = Process("gpu-monitor", argv, folder / "monitor.log")

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the monitor; print its log when the block failed."""
        self.monitor.end()
        if kind is not None:
            print(self.monitor.tail(), file=sys.stderr)

    def start(self) -> None:
        """Start the monitor, and wait for its first report."""
        old = self.stamp()
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **self.driver.environment}
        self.monitor.start(environment, ROOT)
        self.monitor.wait_for(lambda: self.stamp() != old)

    def lists(self, *devices: str) -> None:
        """Let the kernel list these, as `gpus/ADDRESS` and `capabilities/gpu0/mig/gi1/ci0`."""
        folder = self.proc / "driver" / "nvidia"
        shutil.rmtree(folder, ignore_errors=True)
        for each in devices:
            (folder / each).mkdir(parents=True)

    def runs(self, pid: int, cgroup: str) -> None:
        """Let a process run in this cgroup."""
        (self.proc / str(pid)).mkdir(exist_ok=True)
        (self.proc / str(pid) / "cgroup").write_text(f"0::{cgroup}\n")

    def ends(self, pid: int) -> None:
        """Let a process end."""
        shutil.rmtree(self.proc / str(pid))

    def stamp(self) -> float:
        """Return when the last report was made, 0 where there is none."""
        return read(self.reports).at if (self.reports / FILE).exists() else 0.0

    def report(self) -> Report:
        """Return the last report."""
        return read(self.reports)

    def gpus(self) -> dict[str, Gpu]:
        """Return the GPUs of the last report, by UUID."""
        return {each.uuid: each for each in self.report().reading.gpus}

    def until(self, true: Callable[[Report], object], seconds: float = 10) -> Report:
        """Wait for a report of which this is true, and return it."""
        deadline = time.monotonic() + seconds
        while not true(report := self.report()):
            if time.monotonic() > deadline:
                message = f"not within {seconds} s; the last one: {report}"
                raise TimeoutError(message)
            time.sleep(0.02)
        return report

    def trail(self, value: Callable[[Report], object], last: object) -> list[object]:
        """Return each value that reports had from now on until the last one, without repetition."""
        seen: list[object] = []
        while not seen or seen[-1] != last:
            found = value(self.until(lambda report: not seen or value(report) != seen[-1]))
            seen.append(found)
        return seen
