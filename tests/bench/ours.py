"""Ours: a real instance by deploy/up with one local account per user."""

from collections.abc import Callable

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

    def measure(self, number: int, show: Callable[[str], None]) -> float:
        """Return the seconds from click to ready; `show` gets the container before it stops."""
        name, person = self.people[number]
        seconds = click_to_ready(person, name, OPTIONS)
        (running,) = self.deployed.servers()
        show(running["Id"])
        stop(person, name)
        return seconds


def engine_facts(engine: docker.DockerClient) -> dict[str, object]:
    """What the figures depend on: engine, kernel, cores."""
    info = engine.info()
    keys = {"engine": "ServerVersion", "kernel": "KernelVersion", "cores": "NCPU"}
    return {name: info[key] for name, key in keys.items()} | {"cgroup": info.get("CgroupVersion")}
