"""Command line of tests/bench/idle: processor time of a hub whose many servers do nothing.

Ours and stock run at the same time, each over a fake engine in a process of its own, and are
watched over the same seconds: first without any server ("empty"), then with all of them. Every
server is started through the hub's API and answers HTTP. What is counted is the hub's process
alone. The default of 300 s holds everything that a hub repeats, its look at the proxy's routes
every 5 minutes included. Not in it is what the servers themselves would send: a report of
activity each per 5 minutes, whose cost is the same for both.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import requests

from tests.bench import fakes
from tests.bench.cpu import percents
from tests.bench.fakes import Contender
from tests.bench.figures import percentile
from tests.bench.machine import Meanwhile, say

SERVERS = 1000
SECONDS = 300
EMPTY_SECONDS = 60
SETTLE_SECONDS = 45
SLICE_SECONDS = 10
AT_ONCE = 8
START_SECONDS = 120
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
    answer = contender.hub.api(
        "POST", f"users/{user}/server", json=contender.options, timeout=START_SECONDS
    )
    deadline = time.monotonic() + START_SECONDS
    while answer.status_code != requests.codes.created:
        if answer.status_code >= requests.codes.bad_request or time.monotonic() > deadline:
            message = f"{contender.name}: {user} did not start: {answer.text[:500]}"
            raise RuntimeError(message)
        time.sleep(1)
        ready = contender.server(user).get("ready")
        answer.status_code = requests.codes.created if ready else answer.status_code


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


def shown(slices: Sequence[float]) -> dict[str, Any]:
    """Return what is printed of one hub; the mean is all processor time by all time."""
    return {
        "percent_of_a_core": round(statistics.mean(slices), 2),
        "slices": {
            "seconds": SLICE_SECONDS,
            "median": round(statistics.median(slices), 2),
            "p95": round(percentile(slices, 95), 2),
            "all": [round(each, 1) for each in slices],
        },
    }


def measure(contenders: Sequence[Contender], servers: int, seconds: int) -> dict[str, Any]:
    """Measure without servers and with all of them."""
    time.sleep(SETTLE_SECONDS / 3)
    say(f"watching both without servers for {EMPTY_SECONDS} s …")
    empty = watch(contenders, EMPTY_SECONDS)
    with ThreadPoolExecutor(len(contenders)) as pool:
        rates = list(pool.map(lambda each: fill(each, servers), contenders))
    time.sleep(SETTLE_SECONDS)
    for contender in contenders:
        check(contender, servers)
    time.sleep(SLICE_SECONDS)
    say(f"watching both with {servers} servers for {seconds} s …")
    full = watch(contenders, seconds)
    for contender in contenders:
        check(contender, servers)
    return {
        contender.name: {
            **shown(full[contender.name]),
            "empty_percent_of_a_core": round(statistics.mean(empty[contender.name]), 2),
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
    print(json.dumps(bench(given.servers, given.seconds), indent=2))


if __name__ == "__main__":
    main()
