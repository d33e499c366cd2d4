"""Between the hub and an engine's socket: passes everything on, and lies where a test says so.

    with FakeEngine() as engine, FaultProxy(engine.socket) as proxy, Lab(proxy.url) as lab:
        fault = proxy.add(Fault(Kind.HANG, "POST", r"/start$", lambda call: ADA in call.path))
        ... the hub starts ada's server ...
        proxy.clear(fault)
        assert fault.hits  # a fault that hit nothing proves nothing

Answers are passed on as they come, so event streams, logs and archives work. Faults may be added
and cleared from any thread; those of the event stream reach streams that are already open.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lib.faults import CALL_KINDS, STREAM_KINDS, Closed, Fault, Kind, spoiled
from tests.lib.http_wire import Call, Head, pieces, read_request

Send = Callable[[bytes], Coroutine[Any, Any, None]]


class FaultProxy:
    """One unix socket in front of another; serves inside `with`, in a thread of its own."""

    def __init__(self, engine: Path) -> None:
        """Describe the way to the engine's socket; nothing listens yet."""
        self.engine = engine
        self.folder = Path(tempfile.mkdtemp(prefix="fault-proxy-"))
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.open: list[Call] = []  # what the engine is answering now
        self._faults: list[Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        self._server = self._run(asyncio.start_unix_server(self._serve, self.socket))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Cut every connection and stop."""
        self.clear()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, fault: Fault) -> Fault:
        """Let this happen from now on; of several faults that meet a call the first counts."""
        self._faults.append(fault)
        return fault

    def clear(self, *faults: Fault) -> None:
        """End these faults, all without any named, and release what they hold."""
        for fault in faults or tuple(self._faults):
            with contextlib.suppress(ValueError):
                self._faults.remove(fault)
            self._loop.call_soon_threadsafe(fault.cleared.set)

    # connections

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin work that ends with the proxy at the latest."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.gather(self._spawn(self._converse(reader, writer)), return_exceptions=True)
        with contextlib.suppress(ConnectionError, RuntimeError):
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other; drop an answer when its client has gone."""

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        request = await read_request(reader)
        while request is not None:
            following = asyncio.ensure_future(read_request(reader))
            answer = self._spawn(self._answer(*request, send))
            await asyncio.wait({following, answer}, return_when=asyncio.FIRST_COMPLETED)
            try:
                if not answer.done() and following.result() is None:
                    return
                await answer
                request = await following
            finally:
                answer.cancel()
                following.cancel()

    def _hit(self, call: Call, kinds: frozenset[Kind], line: bytes = b"") -> Fault | None:
        """Return the fault that meets this call, or this line of its answer, and count it."""
        fault = next((each for each in tuple(self._faults) if each.meets(call, kinds, line)), None)
        if fault is not None:
            fault.hits += 1
        return fault

    # calls

    async def _answer(self, call: Call, raw: bytes, send: Send) -> None:
        """Answer one call as its fault wants it; the connection goes on unless Closed is raised."""
        fault = self._hit(call, CALL_KINDS)
        match fault and fault.kind:
            case Kind.ERROR:
                await send(_refusal(500, "Internal Server Error"))
            case Kind.GONE_ONCE:
                await send(_refusal(404, f"No such {call.path.split('/')[1].rstrip('s')}"))
            case Kind.HALF_JSON:
                await self._half(call, raw, send)
            case None | Kind.SLOW | Kind.DRIP:
                await self._pass_on(call, raw, send, fault)
            case _:
                await self._fail(call, raw, send, fault)
                raise Closed

    async def _fail(self, call: Call, raw: bytes, send: Send, fault: Fault | None) -> None:
        """Do what comes before the connection is closed without a whole answer."""
        match fault and fault.kind:
            case Kind.LOST:
                await self._pass_on(call, raw, _nowhere)
            case Kind.HANG if fault:
                await fault.cleared.wait()
            case Kind.LATE if fault:
                await asyncio.shield(self._spawn(self._later(fault, call, raw)))
            case Kind.TRUNCATED:
                await self._truncate(call, raw, send)

    async def _later(self, fault: Fault, call: Call, raw: bytes) -> None:
        """Let the engine do it once the fault is over, whether or not the client still waits."""
        await fault.cleared.wait()
        await self._pass_on(call, raw, _nowhere)

    async def _pass_on(
        self, call: Call, raw: bytes, send: Send, fault: Fault | None = None
    ) -> None:
        """Let the engine answer, piece by piece, late or slowly if a fault says so."""
        if fault is not None and fault.kind is Kind.SLOW:
            await asyncio.sleep(fault.seconds)
        say = _dripping(send, fault) if fault is not None and fault.kind is Kind.DRIP else send
        async with self._asked(call, raw) as (head, body):
            await say(head.raw)
            stream = spoiled(body, lambda line: self._hit(call, STREAM_KINDS, line))
            async for piece in stream if call.path == "/events" else body:
                await say(head.framed(piece))
            await say(head.last)

    async def _truncate(self, call: Call, raw: bytes, send: Send) -> None:
        """Send a part of the first piece of the body, and promise more."""
        async with self._asked(call, raw) as (head, body):
            piece = await anext(body, b"")
            begin = head.raw if head.chunked else head.with_length(len(piece) + 100)
            half = piece[: len(piece) // 2]
            await send(begin + (head.framed(half) if half else b""))

    async def _half(self, call: Call, raw: bytes, send: Send) -> None:
        """Say that half of the body is all of it."""
        async with self._asked(call, raw) as (head, body):
            whole = b"".join([piece async for piece in body]) or b"{}"
            half = whole[: len(whole) // 2]
            await send(head.with_length(len(half)) + half)

    @contextlib.asynccontextmanager
    async def _asked(
        self, call: Call, raw: bytes
    ) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """Ask the engine on a connection of its own; its head, and its body as it comes."""
        reader, writer = await asyncio.open_unix_connection(self.engine)
        self.open.append(call)
        try:
            writer.write(raw)
            head = Head(await reader.readuntil(b"\r\n\r\n"))
            yield head, pieces(reader, head, empty=call.method == "HEAD")
        finally:
            self.open.remove(call)
            writer.close()


async def _nowhere(_data: bytes) -> None:
    """Forget an answer."""


def _dripping(send: Send, fault: Fault) -> Send:
    """Return a way to send one byte at a time, until the fault is cleared."""

    async def drip(data: bytes) -> None:
        for index in range(len(data)):
            if fault.cleared.is_set():
                return await send(data[index:])
            await send(data[index : index + 1])
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(fault.cleared.wait(), fault.seconds)
        return None

    return drip


def _refusal(status: int, sentence: str) -> bytes:
    """Return a whole answer of the engine that says no."""
    body = json.dumps({"message": f"fault proxy: {sentence}"}).encode()
    head = f"HTTP/1.1 {status} {sentence}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
