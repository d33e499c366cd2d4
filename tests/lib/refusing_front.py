"""A door before the proxy's API that refuses the first questions about routes, then all is passed.

with RefusingFront(port, behind, times=1) as front:
    ...
    front.refused
"""

import contextlib
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self

BODY = b"not now"
REFUSAL = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
PIECE_LENGTH = 1 << 16


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True


class RefusingFront:
    """Listens at one port of this machine, in threads of its own, and passes on to another."""

    def __init__(self, port: int, behind: int, times: int) -> None:
        """Listen at once; answer inside `with`."""
        self.refused = 0
        self._behind, self._times, self._lock = behind, times, threading.Lock()
        front = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    front._serve(self.request)

        self._server = _Server(("127.0.0.1", port), Handler)

    def __enter__(self) -> Self:
        """Begin."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take no new connection; those there are end with their ends."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, client: socket.socket) -> None:
        """Refuse a connection that begins with a question about routes, or pass all of it on."""
        with socket.create_connection(("127.0.0.1", self._behind)) as behind:
            threading.Thread(target=_pump, args=(behind, client), daemon=True).start()
            first = client.recv(PIECE_LENGTH)
            if first.startswith(b"GET /api/routes") and self._refuses():
                client.sendall(REFUSAL + BODY)
                return
            behind.sendall(first)
            _pump(client, behind)

    def _refuses(self) -> bool:
        with self._lock:
            if self.refused == self._times:
                return False
            self.refused += 1
            return True


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until one side ends, and then let the other end, too."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_LENGTH):
            sink.sendall(piece)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
