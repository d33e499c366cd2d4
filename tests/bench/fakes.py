"""Ours and stock, each a whole hub over a fake engine in a process of its own."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import docker
import requests

from auth.accounts import AccountBook
from tests.bench.engine_process import EngineProcess
from tests.bench.ours import OPTIONS
from tests.bench.stock.process import StockHub
from tests.lib.fake_engine import TENSORFLOW
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import Lab

OURS_CONFIG = Path(__file__).with_name("ours_config.py")
CGROUPS = {  # version 1
    "memory": {
        "memory.max_usage_in_bytes": f"{150 << 20}\n",
        "memory.usage_in_bytes": f"{150 << 20}\n",
        "memory.stat": "total_inactive_file 0\ntotal_active_file 0\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
    },
    "cpuacct": {"cpuacct.usage": f"{10**9}\n"},
}
# With the limits of time that the example file has, so that somebody has to keep the time.
LIMITED = DEFAULT_CONFIG.replace("pids: 256", "pids: 256, session: 12 h, idle: 1 h")
PAGE = 200
USERS_SECONDS = 120
STOCK = {
    "BENCH_IMAGE": TENSORFLOW,
    "BENCH_PREFIX": "bench",
    "BENCH_RUN": "fake",
    "BENCH_HUB_ADDRESS": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One hub, its engine, and what is said when a server is started."""

    name: str
    hub: Lab | StockHub
    engine: EngineProcess
    options: dict[str, str]
    cgroups: Path | None = None

    @property
    def pid(self) -> int:
        """The process of the hub itself."""
        return self.hub.hub.pid

    def add_users(self, names: Sequence[str]) -> None:
        """Make people known, as their first sign-in would."""
        if isinstance(self.hub, Lab):
            book = AccountBook(self.hub.dir.state / "identity.sqlite")
            for name in names:
                book.sign_in("bench", name, name, name)
            book.close()
        for begin in range(0, len(names), PAGE):
            some = {"usernames": names[begin : begin + PAGE]}
            self.hub.api("POST", "users", json=some, timeout=USERS_SECONDS).raise_for_status()

    def server(self, user: str) -> dict[str, Any]:
        """Return what the hub says of somebody's server, nothing when there is none."""
        return server(self.hub.api("GET", f"users/{user}"))

    def ready(self) -> int:
        """Return how many servers are ready, as the hub says."""
        seen, some = 0, PAGE
        while some == PAGE:
            page = {"state": "ready", "offset": seen, "limit": PAGE}
            answer = self.hub.api("GET", "users", params=page)
            answer.raise_for_status()
            some = len(answer.json())
            seen += some
        return seen

    def meter(self) -> None:
        """Give the containers that run the kernel's files about them, which a fake has not."""
        if self.cgroups is None:
            return
        for container, (tree, files) in product(self.engine.environments(), CGROUPS.items()):
            folder = self.cgroups / tree / "docker" / container
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / name).write_text(text)

    def client(self) -> docker.DockerClient:
        """Return a client of its engine."""
        return docker.DockerClient(base_url=self.engine.url, timeout=60)


def server(answer: requests.Response) -> dict[str, Any]:
    """Return the default server of an answer about one user."""
    answer.raise_for_status()
    return dict(answer.json()["servers"].get("", {}))


@contextmanager
def ours() -> Iterator[Contender]:
    """A labhub."""
    with tempfile.TemporaryDirectory(prefix="labhub-bench-") as folder, EngineProcess() as engine:
        env = {"LABHUB_CGROUP": folder}
        with Lab(engine.url, config=LIMITED, hub_config=OURS_CONFIG, env=env) as lab:
            yield Contender("ours", lab, engine, OPTIONS, Path(folder))


@contextmanager
def stock() -> Iterator[Contender]:
    """A hub with stock DockerSpawner."""
    with EngineProcess() as engine, StockHub(engine.url, STOCK) as hub:
        yield Contender("stock", hub, engine, {})
