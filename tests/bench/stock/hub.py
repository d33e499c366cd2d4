"""The stock contender: own hub, own proxy, DummyAuthenticator, DockerSpawner's defaults."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import docker
from docker.errors import DockerException

from tests.bench.clock import click_to_ready, stop
from tests.bench.stock.process import StockHub
from tests.lib.person import Person

HERE = Path(__file__).parent
LOCAL_ENGINE = "unix:///var/run/docker.sock"
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


class Stock(StockHub):
    """The hub on a real engine, and one signed-in person per user."""

    def __init__(
        self,
        engine: docker.DockerClient,
        image: str,
        run: str,
        users: int,
        command: tuple[str, ...] = (),
    ) -> None:
        """Describe it; `command` replaces the image's own. It runs inside `with`."""
        self.engine, self.run, self.users = engine, run, users
        self.prefix = f"bench-{run}"
        super().__init__(
            os.environ.get("DOCKER_HOST", LOCAL_ENGINE),
            {
                "BENCH_IMAGE": image,
                "BENCH_COMMAND": json.dumps(command),
                "BENCH_PREFIX": self.prefix,
                "BENCH_RUN": run,
                "BENCH_HUB_ADDRESS": self._gateway(),
            },
        )
        self.people: list[Person] = []

    def _gateway(self) -> str:
        network = self.engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
        # 20.10 leaves the gateway of its own bridge out; it is the first address then
        first = next(ipaddress.ip_network(network["Subnet"]).hosts())
        return str(network.get("Gateway") or first)

    def prepare(self) -> None:
        """Sign everybody in."""
        self.people = [self._person(f"bench{number}") for number in range(self.users)]

    def clean(self) -> None:
        """Remove its containers."""
        mine = {"label": f"labhub.test={self.run}", "name": self.prefix}
        for container in self.engine.api.containers(all=True, filters=mine):
            self._remove(container["Id"])

    def _remove(self, container: str) -> None:
        try:
            self.engine.api.remove_container(container, force=True, v=True)
        except DockerException as error:
            print(f"not removed: {error}", file=sys.stderr)

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
