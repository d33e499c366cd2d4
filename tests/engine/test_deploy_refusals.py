"""deploy/up on a machine or with a file that cannot work: one sentence, non-zero, nothing left.

Each case is a machine prepared to be wrong in exactly one way, against the real engine or, where
that cannot be made wrong, a second one that lasts for one test.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.deploy import ROOT, Call, Deployment, call, free_port
from tests.lib.old_engine import OldEngine
from tests.lib.small_engine import SmallEngine

pytestmark = pytest.mark.engine


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Deployment]:
    """An instance that does not exist yet, and will not after the test."""
    deployment = Deployment(tmp_path / "lab", free_port())
    yield deployment
    deployment.purge()


@pytest.fixture(scope="module")
def hub_image() -> str:
    """The hub image of this checkout, which reads labhub.yaml before anything is made."""
    done = call(str(ROOT / "deploy/images/build.sh"), "hub", seconds=900)
    assert done.status == 0, done
    return done.stdout.splitlines()[-1]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def assert_refused(place: Deployment, done: Call, *words: str) -> None:
    """One sentence with these words, a non-zero status, and not a trace of an instance."""
    assert done.status == 1, done
    assert len(done.complaints) == 1, done
    assert all(word in done.complaints[0] for word in words), done
    assert "Nothing was changed." in done.stderr, done
    assert place.traces() == {}, done


IMAGES = "images: {debian: {title: Debian, image: debian:bookworm-slim}}\n"
CONFIGURATIONS = {
    "a misspelt key": (IMAGES + "quota: {default: {cpus: 2}}\n", ("labhub.yaml:2", "quotas")),
    "a negative memory": (
        IMAGES + "quotas:\n  default: {memory: -1 GiB}\n",
        ("labhub.yaml:3", "quotas.default.memory"),
    ),
    "a secret in a file that is not there": (
        IMAGES + "login:\n  provider: github\n  client_id: some-id\n"
        "  client_secret: {file: /etc/labhub/secrets/not-there}\n  allow: {everyone: true}\n",
        ("labhub.yaml:5", "secrets/not-there", "write the secret into that file"),
    ),
    "no images": (IMAGES.replace("{debian", "{}  # {debian"), ("labhub.yaml:1", "images")),
    "not YAML at all": ("login: [\n", ("labhub.yaml:",)),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_wrong_configuration_is_named_by_file_and_line(
    place: Deployment, hub_image: str, case: str
) -> None:
    text, words = CONFIGURATIONS[case]
    place.dir.mkdir()
    (place.dir / "labhub.yaml").write_text(text)
    done = place.up(seconds=120)
    assert done.status == 1, done
    assert len(done.complaints) == 1, done
    assert all(word in done.complaints[0] for word in (str(place.dir), *words)), done
    assert "Traceback" not in done.stdout + done.stderr
    assert [path.name for path in place.dir.iterdir()] == ["labhub.yaml"]
    assert set(place.traces()) == {"directory"}


@pytest.mark.parametrize("offset", [0, 1, 81, 2101])
def test_a_taken_port_is_named_with_its_holder(place: Deployment, offset: int) -> None:
    with socket.create_server(("127.0.0.1", place.port + offset)):
        done = place.up(seconds=60)
    holder = f"(process {os.getpid()})"
    assert_refused(place, done, f"port {place.port + offset}", holder, "--port")


def test_a_full_disk_under_the_directory(tiny_disk: Path) -> None:
    place = Deployment(tiny_disk / "lab", free_port())
    done = place.up(seconds=60)
    assert_refused(place, done, "MiB are free", str(tiny_disk), "free some space")


def test_a_full_disk_under_docker(place: Deployment, tmp_path: Path) -> None:
    with SmallEngine(mebibytes=64) as engine:
        place = Deployment(place.dir, place.port, {"DOCKER_HOST": engine.url})
        done = place.up(seconds=60)
        assert_refused(place, done, "MiB are free", str(engine.data), "Docker's images")


def test_an_engine_that_is_too_old(place: Deployment, tmp_path: Path) -> None:
    with OldEngine(tmp_path / "old.sock", version="19.03.15", api="1.40") as engine:
        done = call(*up(place), env={"DOCKER_HOST": engine.url})
    assert_refused(place, done, "Docker Engine 19.03.15", "20.10", "upgrade")


def test_an_engine_that_cannot_limit_memory(place: Deployment, tmp_path: Path) -> None:
    with OldEngine(tmp_path / "v2.sock", version="29.6.0", api="1.44", limits=False) as engine:
        done = call(*up(place), env={"DOCKER_HOST": engine.url})
    assert_refused(place, done, "memory cpu pids", "enable")


def test_a_second_engine_that_does_not_answer_is_not_started(place: Deployment) -> None:
    done = call(*up(place), env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert_refused(place, done, "no engine answers at unix:///nowhere/docker.sock")


def test_an_engine_on_another_machine_is_refused(place: Deployment) -> None:
    done = call(*up(place), env={"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert_refused(place, done, "is not a unix socket")


def test_no_engine_and_no_apt(place: Deployment, tmp_path: Path) -> None:
    done = call(*up(place), env={"PATH": str(commands_without(tmp_path, "docker", "apt"))})
    assert done.status == 1, done
    assert "the docker command is missing and this system has no apt-get" in done.stderr
    assert "Docker Compose is missing and this system has no apt-get" in done.stderr
    assert place.traces() == {}


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("somebody's file")
    place = Deployment(tmp_path / "lab", free_port())
    done = place.up(seconds=60)
    assert done.complaints == [
        f"{place.dir} is not a directory: move it away or choose another with --dir"
    ], done
    assert place.dir.read_text() == "somebody's file"


def test_every_failing_check_is_shown_at_once(place: Deployment, tiny_disk: Path) -> None:
    place = Deployment(tiny_disk / "lab", place.port)
    with socket.create_server(("127.0.0.1", place.port)):
        done = call(*up(place), env={"DOCKER_HOST": "unix:///nowhere/docker.sock"})
    assert done.status == 1
    assert len(done.complaints) == 3, done


USAGE = [
    (["--dir"], "--dir needs a value"),
    (["--dir", "/"], "--dir / would make the whole machine the instance"),
    (["--dir", "/srv/a:b"], "holds a character"),
    (["--port", "http"], "--port http is not a port number"),
    (["--port", "64000"], "--port 64000 is out of range"),
    (["--prot", "80"], "unknown argument '--prot'"),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=lambda value: " ".join(value)[:20])
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], words: str) -> None:
    done = call(str(ROOT / "deploy/up"), *arguments)
    assert done.status == 2, done
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done


def up(place: Deployment) -> tuple[str, ...]:
    return (str(ROOT / "deploy/up"), "--dir", str(place.dir), "--port", str(place.port))


def commands_without(folder: Path, *beginnings: str) -> Path:
    """A PATH folder with every command of this system except those that begin like these."""
    commands = folder / "commands"
    commands.mkdir()
    for place in ("/bin", "/usr/bin", "/sbin", "/usr/sbin"):
        for program in Path(place).iterdir():
            link = commands / program.name
            if not program.name.startswith(beginnings) and not link.is_symlink():
                link.symlink_to(program)
    return commands
