"""Processes that a test starts: logged to a file, waited for with a deadline, ended by pid."""

import contextlib
import itertools
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lib import warm
from tests.lib.warm import WarmChild

TAIL_LINES = 60
PORT_FIRST, PORTS = 10_000, 20_000
_turns = itertools.count(secrets.randbelow(PORTS))


class Process:
    """One child with a log file; its whole process group ends with it."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        """Describe the child; nothing runs yet."""
        self.name, self.argv, self.log = name, list(argv), log
        self._child: subprocess.Popen[bytes] | WarmChild | None = None

    def start(self, env: Mapping[str, str], cwd: Path) -> None:
        """Start it with exactly this environment."""
        if warm.can_begin(self.argv, env):
            nothing = Path(os.devnull)
            self._child = WarmChild(self.argv, env, cwd, nothing, self.log, self.log)
            return
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.argv, env=dict(env), cwd=cwd, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The pid while it was started, else 0."""
        return self._child.pid if self._child else 0

    @property
    def ended(self) -> int | None:
        """Its exit status once it ended, None while it runs."""
        return self._child.poll() if self._child else 0

    def end(self, *, grace_seconds: float = 15.0, kill: bool = False) -> None:
        """End it and whatever it left in its process group."""
        child, self._child = self._child, None
        if child is None:
            return
        child.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a warm one only comes back
            child.wait(grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def wait_for(self, ready: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """Wait until `ready()`; fail with the log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.ended is not None:
                message = f"{self.name} ended with status {self.ended}:\n{self.tail()}"
                raise RuntimeError(message)
            if time.monotonic() > deadline:
                message = f"{self.name} was not ready after {seconds:.0f} s:\n{self.tail()}"
                raise TimeoutError(message)
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now, all different, and new to this process.

    All lie below those that the kernel gives to outgoing connections, and test processes that run
    beside each other begin at different ones.
    """
    found: list[int] = []
    while len(found) < count:
        port = PORT_FIRST + next(_turns) % PORTS
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
