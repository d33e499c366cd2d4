"""A Debian with nothing on it: own root, processes, hostname and network, no init, no engine.

Made from the base image's file system and entered with pivot_root (runc needs a real root). The
checkout is at /labhub inside, read-only. Everything ends with the block.
"""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.lib.deploy import ROOT, Call, call, docker

ENTER = """
set -eu
root=$1 disk=$2 checkout=$3
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/labhub" "$root/var/lib/docker" "$root/.old"
mount --bind "$checkout" "$root/labhub"
mount -o remount,bind,ro "$root/labhub"
mount --bind "$disk" "$root/var/lib/docker"
cd "$root"
pivot_root . .old
mount -t proc proc /proc
umount -l /.old
cd /
hostname bare
exec sleep infinity
"""
REMEMBER_PID = 'echo $$ >/run/under-test.pid; exec "$@"'
CGROUPS = Path("/sys/fs/cgroup")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BareMachine:
    """One machine under `folder`; `image` is the Docker image its file system comes from."""

    def __init__(self, folder: Path, image: str) -> None:
        """Choose where it lies and what it is."""
        self.folder = folder
        self.image = image
        self.root = folder / "root"
        self.disk = folder / "disk"
        self.name = f"lh{uuid.uuid4().hex[:8]}"
        self.third = 100 + os.getpid() % 100
        self._keeper: subprocess.Popen[bytes] | None = None
        self._hierarchies = cgroup_hierarchies()

    def __enter__(self) -> Self:
        """Unpack, connect and enter."""
        self.root.mkdir(parents=True)
        self.disk.mkdir()
        self._unpack()
        self._connect()
        self._keeper = subprocess.Popen([
            "nsenter", f"--net=/run/netns/{self.name}",
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
            "sh", "-c", ENTER, "sh", str(self.root), str(self.disk), str(ROOT),
        ])  # fmt: skip
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process in it and remove all of it."""
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
        self._dissolve_hierarchies()
        for rule in self._rules("-D"):
            subprocess.run(["iptables", *rule], check=False)
        _run("ip", "netns", "del", self.name)
        subprocess.run(["ip", "link", "del", self.name], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _dissolve_hierarchies(self) -> None:
        """Take back the cgroup hierarchies that Debian's cgroupfs-mount made in there.

        They outlive their mounts while they hold groups, and an engine out here that meets one
        without a mount watches no container for running out of memory any more.
        """
        place = self.folder / "hierarchy"
        deadline = time.monotonic() + 30
        while (left := cgroup_hierarchies() - self._hierarchies) and time.monotonic() < deadline:
            for name in left:
                place.mkdir(exist_ok=True)
                _run("mount", "-t", "cgroup", "-o", name, "cgroup", str(place))
                groups = sorted((each for each in place.rglob("*") if each.is_dir()), reverse=True)
                for group in groups:
                    group.rmdir()
                _run("umount", str(place))
            time.sleep(0.5)
        for name in {each.name for each in CGROUPS.iterdir()} - self._hierarchies:
            if CGROUPS.joinpath(name).is_dir() and not any(CGROUPS.joinpath(name).iterdir()):
                CGROUPS.joinpath(name).rmdir()

    def run(self, *argv: str, seconds: float = 120) -> Call:
        """Run a command inside to its end."""
        return call(*self._inside(), *argv, seconds=seconds)

    def run_until(self, word: str, *argv: str, seconds: float) -> str:
        """Run a command inside, end it like Ctrl-C as soon as a line holds `word`."""
        child = subprocess.Popen(
            [*self._inside(), "sh", "-c", REMEMBER_PID, "sh", *argv],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        printed: list[str] = []
        deadline = time.monotonic() + seconds
        with child:
            for line in child.stdout or []:
                printed.append(line)
                if word in line or time.monotonic() > deadline:
                    self.run("sh", "-c", "kill -INT $(cat /run/under-test.pid)")
                    break
            printed += list(child.stdout or [])
        return "".join(printed)

    def load(self, *images: str) -> None:
        """Bring images of the first engine to the one inside."""
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        inside = [*self._inside(), "docker", "load"]
        subprocess.run(inside, stdin=save.stdout, check=True, capture_output=True)
        if save.wait():
            message = f"docker save {' '.join(images)} failed"
            raise RuntimeError(message)

    def _inside(self) -> tuple[str, ...]:
        pid = str(next(self._children()))
        return (
            "nsenter", "--target", pid, "--mount", "--pid", "--uts", "--ipc", "--net",
            "--root", "--wd", "env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8",
            "LABHUB_PULL=no",
        )  # fmt: skip

    def _children(self) -> Iterator[int]:
        """Yield the first process inside, seen from here."""
        keeper = self._keeper.pid if self._keeper else 0
        yield from map(int, Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split())

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                if self.run("hostname").stdout == "bare\n":
                    return
            except StopIteration:
                pass
            if time.monotonic() > deadline:
                message = "the bare machine did not come up"
                raise TimeoutError(message)
            time.sleep(0.1)

    def _unpack(self) -> None:
        container = docker("create", "--label", f"labhub.test={self.name}", self.image, "true")
        export = subprocess.Popen(["docker", "export", container.strip()], stdout=subprocess.PIPE)
        _run("tar", "-x", "-C", str(self.root), stdin=export.stdout)
        export.wait()
        docker("rm", container.strip())
        (self.root / ".dockerenv").unlink(missing_ok=True)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost bare\n")
        (self.root / "etc/apt/apt.conf.d/99dates").write_text(
            'Acquire::Check-Valid-Until "false";\n'
        )

    def _connect(self) -> None:
        outside, inside = f"10.99.{self.third}.1", f"10.99.{self.third}.2"
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0",
             "netns", self.name)  # fmt: skip
        _run("ip", "addr", "add", f"{outside}/24", "dev", self.name)
        _run("ip", "link", "set", self.name, "up")
        for words in (
            ("addr", "add", f"{inside}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", outside),
        ):
            _run("ip", "-n", self.name, *words)
        for rule in self._rules("-I"):
            _run("iptables", *rule)

    def _rules(self, verb: str) -> tuple[tuple[str, ...], ...]:
        """Let it out through this machine's address; `verb` is -I or -D."""
        network = f"10.99.{self.third}.0/24"
        return (
            (verb, "FORWARD", "-i", self.name, "-j", "ACCEPT"),
            (verb, "FORWARD", "-o", self.name, "-j", "ACCEPT"),
            ("-t", "nat", verb, "POSTROUTING", "-s", network, "!", "-o", self.name,
             "-j", "MASQUERADE"),
        )  # fmt: skip


def cgroup_hierarchies() -> set[str]:
    """Return the controllers of cgroup v1 that have a hierarchy on this machine."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    names = {name for line in lines for name in line.split(":")[1].split(",")}
    return {name for name in names if name and "=" not in name}


def _run(*argv: str, stdin: IO[bytes] | None = None) -> None:
    subprocess.run(argv, check=True, capture_output=True, stdin=stdin)
