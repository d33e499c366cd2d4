"""An engine newer than this machine's, from Debian's packages, beside the first one.

    with newer_programs(engine, labels) as programs, NewerEngine({}, programs) as newer: ...

The programs are the /usr of a newer Debian. The daemon sees it in the place of this machine's, in
a mount namespace of its own; all other files are this machine's, so volumes and bind mounts are
where the hub thinks they are.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import pytest

from tests.lib.images import build, built_image
from tests.lib.reachable_engine import ReachableEngine

# The first Debian whose engine names the devices that it found (Docker 28.2 and later).
SUITE = "forky"
MIRROR = "http://deb.debian.org/debian"
RECIPE = """
FROM {base}
RUN echo 'deb {mirror} {suite} main' >/etc/apt/sources.list.d/newer.list \\
 && apt-get -q -o Acquire::Check-Valid-Until=false update \\
 && apt-get -q -o Dpkg::Options::=--force-unsafe-io install -y --no-install-recommends \\
    -t {suite} docker.io
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
LEFT_OUT = ("usr/share", "usr/include", "usr/lib/gcc")
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
def newer_programs(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[Path]:
    """Give the /usr of a Debian with a newer engine; without one the test fails with the fix."""
    mirror = os.environ.get("LABHUB_DEBIAN_MIRROR") or MIRROR
    recipe = RECIPE.format(base=build("base", "trixie"), mirror=mirror, suite=SUITE)
    with TemporaryDirectory(prefix="labhub-newer-") as folder:
        try:
            with built_image(engine, recipe, labels) as image:
                _unpack(engine, image, folder, labels)
        except docker.errors.BuildError as error:
            pytest.fail(NOT_TO_BE_HAD.format(suite=SUITE, why=_last_words(error)), pytrace=False)
        yield Path(folder) / "usr"


def _unpack(engine: docker.DockerClient, image: str, folder: str, labels: dict[str, str]) -> None:
    """Write an image's programs and libraries into a folder."""
    source = engine.containers.create(image, ["-"], labels=labels)
    try:
        exclude = [f"--exclude={each}" for each in LEFT_OUT]
        command = ["tar", "-x", "-C", folder, *exclude, "usr"]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as tar:
            assert tar.stdin is not None
            for piece in source.export():
                tar.stdin.write(piece)
        assert tar.returncode == 0
    finally:
        source.remove(force=True)


def _last_words(error: docker.errors.BuildError) -> str:
    lines = [str(each.get("stream") or each.get("error") or "") for each in error.build_log]
    return " ".join("".join(lines).split())[-300:]
