"""How much processor time a process has used, as the kernel counts it."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def parse(stat: str) -> int:
    """Return the ticks in user and system mode from the text of /proc/PID/stat.

    The second field is the program's name in brackets, and may hold spaces and brackets itself.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of one process, without those of its children."""
    return parse(Path(f"/proc/{pid}/stat").read_text()) / TICKS_PER_SECOND


def percents(pids: Mapping[str, int], slices: int, seconds: float) -> dict[str, list[float]]:
    """Watch processes for some slices of time; return each slice's percent of one core."""
    found: dict[str, list[float]] = {name: [] for name in pids}
    now = time.monotonic()
    used = {name: cpu_seconds(pid) for name, pid in pids.items()}
    for _ in range(slices):
        time.sleep(seconds)
        before, now = now, time.monotonic()
        for name, pid in pids.items():
            before_used, used[name] = used[name], cpu_seconds(pid)
            found[name].append(100 * (used[name] - before_used) / (now - before))
    return found
