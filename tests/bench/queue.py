"""Command line of tests/bench/queue: traces of crowded servers, replayed through each policy.

Every seed makes one trace for each load, number of devices and shape (tests/lib/traces.py). A ratio
is ours divided by that of the strict line on the same trace; the target is one for each trace.
Where nearly nobody wants several devices a strict line wastes little: low loads miss it there.
Of those where nobody does, `shortest` is about what could be had with run times known, and how
many would starve for it.
"""

import argparse
import json
import statistics
import time
from itertools import product
from typing import Any

from hub_config.schema import Gpus
from spawner.lease import rules
from spawner.simulation import Lab, fifo, ours, static
from spawner.simulation_figures import Figures, figures
from tests.bench.machine import say
from tests.bench.shortest import shortest_first
from tests.lib.traces import LOADS, SHAPES, trace

REQUESTS = 2000
SEEDS = 10
DEVICES = (4, 8)
TARGET = {"mean_wait": 0.3, "starved": 0, "utilisation": 1.0}


def compare(
    seed: int, count: int, devices: int, load: float, shape: str = "mixed"
) -> dict[str, Any]:
    """Return what the policies made of one trace."""
    requests = trace(seed, count, devices, load, shape=shape)
    line = fifo(requests, devices)
    began = time.monotonic()
    starts = ours(requests, Lab(devices, rules(Gpus())))
    took = time.monotonic() - began
    played = {"ours": starts, "fifo": line, "static": static(requests, devices)}
    if all(each.gpus == 1 for each in requests):
        played["shortest"] = shortest_first(requests, devices)
    found: dict[str, Figures] = {
        name: figures(name, requests, each, line, devices) for name, each in played.items()
    }
    return {
        "shape": shape,
        "seed": seed,
        "devices": devices,
        "load": load,
        "fifo_mean_wait_h": round(found["fifo"].mean_wait_s / 3600, 1),
        "ratios": {
            name: {**_ratios(each, found["fifo"]), "starved": each.starved}
            for name, each in found.items()
            if name != "fifo"
        },
        "starved": found["ours"].starved,
        "double_leases": found["ours"].double_leases,
        "jain": {name: round(each.jain, 2) for name, each in found.items()},
        "took_seconds": round(took, 2),
    }


def _ratios(one: Figures, line: Figures) -> dict[str, float]:
    return {
        "mean_wait": round(one.mean_wait_s / line.mean_wait_s, 3),
        "p95_wait": round(one.p95_wait_s / line.p95_wait_s, 3),
        "max_wait": round(one.max_wait_s / line.max_wait_s, 3),
        "slowdown": round(one.mean_bounded_slowdown / line.mean_bounded_slowdown, 3),
        "utilisation": round(one.utilisation / line.utilisation, 3),
    }


def bench(count: int, seeds: int) -> dict[str, Any]:
    """Replay every trace, and return what is printed."""
    traces = []
    for shape, seed, devices, load in product(SHAPES, range(1, seeds + 1), DEVICES, LOADS):
        traces.append(compare(seed, count, devices, load, shape))
        found = traces[-1]["ratios"]["ours"]
        say(f"{shape}, seed {seed}, {devices} devices, load {load}: {found}")
    return {
        "bench": "queue",
        "requests": count,
        "target": {"ours/fifo": TARGET},
        "starved": sum(each["starved"] for each in traces),
        "double_leases": sum(each["double_leases"] for each in traces),
        "shapes": {shape: by_load(traces, shape) for shape in SHAPES},
        "traces": traces,
    }


def by_load(traces: list[dict[str, Any]], shape: str) -> dict[str, dict[str, float]]:
    """Return the middle and the worst of all traces of a shape, for each load."""
    found = {}
    for load in LOADS:
        mine = [each for each in traces if (each["shape"], each["load"]) == (shape, load)]
        means = [each["ratios"]["ours"]["mean_wait"] for each in mine]
        shortest = [each["ratios"]["shortest"] for each in mine if "shortest" in each["ratios"]]
        found[str(load)] = {
            "mean_wait_median": round(statistics.median(means), 3),
            "mean_wait_worst": max(means),
            "utilisation_worst": min(each["ratios"]["ours"]["utilisation"] for each in mine),
            "starved": sum(each["starved"] for each in mine),
        }
        if shortest:
            found[str(load)] |= {
                "shortest_mean_wait_worst": max(each["mean_wait"] for each in shortest),
                "shortest_utilisation_worst": min(each["utilisation"] for each in shortest),
                "shortest_starved": sum(each["starved"] for each in shortest),
            }
    return found


def main() -> None:
    """Read the command line, replay, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/queue", description=__doc__)
    parser.add_argument("-n", "--requests", type=int, default=REQUESTS, help="default 2000")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="default 10")
    given = parser.parse_args()
    print(json.dumps(bench(given.requests, given.seeds), indent=2))


if __name__ == "__main__":
    main()
