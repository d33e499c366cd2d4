"""Command line of tests/bench/idle: processor time of a hub whose many servers do nothing.

Ours and stock run at the same time, each over a fake engine in a process of its own, and are
watched over the same seconds: first without any server ("empty"), then with all of them. Every
server is started through the hub's API and answers HTTP. What is counted is the hub's process
alone. The default of 300 s holds everything that a hub repeats, its look at the proxy's routes
every 5 minutes included. What the servers would send by themselves, a report of activity each per
5 minutes, is not in it; it is measured afterwards, for one minute ("with_reports").
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from tests.bench import fakes
from tests.bench.cpu import percents
from tests.bench.fakes import Contender
from tests.bench.figures import percentile
from tests.bench.machine import Meanwhile, clean_up_when_told_to_end, say
from tests.bench.reports import reporting

SERVERS = 1000
SECONDS = 300
EMPTY_SECONDS = 60
REPORTS_SECONDS = 60
EMPTY_SETTLE_SECONDS = 15
SETTLE_SECONDS = 60
SLICE_SECONDS = 10
AT_ONCE = 24
START_SECONDS = 120
START_PAUSE_SECONDS = 1
TARGET_PERCENT = 2.0


def fill(contender: Contender, servers: int) -> float:
    """Start all servers; return how many began per second. Fails unless the hub has them all."""
    began = time.monotonic()
    users = [f"idle{number}" for number in range(servers)]
    contender.add_users(users)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda user: start(contender, user), users))
    seconds = time.monotonic() - began
    say(f"{contender.name}: {servers} servers started in {seconds:.0f} s")
    return servers / seconds


def start(contender: Contender, user: str) -> None:
    """Start one server and wait until it is ready."""
    deadline = time.monotonic() + START_SECONDS
    answer = contender.hub.api(
        "POST", f"users/{user}/server", json=contender.options, timeout=START_SECONDS
    )
    answer.raise_for_status()
    while not contender.server(user).get("ready"):
        if time.monotonic() > deadline:
            message = f"{contender.name}: the server of {user} is not ready"
            raise TimeoutError(message)
        time.sleep(START_PAUSE_SECONDS)


def check(contender: Contender, servers: int) -> None:
    """Fail unless hub and engine agree that all servers run."""
    ready, running = contender.ready(), contender.engine.running()
    if (ready, running) != (servers, servers):
        message = (
            f"{contender.name}: {servers} servers were started, the hub calls {ready} ready, and "
            f"{running} containers run"
        )
        raise RuntimeError(message)


def watch(contenders: Sequence[Contender], seconds: int) -> dict[str, list[float]]:
    """Let nothing happen; return each hub's percent of a core, slice by slice."""
    pids = {contender.name: contender.pid for contender in contenders}
    return percents(pids, max(1, seconds // SLICE_SECONDS), SLICE_SECONDS)


def mean(slices: Sequence[float]) -> float:
    """Return all processor time by all time, in percent."""
    return round(statistics.mean(slices), 2)


def shown(slices: Sequence[float]) -> dict[str, Any]:
    """Return what is printed of one hub while nothing happens."""
    return {
        "percent_of_a_core": mean(slices),
        "slices": {
            "seconds": SLICE_SECONDS,
            "median": round(statistics.median(slices), 2),
            "p95": round(percentile(slices, 95), 2),
            "all": [round(each, 1) for each in slices],
        },
    }


def measure(contenders: Sequence[Contender], servers: int, seconds: int) -> dict[str, Any]:
    """Measure without servers, with all of them, and with what they report."""
    time.sleep(EMPTY_SETTLE_SECONDS)
    say(f"watching both without servers for {EMPTY_SECONDS} s …")
    empty = watch(contenders, EMPTY_SECONDS)
    with ThreadPoolExecutor(len(contenders)) as pool:
        rates = list(pool.map(lambda each: fill(each, servers), contenders))
    for contender in contenders:
        check(contender, servers)
        contender.meter()
    time.sleep(SETTLE_SECONDS)
    say(f"watching both with {servers} servers for {seconds} s …")
    full = watch(contenders, seconds)
    say(f"watching both with what the servers report for {REPORTS_SECONDS} s …")
    with ExitStack() as stack:
        for contender in contenders:
            stack.enter_context(reporting(list(contender.engine.environments().values())))
        reports = watch(contenders, REPORTS_SECONDS)
    for contender in contenders:
        check(contender, servers)
    return {
        contender.name: {
            **shown(full[contender.name]),
            "empty": mean(empty[contender.name]),
            "with_reports": mean(reports[contender.name]),
            "starts_per_second": round(rate, 1),
        }
        for contender, rate in zip(contenders, rates, strict=True)
    }


def bench(servers: int, seconds: int) -> dict[str, Any]:
    """Bring both up, measure, and return what is printed."""
    meanwhile = Meanwhile()
    with ExitStack() as stack:
        contenders = [stack.enter_context(each()) for each in (fakes.ours, fakes.stock)]
        sides = measure(contenders, servers, seconds)
    key = "percent_of_a_core"
    return {
        "bench": "idle",
        "engine": "fake",
        "servers": servers,
        "seconds": seconds,
        "target": {"ours": {key: TARGET_PERCENT}},
        **sides,
        "ratios": {"ours/stock": round(sides["ours"][key] / sides["stock"][key], 2)},
        "machine": meanwhile.facts(),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/idle", description=__doc__)
    parser.add_argument("-n", "--servers", type=int, default=SERVERS, help="default 1000")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="default 300")
    given = parser.parse_args()
    clean_up_when_told_to_end()
    print(json.dumps(bench(given.servers, given.seconds), indent=2))


if __name__ == "__main__":
    main()
