"""The hub dies at each point at which it writes about the queue; nobody's GPU or place is lost."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests

from spawner.store import Ledger
from tests.lib.crash_points import Orders
from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab
from tests.lib.node import ROOT

pytestmark = pytest.mark.hub

DEVICE = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
CONFIG = f"""\
login:
  provider: local
images:
  tensorflow: {{title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}}
quotas:
  default: {{cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 1}}
gpus: {{devices: [{DEVICE}]}}
"""
HUB = ROOT / "tests" / "lib" / "crash_queue_config.py"
ONE = {"gpus": 1}
# A run whose container was never made is closed by a round of the watch.
ROUND_SECONDS = 45


@pytest.fixture(scope="module")
def fragile(
    fake_engine: FakeEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lab, Orders]]:
    """A lab with one GPU, whose hub dies on order."""
    orders = Orders(tmp_path_factory.mktemp("orders"))
    with Lab(fake_engine.url, config=CONFIG, env=orders.environment, hub_config=HUB) as lab:
        for name in ("ada", "bob"):
            lab.add_user(name)
            lab.login(name)
        yield lab, orders


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)


def leases(lab: Lab) -> list[tuple[str, tuple[str, ...]]]:
    return [(run.holder.user, run.devices) for run in lab.transact(Ledger.open_runs)]


def server(lab: Lab, user: str) -> dict[str, object]:
    found: dict[str, object] = lab.api("GET", f"users/{user}").json()["servers"].get("", {})
    return found


def start(lab: Lab, user: str) -> None:
    with suppress(requests.RequestException):  # the hub may die meanwhile
        lab.api("POST", f"users/{user}/server", json=ONE)


def stop(lab: Lab, user: str) -> None:
    with suppress(requests.RequestException):
        lab.api("DELETE", f"users/{user}/server")


def comes(lab: Lab) -> None:
    """Somebody comes while the GPU is taken."""
    start(lab, "bob")


def leaves(lab: Lab) -> None:
    """Somebody who waits changes their mind."""
    stop(lab, "bob")


def gets_a_turn(lab: Lab) -> None:
    """The GPU is free, and somebody waits for it."""
    stop(lab, "ada")


@pytest.mark.parametrize(
    ("waits", "happens", "point", "is_kept"),
    [
        (False, comes, "store.wait:before", False),
        (False, comes, "store.wait:after", True),
        (True, leaves, "store.leave:before", True),
        (True, leaves, "store.leave:after", False),
        (True, gets_a_turn, "store.begin:before", True),
        (True, gets_a_turn, "store.begin:after", True),
        (True, gets_a_turn, "create:after", True),
        (True, gets_a_turn, "store.bind:after", True),
        (True, gets_a_turn, "start:after", True),
        (True, gets_a_turn, "store.settle:before", True),
    ],
)
def test_a_hub_that_dies_there_loses_no_gpu_and_no_place(
    fragile: tuple[Lab, Orders],
    waits: bool,
    happens: Callable[[Lab], None],
    point: str,
    is_kept: bool,
) -> None:
    """Whose place was noted and not given up gets the server without pressing Start again."""
    lab, orders = fragile
    start(lab, "ada")
    assert leases(lab) == [("ada", (DEVICE,))]
    if waits:
        start(lab, "bob")
        assert "bob" in lab.cli("queue", "list")
    orders.write(f"{point}#1")
    happens(lab)
    until(lambda: lab.hub.ended is not None)
    assert orders.reached()[-1] == f"{point}#1"
    orders.take_back()
    lab.restart_hub(kill=True)
    if not is_kept:
        assert "bob" not in lab.cli("queue", "list")
        start(lab, "bob")
    stop(lab, "ada")
    until(lambda: server(lab, "bob").get("ready"), ROUND_SECONDS)
    assert leases(lab) == [("bob", (DEVICE,))]
    stop(lab, "bob")
    until(lambda: not leases(lab))
    assert lab.cli("queue", "list") == "Nobody waits.\n"
