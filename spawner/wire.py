"""HTTP over the engine's unix socket, with a time limit that holds. No thread, no loop: blocking.

Libraries limit each read of a socket, so an engine that drips a byte now and then holds them for
ever. Here a `Limit` belongs to the whole exchange: every read and write gets what is left of it,
and `cut` ends the exchange from any thread. Each exchange has a connection of its own: that costs
less than a tenth of a millisecond, and nothing can go wrong with one that an engine left behind.
"""

import http.client
import json
import math
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from spawner.engine_errors import EngineError, UnavailableError, UnknownError, translate

DEFAULT_HOST = "unix:///var/run/docker.sock"
PIECE_LENGTH = 1 << 16
LINE_LENGTH_MAX = 1 << 20
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}")


class Limit:
    """When an exchange must be over: after `seconds`, or after `quiet_seconds` without news."""

    def __init__(
        self, seconds: float, quiet_seconds: float = math.inf, began: float | None = None
    ) -> None:
        """Count the seconds from `began` (time.monotonic) or from now, the quiet from now."""
        self.seconds, self._quiet_seconds = seconds, quiet_seconds
        self._deadline = (time.monotonic() if began is None else began) + seconds
        self._cut = False
        self._socket: socket.socket | None = None
        self.news()

    def news(self) -> None:
        """Something was heard: the quiet begins anew."""
        self._quiet_since = time.monotonic()

    def lift(self) -> None:
        """From now on only the quiet counts."""
        self._deadline = math.inf

    def left(self) -> float:
        """Return the seconds that are left, or raise TimeoutError."""
        now = time.monotonic()
        left = min(self._deadline, self._quiet_since + self._quiet_seconds) - now
        if self._cut or left <= 0:
            raise TimeoutError
        return left

    def connect(self, path: str) -> socket.socket:
        """Return a socket that keeps to this limit."""
        self._socket = made = _LimitedSocket(self)
        made.settimeout(self.left())
        made.connect(path)
        return made

    def cut(self) -> None:
        """End the exchange now, whatever its thread waits for. May be called from any thread."""
        self._cut = True
        if self._socket is not None:
            with suppress(OSError):  # not connected yet, or closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def broken(self) -> str:
        """Which part of the limit was passed, for people."""
        if self._cut:
            return "given up"
        if time.monotonic() < self._deadline:
            return f"no word for {self._quiet_seconds:g} seconds"
        return f"no answer within {self.seconds:g} seconds"


