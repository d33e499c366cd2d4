"""Command line of tests/bench/death: from `docker kill` to the moment when the hub knows.

The clock begins before the engine is asked to send SIGKILL, and ends with the first answer of the
hub's API that no longer calls the server ready; nothing is subtracted. The engine's own `die`
event, as it reaches this process, is the floor. Stock polls each server every 30 s: several are
killed at moments spread over one such interval.
"""

import argparse
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import docker
from docker.errors import DockerException

from tests.bench import fakes
from tests.bench.clock import Bearer
from tests.bench.figures import milliseconds
from tests.bench.machine import Meanwhile, clean_up_when_told_to_end, say
from tests.bench.mortal import Death, Dying, Mortal, begin, finish, revive, watch
from tests.bench.ours import engine_facts
from tests.bench.stock.hub import LOCAL_ENGINE, Stock
from tests.lib.images import build
from tests.lib.real_lab import RealLab
from tests.lib.small_servers import SERVER, quick_bundle

USER = "bench0"
TARGET_MS = 100
PAUSE_SECONDS = 0.01
STOCK_POLL_SECONDS = 30
STOCK_PAUSE_SECONDS = 0.05


def real_engine() -> docker.DockerClient | None:
    """Return a client of the engine that DOCKER_HOST names, None when none answers."""
    try:
        client = docker.from_env(timeout=180)
        client.ping()
    except DockerException:
        return None
    return client


@contextmanager
def on_real(engine: docker.DockerClient, stock_users: int) -> Iterator[tuple[Mortal, Mortal]]:
    """Bring both up on a real engine, with servers of one small program in the same image.

    What runs in a container does not matter to how its end is noticed.
    """
    run = secrets.token_hex(4)
    image = build("base", "trixie")
    with ExitStack() as stack:
        bundle = stack.enter_context(quick_bundle(engine, image, {"labhub.test": run}))
        url = os.environ.get("DOCKER_HOST", LOCAL_ENGINE)
        lab = stack.enter_context(RealLab(url, {"debian": image}, bundle))
        lab.add_person(USER)
        mine = {"label": [f"labhub.instance={lab.name}", f"labhub.user={USER}"]}
        ours = Mortal(Bearer(lab.url, lab.token), engine, {}, {USER: mine})
        other = stack.enter_context(Stock(engine, image, run, 0, ("perl", "-e", SERVER)))
        users = [f"bench{number}" for number in range(stock_users)]
        other.api("POST", "users", json={"usernames": users}).raise_for_status()
        containers = {user: {"name": f"^/?{other.prefix}-{user}$"} for user in users}
        yield ours, Mortal(other, engine, {}, containers)


@contextmanager
def on_fakes(stock_users: int) -> Iterator[tuple[Mortal, Mortal]]:
    """Bring both up, each on a fake engine."""
    users = [f"bench{number}" for number in range(stock_users)]
    with fakes.ours() as ours, fakes.stock() as stock:
        ours.add_users([USER])
        stock.add_users(users)
        mine = {"label": [f"labhub.instance={ours.hub.name}", f"labhub.user={USER}"]}
        containers = {user: {"name": f"bench-{user}"} for user in users}
        yield (
            Mortal(Bearer(ours.hub.url, ours.hub.token), ours.client(), ours.options, {USER: mine}),
            Mortal(stock.hub, stock.client(), stock.options, containers),
        )


def one_by_one(ours: Mortal, times: int) -> list[Death]:
    """Kill ours again and again; the first time warms caches and does not count."""
    deaths: list[Death] = []
    for number in range(times + 1):
        revive(ours, USER)
        death = finish([begin(ours, USER)], PAUSE_SECONDS)[0]
        say(f"[{number}/{times}] ours {death.hub_seconds * 1000:.0f} ms, engine "
            f"{death.engine_seconds * 1000:.0f} ms" + ("" if number else " (warm-up)"))  # fmt: skip
        deaths += [death] if number else []
    return deaths


def spread(stock: Mortal) -> list[Death]:
    """Start all of stock's servers, then kill them at moments spread over one poll interval."""
    for user in stock.containers:
        revive(stock, user)
    gap_seconds = STOCK_POLL_SECONDS / len(stock.containers)
    dying: list[Dying] = []
    first = time.monotonic()
    for number, user in enumerate(stock.containers):
        watch(dying, STOCK_PAUSE_SECONDS, first + number * gap_seconds - time.monotonic())
        time.sleep(max(0.0, first + number * gap_seconds - time.monotonic()))
        dying.append(begin(stock, user))
    deaths = finish(dying, STOCK_PAUSE_SECONDS)
    say("stock: " + ", ".join(f"{death.hub_seconds:.1f} s" for death in deaths))
    return deaths


def shown(deaths: list[Death]) -> dict[str, Any]:
    """Return what is printed of one contender."""
    return {
        "killed→hub_knows_ms": milliseconds([death.hub_seconds for death in deaths]),
        "killed→die_event_ms": milliseconds([death.engine_seconds for death in deaths]),
        "one_look_ms": milliseconds([death.look_seconds for death in deaths])["median"],
    }


def bench(times: int, stock_times: int, engine: docker.DockerClient | None) -> dict[str, Any]:
    """Bring both up, measure, and return what is printed."""
    meanwhile = Meanwhile()
    sides = on_fakes(stock_times) if engine is None else on_real(engine, stock_times)
    with sides as (ours, stock):
        mine, other = shown(one_by_one(ours, times)), shown(spread(stock))
    which = "killed→hub_knows_ms"
    return {
        "bench": "death",
        "engine": "fake" if engine is None else engine_facts(engine),
        "look_every_ms": {"ours": 1000 * PAUSE_SECONDS, "stock": 1000 * STOCK_PAUSE_SECONDS},
        "target": {"ours": {"killed→hub_knows_ms": {"median": TARGET_MS}}},
        "ours": mine,
        "stock": {"poll_seconds": STOCK_POLL_SECONDS, **other},
        "ratios": {"stock/ours": round(other[which]["median"] / mine[which]["median"], 1)},
        "machine": meanwhile.facts(),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/death", description=__doc__)
    parser.add_argument("-n", "--deaths", type=int, default=20, help="deaths of ours (default 20)")
    parser.add_argument(
        "--stock-deaths", type=int, default=6, help="deaths of stock, within a minute (default 6)"
    )
    parser.add_argument(
        "--engine", choices=("real", "fake"), help="default: a real one when one answers"
    )
    given = parser.parse_args()
    clean_up_when_told_to_end()
    engine = None if given.engine == "fake" else real_engine()
    if given.engine == "real" and engine is None:
        parser.error("no Docker engine answers")
    result = bench(given.deaths, given.stock_deaths, engine)
    print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
