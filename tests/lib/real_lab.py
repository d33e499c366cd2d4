"""A whole labhub whose servers are real containers: the Lab of tests/lib/lab.py on a real engine.

    with RealLab(url, {"debian": image}, bundle) as lab:
        lab.add_person("ada")
        lab.start_server("ada")
        kernels = lab.kernels("ada")

Nobody signs in (tests/lib/crash_config.py); the tests' token may do everything.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import docker
import requests

from auth.accounts import AccountBook
from spawner.runs import Receipt
from spawner.store import Store
from tests.lib.agreement import Box, Story, disagreements, read_box, read_hub
from tests.lib.crash_points import Orders
from tests.lib.kernel import Kernels
from tests.lib.lab import Lab
from tests.lib.node import ROOT

CONFIG = """\
login:
  provider: local
images: {images}
quotas:
  default: {{cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256}}
"""
AGREE_SECONDS = 30
ANSWER_SECONDS = 5
LOG_LINES = 1000
OURS = "200 GET /"


class RealLab(Lab):
    """One instance on a real engine, with what it takes to look at all sides of it."""

    def __init__(
        self,
        docker_host: str,
        images: Mapping[str, str],
        bundle: str,
        *,
        address: str = "",
        **options: Any,
    ) -> None:
        """Describe it; the hub listens at the gateway of its network.

        An engine of the test's own (tests/lib/reachable_engine.py) has another `address` for it.
        """
        hub_config = ROOT / "tests" / "lib" / "crash_config.py"
        offer = {key: {"title": key, "image": image} for key, image in images.items()}
        config = CONFIG.format(images=json.dumps(offer))
        super().__init__(docker_host, config=config, hub_config=hub_config, **options)
        self.orders = Orders(self.folder)
        self.env |= {"LABHUB_BUNDLE": bundle, "LABHUB_GATEWAY": address, **self.orders.environment}
        self._engine_is_shared = not address

    @property
    def uses_accounts(self) -> bool:
        """Whether login is by local accounts: nobody signs in here."""
        return False

    def _prepare_engine(self) -> None:
        super()._prepare_engine()
        if not self.env["LABHUB_GATEWAY"]:
            with self.engine() as engine:
                network = engine.networks.get(self.dir.network)
            self.env["LABHUB_GATEWAY"] = network.attrs["IPAM"]["Config"][0]["Gateway"]

    def _clean_engine(self) -> None:
        # An engine of one's own takes everything with it.
        if self._engine_is_shared:
            super()._clean_engine()

    @contextmanager
    def engine(self) -> Iterator[docker.DockerClient]:
        """Give a client of the engine, with connections of its own: the engine may restart."""
        with closing(docker.DockerClient(base_url=self.docker_host, timeout=30)) as client:
            yield client

    # people and servers

    def add_person(self, name: str) -> None:
        """Make an account, as a first sign-in would."""
        book = AccountBook(self.dir.state / "identity.sqlite")
        book.sign_in("local", name, name, name)
        book.close()
        self.api("POST", f"users/{name}").raise_for_status()

    def start_server(self, user: str, image: str = "") -> None:
        """Ask for a start and wait until it is over, however it ends."""
        self.api("POST", f"users/{user}/server", json={"image": image} if image else {})
        wait_until(lambda: not self.pending(user), f"the start of {user} to be over")

    def stop_server(self, user: str) -> None:
        """Ask for a stop and wait until it is over."""
        self.api("DELETE", f"users/{user}/server")
        wait_until(lambda: not self.pending(user), f"the stop of {user} to be over")

    def said(self) -> dict[str, str]:
        """Return what the hub says about everybody's default server; nothing of who has none."""
        answer = self.api("GET", "users")
        answer.raise_for_status()
        return read_hub(answer.json())

    def pending(self, user: str) -> bool:
        """Whether the hub is busy with a start or a stop."""
        return self.said().get(user, "").startswith("pending")

    def kernels(self, user: str) -> Kernels:
        """Return the kernels of somebody's server."""
        return Kernels(f"{self.url}/user/{user}/", self.token, seconds=AGREE_SECONDS)

    def answers(self, user: str) -> bool:
        """Whether somebody's server answers through the proxy."""
        url = f"{self.url}/user/{user}/api"
        try:
            answer = requests.get(url, timeout=ANSWER_SECONDS, allow_redirects=False)
        except requests.RequestException:
            return False
        return answer.status_code == requests.codes.ok

    # all sides of it

    def store(self) -> Store:
        """Open the hub's own store."""
        return Store(f"sqlite:///{self.dir.state / 'labhub.sqlite'}")

    def receipts(self, user: str) -> tuple[Receipt, ...]:
        """Return what the store knows about the ends of somebody's servers, newest first."""
        return self.store().transact(lambda ledger: ledger.receipts(user, limit=1000))

    def boxes(self) -> tuple[Box, ...]:
        """Return all containers of the instance, running or not."""
        mine = {"label": f"labhub.instance={self.name}"}
        with self.engine() as engine:
            return tuple(map(read_box, engine.api.containers(all=True, filters=mine)))

    def story(self) -> Story:
        """Ask the hub, the engine, the store and the servers."""
        hub = self.said()
        boxes = self.boxes()
        runs = self.store().transact(lambda ledger: ledger.open_runs())
        answering = frozenset(user for user in hub if self.answers(user))
        return Story(hub, boxes, runs, answering)

    def wait_for_agreement(self) -> Story:
        """Wait until hub, store and engine agree; fail with what they do not agree about."""
        deadline = time.monotonic() + AGREE_SECONDS
        while wrong := disagreements(story := self.story()):
            if time.monotonic() > deadline:
                raise AssertionError("\n".join([*wrong, self.logs()]))
            time.sleep(0.1)
        return story

    def logs(self) -> str:
        """Return the ends of all logs, without the tests' own questions."""
        parts = [(p.name, p.tail(LOG_LINES).splitlines()) for p in (self.proxy, self.hub)]
        kept = {name: [each for each in lines if OURS not in each] for name, lines in parts}
        return "\n".join(line for name in kept for line in (f"--- {name} ---", *kept[name][-60:]))


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = AGREE_SECONDS) -> None:
    """Wait for something; fail with its name."""
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.03)
