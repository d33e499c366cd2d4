"""The GPU monitor: probes the GPUs again and again, and writes what it finds for the hub.

python -m spawner.gpu_monitor --state-dir DIR [--interval 5] [--proc /proc]

A process of its own, because a call to the driver may hang for ever and nothing ends it: then the
report only gets old. It writes `gpus.json` whole or not at all, begins with what the last one knew
of each GPU's health, and ends by SIGTERM at any moment, also within a call that hangs. It ends by
itself when a GPU or a slice was added: only a container that begins anew gets its device.
"""

import argparse
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from spawner.gpu_health import follow
from spawner.gpu_readings import Process, Reading, Report, UnreadableError, decode, encode

FILE = "gpus.json"
INTERVAL_SECONDS, MOST_SECONDS = 5.0, 3600.0
_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

log = logging.getLogger(__name__)


class Source(Protocol):
    """Whatever knows the GPUs."""

    def read(self) -> Reading:
        """Return what there is at this moment."""

    def kernel_devices(self) -> Collection[str]:
        """Return names of the GPUs that the kernel has, and of their slices."""


class Monitor:
    """Probes, and writes. Nothing that goes wrong with one probe ends it."""

    def __init__(self, source: Source, folder: Path, proc_dir: Path, interval: float) -> None:
        """Remember what the last report knew."""
        self._source, self._folder, self._proc_dir = source, folder, proc_dir
        self._interval = interval
        self._last = self._remembered()
        self._kernel = frozenset(source.kernel_devices())

    def run(self, pause: Callable[[float], None] = time.sleep) -> None:
        """Probe until a GPU or a slice is added."""
        while True:
            self.probe()
            if not frozenset(self._source.kernel_devices()) <= self._kernel:
                log.info(
                    "A GPU or a slice was added: ending, so that a new container gets its device."
                )
                return
            pause(self._interval)

    def probe(self) -> None:
        """Look once, and write what was found."""
        try:
            reading = self._source.read()
        except Exception as error:  # nothing may end this
            log.exception("Unexpected, while reading the GPUs")
            reading = Reading(trouble=f"unexpected: {error!r}")
        if reading.trouble != self._last.trouble:
            log.warning("%s", reading.trouble or "NVML answers.")
        self._last = self._located(follow(self._last.gpus, reading))
        try:
            write(self._folder, Report(time.time(), self._interval, self._last))
        except OSError as error:
            log.warning("%s cannot be written: %s", self._folder / FILE, error)

    def _remembered(self) -> Reading:
        try:
            return read(self._folder).reading
        except FileNotFoundError:
            return Reading()
        except (OSError, UnreadableError) as error:
            log.warning("What the last report knew is lost: %s", error)
            return Reading()

    def _located(self, reading: Reading) -> Reading:
        """Return a reading that says in which container each process runs."""

        def located(processes: Sequence[Process]) -> tuple[Process, ...]:
            return tuple(replace(p, container=self._container(p)) for p in processes)

        gpus = tuple(
            replace(
                gpu,
                processes=located(gpu.processes),
                slices=tuple(replace(s, processes=located(s.processes)) for s in gpu.slices),
            )
            for gpu in reading.gpus
        )
        return replace(reading, gpus=gpus)

    def _container(self, process: Process) -> str | None:
        try:
            text = (self._proc_dir / str(process.pid) / "cgroup").read_text("utf-8", "replace")
        except OSError:
            return process.container
        return container_of(text)


def container_of(cgroup: str) -> str:
    """Return the container that a /proc/PID/cgroup tells of, "" for none.

    Docker names it by its id, whoever makes the cgroups: `/docker/ID` or `docker-ID.scope`. Of one
    in another the inner one counts.
    """
    found = _CONTAINER.findall(cgroup)
    return found[-1] if found else ""


def write(folder: Path, report: Report) -> None:
    """Put a report where `read` finds it, whole or not at all; raises OSError."""
    new = folder / f".{FILE}.new"
    new.write_text(encode(report), encoding="utf-8")
    new.chmod(0o644)
    new.replace(folder / FILE)


def read(folder: Path) -> Report:
    """Return the last report; raises OSError and UnreadableError."""
    return decode((folder / FILE).read_text("utf-8", "replace"))


def _seconds(text: str) -> float:
    """Return a number of seconds to sleep; raises ValueError."""
    seconds = float(text)
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(text)
    return seconds


def main() -> None:
    """Run the monitor."""
    parser = argparse.ArgumentParser(prog="python -m spawner.gpu_monitor", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--interval", type=_seconds, default=INTERVAL_SECONDS)
    parser.add_argument("--proc", type=Path, default=Path(os.environ.get("LABHUB_PROC", "/proc")))
    wanted = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    from spawner.nvml import Nvml  # noqa: PLC0415 - the hub reads reports without a driver

    Monitor(Nvml(wanted.proc), wanted.state_dir, wanted.proc, wanted.interval).run()


if __name__ == "__main__":
    main()
