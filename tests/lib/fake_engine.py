"""A look-alike of the Docker engine on a unix socket, for tests of the hub without Docker.

    with FakeEngine() as engine:
        engine.fail("POST", r"/containers/create", status=500)      # the next one only
        engine.next_server(exit_code=1, log=("no space left",))     # the next start dies
        ... run a hub with DOCKER_HOST=engine.url ...
        assert engine.bodies("POST", "/containers/create")[0]["HostConfig"]["Memory"] == 1 << 30

Containers are state machines that answer HTTP on an address of their own while they run
(tests/lib/fake_server.py). Controls may be used from any thread while requests are served.
"""

import asyncio
import json
import re
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.lib.fake_life import Life
from tests.lib.fake_pull import LIFE, routes
from tests.lib.fake_rules import Body, EngineError
from tests.lib.fake_state import Container, Plan

TENSORFLOW = "tensorflow/tensorflow:2.9.0-gpu-jupyter"
PASSWD = b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
GROUP = b"root:x:0:\nnogroup:x:65534:\n"
FOREVER = 10**9
VERSION = re.compile(r"/v(\d+\.\d+)(?=/)")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it arrived, and the status it was answered with (0: not yet)."""

    method: str
    path: str
    query: dict[str, str]
    body: Body
    status: list[int] = field(default_factory=lambda: [0])


@dataclass
class Fault:
    """What happens to the next `times` calls of `method` whose path contains a match."""

    method: str
    path: re.Pattern[str]
    times: int
    status: int = 0
    message: str = ""
    seconds: float = 0.0
    drop: bool = False

    def takes(self, method: str, path: str) -> bool:
        """Whether this call is meant; counts it."""
        meant = self.times > 0 and self.method in {method, "*"} and self.path.search(path)
        self.times -= bool(meant)
        return bool(meant)

    async def happen(self) -> None:
        """Delay the call, and refuse it if told to."""
        await asyncio.sleep(self.seconds)
        if self.status:
            raise EngineError(self.status, self.message)


class FakeEngine:
    """The engine and its controls."""

    def __init__(self, *, version: str = "20.10.24", api_version: str = "1.41") -> None:
        """Prepare an engine that says it is `version`; it serves inside `with`."""
        self.version, self.api_version = version, api_version
        self.life = Life()
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.folder = Path(tempfile.mkdtemp(prefix="fake-engine-"))
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self.add_image(TENSORFLOW)

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        self.resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every container and the socket."""
        self.refuse()
        self._run(self.life.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    # controls

    def add_image(
        self,
        name: str,
        *,
        labels: dict[str, str] | None = None,
        env: tuple[str, ...] = ("PATH=/usr/local/bin:/usr/bin:/bin",),
        files: dict[str, bytes] | None = None,
        **config: Any,
    ) -> str:
        """Make an image known; `files` are what the archive call can read from it."""
        given = {
            "Cmd": ["bash"],
            "Env": list(env),
            "Labels": labels or {},
            "WorkingDir": "/tf",
        }
        known = {"/etc/passwd": PASSWD, "/etc/group": GROUP, **(files or {})}
        return self.life.add_image(name, {**given, **config}, known)

    def fail(
        self,
        method: str,
        path: str,
        *,
        status: int = 500,
        times: int = 1,
        message: str = "",
    ) -> None:
        """Answer the next `times` matching calls with an error, doing nothing else."""
        text = message or f"fake engine: told to answer {status}"
        self.faults.append(Fault(method, re.compile(path), times, status, text))

    def delay(self, method: str, path: str, seconds: float, *, times: int = FOREVER) -> None:
        """Hold the next matching calls for `seconds` before doing what they ask."""
        self.faults.append(Fault(method, re.compile(path), times, seconds=seconds))

    def drop(self, method: str, path: str, *, times: int = 1) -> None:
        """Do what the next matching calls ask, but cut the connection instead of answering."""
        self.faults.append(Fault(method, re.compile(path), times, drop=True))

    def clear_faults(self) -> None:
        """Behave again."""
        self.faults.clear()

    def refuse(self) -> None:
        """Stop listening: connections are refused, containers go on."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            self._run(runner.cleanup())

    def resume(self) -> None:
        """Listen (again)."""
        self._run(self._serve())

    def next_server(self, **plan: Any) -> None:
        """Say how the next started container behaves; see `Plan`. Calls queue up."""
        self.life.plans.append(Plan(**plan))

    def die(
        self,
        name: str,
        exit_code: int = 1,
        *,
        oom: bool = False,
        log: tuple[str, ...] = (),
    ) -> None:
        """Let a running container die now."""
        container = self.life.container(name)
        self._call(lambda: container.say(*log))
        self._run(self.life.end(container, exit_code, oom=oom))

    def add_container(self, name: str, image: str, labels: dict[str, str]) -> Container:
        """Let a container run that nobody asked for through the socket."""

        async def begin() -> Container:
            made, _ = self.life.create(name, {"Image": image, "Labels": labels})
            await self.life.start(made)
            return made

        container: Container = self._run(begin())
        return container

    def tell(self, action: str, name: str) -> None:
        """Let an event be heard that changes nothing."""
        container = self.life.container(name)
        self._call(lambda: self.life.tell(action, container))

    # what happened

    def containers(self) -> list[Container]:
        """Every container that exists now, oldest first."""
        return list(self.life.containers.values())

    def servers(self) -> list[Container]:
        """Everybody's servers among them; a container made to read an image is none."""
        return [each for each in self.containers() if "labhub.user" in each.labels]

    def bodies(self, method: str, path: str) -> list[Body]:
        """The request bodies of all calls whose path contains a match, in order."""
        return [call.body for call in self.calls_to(method, path)]

    def calls_to(self, method: str, path: str) -> list[Call]:
        """All calls whose path contains a match, in order."""
        found = re.compile(path)
        return [c for c in list(self.calls) if c.method == method and found.search(c.path)]

    # inside

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def _call(self, function: Any) -> None:
        async def run() -> None:
            function()

        self._run(run())

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._answer], client_max_size=64 << 20)
        app[LIFE] = self.life
        own = [
            web.get("/_ping", self._ping),
            web.get("/version", self._version),
            web.get("/info", self._info),
        ]
        for route in [*own, *routes]:
            app.router.add_routes([route, _versioned(route)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        self.socket.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.socket)).start()

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Record the call, apply the faults meant for it, translate refusals."""
        call = Call(
            request.method,
            _bare(request.path),
            dict(request.query),
            await _body(request),
        )
        self.calls.append(call)
        fault = next((f for f in self.faults if f.takes(call.method, call.path)), None)
        try:
            self._check_version(request.path)
            if fault is not None:
                await fault.happen()
            answer = await handler(request)
        except EngineError as error:
            answer = web.json_response({"message": str(error)}, status=error.status)
        except web.HTTPNotFound:
            answer = web.json_response({"message": "page not found"}, status=404)
        if fault is not None and fault.drop and request.transport is not None:
            request.transport.abort()
        call.status[0] = answer.status
        answer.headers.setdefault("Api-Version", self.api_version)
        return answer

    def _check_version(self, path: str) -> None:
        asked = VERSION.match(path)
        if asked and _number(asked[1]) > _number(self.api_version):
            message = (
                f"client version {asked[1]} is too new. "
                f"Maximum supported API version is {self.api_version}"
            )
            raise EngineError(400, message)

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="OK", headers={"Ostype": "linux"})

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {"Version": self.version, "ApiVersion": self.api_version, "MinAPIVersion": "1.12",
             "Os": "linux", "Arch": "amd64", "KernelVersion": "6.1.0", "Components": []},
        )  # fmt: skip

    async def _info(self, _request: web.Request) -> web.Response:
        limits = not self.life.drops_limits
        return web.json_response(
            {"ServerVersion": self.version, "Driver": "overlay2", "CgroupVersion": "1",
             "MemoryLimit": limits, "SwapLimit": limits, "CpuCfsPeriod": limits,
             "CpuCfsQuota": limits, "PidsLimit": limits, "Warnings": [], "NCPU": 4,
             "MemTotal": 16 << 30, "SecurityOptions": ["name=seccomp,profile=default"],
             "Runtimes": {name: {"path": name} for name in self.life.runtimes},
             "DefaultRuntime": "runc", "DockerRootDir": "/var/lib/docker",
             "DiscoveredDevices": [{"Source": "cdi", "ID": each} for each in self.life.cdi],
             "Containers": len(self.life.containers), "Images": len(self.life.images)},
        )  # fmt: skip


def _versioned(route: web.RouteDef) -> web.RouteDef:
    return web.route(route.method, r"/{v:v\d+\.\d+}" + route.path, route.handler)


def _bare(path: str) -> str:
    return VERSION.sub("", path)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


async def _body(request: web.Request) -> Body:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
