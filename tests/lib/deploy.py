"""Driving deploy/up, deploy/down and deploy/labhub as an operator does; seeing what is left.

Everything runs without a terminal, so that no question can wait for an answer.
"""

import hashlib
import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.lib.processes import listens

ROOT = Path(__file__).parents[2]
UP_SECONDS = 1500  # images from nothing on two cores


def call(*argv: str, env: dict[str, str] | None = None, seconds: float = 60) -> "Call":
    """Run a command to its end and return what an operator would have seen."""
    done = subprocess.run(
        argv,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Call(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Call:
    """How a command ended: its status and what it printed."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaints(self) -> list[str]:
        """The lines that say what is wrong, without what comes after them."""
        lines = [line.strip() for line in self.stderr.splitlines()]
        marks = ("cannot ", "error: ")
        return [line.removeprefix(m).strip() for line in lines for m in marks if line.startswith(m)]

    def __str__(self) -> str:
        """All of it, for a failing assertion."""
        return f"status {self.status}\n--- stdout\n{self.stdout}--- stderr\n{self.stderr}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One instance directory and the commands that work on it."""

    dir: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The instance's name as deploy/up derives it."""
        return "labhub-" + hashlib.sha256(str(self.dir).encode()).hexdigest()[:6]

    def up(self, *, seconds: float = UP_SECONDS) -> Call:
        """Run deploy/up."""
        argv = (str(ROOT / "deploy/up"), "--dir", str(self.dir), "--port", str(self.port))
        return call(*argv, env=self.env, seconds=seconds)

    def down(self, *options: str) -> Call:
        """Run deploy/down."""
        argv = (str(ROOT / "deploy/down"), "--dir", str(self.dir), *options)
        return call(*argv, env=self.env, seconds=300)

    def labhub(self, *words: str) -> Call:
        """Run deploy/labhub."""
        return call(str(ROOT / "deploy/labhub"), "--dir", str(self.dir), *words, env=self.env)

    def container(self, role: str) -> str:
        """Return the id of the hub's or the proxy's container."""
        return docker("inspect", "-f", "{{.Id}}", f"{self.name}-{role}", env=self.env).strip()

    def traces(self) -> dict[str, list[str]]:
        """Return everything of this instance that still exists, by kind; empty when nothing."""
        label = f"label=labhub.instance={self.name}"
        kinds = {
            "containers": ("ps", "-aq", "--filter", label),
            "networks": ("network", "ls", "-q", "--filter", label),
            "volumes": ("volume", "ls", "-q", "--filter", label),
        }
        left = {kind: docker(*argv, env=self.env).split() for kind, argv in kinds.items()}
        left["directory"] = [str(self.dir)] if self.dir.exists() else []
        return {kind: names for kind, names in left.items() if names}

    def purge(self) -> None:
        """Leave nothing behind, whatever a test did."""
        if self.traces():
            self.down("--purge", "--yes", "--keep-images")
        shutil.rmtree(self.dir, ignore_errors=True)


def docker(*argv: str, env: dict[str, str] | None = None) -> str:
    """Run docker and return its output; a failure raises with docker's own words."""
    done = call("docker", *argv, env=env)
    if done.status:
        message = f"docker {' '.join(argv)}: {done}"
        raise RuntimeError(message)
    return done.stdout


def free_port() -> int:
    """Return a port whose companions (+1, +81, +2101) are free too, below the ephemeral range."""
    for port in random.sample(range(20000, 30000), 100):
        if not any(listens(port + offset) for offset in (0, 1, 81, 2101)):
            return port
    message = "no four free ports"
    raise RuntimeError(message)
