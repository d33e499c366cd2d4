"""What the kernel shows of a container's GPUs, over files as it writes them, and what follows."""

import os
from pathlib import Path

import pytest

from spawner.gpu_view import Seen, Sight, minors
from spawner.nodes import GPUS, Nodes, permitted
from spawner.verify import Difference, other_gpus

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
PID = 4711
ME = os.geteuid()
# What Docker permits in every container, and nvidiactl, nvidia-modeset and nvidia-uvm.
ALWAYS = "c 136:* rwm\nc 5:2 rwm\nc 1:3 rwm\nc 10:200 rwm\nb *:* m\nc *:* m\n"
CONTROL = "c 195:255 rw\nc 195:254 rw\nc 508:0 rw\n"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        pytest.param("", (), id="nothing"),
        pytest.param(ALWAYS + CONTROL, (), id="what is no GPU"),
        pytest.param(ALWAYS + CONTROL + "c 195:0 rw\nc 195:3 rwm\n", (0, 3), id="two"),
        pytest.param("c 195:1 r\n", (1,), id="to read"),
        pytest.param("c 195:1 m\nb 195:2 rwm\n", (), id="to make a node, and a disk"),
        pytest.param("c 195:* rwm\n", tuple(GPUS), id="all of them"),
        pytest.param("a *:* rwm\n", tuple(GPUS), id="everything"),
    ],
)
def test_what_the_kernel_permits(listed: str, expected: tuple[int, ...]) -> None:
    assert permitted(listed) == frozenset(expected)


def version_1(folder: Path, text: str) -> Nodes:
    place = folder / "cgroup" / "devices" / "docker" / ID
    place.mkdir(parents=True)
    (place / "devices.list").write_text(text)
    return Nodes(folder / "cgroup", folder / "proc")


def version_2(folder: Path, cgroup: str) -> Nodes:
    """Make a machine where a process of this cgroup runs, without a node in its /dev."""
    place = folder / "proc" / str(PID)
    (place / "root" / "dev").mkdir(parents=True)
    (place / "cgroup").write_text(cgroup)
    return Nodes(folder / "cgroup", folder / "proc")


def test_where_the_kernel_lists_what_it_permits_that_counts(tmp_path: Path) -> None:
    nodes = version_1(tmp_path, ALWAYS + "c 195:2 rw\n")
    version_2(tmp_path, f"0::/docker/{ID}\n")
    assert nodes.read(ID, PID, ME) == {2}


@pytest.mark.parametrize("text", ["nonsense\n", "c 195:x rw\n", "c 195:1\n"])
def test_a_list_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    assert version_1(tmp_path, text).read(ID, PID, ME) is None


@pytest.mark.parametrize(
    "cgroup", [f"0::/docker/{ID}\n", f"0::/../docker-{ID}.scope\n", f"1:name=x:/\n0::/a/{ID}\n"]
)
def test_a_container_without_nodes_has_none(tmp_path: Path, cgroup: str) -> None:
    assert version_2(tmp_path, cgroup).read(ID, PID, ME) == frozenset()


@pytest.mark.skipif(ME != 0, reason="only root makes device nodes")
def test_the_nodes_of_gpus_are_known_by_their_numbers(tmp_path: Path) -> None:
    nodes = version_2(tmp_path, f"0::/docker/{ID}\n")
    dev = tmp_path / "proc" / str(PID) / "root" / "dev"
    for name, major, minor in (
        ("nvidia0", 195, 2), ("nvidiactl", 195, 255), ("null", 1, 3), ("nvidia-uvm", 508, 0),
    ):  # fmt: skip
        os.mknod(dev / name, 0o20666, os.makedev(major, minor))
    (dev / "nvidia1").write_text("no device")
    assert nodes.read(ID, PID, ME) == {2}


@pytest.mark.skipif(ME != 0, reason="only root can be somebody else")
def test_it_looks_as_the_user_and_is_itself_again(tmp_path: Path) -> None:
    nodes = version_2(tmp_path, f"0::/docker/{ID}\n")
    (tmp_path / "proc" / str(PID) / "root").chmod(0o700)
    assert nodes.read(ID, PID, 200000) is None
    file_user, file_group = (
        line.split()[4]
        for line in Path("/proc/thread-self/status").read_text().splitlines()
        if line.startswith(("Uid:", "Gid:"))
    )
    assert (file_user, file_group) == ("0", str(os.getegid()))
    assert nodes.read(ID, PID, ME) == frozenset()


@pytest.mark.parametrize("pid", [0, -1, PID + 1])
def test_a_process_that_is_not_there_says_nothing(tmp_path: Path, pid: int) -> None:
    assert version_2(tmp_path, f"0::/docker/{ID}\n").read(ID, pid, ME) is None


@pytest.mark.parametrize("cgroup", ["0::/\n", f"0::/docker/{OTHER}\n", ""])
def test_a_process_of_another_container_says_nothing(tmp_path: Path, cgroup: str) -> None:
    """In a container of its own, the hub may see quite another process by this number."""
    assert version_2(tmp_path, cgroup).read(ID, PID, ME) is None


def test_a_dev_that_leads_elsewhere_says_nothing(tmp_path: Path) -> None:
    nodes = version_2(tmp_path, f"0::/docker/{ID}\n")
    dev = tmp_path / "proc" / str(PID) / "root" / "dev"
    dev.rmdir()
    dev.symlink_to("/dev")
    assert nodes.read(ID, PID, ME) is None


@pytest.mark.parametrize(
    ("sight", "expected"),
    [
        (Sight((Seen("GPU-a", minor=3), Seen("GPU-b", minor=0))), (0, 3)),
        (Sight((Seen("GPU-a", minor=3), Seen("GPU-b"))), (None, 3)),
        (Sight((Seen("GPU-a", minor=3),)), (None, 3)),
        (Sight((Seen("GPU-a", minor=3), Seen("GPU-b", minor=0)), trouble="old"), (None, None)),
    ],
)
def test_what_the_driver_told_of_a_lease(sight: Sight, expected: tuple[int | None, ...]) -> None:
    assert minors(sight, ("GPU-b", "GPU-a")) == expected


@pytest.mark.parametrize(
    ("found", "leased", "expected"),
    [
        pytest.param({1}, (1,), None, id="its own"),
        pytest.param({0, 1}, (1, 0), None, id="both of its own"),
        pytest.param(set(), (), None, id="none, and no lease"),
        pytest.param({0}, (1,), Difference("GPUs", [1], [0]), id="another"),
        pytest.param({0, 1}, (1,), Difference("GPUs", [1], [0, 1]), id="one more"),
        pytest.param(set(), (1,), Difference("GPUs", [1], []), id="none"),
        pytest.param({0}, (), Difference("GPUs", [], [0]), id="one without a lease"),
        pytest.param(None, (1,), None, id="nobody can look"),
        pytest.param({0}, (None,), None, id="nobody knows what is leased"),
        pytest.param({0}, (1, None), None, id="nobody knows all that is leased"),
    ],
)
def test_other_gpus_than_leased(
    found: set[int] | None, leased: tuple[int | None, ...], expected: Difference | None
) -> None:
    assert other_gpus(found, leased) == expected
