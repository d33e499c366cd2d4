"""A hub with stock DockerSpawner 14 as a process of this machine, and a token for its API."""

import secrets
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.bench.clock import Bearer
from tests.lib.node import proxy_path
from tests.lib.processes import Process, free_ports

HERE = Path(__file__).parent


class StockHub:
    """Hub and proxy; who uses it says by `settings` what differs (see hub_config.py)."""

    def __init__(self, docker_host: str, settings: dict[str, str]) -> None:
        """Describe it; it runs inside `with`."""
        self.folder = tempfile.TemporaryDirectory(prefix="labhub-bench-")
        port, api_port, hub_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        token = secrets.token_hex(16)
        self._bearer = Bearer(self.url, token)
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{proxy_path()}",
            "HOME": self.folder.name,
            "BENCH_URL": self.url, "BENCH_HUB_PORT": str(hub_port),
            "BENCH_PROXY_API": f"http://127.0.0.1:{api_port}",
            "BENCH_TOKEN": token, "DOCKER_HOST": docker_host, **settings,
        }  # fmt: skip
        argv = [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "hub_config.py")]
        self.hub = Process("stock hub", argv, Path(self.folder.name) / "hub.log")

    def __enter__(self) -> Self:
        """Start hub and proxy, and wait until they answer."""
        self.hub.start(self.env, Path(self.folder.name))
        try:
            self.hub.wait_for(self._answers)
            self.prepare()
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
        """End it; print the end of its log when the block failed."""
        if kind is not None:
            print(self.hub.tail(), file=sys.stderr)
        self._close()

    def prepare(self) -> None:
        """What else must be there before the block begins: nothing."""

    def clean(self) -> None:
        """What else must go once the hub has ended: nothing."""

    def _close(self) -> None:
        self.hub.end()
        self.clean()
        self.folder.cleanup()

    def _answers(self) -> bool:
        try:
            return (
                requests.get(f"{self.url}/hub/health", timeout=2).status_code == requests.codes.ok
            )
        except requests.RequestException:
            return False

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the hub's REST API with a token that may do anything."""
        return self._bearer.api(method, path, **options)
