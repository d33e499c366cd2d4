"""Limits shown by force: each test tries to break one, under the create body users get."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.lib.images import build
from tests.lib.rig import Rig, rig

PYTHON = "/opt/labserver/bin/python3"


@pytest.fixture(scope="module")
def image() -> str:
    """Any image will do: the interpreter comes with the bundle."""
    return build("base", "trixie")


@pytest.fixture(scope="module")
def servers(engine: docker.DockerClient) -> Iterator[Rig]:
    """An instance where ada and bob have accounts."""
    with rig(engine, build("bundle")) as made:
        made.sign_in("ada")
        made.sign_in("bob")
        yield made


def python(servers: Rig, image: str, code: str, **limits: object) -> str:
    """Run a program that is expected to end well; return what it wrote."""
    ended = servers.run("ada", image, [PYTHON, "-I", "-c", code], **limits)
    assert ended.state.exit_code == 0, ended
    return ended.output


def test_memory_is_the_limit_and_there_is_no_swap_on_top(
    servers: Rig, image: str, engine: docker.DockerClient
) -> None:
    allocate = "b = b'x' * ({} << 20); print(len(b))"
    fits = servers.run("ada", image, [PYTHON, "-I", "-c", allocate.format(512)], memory="1 GiB")
    assert (fits.state.exit_code, fits.output) == (0, f"{512 << 20}\n")
    begin = int(time.time())
    bomb = servers.run("ada", image, [PYTHON, "-I", "-c", allocate.format(2048)], memory="1 GiB")
    assert (bomb.state.exit_code, bomb.output) == (137, "")
    # An engine may hear of the end before it hears of its cause; then only the event tells.
    assert bomb.state.out_of_memory or out_of_memory_events(engine, servers.lab.name, begin)
    assert engine.ping()


def out_of_memory_events(engine: docker.DockerClient, instance: str, begin: int) -> list[object]:
    """Return what the kernel told the engine about an instance's containers since then."""
    filters = {"event": "oom", "label": f"labhub.instance={instance}"}
    until = int(time.time()) + 3
    return list(engine.events(since=begin, until=until, filters=filters, decode=True))


def test_half_a_core_is_half_a_core(servers: Rig, image: str) -> None:
    code = """
import os, time
children = []
begin = time.monotonic()
for _ in range(3):
    child = os.fork()
    if child == 0:
        while time.monotonic() - begin < 6:
            pass
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
used = os.times()
print((used.user + used.system + used.children_user + used.children_system)
      / (time.monotonic() - begin))
"""
    # Another program on a busy machine can make it less, so it may try again; never more.
    shares = []
    for _ in range(3):
        shares.append(float(python(servers, image, code, cpus=0.5)))
        assert shares[-1] <= 0.55
        if shares[-1] >= 0.45:
            return
    pytest.fail(f"shares of a core: {shares}")


def test_forks_stop_at_the_limit(servers: Rig, image: str) -> None:
    code = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError as error:
    print(made, error.errno)
"""
    ended = servers.run("ada", image, [PYTHON, "-I", "-c", code], pids=64)
    made, errno = map(int, ended.output.split())
    assert errno == 11
    assert 55 <= made < 64


def test_a_fork_bomb_is_removed_and_disturbs_nobody(
    servers: Rig, image: str, engine: docker.DockerClient
) -> None:
    bomb = (
        "import os, time\nend = time.monotonic() + 3\nwhile time.monotonic() < end:\n"
        "    try:\n        os.fork()\n    except OSError:\n        pass\n"
    )
    begin = time.monotonic()
    ended = servers.run("ada", image, [PYTHON, "-I", "-c", bomb], pids=128, cpus=0.5)
    assert ended.state.exit_code == 0
    assert time.monotonic() - begin < 30
    assert engine.ping()
    assert python(servers, image, "print('fine')") == "fine\n"


def test_shared_memory_stops_at_its_size(servers: Rig, image: str) -> None:
    code = """
written = 0
try:
    with open('/dev/shm/x', 'wb', buffering=0) as file:
        while True:
            written += file.write(b'x' * 65536)
except OSError as error:
    print(written, error.errno)
