"""The meter of memory, over trees of files as the kernel shows them on different machines."""

import os
from pathlib import Path

import pytest

from spawner import cgroups
from spawner.memory import CgroupMeter, Usage

ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
GIB = 1024**3

V1 = {
    "memory.max_usage_in_bytes": f"{3 * GIB}\n",
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
}
V2 = {
    "memory.peak": f"{3 * GIB}\n",
    "memory.current": "4096\n",
    "memory.events": "low 0\nhigh 0\nmax 31\noom 3\noom_kill 2\noom_group_kill 7\n",
}
USAGE = Usage(peak_bytes=3 * GIB, oom_kills=2)


def container(root: Path, place: str, files: dict[str, str]) -> Path:
    """Write a container's directory; version 2 marks its root."""
    if files is V2:
        (root / "cgroup.controllers").write_text("cpu memory pids\n")
    directory = root / place
    directory.mkdir(parents=True)
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


@pytest.mark.parametrize(
    ("place", "files"),
    [
        pytest.param(f"memory/docker/{ID}", V1, id="v1, cgroupfs"),
        pytest.param(f"memory/system.slice/docker-{ID}.scope", V1, id="v1, systemd"),
        pytest.param(f"docker/{ID}", V2, id="v2, cgroupfs"),
        pytest.param(f"system.slice/docker-{ID}.scope", V2, id="v2, systemd"),
        pytest.param(f"memory/lab/docker/{OTHER}/docker/{ID}", V1, id="v1, engine in a container"),
        pytest.param(f"lab.slice/lab-users.slice/docker-{ID}.scope", V2, id="v2, other parent"),
    ],
)
def test_usage_is_found_where_the_engine_puts_it(
    tmp_path: Path, place: str, files: dict[str, str]
) -> None:
    container(tmp_path, place, files)
    assert CgroupMeter(tmp_path).read(ID) == USAGE


def test_of_both_versions_at_once_the_first_has_the_memory(tmp_path: Path) -> None:
    container(tmp_path, f"memory/docker/{ID}", V1)
    (tmp_path / "unified" / "docker" / ID).mkdir(parents=True)
    assert CgroupMeter(tmp_path).read(ID) == USAGE


def test_a_kernel_that_keeps_no_peak_still_counts_what_it_killed(tmp_path: Path) -> None:
    (container(tmp_path, f"docker/{ID}", V2) / "memory.peak").unlink()
    assert CgroupMeter(tmp_path).read(ID) == Usage(peak_bytes=None, oom_kills=2)


@pytest.mark.parametrize(
    ("files", "name", "text"),
    [
        (V1, "memory.max_usage_in_bytes", ""),
        (V1, "memory.max_usage_in_bytes", "much\n"),
        (V1, "memory.max_usage_in_bytes", "-1\n"),
        (V1, "memory.max_usage_in_bytes", "\N{DIGIT THREE}\N{COMBINING CEDILLA}\n"),
        (V1, "memory.oom_control", ""),
        (V1, "memory.oom_control", "under_oom 0\n"),
        (V1, "memory.oom_control", "oom_kill\n"),
        (V1, "memory.oom_control", "oom_kill two\n"),
        (V2, "memory.peak", "max\n"),
        (V2, "memory.events", "oom 3\noom_group_kill 2\n"),
        (V2, "memory.events", "a b c\n"),
    ],
)
def test_files_that_make_no_sense_are_no_measurement(
    tmp_path: Path, files: dict[str, str], name: str, text: str
) -> None:
    place = f"memory/docker/{ID}" if files is V1 else f"docker/{ID}"
    directory = container(tmp_path, place, files)
    meter = CgroupMeter(tmp_path)
    assert meter.read(ID) == USAGE
    (directory / name).write_text(text, "utf-8")
    assert meter.read(ID) is None


@pytest.mark.parametrize(("files", "name"), [*((V1, name) for name in V1), (V2, "memory.events")])
@pytest.mark.parametrize("instead", ["nothing", "a directory", "a link to nowhere"])
def test_files_that_cannot_be_read_are_no_measurement(
    tmp_path: Path, files: dict[str, str], name: str, instead: str
) -> None:
    place = f"memory/docker/{ID}" if files is V1 else f"docker/{ID}"
    directory = container(tmp_path, place, files)
    (directory / name).unlink()
    if instead == "a directory":
        (directory / name).mkdir()
    elif instead == "a link to nowhere":
        (directory / name).symlink_to(directory / "nowhere")
    assert CgroupMeter(tmp_path).read(ID) is None


