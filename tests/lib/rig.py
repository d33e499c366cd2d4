"""Servers on a real engine without a hub: real account, volume, passwd file and create body.

Only the command is the test's: what runs, runs under exactly the limits a user's server has.
"""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from hub_config.instance import Instance
from hub_config.schema import Config
from spawner.container import create_body
from spawner.desk import Desk
from spawner.engine import Container
from spawner.entrance import Request
from tests.lib.launches import launch

RUN_SECONDS = 90
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended and what it wrote."""

    state: Container
    output: str


class Rig:
    """One instance on a real engine."""

    def __init__(self, folder: Path, bundle: str) -> None:
        """Lay out the instance's directories in `folder`; no bundle means an empty one."""
        name = f"labtest-{secrets.token_hex(3)}"
        for each in ("state", "volumes"):
            (folder / each).mkdir()
        self.lab = Instance(
            name=name, config_path=folder / "labhub.yaml", secrets_dir=folder,
            state_dir=folder / "state", state_dir_on_host=folder / "state",
            volumes_dir=folder / "volumes", volumes_dir_on_host=folder / "volumes",
            port=1, api_port=1, hub_port=1, accounts_port=1, network=f"{name}-users",
            gateway="127.0.0.1", bundle=bundle or f"{name}-bundle",
        )  # fmt: skip
        self.desk = Desk(self.lab)

    def sign_in(self, name: str) -> None:
        """Give somebody an account."""
        self.desk.accounts.sign_in("local", name, name, name)

    def run(
        self, user: str, image: str, argv: list[str], groups: Collection[str] = (), **rules: Any
    ) -> Ended:
        """Run a command as a user's server would run, wait for its end, and remove it.

        `rules` are limits, or `storage` as in labhub.yaml.
        """
        config = self.config(image, rules)
        return asyncio.run(self._run(Request(config, user, "", {}, frozenset(groups)), argv))

    def config(self, image: str, rules: dict[str, Any]) -> Config:
        """Return a configuration with one image, and with the GPUs that `devices` names."""
        default = {"cpus": 1, "memory": "1 GiB", "shm": "64 MiB", "pids": 256, **rules}
        sections = {
            "storage": default.pop("storage", {}),
            "gpus": {"devices": default.pop("devices", [])},
        }
        images = {"one": {"title": "One", "image": image}}
        return Config.model_validate({"images": images, "quotas": {"default": default}, **sections})

    async def _run(self, request: Request, argv: list[str]) -> Ended:
        started = await launch(self.desk, request)
        server = await started.prepare()
        body = {**create_body(server, {"LANG": "C.UTF-8"}), "Entrypoint": argv, "Cmd": []}
        engine, name = self.desk.engine, f"{self.lab.name}-{secrets.token_hex(4)}"
        try:
            await engine.create(name, body)
            await engine.start(name)
            async with asyncio.timeout(RUN_SECONDS):
                while not (state := await engine.container(name)).ended:  # noqa: ASYNC110
                    await asyncio.sleep(PAUSE_SECONDS)
            return Ended(state, await engine.log_tail(name, 1000))
        finally:
            await engine.remove(name)
            await started.cancelled()


@contextmanager
def rig(client: docker.DockerClient, bundle: str = "") -> Iterator[Rig]:
    """Make an instance with its network; remove everything of it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="labhub-rig-"))
    folder.chmod(0o755)
    made = Rig(folder, bundle)
    mine = {"labhub.instance": made.lab.name}
    if not bundle:
        client.volumes.create(made.lab.bundle, labels=mine)
    network = client.networks.create(made.lab.network, labels={**mine, "labhub.role": "network"})
    try:
        yield made
    finally:
        filters = {"label": f"labhub.instance={made.lab.name}"}
        for container in client.api.containers(all=True, filters=filters):
            client.api.remove_container(container["Id"], force=True, v=True)
        for volume in client.api.volumes(filters=filters)["Volumes"] or []:
            client.api.remove_volume(volume["Name"])
        network.remove()
        shutil.rmtree(folder)
