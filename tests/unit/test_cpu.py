"""The meter of processor time, over trees of files as the kernel shows them."""

from pathlib import Path

import pytest

from spawner.cpu import CpuMeter

ID = "0123456789abcdef" * 4
STAT = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 0\n"


def container(root: Path, place: str, name: str, text: str) -> None:
    """Write what the kernel keeps of a container; version 2 marks its root."""
    if name == "cpu.stat":
        (root / "cgroup.controllers").write_text("cpu memory pids\n")
    (root / place).mkdir(parents=True)
    (root / place / name).write_text(text)


@pytest.mark.parametrize(
    ("place", "name", "text"),
    [
        (f"cpuacct/docker/{ID}", "cpuacct.usage", "1500000000\n"),
        (f"cpuacct/system.slice/docker-{ID}.scope", "cpuacct.usage", "1500000000\n"),
        (f"docker/{ID}", "cpu.stat", STAT),
        (f"lab.slice/docker-{ID}.scope", "cpu.stat", STAT),
    ],
)
def test_seconds_of_both_versions(tmp_path: Path, place: str, name: str, text: str) -> None:
    container(tmp_path, place, name, text)
    assert CpuMeter(tmp_path).read(ID) == 1.5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cpuacct.usage", ""),
        ("cpuacct.usage", "-1\n"),
        ("cpuacct.usage", "much\n"),
        ("cpu.stat", "user_usec 1\n"),
        ("cpu.stat", "usage_usec\n"),
        ("other", "1\n"),
    ],
)
def test_what_cannot_be_read_is_unknown(tmp_path: Path, name: str, text: str) -> None:
    tree = "" if name == "cpu.stat" else "cpuacct/"
    container(tmp_path, f"{tree}docker/{ID}", name, text)
    assert CpuMeter(tmp_path).read(ID) is None


def test_a_container_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    assert CpuMeter(tmp_path).read(ID) is None
    assert CpuMeter(tmp_path / "nowhere").read(ID) is None
    assert CpuMeter(tmp_path).read("../..") is None
