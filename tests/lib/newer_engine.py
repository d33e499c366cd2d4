"""An engine newer than this machine's, from Debian's packages, beside the first one.

    with newer_programs(labels) as programs, NewerEngine({}, programs) as newer: ...

The programs are the /usr of a newer Debian. The daemon sees it in the place of this machine's, in
a mount namespace of its own; all other files are this machine's, so volumes and bind mounts are
where the hub thinks they are.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import pytest

from tests.lib.images import build
from tests.lib.reachable_engine import ReachableEngine

# The first Debian whose engine names the devices that it found (Docker 28.2 and later).
SUITE = "forky"
MIRROR = "http://deb.debian.org/debian"
# Nothing is kept of the container, so nothing need be written to its disk for good.
INSTALL = """
set -e
exec 3>&1 >&2
echo 'deb {mirror} {suite} main' >/etc/apt/sources.list.d/newer.list
apt-get -q -o Acquire::Check-Valid-Until=false update
apt-get -q -o Dpkg::Options::=--force-unsafe-io install -y --no-install-recommends \\
    -t {suite} docker.io
tar -c -C / --exclude=usr/share --exclude=usr/include usr >&3
"""
# No containerd of this machine's may be found: its containers would see other mounts.
ENTER = """
set -eu
mount --bind "$1" /usr
mkdir -p /run/containerd
mount -t tmpfs tmpfs /run/containerd
shift
exec "$@"
"""
NOT_TO_BE_HAD = (
    "Docker of Debian {suite} could not be installed, so nothing here says whether newer engines "
    "hand GPUs over as decided: check the network, or set LABHUB_DEBIAN_MIRROR to a mirror that "
    "can be reached ({why})"
)


class NewerEngine(ReachableEngine):
    """dockerd of `programs`, with networks that this machine has a route to."""

    def __init__(self, config: dict[str, Any], programs: Path) -> None:
        """Choose the configuration and the programs."""
        super().__init__(config)
        self._programs = programs

    def _program(self) -> Sequence[str]:
        """Return the newer daemon, with a /usr of its own."""
        apart = ("unshare", "--mount", "--propagation", "private")
        return (*apart, "sh", "-c", ENTER, "sh", str(self._programs), *super()._program())


@contextmanager
def newer_programs(labels: dict[str, str]) -> Iterator[Path]:
    """Give the /usr of a Debian with a newer engine; without one the test fails with the fix."""
    mirror = os.environ.get("LABHUB_DEBIAN_MIRROR") or MIRROR
    with TemporaryDirectory(prefix="labhub-newer-") as folder:
        marks = [word for pair in labels.items() for word in ("--label", "=".join(pair))]
        install = ["sh", "-c", INSTALL.format(mirror=mirror, suite=SUITE)]
        why = _unpack(["docker", "run", "--rm", *marks, build("base", "trixie"), *install], folder)
        if why:
            pytest.fail(NOT_TO_BE_HAD.format(suite=SUITE, why=why), pytrace=False)
        yield Path(folder) / "usr"


def _unpack(command: Sequence[str], folder: str) -> str:
    """Unpack the archive that a command writes; return what it complained of, or nothing."""
    with (
        TemporaryFile() as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as source,
    ):
        unpacked = subprocess.run(
            ["tar", "-x", "-C", folder], stdin=source.stdout, stderr=subprocess.DEVNULL, check=False
        )
        if source.wait() == 0 and unpacked.returncode == 0:
            return ""
        log.seek(0)
        return " ".join(log.read().decode(errors="replace").split())[-300:]
