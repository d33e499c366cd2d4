"""Command line of tests/bench/reload: labhub.yaml is saved; when do all running containers follow?

A hub over a fake engine in a process of its own, with many servers that run. Each round saves the
file with other numbers, in turn larger and smaller, and waits until the engine has changed every
container. The floor is the same calls to the same engine by itself, one after the other, as a
script with `docker update` would make them; stock DockerSpawner changes nothing that runs.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import docker

from tests.bench import fakes
from tests.bench.fakes import Contender
from tests.bench.figures import figures
from tests.bench.idle import AT_ONCE, start
from tests.bench.machine import Meanwhile, clean_up_when_told_to_end, say
from tests.lib.lab import Lab

SERVERS = 100
ROUNDS = 10
TARGET_SECONDS = 2.0
DEADLINE_SECONDS = 60
BEGAN = "cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256"
NUMBERS = ("cpus: 2, memory: 2 GiB, shm: 64 MiB, pids: 512", BEGAN)


class Updates:
    """The containers that the engine says it has changed."""

    def __init__(self, client: docker.DockerClient) -> None:
        """Listen from now on."""
        self._client = client
        self._changed: set[str] = set()
        self._all = threading.Event()
        self._wanted = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        filters = {"event": "update", "type": "container"}
        for event in self._client.events(filters=filters, decode=True):
            self._changed.add(event["Actor"]["ID"])
            if len(self._changed) >= self._wanted:
                self._all.set()

    @contextmanager
    def of(self, wanted: int) -> Iterator[None]:
        """Return from the block when so many were changed that began in it."""
        self._changed.clear()
        self._all.clear()
        self._wanted = wanted
        yield
        if not self._all.wait(DEADLINE_SECONDS):
            message = f"{len(self._changed)} of {wanted} containers were changed"
            raise TimeoutError(message)


def fill(contender: Contender, servers: int) -> None:
    """Start all servers."""
    users = [f"reload{number}" for number in range(servers)]
    contender.add_users(users)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda user: start(contender, user), users))
    contender.meter()


def measure(contender: Contender, servers: int, rounds: int) -> list[float]:
    """Return the seconds from the save to the last container, round by round."""
    lab, seconds = contender.hub, []
    if not isinstance(lab, Lab):
        raise TypeError("only a labhub has a labhub.yaml")
    updates = Updates(contender.client())
    for number in range(rounds):
        with updates.of(servers):
            began = time.monotonic()
            lab.dir.save_default(NUMBERS[number % len(NUMBERS)])
        seconds.append(time.monotonic() - began)
        say(f"round {number + 1}: {seconds[-1]:.2f} s")
    return seconds


def floor(contender: Contender) -> float:
    """Return the seconds that the engine alone takes to change all of them, one by one."""
    client = contender.client()
    boxes = [each["Id"] for each in client.api.containers()]
    began = time.monotonic()
    for box in boxes:
        client.api.update_container(
            box, cpu_quota=150_000, mem_limit=1 << 30, memswap_limit=1 << 30
        )
    return time.monotonic() - began


def bench(servers: int, rounds: int) -> dict[str, Any]:
    """Measure; return what is printed."""
    meanwhile = Meanwhile()
    with fakes.ours() as ours:
        fill(ours, servers)
        seconds = measure(ours, servers, rounds)
        alone = floor(ours)
    return {
        "bench": "reload",
        "engine": "fake",
        "servers": servers,
        "target": {"ours": {"seconds": TARGET_SECONDS}},
        "ours": {"seconds": figures(seconds)},
        "floor": {"seconds": round(alone, 3)},
        "ours/floor": round(statistics.median(seconds) / alone, 2),
        "machine": meanwhile.facts(),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/reload", description=__doc__)
    parser.add_argument("-n", "--rounds", type=int, default=ROUNDS, help="saves (default 10)")
    parser.add_argument("--servers", type=int, default=SERVERS, help="servers (default 100)")
    given = parser.parse_args()
    clean_up_when_told_to_end()
    print(json.dumps(bench(given.servers, given.rounds), indent=2))


if __name__ == "__main__":
    main()
