"""The meter of memory on a real container: what was used at most, and what the kernel killed."""

import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from spawner.memory import CgroupMeter
from tests.lib.images import build

LIMIT_BYTES = 64 << 20
DEADLINE_SECONDS = 60
# It waits for a word before it asks for more than there is, and outlives its child.
PROGRAM = """
until [ -e /tmp/more ]; do sleep 0.1; done
perl -e '$x = "a" x (200 << 20)'
echo "child: $?"
exec sleep 600
"""


@pytest.fixture
def container(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[Container]:
    """A container that will have a child killed, and goes on."""
    started = engine.containers.run(
        build("base", "bookworm"),
        ["sh", "-c", PROGRAM],
        init=True,
        detach=True,
        mem_limit=LIMIT_BYTES,
        memswap_limit=LIMIT_BYTES,
        labels=labels,
    )
    yield started
    started.remove(force=True)


def test_a_child_killed_in_a_container_that_goes_on_is_counted_with_the_peak(
    container: Container,
) -> None:
    meter = CgroupMeter(Path("/sys/fs/cgroup"))
    before = meter.read(container.id)
    assert before is not None
    assert before.oom_kills == 0
    assert before.peak_bytes is None or 0 < before.peak_bytes < LIMIT_BYTES
    container.exec_run(["touch", "/tmp/more"])  # noqa: S108 - in the container
    deadline = time.monotonic() + DEADLINE_SECONDS
    while b"child: 137" not in container.logs():
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.1)
    after = meter.read(container.id)
    assert after is not None
    assert after.oom_kills == 1
    assert after.peak_bytes is None or 0.9 * LIMIT_BYTES < after.peak_bytes <= LIMIT_BYTES
    container.reload()
    assert container.status == "running"
    container.stop(timeout=0)
    assert meter.read(container.id) is None
