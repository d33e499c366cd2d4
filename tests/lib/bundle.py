"""A user's server run from the bundle in any image, with the least of a hub that lets it start.

`hub_standing_in()` answers the few questions a server asks its hub; `running_server(...)` starts
the real entry point as the spawner does and gives a `Server` to talk to.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import docker
import requests
from docker.models.containers import Container

from tests.lib.kernel import ANSWER_SECONDS, Kernels, Output

ENTRY = ["/opt/labserver/bin/python3", "-I", "-m", "jupyterhub.singleuser"]
PREFIX = "/user/ada/"
TOKEN = "a-token-only-this-test-knows"
MEMORY_BYTES = 1 << 30
CPUS = 1.5
READY_SECONDS = 60
USER = {
    "name": "ada",
    "kind": "user",
    "admin": False,
    "groups": [],
    "scopes": ["access:servers!server=ada/"],
}


TIME = {"left_seconds": 90.0, "extend": "Extend by 2 h"}
NOT_NOW = "You can extend by 2 h once in 2 h: again in 1 h."


class _Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/hub/api/labhub/time/ada/":
            self._answer({**TIME, "token": self.headers["Authorization"]})
        else:
            self._answer(USER if self.path.endswith("/user") else {"version": "6.1.1"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/hub/api/labhub/time/ada/" and json.loads(body) == {"do": "extend"}:
            self._answer({"status": 409, "message": NOT_NOW}, 409)
        else:
            self._answer({})

    def _answer(self, body: dict[str, object], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing: the server's own log is what a failing test shows."""


@contextmanager
def hub_standing_in() -> Iterator[int]:
    """Yield the port on which a hub seems to answer, on every address of this host."""
    hub = ThreadingHTTPServer(("0.0.0.0", 0), _Hub)  # noqa: S104
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub.server_address[1]
    finally:
        hub.shutdown()
        hub.server_close()


def hub_environment(gateway: str, port: int) -> dict[str, str]:
    """Give what a hub puts into a server's environment, with the limits a spawner adds."""
    api = f"http://{gateway}:{port}/hub/api"
    scopes = json.dumps(["access:servers!server=ada/", "access:servers!user=ada"])
    return {
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": api,
        "JUPYTERHUB_ACTIVITY_URL": f"{api}/users/ada/activity",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{PREFIX}oauth_callback",
        "JUPYTERHUB_OAUTH_SCOPES": scopes,
        "JUPYTERHUB_ROOT_DIR": "/",
        "JUPYTERHUB_SERVER_NAME": "",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:8888{PREFIX}",
        "JUPYTERHUB_USER": "ada",
        "CPU_LIMIT": str(CPUS),
        "MEM_LIMIT": str(MEMORY_BYTES),
        "HOME": "/tf/notebooks",
        "LABHUB_NOTEBOOKS": "/tf/notebooks",
    }


@dataclass(frozen=True)
class Server:
    """A running server: HTTP below its prefix, and cells run by its kernels."""

    container: Container
    address: str

    def get(self, path: str, **options: object) -> requests.Response:
        return self._request("GET", path, **options)

    def post(self, path: str, **options: object) -> requests.Response:
        return self._request("POST", path, **options)

    def put(self, path: str, **options: object) -> requests.Response:
        return self._request("PUT", path, **options)

    def patch(self, path: str, **options: object) -> requests.Response:
        return self._request("PATCH", path, **options)

    def _request(self, method: str, path: str, **options: object) -> requests.Response:
        headers = {"Authorization": f"token {TOKEN}"}
        url = f"http://{self.address}{PREFIX}{path}"
        return requests.request(method, url, headers=headers, timeout=ANSWER_SECONDS, **options)

    def execute(self, code: str) -> Output:
        """Start a python3 kernel, run one cell over the websocket, shut the kernel down."""
        kernels = Kernels(f"http://{self.address}{PREFIX}", TOKEN)
        kernel = kernels.start()
        try:
            return kernels.run(kernel, code)
        finally:
            kernels.end(kernel)


@contextmanager
def running_server(
    engine: docker.DockerClient,
    image: str,
    bundle: str,
    labels: dict[str, str],
    **options: object,
) -> Iterator[Server]:
    """Run the bundle's server in an image as the spawner would, until it answers."""
    bridge = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
    with hub_standing_in() as port:
        environment = hub_environment(_gateway(bridge), port)
        container = engine.containers.run(
            image,
            ENTRY,
            detach=True,
            init=True,
            user="200123:200123",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=MEMORY_BYTES,
            memswap_limit=MEMORY_BYTES,
            volumes={bundle: {"bind": "/opt/labserver", "mode": "ro"}},
            tmpfs={"/tf/notebooks": "mode=1777"},
            environment=environment | options.pop("environment", {}),
            labels=labels,
            **options,
        )
        try:
            yield Server(container, wait_for_answer(container))
        except BaseException:
            print(container.logs(tail=80).decode(errors="replace"))
            raise
        finally:
            container.remove(force=True, v=True)


def _gateway(config: dict[str, str]) -> str:
    gateway = config.get("Gateway")
    if gateway:
        return gateway
    network, _, _ = config["Subnet"].partition("/")
    return network.rsplit(".", 1)[0] + ".1"


def wait_for_answer(container: Container) -> str:
    """Give host:port once /api answers; fail with the log when the server dies or is late."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        container.reload()
        if container.status == "exited":
            raise AssertionError(f"the server ended: {container.logs(tail=40).decode()}")
        address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        try:
            if requests.get(f"http://{address}:8888{PREFIX}api", timeout=2).ok:
                return f"{address}:8888"
        except requests.ConnectionError:
            time.sleep(0.05)
    raise AssertionError(f"no answer in {READY_SECONDS} s: {container.logs(tail=40).decode()}")
