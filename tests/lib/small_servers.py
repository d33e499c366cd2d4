"""What real servers need at least: an image with a Python for kernels, and a bundle that is quick.

The quick bundle stands in for the server bundle where only the server's life counts: its program
answers every request with 200 a few hundredths of a second after its start, and ends at SIGTERM.
In an image whose LABHUB_QUICK is `deaf` it never answers; where that is `dead` it ends at once.
The containers, their limits and their mounts are those of any server.
"""

import io
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from tests.lib.images import build, built_image

DEBIAN_WITH_PYTHON = """
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3
"""
IN_A_MOOD = """
FROM {image}
ENV LABHUB_QUICK={mood}
"""
# Perl is in every Debian. The name is that of the program which the spawner runs.
PROGRAM = "bin/python3"
SERVER = """\
#!/usr/bin/perl
use strict;
use IO::Socket::INET;
my $mood = $ENV{LABHUB_QUICK} // '';
exit 3 if $mood eq 'dead';
sleep if $mood eq 'deaf';
$SIG{CHLD} = 'IGNORE';
my $door = IO::Socket::INET->new(LocalPort => 8888, Listen => 64, ReuseAddr => 1) or die $!;
while (my $guest = $door->accept) {
    next if fork;
    while (<$guest>) { last if /^\\r?$/ }
    print $guest "HTTP/1.1 200 OK\\r\\nX-JupyterHub-Version: 6.1.1\\r\\nContent-Length: 2\\r\\n";
    print $guest "Content-Type: application/json\\r\\nConnection: close\\r\\n\\r\\n{}";
    exit;
}
"""


@contextmanager
def debian_with_python(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[str]:
    """Give an image in which the server bundle finds a Python for its kernels."""
    recipe = DEBIAN_WITH_PYTHON.format(base=build("base", "bookworm"))
    with built_image(engine, recipe, labels) as image:
        yield image


@contextmanager
def image_in_a_mood(
    engine: docker.DockerClient, image: str, mood: str, labels: dict[str, str]
) -> Iterator[str]:
    """Give the same image under an id of its own; `mood` is what the quick server makes of it."""
    with built_image(engine, IN_A_MOOD.format(image=image, mood=mood), labels) as made:
        yield made


@contextmanager
def quick_bundle(engine: docker.DockerClient, image: str, labels: dict[str, str]) -> Iterator[str]:
    """Give a volume with the quick server, for containers of an image with Perl."""
    volume = engine.volumes.create(f"labhub-quick-{uuid.uuid4().hex[:8]}", labels=labels)
    try:
        mounted = {volume.name: {"bind": "/opt/labserver", "mode": "rw"}}
        never_run = engine.containers.create(image, ["true"], volumes=mounted, labels=labels)
        never_run.put_archive("/opt/labserver", _archive())
        never_run.remove()
        yield volume.name
    finally:
        volume.remove(force=True)


def lend_bundle(owner: docker.DockerClient, bundle: str, other: docker.DockerClient) -> None:
    """Give another engine of this machine the bundle's volume, under the same name, to read.

    As the lower layer of an overlay, so that nothing the other engine does can reach the files.
    """
    files = owner.volumes.get(bundle).attrs["Mountpoint"]
    empty = other.volumes.create(f"{bundle}-empty").attrs["Mountpoint"]
    layers = {"type": "overlay", "device": "overlay", "o": f"lowerdir={files}:{empty}"}
    other.volumes.create(bundle, driver_opts=layers)


def _archive() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in (("bin", None), (PROGRAM, SERVER.encode())):
            entry = tarfile.TarInfo(name)
            entry.mode = 0o755
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            tar.addfile(entry, io.BytesIO(content or b""))
    return data.getvalue()
