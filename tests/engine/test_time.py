"""Idleness on a real engine: a real server that computes, one that only waits, and one in peace."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import docker
import pytest

from spawner.runs import Reason
from tests.lib.images import build
from tests.lib.real_lab import RealLab, wait_until
from tests.lib.small_servers import debian_with_python

IDLE_SECONDS = 15
# Twice as long as an unused server lives, each: with all of a core, then with nothing of it.
CELL = """
import time
end = time.monotonic() + 30
while time.monotonic() < end:
    pass
time.sleep(30)
"""
CELL_SECONDS = 60


@pytest.fixture(scope="module")
def lab(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[RealLab]:
    """A lab that ends what nobody uses very soon."""
    with (
        debian_with_python(engine, labels) as image,
        RealLab("unix:///var/run/docker.sock", {"quick": image}, build("bundle")) as running,
    ):
        numbers = "cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256"
        running.dir.save_default(f"{numbers}, idle: {IDLE_SECONDS} s")
        running.add_person("ada")
        yield running


def test_a_silent_kernel_is_use_and_what_nobody_uses_ends(lab: RealLab) -> None:
    """Also in the eyes of a hub that was restarted meanwhile."""
    lab.start_server("ada")
    assert lab.answers("ada")
    kernels = replace(lab.kernels("ada"), seconds=2 * CELL_SECONDS)
    kernel = kernels.start()
    outputs = []
    cell = threading.Thread(target=lambda: outputs.append(kernels.run(kernel, CELL)), daemon=True)
    began = time.monotonic()
    cell.start()
    time.sleep(CELL_SECONDS / 3)
    lab.restart_hub(kill=True)
    while time.monotonic() - began < CELL_SECONDS - 1:
        assert lab.said()["ada"] == "ready", lab.logs()
        time.sleep(1)
    wait_until(lambda: not lab.said().get("ada"), "the idle server to be ended", seconds=90)
    lab.wait_for_agreement()
    receipt = lab.receipts("ada")[0]
    assert (receipt.reason, receipt.allowed_seconds) == (Reason.IDLE, IDLE_SECONDS)
    cell.join()
    assert [each.status for each in outputs] == ["ok"]
    assert time.monotonic() - began > CELL_SECONDS + IDLE_SECONDS - 1
