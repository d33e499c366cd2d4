"""A second dockerd of this machine's version whose disk is a small tmpfs, in a network of its own.

The network namespace keeps its hands off the first engine's bridge and rules.
"""

import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

START_SECONDS = 30


class SmallEngine:
    """dockerd with `mebibytes` of space; gone when the block ends.

    Its folder is not pytest's: containerd's sockets lie in it, and a socket's path ends at 104.
    """

    def __init__(self, *, mebibytes: int) -> None:
        """Choose how much fits."""
        self.folder = Path(tempfile.mkdtemp(prefix="labhub-small-"))
        self.data = self.folder / "data"
        self.size = f"size={mebibytes}m"
        self.namespace = f"labhub-{uuid.uuid4().hex[:8]}"
        self._dockerd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    def __enter__(self) -> Self:
        """Start it and wait until it answers; its log is printed when it does not."""
        self.data.mkdir(parents=True)
        (self.folder / "none.json").write_text("{}")
        _run("mount", "-t", "tmpfs", "-o", self.size, "tmpfs", str(self.data))
        _run("ip", "netns", "add", self.namespace)
        # Not `ip netns exec`: it mounts a /sys without cgroups.
        with (self.folder / "log").open("wb") as log:
            self._dockerd = subprocess.Popen(
                ["nsenter", f"--net=/run/netns/{self.namespace}", "dockerd",
                 "--host", self.url, "--data-root", str(self.data),
                 "--exec-root", str(self.folder / "run"), "--pidfile", str(self.folder / "pid"),
                 "--config-file", str(self.folder / "none.json"), "--bridge", "none",
                 "--iptables=false", "--storage-driver", "vfs"],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait()
        except TimeoutError:
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

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(
            ["docker", "--host", self.url, "version"], capture_output=True, check=False
        ).returncode:
            ended = self._dockerd is None or self._dockerd.poll() is not None
            if ended or time.monotonic() > deadline:
                message = f"the second dockerd did not start:\n{(self.folder / 'log').read_text()}"
                raise TimeoutError(message)
            time.sleep(0.1)

    def _close(self) -> None:
        if self._dockerd is not None:
            self._dockerd.send_signal(signal.SIGTERM)
            self._dockerd.wait(timeout=START_SECONDS)
        _run("umount", "-l", str(self.data))
        _run("ip", "netns", "del", self.namespace)
        shutil.rmtree(self.folder, ignore_errors=True)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
