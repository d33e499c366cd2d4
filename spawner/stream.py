"""The engine's events, read by a thread of its own and handed to the event loop at once."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import suppress

from spawner.checkpoint import reached
from spawner.engine_calls import EVENTS, INSPECT
from spawner.engine_errors import EngineError, UnknownError
from spawner.events import Event, parse
from spawner.wire import Limit, Request, Wire

Heard = Event | EngineError | None  # None: it has begun, or it is over


class Stream:
    """One connection to GET /events. It is over when it breaks, is silent for long, or is closed.

    Silence ends it because a connection whose other end is gone is silent too: whoever listens
    connects again and asks for what happened since.
    """

    def __init__(
        self, wire: Wire, request: Request, patience: float, garbage: Callable[[bytes], None]
    ) -> None:
        """Begin to listen; `garbage` is told, on the loop, of lines that cannot be read."""
        self._wire, self._request, self._garbage = wire, request, garbage
        self._limit = Limit(INSPECT.seconds * patience, EVENTS.seconds * patience)
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()
        threading.Thread(target=self._listen, name="engine-events", daemon=True).start()

    async def begun(self) -> None:
        """Return once the engine has begun to tell; raise an EngineError when it does not."""
        heard = await self._heard.get()
        if isinstance(heard, EngineError):
            raise heard

    async def next(self) -> Event | None:
        """Return the next event, None when the stream is over."""
        heard = await self._heard.get()
        return heard if isinstance(heard, Event) else None

    def close(self) -> None:
        """End the thread now. May be called from any thread, and again."""
        self._limit.cut()

    def _listen(self) -> None:
        """Read until it is over."""
        try:
            reached("events:before")
            for line in self._wire.lines(self._limit, self._request):
                if line:
                    self._hear(line)
                else:
                    self._limit.lift()
                    reached("events:after")
                    self._tell(self._heard.put_nowait, None)
        except EngineError as error:
            self._tell(self._heard.put_nowait, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it; the stream is over
            self._tell(self._heard.put_nowait, UnknownError(repr(error)))
        else:
            self._tell(self._heard.put_nowait, None)

    def _hear(self, line: bytes) -> None:
        """Hand over what a line tells."""
        try:
            event = parse(json.loads(line))
        except (ValueError, RecursionError):
            event = None
        if event is None:
            self._tell(self._garbage, line)
        else:
            self._tell(self._heard.put_nowait, event)

    def _tell(self, function: Callable[..., None], fact: object) -> None:
        """Call a function on the loop, as long as there is one."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, fact)
