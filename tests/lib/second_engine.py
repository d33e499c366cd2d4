"""A second dockerd of this machine's version, beside the first one and apart from it.

It has its own network namespace (or it would delete the first one's bridge), directories, socket
and containerd namespace. Whatever it runs ends with it.
"""

import json
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
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
        self.config = config
        self._path = path
        self._namespace = f"labhub-{uuid.uuid4().hex[:8]}"
        self._dockerd: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it answers; its log is in the error when it does not."""
        (self.folder / "daemon.json").write_text(json.dumps(self.config))
        _run("ip", "netns", "add", self._namespace)
        try:
            # Not `ip netns exec`: it mounts a /sys without cgroups.
            _run("nsenter", f"--net=/run/netns/{self._namespace}", "ip", "link", "set", "lo", "up")
            self._start()
            self._wait()
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
            "containerd-namespace": self._namespace,
            "containerd-plugins-namespace": f"{self._namespace}-plugins",
            "bridge": "none",
            "iptables": "false",
        }
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        with (self.folder / "log").open("wb") as log:
            self._dockerd = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self._namespace}", "dockerd"]
                + [f"--{key}={value}" for key, value in options.items()],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": f"{self._path}:{path}" if self._path else path},
            )

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
        if self._dockerd is not None:
            self._remove_containers()
            self._dockerd.send_signal(signal.SIGTERM)
            self._dockerd.wait(timeout=STOP_SECONDS)
        _run("ip", "netns", "del", self._namespace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_containers(self) -> None:
        """Remove them while the engine still can: it would leave their mounts behind."""
        if self._answers():
            with self.client() as client:
                for container in client.api.containers(all=True):
                    client.api.remove_container(container["Id"], force=True, v=True)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
