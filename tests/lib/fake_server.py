"""What runs "inside" a fake container: a tiny notebook server on an address of its own.

Every address lies in 127.64.0.0/10, which Linux answers for without any set-up, so two
servers can both listen on port 8888 and nothing outside this machine ever sees them.
"""

import asyncio
import random
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web

PAGE = """<!doctype html><html lang="en"><head><title>JupyterLab</title></head>
<body><main><h1>JupyterLab</h1><p id="user">{user}</p></main></body></html>"""
ATTEMPTS = 50


class FakeServer:
    """The HTTP side of one container: `{prefix}api`, what it says of itself, `{prefix}lab`."""

    def __init__(self, environment: dict[str, str], api_status: int) -> None:
        """Read prefix, port and user from the container's environment, as the real one does."""
        self.prefix = environment.get("JUPYTERHUB_SERVICE_PREFIX", "/")
        self.user = environment.get("JUPYTERHUB_USER", "")
        self.port = urlsplit(environment.get("JUPYTERHUB_SERVICE_URL", "")).port or 8888
        self.api_status = api_status
        self.address = ""
        self.requests: list[str] = []
        self.kernels: list[dict[str, str]] = []
        self.last_activity = datetime.now(UTC).isoformat()
        self._runner: web.AppRunner | None = None

    async def claim(self) -> None:
        """Take an address on which nothing listens yet, without answering anything there."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        self.address = await _free_address(self.port)

    async def listen(self) -> None:
        """Answer from now on."""
        if self._runner is not None:
            await web.TCPSite(self._runner, self.address, self.port).start()

    async def close(self) -> None:
        """Stop answering; open connections are cut, as when a process dies."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        headers = {"X-JupyterHub-Version": "6.1.1"}
        asks = request.path in {f"{self.prefix}api/kernels", f"{self.prefix}api/status"}
        if asks and not request.headers.get("Authorization", "").partition(" ")[2]:
            return web.json_response({"message": "Forbidden"}, status=403, headers=headers)
        if request.path == self.prefix:
            raise web.HTTPFound(self.prefix + "lab", headers=headers)
        if request.path == self.prefix + "api":
            body = {"version": "2.21.1"}
            return web.json_response(body, status=self.api_status, headers=headers)
        if request.path == self.prefix + "api/kernels":
            return web.json_response(self.kernels, headers=headers)
        if request.path == self.prefix + "api/status":
            return web.json_response({"last_activity": self.last_activity}, headers=headers)
        if request.path.startswith(self.prefix + "lab"):
            page = PAGE.format(user=self.user)
            return web.Response(text=page, content_type="text/html", headers=headers)
        return web.json_response({"message": "Not Found"}, status=404, headers=headers)


async def _free_address(port: int) -> str:
    for _ in range(ATTEMPTS):
        pick = random.getrandbits(22)
        address = f"127.{64 + (pick >> 16)}.{(pick >> 8) & 255}.{1 + (pick & 255) % 254}"
        if await _nobody_listens(address, port):
            return address
    message = f"no free 127.64.0.0/10 address for port {port} after {ATTEMPTS} attempts"
    raise OSError(message)


async def _nobody_listens(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return True
    writer.close()
    return False