"""
    assert python(servers, image, code, shm="32 MiB") == f"{32 << 20} 28\n"


def test_no_rights_at_all(servers: Rig, image: str) -> None:
    status = python(servers, image, "print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    none = "0" * 16
    assert {key: fields[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
        "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
    }  # fmt: skip
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert fields["Uid"].split() == ["200000"] * 4


@pytest.mark.parametrize(
    "attempt",
    [
        "os.chroot('/')",
        "os.mknod('/tf/notebooks/sda', 0o60600, os.makedev(8, 0))",
        "os.setuid(0)",
        "os.chown('/tf/notebooks', 0, 0)",
        "os.nice(-5)",
        "open('/opt/labserver/x', 'w')",
        "open('/etc/passwd', 'a')",
        "open('/etc/shadow')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
        "open('/proc/sysrq-trigger', 'w')",
        "open('/dev/mem')",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "os.stat('/var/run/docker.sock')",
    ],
)
def test_what_must_fail_fails(servers: Rig, image: str, attempt: str) -> None:
    code = f"import os, socket\ntry:\n    {attempt}\nexcept OSError as e:\n    print('refused', e)"
    assert python(servers, image, code).startswith("refused")


def test_the_uid_has_a_name_and_a_home_of_its_own(servers: Rig, image: str) -> None:
    shell = "id -un; id -gn; id -u; pwd; echo $HOME $USER $SHELL; stat -c '%a %u' $HOME; hostname"
    ada = servers.run("ada", image, ["sh", "-c", shell])
    assert ada.output.splitlines() == [
        "ada", "ada", "200000", "/tf/notebooks", "/tf/notebooks ada /bin/bash", "700 200000", "ada",
    ]  # fmt: skip
    bob = servers.run("bob", image, ["sh", "-c", shell])
    assert bob.output.splitlines()[:3] == ["bob", "bob", "200001"]


def test_files_outlive_the_container_and_nothing_else_does(servers: Rig, image: str) -> None:
    write = "touch $HOME/kept; mkdir -p $HOME/.keras; touch /tmp/lost; ls /tmp"
    assert "lost" in servers.run("ada", image, ["sh", "-c", write]).output
    look = "ls -d $HOME/kept $HOME/.keras; ls /tmp"
    assert servers.run("ada", image, ["sh", "-c", look]).output.splitlines() == [
        "/tf/notebooks/.keras",
        "/tf/notebooks/kept",
    ]
    assert "kept" not in servers.run("bob", image, ["sh", "-c", "ls -a $HOME"]).output


def test_pip_install_user_lasts_in_the_tensorflow_image(servers: Rig) -> None:
    tensorflow = build("tensorflow")
    # A wheel is a zip file with metadata; made here, because nothing may be fetched.
    make = """
import zipfile
info = 'labtest-1.0.dist-info'
with zipfile.ZipFile('labtest-1.0-py3-none-any.whl', 'w') as wheel:
    wheel.writestr('labtest.py', 'answer = 42')
    wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: labtest\\nVersion: 1.0\\n')
    wheel.writestr(f'{info}/WHEEL',
                   'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(f'{info}/RECORD', '')
"""
    install = (
        f"cd $HOME && python3 -c {shlex.quote(make)} && "
        "python3 -m pip install --user --no-index ./labtest-1.0-py3-none-any.whl"
    )
    installed = servers.run("bob", tensorflow, ["bash", "-c", install])
    assert installed.state.exit_code == 0, installed.output
    used = servers.run(
        "bob",
        tensorflow,
        ["python3", "-c", "import labtest; print(labtest.answer, labtest.__file__)"],
    )
    answer, path = used.output.split()
    assert (answer, path.startswith("/tf/notebooks/.local/")) == ("42", True)


def test_the_tensorflow_image_opens_above_the_notebooks(servers: Rig) -> None:
    ended = servers.run(
        "ada", build("tensorflow"), ["sh", "-c", "pwd; touch mine && echo writable"]
    )
    assert ended.output == "/tf\nwritable\n"


def test_shared_directories_are_read_only_but_for_members(
    servers: Rig, image: str, tmp_path: Path
) -> None:
    (tmp_path / "set.csv").write_text("1,2,3\n")
    tmp_path.chmod(0o1777)  # its own permissions hold, too
    shared = {"name": "data", "path": str(tmp_path), "mount": "/data", "writable_by": ["staff"]}
    storage = {"shared": [shared]}
    code = "print(open('/data/set.csv').read()); open('/data/mine', 'w').write('x')"
    program = [PYTHON, "-I", "-c", code]
    other = servers.run("ada", image, program, groups={"students"}, storage=storage)
    assert other.state.exit_code == 1
    assert "1,2,3\n" in other.output
    assert "Read-only file system" in other.output
    member = servers.run("ada", image, program, groups={"staff"}, storage=storage)
    assert (member.state.exit_code, member.output) == (0, "1,2,3\n\n")
    assert (tmp_path / "mine").read_text() == "x"