class _LimitedSocket(socket.socket):
    """A unix socket whose every read and write ends with its limit."""

    def __init__(self, limit: Limit) -> None:
        """Not connected yet."""
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._limit = limit

    def recv_into(self, *args: Any, **options: Any) -> int:  # noqa: ANN401 - the parent's
        """Read, as long as the limit allows."""
        self.settimeout(self._limit.left())
        return super().recv_into(*args, **options)

    def sendall(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - the parent's
        """Write, as long as the limit allows."""
        self.settimeout(self._limit.left())
        super().sendall(*args, **options)


class _Connection(http.client.HTTPConnection):
    """One connection to a unix socket."""

    def __init__(self, path: str, limit: Limit) -> None:
        """Not connected yet; the engine ignores the host's name."""
        super().__init__("localhost")
        self._path, self._limit = path, limit

    def connect(self) -> None:
        """Connect within the limit."""
        self.sock = self._limit.connect(self._path)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the engine's API, and how to read a refusal of it."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    meaning: Callable[[int, str], EngineError] = translate


class Wire:
    """The way to the engine that DOCKER_HOST names, and the API version it speaks.

    May be used from many threads at once. All may raise an `EngineError`.
    """

    def __init__(self) -> None:
        """Connect to nothing yet."""
        self._version = ""

    def json(self, limit: Limit, request: Request) -> Any:  # noqa: ANN401 - JSON
        """Return the whole answer, read as JSON; None when the engine has nothing to add."""
        with self._answer(limit, request) as response:
            data = b"".join(_pieces(response))
        return _json(data) if data.strip() else None

    def data(self, limit: Limit, request: Request, length: float = math.inf) -> bytes:
        """Return the answer, or at least `length` bytes of it without asking for the rest."""
        data = b""
        with self._answer(limit, request) as response:
            for piece in _pieces(response):
                data += piece
                if len(data) >= length:
                    break
        return data

    def lines(self, limit: Limit, request: Request) -> Generator[bytes]:
        """Yield the lines of a stream as they come, first an empty one once it has begun."""
        with self._answer(limit, request) as response:
            limit.news()
            yield b""
            for line in _lines(_pieces(response)):
                limit.news()
                yield line

    @contextmanager
    def _answer(self, limit: Limit, request: Request) -> Iterator[HTTPResponse]:
        """Make a request of the API; raise what the engine means by an error status."""
        version = self._version or self._ask_version(limit)
        url = f"/v{version}{request.path}"
        if request.query:
            url += f"?{urlencode(request.query)}"
        with _exchange(limit, request.method, url, request.body) as response:
            if _is_fine(response.status):
                yield response
                return
            error = _refusal(response, request.meaning)
        if "client version" in str(error):  # another engine answers now: ask it the next time
            self._version = ""
            raise UnknownError(str(error))
        raise error

    def _ask_version(self, limit: Limit) -> str:
        """Return the newest API version that the engine speaks, and remember it."""
        with _exchange(limit, "GET", "/version", None) as response:
            if not _is_fine(response.status):
                raise UnknownError(str(_refusal(response, translate)))
            answer = _json(b"".join(_pieces(response)))
        version = answer.get("ApiVersion") if isinstance(answer, dict) else None
        if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
            raise UnknownError("the engine does not tell its version")
        self._version = version
        return version


@contextmanager
def _exchange(
    limit: Limit, method: str, url: str, body: Mapping[str, Any] | None
) -> Iterator[HTTPResponse]:
    """Send a request and yield what begins to come back; everything is closed afterwards.

    No answer at all is UnavailableError, one that breaks off or is no HTTP is UnknownError.
    """
    connection = _Connection(_socket_path(), limit)
    text = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    response = None
    try:
        connection.request(method, url, body=text, headers=headers)
        response = connection.getresponse()
        yield response
    except TimeoutError:
        raise UnavailableError(limit.broken) from None
    except (OSError, http.client.HTTPException) as error:
        if response is None and isinstance(error, OSError):
            raise UnavailableError(str(error)) from None
        raise UnknownError(f"the answer broke off: {error!r}") from None
    finally:
        if response is not None:
            response.close()
        connection.close()


def _socket_path() -> str:
    """Return where DOCKER_HOST says that the engine listens: always on this machine."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise UnavailableError(f"DOCKER_HOST={host} is not a unix socket")
    return host.removeprefix("unix://")


def _is_fine(status: int) -> bool:
    """Whether a status says that it was done, now or before."""
    return 200 <= status < 300 or status == http.client.NOT_MODIFIED  # noqa: PLR2004


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    """Yield a body as it comes; one that ends before its length is IncompleteRead."""
    missing = response.length  # None when it comes in chunks, which tell their own end
    while piece := response.read1(PIECE_LENGTH):
        missing = None if missing is None else missing - len(piece)
        yield piece
    if missing:
        raise http.client.IncompleteRead(b"", missing)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not blank, each as soon as it is whole."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > LINE_LENGTH_MAX:
            raise UnknownError("the engine sends a line without an end")
    if rest.strip():
        yield rest


def _json(data: bytes) -> Any:  # noqa: ANN401 - JSON
    """Read JSON; an answer that is none says nothing."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UnknownError("the answer is no JSON") from None


def _refusal(response: HTTPResponse, meaning: Callable[[int, str], EngineError]) -> EngineError:
    """Return the meaning of an error answer. One without the engine's sentence has none."""
    data = b"".join(_pieces(response))
    try:
        sentence = str(json.loads(data)["message"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return UnknownError(f"status {response.status} without a sentence of the engine's")
    return meaning(response.status, sentence)
