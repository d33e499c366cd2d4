"""A Docker API that only says what it is: for checks that must refuse an engine.

The real old versions cannot be installed any more; deploy/up looks at nothing but these answers.
"""

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Self


class OldEngine:
    """Answers /_ping, /version and /info on a unix socket, and 404 to everything else."""

    def __init__(self, path: Path, *, version: str, api: str, limits: bool = True) -> None:
        """Choose what the engine says about itself; `limits=False` enforces none."""
        self.path = path
        self.answers = {
            "/_ping": "OK",
            "/version": json.dumps({
                "Version": version, "ApiVersion": api, "MinAPIVersion": "1.24",
                "Os": "linux", "Arch": "amd64",
                "Components": [{"Name": "Engine", "Version": version}],
            }),
            "/info": json.dumps({
                "ServerVersion": version, "DockerRootDir": "/var/lib/docker",
                "MemoryLimit": limits, "SwapLimit": limits, "CpuCfsQuota": limits,
                "PidsLimit": limits, "SecurityOptions": [], "InitCommit": {"ID": "de40ad0"},
            }),
        }  # fmt: skip
        self._server = socketserver.ThreadingUnixStreamServer(
            str(path), _handler(self.answers, api)
        )

    @property
    def url(self) -> str:
        """The value for DOCKER_HOST."""
        return f"unix://{self.path}"

    def __enter__(self) -> Self:
        """Serve in a thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(answers: dict[str, str], api: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            known = next((text for end, text in answers.items() if path.endswith(end)), None)
            body = (known or '{"message": "page not found"}').encode()
            self.send_response(404 if known is None else 200)
            self.send_header("Api-Version", api)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def address_string(self) -> str:
            return "unix"  # a unix socket has no client address to print

        def log_message(self, *_args: object) -> None:
            """Say nothing; the test reads what deploy/up says."""

    return Handler
