"""Command line of tests/bench/stall: one start while five other servers are slow to stop.

Six users, five of whose containers take 10 s to stop. A round measures the sixth one's start a
few times while nothing else happens, then lets the five servers be stopped all at once and
measures as long as they are still being stopped. What counts is loaded ÷ unloaded. The sixth
server boots for half a second, about as a real one does; "extra_ms" is what the wait for the
others adds, whatever the boot takes.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench import fakes
from tests.bench.clock import click_to_ready, stop
from tests.bench.fakes import Contender
from tests.bench.figures import figures
from tests.bench.machine import Meanwhile, clean_up_when_told_to_end, say

SLOW = tuple(f"slow{number}" for number in range(5))
SIXTH = "sixth"
STOP_SECONDS = 10.0
BOOT_SECONDS = 0.45
SAMPLES = 3
TARGET = 1.2
BEGIN_SECONDS = 20
END_SECONDS = 120
PAUSE_SECONDS = 0.1


@dataclass
class Times:
    """What one contender took, round by round."""

    unloaded: list[float] = field(default_factory=list)
    loaded: list[float] = field(default_factory=list)
    by_round: list[float] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)

    def note(self, unloaded: list[float], loaded: list[float], stops: int) -> None:
        """Add a round; `stops` is how many of the five stops the engine had got at the click."""
        self.unloaded += unloaded
        self.loaded += loaded
        self.stops.append(stops)
        self.by_round.append(statistics.median(loaded) / statistics.median(unloaded))

    def shown(self) -> dict[str, Any]:
        """Return what is printed."""
        unloaded, loaded = statistics.median(self.unloaded), statistics.median(self.loaded)
        return {
            "unloaded_seconds": figures(self.unloaded),
            "loaded_seconds": figures(self.loaded),
            "stops_at_the_engine": self.stops,
            "extra_ms": round(1000 * (loaded - unloaded)),
            "loaded/unloaded": round(loaded / unloaded, 2),
            "loaded/unloaded_by_round": [round(each, 2) for each in self.by_round],
        }


def start_and_stop(contender: Contender) -> float:
    """Return the seconds of one start of the sixth server, which is stopped again."""
    contender.engine.next_server(boot_seconds=BOOT_SECONDS)
    seconds = click_to_ready(contender.hub, SIXTH, contender.options)
    stop(contender.hub, SIXTH)
    return seconds


def measure_round(contender: Contender, times: Times) -> None:
    """Measure unloaded, then loaded."""
    unloaded = [start_and_stop(contender) for _ in range(SAMPLES)]
    start_the_slow(contender)
    with being_stopped(contender) as stopping:
        stops = stopping()
        loaded: list[float] = []
        while len(loaded) < SAMPLES and stopping() and all_stop(contender):
            loaded.append(start_and_stop(contender))
    times.note(unloaded, loaded, stops)
    say(
        f"{contender.name}: unloaded {statistics.median(unloaded):.2f} s, loaded "
        f"{statistics.median(loaded):.2f} s ({len(loaded)} times), ratio {times.by_round[-1]:.2f}"
    )


def start_the_slow(contender: Contender) -> None:
    """Start the five, one after the other, so that each gets its plan."""
    for user in SLOW:
        contender.engine.next_server(stop_seconds=STOP_SECONDS)
        click_to_ready(contender.hub, user, contender.options)


@contextmanager
def being_stopped(contender: Contender) -> Any:
    """Stop the five; inside, the given function counts the stops that the engine works on."""

    def stops() -> int:
        return contender.engine.under_way("POST", r"/containers/[^/]+/stop$")

    with ThreadPoolExecutor(len(SLOW)) as pool:
        pressed = [
            pool.submit(contender.hub.api, "DELETE", f"users/{user}/server", timeout=END_SECONDS)
            for user in SLOW
        ]
        wait(lambda: all_stop(contender) and stops() > 0, BEGIN_SECONDS)
        time.sleep(PAUSE_SECONDS)
        yield stops
        for each in pressed:
            each.result().raise_for_status()
    wait(lambda: not any(contender.server(user) for user in SLOW), END_SECONDS)


def all_stop(contender: Contender) -> bool:
    """Whether the hub says of all five that they are being stopped."""
    return all(contender.server(user).get("pending") == "stop" for user in SLOW)


def wait(true: Callable[[], bool], seconds: float) -> None:
    """Wait until it is true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            message = "the five servers were not stopped as they should be"
            raise TimeoutError(message)
        time.sleep(PAUSE_SECONDS)


def measure(contender: Contender, rounds: int) -> Times:
    """Measure all rounds; one start before them warms caches and does not count."""
    contender.add_users([SIXTH, *SLOW])
    start_and_stop(contender)
    times = Times()
    for _ in range(rounds):
        measure_round(contender, times)
    return times


def bench(rounds: int, stock_rounds: int) -> dict[str, Any]:
    """Measure ours, then stock; return what is printed."""
    meanwhile = Meanwhile()
    with fakes.ours() as ours:
        mine = measure(ours, rounds)
    with fakes.stock() as stock:
        other = measure(stock, stock_rounds)
    return {
        "bench": "stall",
        "engine": "fake",
        "slow_servers": len(SLOW),
        "stop_seconds": STOP_SECONDS,
        "boot_seconds": BOOT_SECONDS,
        "target": {"ours": {"loaded/unloaded": TARGET}},
        "ours": mine.shown(),
        "stock": other.shown(),
        "machine": meanwhile.facts(),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/stall", description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=5, help="rounds of ours (default 5)")
    parser.add_argument(
        "--stock-rounds", type=int, default=2, help="rounds of stock, a minute each (default 2)"
    )
    given = parser.parse_args()
    clean_up_when_told_to_end()
    print(json.dumps(bench(given.rounds, given.stock_rounds), indent=2))


if __name__ == "__main__":
    main()