def test_a_container_that_is_gone_has_no_measurement_and_the_next_one_has(tmp_path: Path) -> None:
    parent = "lab.slice/lab-users.slice"
    directory = container(tmp_path, f"{parent}/docker-{ID}.scope", V2)
    meter = CgroupMeter(tmp_path)
    assert meter.read(ID) == USAGE
    for name in V2:
        (directory / name).unlink()
    directory.rmdir()
    assert meter.read(ID) is None
    container(tmp_path, f"{parent}/docker-{OTHER}.scope", V2)
    assert meter.read(OTHER) == USAGE


def test_where_the_last_one_lay_nothing_is_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    search = cgroups._search
    monkeypatch.setattr(cgroups, "_search", lambda *a: (searched.append(a[1]), search(*a))[1])
    container(tmp_path, f"lab.slice/docker-{ID}.scope", V2)
    container(tmp_path, f"lab.slice/docker-{OTHER}.scope", V2)
    meter = CgroupMeter(tmp_path)
    found = [meter.read(each) for each in (ID, OTHER, ID, "f" * 64)]
    assert (found, searched) == ([USAGE, USAGE, USAGE, None], [ID])


def test_an_engine_that_moved_its_containers_is_followed(tmp_path: Path) -> None:
    container(tmp_path, f"docker/{ID}", V2)
    meter = CgroupMeter(tmp_path)
    assert meter.read(ID) == USAGE
    container(tmp_path, f"system.slice/docker-{OTHER}.scope", V2)
    assert meter.read(OTHER) == USAGE


def test_a_parent_that_is_gone_is_searched_for_again(tmp_path: Path) -> None:
    container(tmp_path, f"first.slice/docker-{ID}.scope", V2)
    meter = CgroupMeter(tmp_path)
    assert meter.read(ID) == USAGE
    (tmp_path / "first.slice").rename(tmp_path / "second.slice")
    assert meter.read(ID) == USAGE


def test_the_search_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "MOST_DIRECTORIES", 20)
    for number in range(30):
        (tmp_path / f"a{number:02d}").mkdir()
    container(tmp_path, f"z/{ID}", V2)
    assert CgroupMeter(tmp_path).read(ID) is None
    monkeypatch.setattr(cgroups, "MOST_DIRECTORIES", 40)
    assert CgroupMeter(tmp_path).read(ID) == USAGE


def test_a_loop_of_links_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert CgroupMeter(tmp_path).read(ID) is None


@pytest.mark.parametrize("container_id", ["", ".", "..", f"../{ID}", f"docker/{ID}", "{id}", "*"])
def test_what_is_no_id_is_not_looked_for(tmp_path: Path, container_id: str) -> None:
    container(tmp_path, f"docker/{ID}", V2)
    container(tmp_path, "docker/{id}", V2)
    assert CgroupMeter(tmp_path).read(container_id) is None


@pytest.mark.parametrize("root", ["empty", "missing", "file"])
def test_without_cgroups_in_sight_there_is_no_measurement(tmp_path: Path, root: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert CgroupMeter(tmp_path / root).read(ID) is None


def test_a_pipe_in_place_of_a_directory_is_no_wait(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("memory\n")
    os.mkfifo(tmp_path / ID)
    assert CgroupMeter(tmp_path).read(ID) is None


@pytest.mark.parametrize(
    ("place", "version", "files"),
    [
        pytest.param(
            f"memory/docker/{ID}", V1,
            {"memory.usage_in_bytes": f"{5 * GIB}\n",
             "memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\ntotal_active_file 7\n"},
            id="v1",
        ),
        pytest.param(
            f"docker/{ID}", V2,
            {"memory.current": f"{5 * GIB}\n",
             "memory.stat": f"anon 1\ninactive_file {GIB}\nactive_file 7\n"},
            id="v2",
        ),
    ],
)  # fmt: skip
def test_what_was_only_read_is_not_held(
    tmp_path: Path, place: str, version: dict[str, str], files: dict[str, str]
) -> None:
    directory = container(tmp_path, place, version)
    for name, text in files.items():
        (directory / name).write_text(text)
    meter = CgroupMeter(tmp_path)
    assert meter.held_bytes(ID) == 4 * GIB - 7
    assert meter.held_bytes(OTHER) is None
    (directory / "memory.stat").write_text("anon 1\n")
    assert meter.held_bytes(ID) is None
