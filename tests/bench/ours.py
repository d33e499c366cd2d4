"""Ours: a real instance by deploy/up with one local account per user."""

import docker

from tests.bench.clock import click_to_ready, stop
from tests.lib.deployed import Deployed
from tests.lib.person import Person

OPTIONS = {"image": "tensorflow"}


class Ours:
    """Starts and stops one user's server after the other."""

    def __init__(self, deployed: Deployed, users: int) -> None:
        """Create the accounts and sign everybody in, before any clock runs."""
        self.deployed = deployed
        self.people: list[tuple[str, Person]] = []
        for number in range(users):
            name = f"bench{number}"
            deployed.add_user(name)
            self.people.append((name, deployed.login(name)))

    def measure(self, number: int) -> float:
        """Return the seconds from click to ready; the server goes on running."""
        name, person = self.people[number]
        return click_to_ready(person, name, OPTIONS)

    def container(self) -> str:
        """Return the id of the server that runs now."""
        (running,) = self.deployed.servers()
        return running["Id"]

    def stop(self, number: int) -> None:
        """Stop that user's server."""
        name, person = self.people[number]
        stop(person, name)


def engine_facts(engine: docker.DockerClient) -> dict[str, object]:
    """What the figures depend on: engine, kernel, cores."""
    info = engine.info()
    keys = {"engine": "ServerVersion", "kernel": "KernelVersion", "cores": "NCPU"}
    return {name: info[key] for name, key in keys.items()} | {"cgroup": info.get("CgroupVersion")}
