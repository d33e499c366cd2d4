r"""Kernels of a running server, by its REST API and the websocket, as JupyterLab speaks to them.

kernels = Kernels("http://127.0.0.1:8000/user/ada/", token)
kernel = kernels.start()
kernels.run(kernel, "x = 42")
assert kernels.run(kernel, "print(x)").text == "42\n"
"""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import requests
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

ANSWER_SECONDS = 120


@dataclass
class Output:
    """What one executed cell wrote, and whether it ended well."""

    status: str = "aborted"
    text: str = ""
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kernels:
    """The kernels of the server whose address, with its final slash, is `url`."""

    url: str
    token: str
    seconds: float = ANSWER_SECONDS

    def start(self) -> str:
        """Start a python3 kernel; return its id."""
        answer = self._request("POST", "api/kernels", json={"name": "python3"})
        answer.raise_for_status()
        return str(answer.json()["id"])

    def ids(self) -> set[str]:
        """Return the ids of all kernels."""
        answer = self._request("GET", "api/kernels")
        answer.raise_for_status()
        return {str(kernel["id"]) for kernel in answer.json()}

    def end(self, kernel: str) -> None:
        """Shut a kernel down."""
        self._request("DELETE", f"api/kernels/{kernel}")

    def run(self, kernel: str, code: str) -> Output:
        """Run one cell in a kernel that is there, and return what it wrote."""
        return asyncio.run(asyncio.wait_for(self._cell(kernel, code), self.seconds))

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method, self.url + path, headers=self._headers, timeout=self.seconds, **options
        )

    async def _cell(self, kernel: str, code: str) -> Output:
        url = self.url.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels"
        socket = await websocket_connect(HTTPRequest(url, headers=self._headers))
        request = _execute_request(code)
        await socket.write_message(json.dumps(request))
        output, awaited = Output(), {"reply", "output"}
        while awaited and (raw := await socket.read_message()) is not None:
            awaited.discard(_take(json.loads(raw), request["header"]["msg_id"], output))
        socket.close()
        return output


@dataclass(frozen=True)
class Memory:
    """A kernel, alone in its server, and what it keeps in its memory."""

    kernels: Kernels
    kernel: str
    secret: str

    def is_kept(self) -> bool:
        """Whether the kernel is there, alone, and still knows."""
        answer = self.kernels.run(self.kernel, "print(secret)")
        return self.kernels.ids() == {self.kernel} and answer.text.strip() == self.secret


def remember(kernels: Kernels, secret: str) -> Memory:
    """Start a kernel and give it a number to keep."""
    memory = Memory(kernels, kernels.start(), secret)
    done = kernels.run(memory.kernel, f"secret = {secret}")
    assert done.status == "ok", done
    return memory


def _execute_request(code: str) -> dict[str, Any]:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "username": "ada",
        "session": uuid.uuid4().hex,
        "version": "5.3",
        "date": "2026-01-01T00:00:00Z",
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}}
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content | {"allow_stdin": False, "stop_on_error": True},
        "channel": "shell",
        "buffers": [],
    }


def _take(message: dict[str, Any], request: str, output: Output) -> str:
    """Add one message of the kernel; return what it ends: the reply, or all output (idle)."""
    if message["parent_header"].get("msg_id") != request:
        return ""
    content = message["content"]
    if message["msg_type"] == "stream":
        output.text += content["text"]
    elif message["msg_type"] == "error":
        output.errors += content["traceback"]
    elif message["msg_type"] == "execute_reply":
        output.status = content["status"]
        return "reply"
    elif message["msg_type"] == "status" and content["execution_state"] == "idle":
        return "output"
    return ""
