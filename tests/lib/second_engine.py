"""A second dockerd of this machine's version, beside the first one and apart from it.

It has its own network namespace (or it would delete the first one's bridge), directories, socket
and containerd namespace. Whatever it runs ends with it.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import docker

START_SECONDS = 30
STOP_SECONDS = 30


class SecondEngine:
    """dockerd with a daemon.json of the test's choice; gone when the block ends."""

    def __init__(self, config: dict[str, Any], *, path: Path | None = None) -> None:
        """Choose the configuration; programs in `path` are found before the system's."""
        self.folder = Path(tempfile.mkdtemp(prefix="labhub-engine-"))
        self.url = f"unix://{self.folder}/docker.sock"
        self.config = dict(config)
        self._path = path
        self.namespace = f"labhub-{uuid.uuid4().hex[:8]}"
        self._dockerd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers; its log is in the error when it does not."""
        run("ip", "netns", "add", self.namespace)
        try:
            # Not `ip netns exec`: it mounts a /sys without cgroups.
            run("nsenter", f"--net=/run/netns/{self.namespace}", "ip", "link", "set", "lo", "up")
            self.begin()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and everything of it."""
        self._close()

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """Give a client of this engine and close it."""
        with closing(docker.DockerClient(base_url=self.url, timeout=60)) as client:
            yield client

    def take_image(self, first: docker.DockerClient, name: str, *changes: str) -> str:
        """Copy an image's files from another engine, with Dockerfile `changes`; return its id."""
        source = first.api.create_container(name, ["-"], labels={"labhub.test": "second-engine"})
        try:
            with self.client() as here:
                files = first.api.export(source["Id"])
                answer = here.api.import_image_from_data(b"".join(files), changes=list(changes))
                return str(json.loads(answer.splitlines()[-1])["status"])
        finally:
            first.api.remove_container(source["Id"], v=True)

    def end(self, *, kill: bool = False) -> None:
        """End the daemon alone, by force if wished; what becomes of containers is its choice."""
        daemon, self._dockerd = self._dockerd, None
        if daemon is not None:
            daemon.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            daemon.wait(timeout=STOP_SECONDS)
            # Killed, it takes its containerd along; a slow init keeps that one's pid for a while,
            # and the next daemon would wait for it.
            (self.folder / "run/containerd/containerd.pid").unlink(missing_ok=True)

    def begin(self, **changes: Any) -> None:
        """Start the daemon with changes to its configuration, and wait until it answers."""
        self.config |= changes
        (self.folder / "daemon.json").write_text(json.dumps(self.config))
        self._start()
        self._wait()

    def log(self) -> str:
        """Return what the daemon wrote."""
        return (self.folder / "log").read_text(errors="replace")

    def _start(self) -> None:
        options = {
            "host": self.url,
            "data-root": self.folder / "data",
            "exec-root": self.folder / "run",
            "pidfile": self.folder / "pid",
            "config-file": self.folder / "daemon.json",
            "containerd-namespace": self.namespace,
            "containerd-plugins-namespace": f"{self.namespace}-plugins",
            "bridge": "none",
            "iptables": "false",
        }
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with (self.folder / "log").open("ab") as log:
            self._dockerd = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.namespace}", *self._program()]
                + [f"--{key}={value}" for key, value in options.items()],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": f"{self._path}:{path}" if self._path else path},
            )

    def _program(self) -> Sequence[str]:
        """Return the daemon, to be run with its options in the namespace."""
        return ("dockerd",)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = self._dockerd is None or self._dockerd.poll() is not None
            if ended or time.monotonic() > deadline:
                message = f"the second dockerd did not start:\n{self.log()}"
                raise TimeoutError(message)
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except docker.errors.DockerException:
            return False

    def _close(self) -> None:
        self._remove_containers()
        self.end()
        self._end_shims()
        run("ip", "netns", "del", self.namespace)
        self._unmount()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_shims(self) -> None:
        """End what still runs because the daemon did not come back to remove it."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = process.read_bytes().decode(errors="replace").split("\0")
                if words[1:3] == ["-namespace", self.namespace]:
                    shim = int(process.parent.name)
                    children = (process.parent / f"task/{shim}/children").read_text().split()
                    for pid in (*map(int, children), shim):
                        os.kill(pid, signal.SIGKILL)

    def _unmount(self) -> None:
        """Let go of what the daemon left mounted, before anything is deleted below it."""
        places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(places):
            if Path(place).is_relative_to(self.folder):
                run("umount", "--lazy", place)

    def _remove_containers(self) -> None:
        """Remove them while the engine still can: it would leave their mounts behind."""
        if self._answers():
            with self.client() as client:
                for container in client.api.containers(all=True):
                    client.api.remove_container(container["Id"], force=True, v=True)


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
