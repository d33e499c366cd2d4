"""HTTP/1.1 as bytes, as far as a proxy that may cheat has to read and write it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

VERSION = re.compile(r"^/v\d+\.\d+(?=/)")
PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its path without the API's version; `body` is {} where it is no JSON object."""

    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


class Head:
    """The head of a request or of an answer."""

    def __init__(self, raw: bytes) -> None:
        """Read the headers that say how long the body is."""
        self.raw = raw
        self.first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def length(self) -> int | None:
        """How long the body says it is."""
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def bodiless(self) -> bool:
        """Whether an answer with this status has no body."""
        return self.first.split()[1] in {"204", "304"}

    @property
    def last(self) -> bytes:
        """What ends the body."""
        return b"0\r\n\r\n" if self.chunked else b""

    def framed(self, piece: bytes) -> bytes:
        """Return a piece of the body as it stands on the wire."""
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece

    def with_length(self, length: int) -> bytes:
        """Return the head of an answer with a body of this length, whatever it said before."""
        first = "HTTP/1.1 200 OK" if self.bodiless else self.first
        dropped = {"transfer-encoding", "content-length"}
        kept = [f"{name}: {value}" for name, value in self.headers.items() if name not in dropped]
        return "\r\n".join([first, *kept, f"Content-Length: {length}", "", ""]).encode("latin-1")


async def pieces(
    reader: asyncio.StreamReader, head: Head, *, empty: bool = False
) -> AsyncIterator[bytes]:
    """Yield a body as it comes; raises IncompleteReadError when it ends too early."""
    if empty or (head.first.startswith("HTTP/") and head.bodiless):
        return
    if head.chunked:
        while length := int((await reader.readline()).partition(b";")[0] or b"0", 16):
            yield await reader.readexactly(length)
            await reader.readexactly(2)
        await reader.readline()
        return
    left = head.length or 0
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece


async def read_request(reader: asyncio.StreamReader) -> tuple[Call, bytes] | None:
    """Return the next request and its bytes; None when the client has gone."""
    try:
        head = Head(await reader.readuntil(b"\r\n\r\n"))
        body = b"".join([piece async for piece in pieces(reader, head)])
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = head.first.split(" ", 2)
    url = urlsplit(target)
    path = VERSION.sub("", unquote(url.path))
    framed = head.framed(body) if body else b""
    call = Call(method, path, dict(parse_qsl(url.query)), _object(body))
    return call, head.raw + framed + head.last


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is, else {}."""
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
