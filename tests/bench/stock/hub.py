"""The stock contender: own hub, own proxy, DummyAuthenticator, DockerSpawner's defaults."""

import ipaddress
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import docker
import requests
from docker.errors import DockerException

from tests.bench.clock import click_to_ready, stop
from tests.lib.node import proxy_path
from tests.lib.person import Person
from tests.lib.processes import Process, free_ports

HERE = Path(__file__).parent
VERSIONS = "import sys, jupyterhub, jupyterlab; print(sys.version.split()[0], jupyterhub.__version__, jupyterlab.__version__)"  # noqa: E501


def build(base: str, run: str) -> str:
    """Build the user's image on `base` and return its name; it carries labhub.test=`run`."""
    name = f"labhub/bench-stock:{run}"
    subprocess.run([str(HERE / "build"), base, name, run], check=True, stdout=sys.stderr)
    return name


def versions(engine: docker.DockerClient, image: str, run: str) -> dict[str, str]:
    """Return which Python, jupyterhub and jupyterlab the user's image ended up with."""
    printed = engine.containers.run(
        image, ["python3", "-c", VERSIONS], remove=True, labels={"labhub.test": run}
    )
    names = ("python", "jupyterhub", "jupyterlab")
    return dict(zip(names, printed.decode().split(), strict=True))


class Stock:
    """The hub process, and one signed-in person per user."""

    def __init__(self, engine: docker.DockerClient, image: str, run: str, users: int) -> None:
        """Describe it; it runs inside `with`."""
        self.engine, self.run, self.users = engine, run, users
        self.folder = tempfile.TemporaryDirectory(prefix="labhub-bench-")
        port, api_port, hub_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.prefix = f"bench-{run}"
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{proxy_path()}",
            "HOME": self.folder.name,
            "BENCH_IMAGE": image, "BENCH_PREFIX": self.prefix, "BENCH_RUN": run,
            "BENCH_URL": self.url, "BENCH_HUB_PORT": str(hub_port),
            "BENCH_GATEWAY": self._gateway(),
            "BENCH_PROXY_API": f"http://127.0.0.1:{api_port}",
            "DOCKER_HOST": os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
        }  # fmt: skip
        argv = [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "hub_config.py")]
        self.hub = Process("stock hub", argv, Path(self.folder.name) / "hub.log")
        self.people: list[Person] = []

    def _gateway(self) -> str:
        network = self.engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
        # 20.10 leaves the gateway of its own bridge out; it is the first address then
        first = next(ipaddress.ip_network(network["Subnet"]).hosts())
        return str(network.get("Gateway") or first)

    def __enter__(self) -> Self:
        """Start hub and proxy, sign everybody in."""
        self.hub.start(self.env, Path(self.folder.name))
        try:
            self.hub.wait_for(self._answers)
            self.people = [self._person(f"bench{number}") for number in range(self.users)]
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
        """End the hub and remove its containers."""
        if kind is not None:
            print(self.hub.tail(), file=sys.stderr)
        self._close()

    def _close(self) -> None:
        self.hub.end()
        mine = {"label": f"labhub.test={self.run}", "name": self.prefix}
        for container in self.engine.api.containers(all=True, filters=mine):
            self._remove(container["Id"])
        self.folder.cleanup()

    def _remove(self, container: str) -> None:
        try:
            self.engine.api.remove_container(container, force=True, v=True)
        except DockerException as error:
            print(f"not removed: {error}", file=sys.stderr)

    def _answers(self) -> bool:
        try:
            return (
                requests.get(f"{self.url}/hub/health", timeout=2).status_code == requests.codes.ok
            )
        except requests.RequestException:
            return False

    def _person(self, name: str) -> Person:
        person = Person(self.url)
        person.submit(
            person.get("/hub/login?next=%2Fhub%2Fhome"), {"username": name, "password": "any"}
        )
        if not person.signed_in():
            message = f"the stock hub did not sign {name} in"
            raise RuntimeError(message)
        return person

    def measure(self, number: int) -> float:
        """Return the seconds from click to ready; then stops it (its container stays)."""
        seconds = click_to_ready(self.people[number], f"bench{number}", {})
        stop(self.people[number], f"bench{number}")
        return seconds
