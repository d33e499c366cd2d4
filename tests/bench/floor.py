"""The floor: the very container that ours started, created and started without any spawner.

Its create request is read back from the engine, so image, limits, mounts and network are the
same; the server is asked directly, with no hub and no proxy on the way.
"""

import secrets
import time
from typing import Any

import docker

from tests.bench.clock import POLL_SECONDS, SPAWN_SECONDS, wait_for_answer

COPIED = ("Image", "Cmd", "Entrypoint", "Env", "User", "WorkingDir", "ExposedPorts")


class Floor:
    """Starts copies of one container."""

    def __init__(self, engine: docker.DockerClient, run: str) -> None:
        """Everything it creates carries the label labhub.test=`run`."""
        self.api = engine.api
        self.run = run
        self.body: dict[str, Any] = {}
        self.path = ""

    def learn(self, container: str) -> None:
        """Take this running container as the pattern."""
        seen = self.api.inspect_container(container)
        config, networks = seen["Config"], seen["NetworkSettings"]["Networks"]
        self.body = {
            **{key: config[key] for key in COPIED if config.get(key)},
            "Labels": {"labhub.test": self.run},
            "HostConfig": seen["HostConfig"],
            "NetworkingConfig": {"EndpointsConfig": {name: {} for name in networks}},
        }
        environment = dict(entry.split("=", 1) for entry in config["Env"])
        self.path = environment["JUPYTERHUB_SERVICE_PREFIX"] + "api"

    def measure(self) -> float:
        """Create, start, ask until it answers; return the seconds and remove it."""
        name = f"labhub-bench-{secrets.token_hex(4)}"
        began = time.perf_counter()
        made = self.api.create_container_from_config(self.body, name)["Id"]
        try:
            self.api.start(made)
            wait_for_answer(f"http://{self._address(made)}:8888{self.path}")
            return time.perf_counter() - began
        finally:
            self.api.remove_container(made, force=True, v=True)

    def _address(self, container: str) -> str:
        deadline = time.monotonic() + SPAWN_SECONDS
        while time.monotonic() < deadline:
            networks = self.api.inspect_container(container)["NetworkSettings"]["Networks"]
            for network in networks.values():
                if network["IPAddress"]:
                    return str(network["IPAddress"])
            time.sleep(POLL_SECONDS)
        message = "the floor's container got no address"
        raise TimeoutError(message)
