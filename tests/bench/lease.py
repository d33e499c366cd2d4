"""Command line of tests/bench/lease: one decision of the gate, in one transaction of the store.

128 GPUs, all but one leased, and 1,000 starts that wait; each decision reads all of it, decides,
and writes. The floor is the same transaction without a decision: the runs and tickets are read,
and one ticket is written.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hub_config.schema import Config
from spawner.capacity import Facts
from spawner.devices import Device
from spawner.gate import Gate, Start, records_of
from spawner.gpu_view import Sight
from spawner.quota import Person, effective
from spawner.room import Room
from spawner.runs import Holder, Run
from spawner.store import Ledger, Store
from spawner.waiting import Waiting
from tests.bench.figures import milliseconds
from tests.bench.machine import Meanwhile

DEVICES, TICKETS, DECISIONS = 128, 1000, 200
TARGET_P99_MS = 5
GIB, HOUR = 1 << 30, 3600
CONFIG = Config.model_validate({"quotas": {"default": {"gpus": 1, "session": "12 h"}}})


def full_lab(folder: Path, tickets: int) -> Any:
    """Return a desk in front of a machine that is full, and of a long queue."""
    store = Store(f"sqlite:///{folder / 'labhub.sqlite'}")
    devices = tuple(Device(f"GPU-{number:04}") for number in range(DEVICES))
    now = datetime.now(UTC)

    def fill(ledger: Ledger) -> None:
        for number, device in enumerate(devices[:-1]):
            holder, began = Holder(f"has{number}", ""), now - timedelta(hours=number % 11)
            ledger.begin(
                Run(
                    f"run{number}", holder, "image", GIB, began, f"c{number}", cpus=1, pids=64,
                    gpus=1, devices=(device.id,), session_seconds=12 * HOUR,
                )
            )  # fmt: skip
        for number in range(tickets):
            since, asked = now - timedelta(minutes=number), HOUR * (1 + number % 12)
            ledger.wait(Waiting(Holder(f"wants{number}", ""), since, 1, 1.0, GIB, 64, asked))

    store.transact(fill)
    machine = SimpleNamespace(look=lambda _containers: Facts(1 << 45, 512))
    return SimpleNamespace(
        store=store, devices=lambda _gpus: devices, machine=machine, room=Room(), sight=Sight()
    )


def decide(desk: Any, number: int) -> None:
    """Let one of those who wait ask the gate."""
    person = Person(f"wants{number}")
    quota = effective(CONFIG, person, datetime.now().astimezone())
    start = Start(f"new{number}", "image", Holder(person.name, ""), quota, {"n": str(number)})
    Gate(desk, CONFIG, person).enter(start)


def read_and_write(desk: Any, number: int) -> None:
    """Do the same without a decision."""
    holder = Holder(f"wants{number}", "")
    desk.store.transact(lambda ledger: (records_of(ledger, desk), ledger.move(holder, 0)))


def timed(desk: Any, work: Callable[[Any, int], None], count: int) -> dict[str, Any]:
    """Return how long each of these takes."""
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        work(desk, number)
        seconds.append(time.perf_counter() - began)
    found = milliseconds(seconds)
    p99 = sorted(seconds)[int(0.99 * (count - 1))]
    kept = {key: found[key] for key in ("median", "p95")}
    return {**kept, "p99": round(1000 * p99, 1), "per_second": round(count / sum(seconds), 1)}


def bench(count: int, tickets: int) -> dict[str, Any]:
    """Measure both, and return what is printed."""
    meanwhile = Meanwhile()
    with tempfile.TemporaryDirectory() as folder:
        desk = full_lab(Path(folder), tickets)
        floor, ours = timed(desk, read_and_write, count), timed(desk, decide, count)
        desk.store.close()
    return {
        "bench": "lease",
        "devices": DEVICES,
        "tickets": tickets,
        "target": {"ours": {"p99": TARGET_P99_MS}},
        "ours_ms": ours,
        "floor_ms": floor,
        "ratios": {"ours/floor": round(ours["median"] / floor["median"], 2)},
        "machine": meanwhile.facts(),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/lease", description=__doc__)
    parser.add_argument("-n", "--decisions", type=int, default=DECISIONS)
    parser.add_argument("--tickets", type=int, default=TICKETS)
    given = parser.parse_args()
    print(json.dumps(bench(given.decisions, given.tickets), indent=2))


if __name__ == "__main__":
    main()
