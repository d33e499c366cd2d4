"""A labhub brought up by the real deploy/up, in a directory and on ports of its own."""

import hashlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import requests

from tests.lib.node import ROOT
from tests.lib.person import Person, words
from tests.lib.processes import listens

DEPLOY = ROOT / "deploy"
UP_SECONDS = 1500
OFFSETS = (0, 1, 81, 2101)
PORT_FIRST, PORT_LAST = 10_000, 32_767
PASSWORD = "correct horse battery staple"  # the tests' own, for accounts that live for minutes


@dataclass
class Deployed:
    """One deployed instance, and what deploy/up printed."""

    engine: docker.DockerClient
    folder: Path
    port: int
    printed: str = ""
    people: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The instance's name, which its labels carry."""
        return "labhub-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:6]

    @property
    def url(self) -> str:
        """The address a browser opens, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hub(self) -> str:
        """The name of the hub's container."""
        return f"{self.name}-hub"

    @property
    def setup_link(self) -> str:
        """The one-time link that the first deploy/up printed."""
        links = re.findall(r"https?://\S*/services/accounts/\S+", self.printed)
        if not links:
            message = f"deploy/up printed no setup link:\n{self.printed}"
            raise AssertionError(message)
        return links[-1]

    def up(self) -> str:
        """Run deploy/up (again) and return what it printed."""
        words = [str(DEPLOY / "up"), "--dir", str(self.folder), "--port", str(self.port)]
        text = _run(words, seconds=UP_SECONDS)
        self.printed = self.printed or text
        return text

    def down(self, *words: str) -> str:
        """Run deploy/down and return what it printed."""
        return _run([str(DEPLOY / "down"), "--dir", str(self.folder), *words], seconds=300)

    def cli(self, *words: str, text: str = "") -> str:
        """Run `labhub WORDS…` as the operator does, and return what it printed."""
        command = [str(DEPLOY / "labhub"), "--dir", str(self.folder), *words]
        return _run(command, seconds=120, text=text)

    def add_user(self, name: str, *, admin: bool = False, password: str = PASSWORD) -> None:
        """Create a local account with a password."""
        flags = ["--admin"] if admin else []
        self.people[name] = password
        self.cli("user", "add", name, *flags, "--password-stdin", text=password + "\n")

    def login(self, name: str) -> Person:
        """Sign in by the real redirects."""
        person = Person(self.url)
        page = person.login(name, self.people[name])
        if not person.signed_in():
            message = f"{name} is not signed in: {words(page)}"
            raise AssertionError(message)
        return person

    def image(self) -> str:
        """Return the name of the TensorFlow image that this instance offers."""
        found = re.search(r"image: *(\S*tensorflow\S*)", (self.folder / "labhub.yaml").read_text())
        if found is None:
            message = f"{self.folder}/labhub.yaml offers no TensorFlow image"
            raise AssertionError(message)
        return found[1]

    def servers(self) -> list[dict[str, str]]:
        """Return the engine's list entries of all user containers of this instance."""
        wanted = [f"labhub.instance={self.name}", "labhub.role=server"]
        return list(self.engine.api.containers(all=True, filters={"label": wanted}))

    def answers(self) -> bool:
        """Whether the hub answers through the proxy."""
        try:
            health = requests.get(f"{self.url}/hub/health", timeout=5)
        except requests.RequestException:
            return False
        return health.status_code == requests.codes.ok


@contextmanager
def deploy(engine: docker.DockerClient, folder: Path) -> Iterator[Deployed]:
    """Bring an instance up in `folder` and purge it afterwards."""
    deployed = Deployed(engine, folder, free_port_family())
    _note(folder)
    try:
        deployed.up()
        yield deployed
    finally:
        deployed.down("--purge", "--yes", "--keep-images")


def free_port_family() -> int:
    """Return a port from which all the ports that an instance derives are free.

    All lie below those that the kernel gives to outgoing connections: bringing an instance up
    takes long enough for one of them to be taken by somebody's connection.
    """
    while True:
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST - max(OFFSETS))
        if not any(listens(port + offset) for offset in OFFSETS):
            return port


def _note(folder: Path) -> None:
    """Tell tests/run of the instance, so that it is removed even when this process is killed."""
    state = os.environ.get("LABHUB_TEST_STATE")
    if state:
        with (Path(state) / "instances").open("a") as notes:
            notes.write(f"{folder}\n")


def _run(words: list[str], *, seconds: float, text: str = "") -> str:
    """Run a command, pass its output on as it comes, and return it; fail when it fails."""
    printed: list[str] = []
    with tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        child = subprocess.Popen(
            words, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    limit = threading.Timer(seconds, child.terminate)
    limit.start()
    with child:
        for line in child.stdout or []:
            printed.append(line)
            sys.stderr.write(line)
    limit.cancel()
    if child.returncode:
        message = f"{' '.join(words)} ended with {child.returncode}:\n{''.join(printed)}"
        raise RuntimeError(message)
    return "".join(printed)
