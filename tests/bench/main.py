"""Command line of tests/bench/spawn: JSON on stdout, progress on stderr, nothing left behind."""

import argparse
import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any

import docker

from tests.bench.figures import NAMES, figures, ratios
from tests.bench.floor import Floor
from tests.bench.machine import clean_up_when_told_to_end, say
from tests.bench.ours import Ours, engine_facts
from tests.bench.stock import hub as stock
from tests.lib.deployed import deploy

Seconds = dict[str, list[float]]


def measure_round(ours: Ours, other: stock.Stock, floor: Floor, number: int) -> dict[str, float]:
    """Measure each contender once, one after the other; who is first changes with the round."""
    contenders = [
        ("ours", lambda: ours.measure(number, floor.learn)),
        ("stock", lambda: other.measure(number)),
        ("floor", floor.measure),
    ]
    first = number % len(contenders)
    return {name: measured() for name, measured in contenders[first:] + contenders[:first]}


def measure(ours: Ours, other: stock.Stock, floor: Floor, users: int) -> Seconds:
    """Measure all rounds; the first one warms caches and does not count."""
    seconds: Seconds = {name: [] for name in NAMES}
    for number in range(users + 1):
        taken = measure_round(ours, other, floor, number)
        shown = ", ".join(f"{name} {value:.2f} s" for name, value in taken.items())
        say(f"[{number}/{users}] {shown}" + ("" if number else " (warm-up)"))
        for name in NAMES if number else ():
            seconds[name].append(taken[name])
    return seconds


def bench(engine: docker.DockerClient, users: int, run: str, image: str | None) -> dict[str, Any]:
    """Bring all contenders up, measure, and return what is printed."""
    with tempfile.TemporaryDirectory(prefix="labhub-bench-") as folder:
        say("bringing ours up …")
        with deploy(engine, Path(folder) / "instance") as deployed:
            ours = Ours(deployed, users + 1)
            say("building the image of the stock contender …")
            image = image or stock.build(deployed.image(), run)
            with stock.Stock(engine, image, run, users + 1) as other:
                seconds = measure(ours, other, Floor(engine, run), users)
            shown = {name: figures(values) for name, values in seconds.items()}
            return {
                "users": users,
                "image": deployed.image(),
                "stock": stock.versions(engine, image, run),
                "machine": engine_facts(engine),
                "seconds": shown,
                "ratios": ratios(shown),
            }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="tests/bench/spawn", description=__doc__)
    parser.add_argument("-n", "--users", type=int, default=10, help="measured users (default 10)")
    parser.add_argument("--stock-image", help="use this image for stock instead of building one")
    parser.add_argument("--keep", action="store_true", help="keep the image built for stock")
    given = parser.parse_args()
    clean_up_when_told_to_end()
    run = secrets.token_hex(4)
    engine = docker.from_env(timeout=180)
    began = time.monotonic()
    try:
        result = bench(engine, given.users, run, given.stock_image)
    finally:
        mine = {"label": f"labhub.test={run}"}
        for image in [] if given.keep else engine.images.list(filters=mine):
            engine.images.remove(image.id, force=True)
    print(json.dumps({**result, "took_seconds": round(time.monotonic() - began)}, indent=2))


if __name__ == "__main__":
    main()
