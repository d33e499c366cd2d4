"""The Docker engine, asynchronously: the calls we need, and errors with a meaning.

Every call runs in a thread of its lane (`lanes.py`), so slow stops delay no start and no inspect,
and nothing ever runs on the event loop. What each call is stands in `engine_calls.py`.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from spawner import engine_answers as answers
from spawner import engine_errors as errors
from spawner.engine_answers import Container, Image, Listed
from spawner.engine_errors import EngineError, NotFoundError, PathMissingError
from spawner.engine_health import Health
from spawner.events import Event, Past, past
from spawner.lanes import Lanes
from spawner.metrics import EVENT_LAG
from spawner.pulling import Layers, name_and_tag
from spawner.stream import Stream
from spawner.wire import Limit, Request, Wire

__all__ = ["Container", "Engine", "Event", "Image", "Listed"]

FILE_LENGTH_MAX = 1 << 20
SECOND_NS = 10**9


def _ignore(*_what: str) -> None:
    """Nobody wants to know."""


class Engine:
    """The calls we need, and no others. All may raise an `EngineError`."""

    def __init__(self, patience: float = 1.0) -> None:
        """Prepare the lanes; the engine is first spoken to by the first call.

        `patience` multiplies every deadline, for machines with slow disks.
        """
        self.health = Health()
        self._patience = patience
        self._wire = Wire()
        self._lanes = Lanes(patience, self.health)
        self._streams: set[Stream] = set()

    # containers

    async def container(self, name: str) -> Container:
        """Return the state of a container, by id or name."""
        request = Request("GET", f"{_path(name)}/json")
        return await self._lanes.run(
            "container", lambda limit: answers.read(answers.container, self._ask(limit, request))
        )

    async def listed(self, labels: Mapping[str, str]) -> list[Listed]:
        """Return all containers, running or not, that carry these labels."""
        query = {"all": "1", "filters": _filters(label=_pairs(labels))}
        request = Request("GET", "/containers/json", query, meaning=errors.translate_listing)
        return await self._lanes.run(
            "listed", lambda limit: answers.read(answers.listed, self._ask(limit, request))
        )

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id."""
        request = Request(
            "POST", "/containers/create", {"name": name}, body, errors.translate_making
        )
        return await self._lanes.run(
            "create", lambda limit: answers.read(answers.identity, self._ask(limit, request))
        )

    async def start(self, container: str) -> None:
        """Start a created container; one that runs is fine."""
        request = Request("POST", f"{_path(container)}/start", meaning=errors.translate_making)
        await self._lanes.run("start", lambda limit: self._wire.data(limit, request))

    async def update(self, container: str, limits: Mapping[str, int]) -> None:
        """Change limits of a container, in the words of HostConfig; the others stay."""
        request = Request("POST", f"{_path(container)}/update", body=limits)
        await self._lanes.run("update", lambda limit: self._wire.data(limit, request))

    async def stop(self, container: str, grace_seconds: int) -> None:
        """End a container: ask, and kill it after the grace. A container that is gone is fine."""
        request = Request("POST", f"{_path(container)}/stop", {"t": str(grace_seconds)})
        with suppress(NotFoundError):
            await self._lanes.run("stop", lambda limit: self._wire.data(limit, request))

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; one that is gone is fine."""
        request = Request("DELETE", _path(container), {"v": "1", "force": "1"})
        with suppress(NotFoundError):
            await self._lanes.run("remove", lambda limit: self._wire.data(limit, request))

    # what a container holds

    async def log_tail(self, container: str, lines: int) -> str:
        """Return the last lines a container wrote."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        request = Request("GET", f"{_path(container)}/logs", query)
        return await self._lanes.run(
            "log_tail", lambda limit: answers.log(self._wire.data(limit, request))
        )

    async def has_path(self, container: str, path: str) -> bool:
        """Whether a container's file system has this path."""
        request = _archive(container, path)
        try:
            await self._lanes.run("has_path", lambda limit: self._wire.data(limit, request, 1))
        except PathMissingError:
            return False
        return True

    async def file(self, container: str, path: str) -> str | None:
        """Return the text of a small regular file of a container that was never started."""
        request = _archive(container, path)

        def work(limit: Limit) -> str | None:
            data = self._wire.data(limit, request, FILE_LENGTH_MAX)
            return answers.read(answers.only_member, data)

        try:
            return await self._lanes.run("file", work)
        except PathMissingError:
            return None

    # images, volumes

    async def image(self, name: str) -> Image:
        """Return what the engine knows about an image; ImageMissingError when it has none."""
        request = Request("GET", f"/images/{quote(name, safe='/:@')}/json")
        return await self._lanes.run(
            "image", lambda limit: answers.read(answers.image, self._ask(limit, request))
        )

    async def discovered(self) -> tuple[str, ...]:
        """Return the devices that the engine found by CDI; before 28.2 it tells none."""
        request = Request("GET", "/info")
        return await self._lanes.run(
            "discovered", lambda limit: answers.read(answers.discovered, self._ask(limit, request))
        )

    async def volume(self, name: str, device: str, labels: Mapping[str, str]) -> str:
        """Make sure of a volume over the directory `device`; return what it really points to."""
        options = {"type": "none", "o": "bind", "device": device}
        body = {"Name": name, "Driver": "local", "DriverOpts": options, "Labels": dict(labels)}
        request = Request("POST", "/volumes/create", body=body, meaning=errors.translate_listing)
        return await self._lanes.run("volume", lambda limit: self._device(limit, request, name))

    def _device(self, limit: Limit, request: Request, name: str) -> str:
        """Make the volume and say what it points to.

        After its restart, Docker 20.10's first answer about a volume it has leaves that out.
        """
        found = answers.read(answers.device, self._ask(limit, request))
        look = Request("GET", f"/volumes/{quote(name, safe='')}", meaning=errors.translate_listing)
        return found or answers.read(answers.device, self._ask(limit, look))

    async def pull(self, image: str, on_progress: Callable[[str], None] = _ignore) -> None:
        """Fetch an image; `on_progress` is told, on the loop, how far it is ("3 of 9 layers")."""
        name, tag = name_and_tag(image)
        query = {"fromImage": name, "tag": tag}
        request = Request("POST", "/images/create", query, meaning=errors.translate_pull)
        loop = asyncio.get_running_loop()

        def tell(progress: str) -> None:
            with suppress(RuntimeError):  # nobody is there any more
                loop.call_soon_threadsafe(on_progress, progress)

        await self._lanes.run("pull", lambda limit: self._pull(limit, request, tell))

    def _pull(self, limit: Limit, request: Request, tell: Callable[[str], None]) -> None:
        """Follow a pull to its end, in a thread."""
        layers, told = Layers(), ""
        for line in filter(None, self._wire.lines(limit, request)):
            progress = layers.hear(line)
            if progress != told:
                told = progress
                tell(progress)

    # events

    async def past(self) -> Past:
        """Return what the engine remembers of all that happened up to now."""
        query = {"since": "1", "until": _moment(time.time_ns())}
        request = Request("GET", "/events", query, meaning=errors.translate_listing)
        return await self._lanes.run("past", lambda limit: past(self._wire.lines(limit, request)))

    async def events(
        self,
        labels: Mapping[str, str],
        since_ns: int | None = None,
        begun: Callable[[], None] = _ignore,
    ) -> AsyncIterator[Event]:
        """Yield the events of the containers with these labels, from a moment on or from now on.

        `begun` is called once the engine tells: what happens from then on is missed by no stream.
        Ends when the connection breaks, or was silent for as long as `EVENTS` says; raises an
        EngineError when it cannot begin. An event of the moment `since_ns` itself comes again.
        """
        began, began_ns = time.monotonic(), time.time_ns()
        query = {"filters": _filters(type=["container"], label=_pairs(labels))}
        if since_ns is not None:
            query["since"] = _moment(since_ns)
        request = Request("GET", "/events", query, meaning=errors.translate_listing)
        stream = Stream(self._wire, request, self._patience, self.health.garbage)
        self._streams.add(stream)
        try:
            await self._begin(stream, began)
            begun()
            while (event := await stream.next()) is not None:
                if event.time_ns >= began_ns:  # what happened before comes late for a good reason
                    EVENT_LAG.observe(max(0, time.time_ns() - event.time_ns) / SECOND_NS)
                yield event
        finally:
            stream.close()
            self._streams.discard(stream)

    async def _begin(self, stream: Stream, began: float) -> None:
        """Wait for the beginning, and keep how it went."""
        try:
            await stream.begun()
        except EngineError as error:
            self._lanes.note("events", began, error)
            raise
        self._lanes.note("events", began, None)

    def close(self) -> None:
        """End every call and every stream now, so that no thread holds the process up."""
        for stream in tuple(self._streams):
            stream.close()
        self._lanes.close()

    def _ask(self, limit: Limit, request: Request) -> Any:  # noqa: ANN401 - JSON
        return self._wire.json(limit, request)


def _moment(time_ns: int) -> str:
    """Return a time as the API takes it."""
    return f"{time_ns // SECOND_NS}.{time_ns % SECOND_NS:09d}"


def _path(container: str) -> str:
    """Return where a container is in the API."""
    return f"/containers/{quote(container, safe='')}"


def _archive(container: str, path: str) -> Request:
    """Return the request for a path of a container's file system."""
    where = f"{_path(container)}/archive"
    return Request("GET", where, {"path": path}, meaning=errors.translate_path)


def _pairs(labels: Mapping[str, str]) -> list[str]:
    """Return labels as filters write them."""
    return [f"{key}={value}" for key, value in labels.items()]


def _filters(**wanted: list[str]) -> str:
    """Return a filter as the API takes it."""
    return json.dumps(wanted)
