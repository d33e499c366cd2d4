"""Python programs that begin with their libraries imported: one process imports them, and forks.

Most of what a hub does until it answers is importing JupyterHub. What is ours is imported by each
program itself, with its own environment.
"""

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIBRARIES = (
    "aiohttp", "alembic.command", "click", "django", "docker", "dockerspawner",
    "jupyterhub.app", "oauthenticator.generic", "pydantic", "pytest", "ruamel.yaml",
)  # fmt: skip
_forks: Any = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, *LIBRARIES])


def can_begin(argv: Sequence[str], env: Mapping[str, str]) -> bool:
    """Say whether this is a module that this Python runs, without a word to the loader (LD_…)."""
    return list(argv[:2]) == [sys.executable, "-m"] and not any(e.startswith("LD_") for e in env)


class WarmChild:
    """A program that was begun so, as subprocess.Popen shows one; the leader of its own group."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *files: Path
    ) -> None:
        """Begin it: from where it reads, and where it writes its output and its errors."""
        task = argv[2:], dict(env), str(cwd), [str(each) for each in files]
        self._process = _forks.Process(target=_become, args=task, daemon=True)
        self._process.start()
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Return its exit status once it ended."""
        status: int | None = self._process.exitcode
        return status

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for its end, so long at most."""
        self._process.join(seconds)
        return self.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _become(argv: Sequence[str], env: Mapping[str, str], cwd: str, files: Sequence[str]) -> None:
    """Be this program from now on."""
    os.setsid()
    # A shell lets what it begins in the background ignore this, and so would all its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path in enumerate(files):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        os.dup2(os.open(path, flags), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - until the end
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)
    sys.path[0:0] = [cwd]
    sys.argv = list(argv)
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
