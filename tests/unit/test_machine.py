"""What the kernel tells about the machine, over files as it writes them."""

from collections.abc import Collection
from pathlib import Path

import pytest

from spawner.capacity import Facts
from spawner.machine import Machine, MachineUnknownError
from spawner.memory import CgroupMeter

KIB, GIB = 1024, 1024**3
MEMINFO = """\
MemTotal:       67108864 kB
MemFree:         1000000 kB
MemAvailable:   41943040 kB
Active(anon):    5242880 kB
HugePages_Total:       0
"""
STAT = "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\ncpu10 1 2 3\nintr 1 2\n"
ARCSTATS = """\
13 1 0x01 123 33456 8888 9999
name                            type data
hits                            4    11
c_min                           4    2147483648
size                            4    10737418240
"""


class Holds:
    """A meter of three containers, of which one cannot be measured."""

    def held_bytes(self, container_id: str) -> int | None:
        """Return what a container holds."""
        return {"one": 4 * GIB, "two": 2 * GIB}.get(container_id)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine of 64 GiB, of which 24 are in use."""
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "stat").write_text(STAT)
    return tmp_path


@pytest.mark.parametrize(
    ("servers", "others_bytes"),
    [
        pytest.param([], 24 * GIB, id="all in use is others'"),
        pytest.param(["one", "two"], 18 * GIB, id="what servers hold is theirs"),
        pytest.param(["one", "gone"], 0, id="not measured: nobody knows"),
    ],
)
def test_what_the_machine_has(proc: Path, servers: Collection[str], others_bytes: int) -> None:
    assert Machine(proc, Holds()).look(servers) == Facts(64 * GIB, 3, others_bytes)


def test_what_zfs_would_give_back_is_free(proc: Path) -> None:
    arcstats = proc / "spl" / "kstat" / "zfs" / "arcstats"
    arcstats.parent.mkdir(parents=True)
    arcstats.write_text(ARCSTATS)
    assert Machine(proc, Holds()).look([]).others_bytes == 16 * GIB


def test_a_look_is_remembered_for_some_seconds(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("spawner.machine.time.monotonic", lambda: now[0])
    machine = Machine(proc, Holds())
    before = machine.look([])
    (proc / "meminfo").write_text(MEMINFO.replace("67108864", "33554432"))
    assert machine.look([]) == before
    now[0] += 11
    assert machine.look([]).memory_bytes == 32 * GIB


@pytest.mark.parametrize(
    "meminfo", ["", "MemTotal: 1 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n", "\N{SNOWMAN}"]
)
def test_a_machine_that_does_not_tell(proc: Path, meminfo: str) -> None:
    (proc / "meminfo").write_text(meminfo, encoding="utf-8")
    with pytest.raises(MachineUnknownError):
        Machine(proc, Holds()).look([])


def test_this_machine_tells() -> None:
    facts = Machine(Path("/proc"), CgroupMeter(Path("/sys/fs/cgroup"))).look([])
    assert facts.memory_bytes > GIB
    assert facts.cpus >= 1
    assert 0 < facts.others_bytes < facts.memory_bytes
