"""The Docker engine, asynchronously: lanes, deadlines, and errors with a meaning.

Every call runs in a thread of its lane, so slow stops delay no start and no inspect, and nothing
ever runs on the event loop, the making of the first client included. A call that outlives its
deadline is `UnavailableError` for the caller; its thread ends when the socket times out.
"""

import asyncio
import contextlib
import io
import tarfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import docker
import requests
from docker.utils import kwargs_from_env

from spawner.engine_errors import (
    EngineError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    translate,
)

FILE_LENGTH_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Lane:
    """How many calls of one kind run at once, and how long one may take, queueing included."""

    threads: int
    seconds: float


INSPECT = Lane(threads=8, seconds=10)
START = Lane(threads=8, seconds=45)
STOP = Lane(threads=16, seconds=45)


@dataclass(frozen=True, slots=True)
class Container:
    """What inspect says about a container, as far as we care."""

    id: str
    name: str
    status: str
    exit_code: int
    out_of_memory: bool
    error: str
    labels: Mapping[str, str]
    addresses: Mapping[str, str]

    @property
    def ended(self) -> bool:
        """Whether it certainly does not run. Paused and unheard-of states count as running."""
        return self.status in {"created", "exited", "dead", "removing"}

    @property
    def end(self) -> str:
        """How it ended, for the log."""
        return f"exit code {self.exit_code}" + (", out of memory" if self.out_of_memory else "")


@dataclass(frozen=True, slots=True)
class Image:
    """What inspect says about an image."""

    id: str
    labels: Mapping[str, str]


Call = Callable[[docker.APIClient], Any]
T = TypeVar("T")


class Engine:
    """The calls we need, and no others. All may raise an `EngineError`."""

    def __init__(self) -> None:
        """Prepare the lanes; the engine is first spoken to by the first call."""
        self._pools = {
            lane: ThreadPoolExecutor(lane.threads, thread_name_prefix="engine")
            for lane in (INSPECT, START, STOP)
        }
        self._clients = threading.local()
        self._version = "auto"

    async def container(self, name: str) -> Container:
        """Return the state of a container, by id or name."""
        answer = await self._call(INSPECT, lambda client: client.inspect_container(name))
        return _read(_container, answer)

    async def labelled(self, labels: Mapping[str, str]) -> list[str]:
        """Return the ids of all containers, running or not, that carry these labels."""
        wanted = {"label": [f"{key}={value}" for key, value in labels.items()]}
        answer = await self._call(
            INSPECT, lambda client: client.containers(all=True, filters=wanted)
        )
        return _read(lambda found: [str(entry["Id"]) for entry in found], answer)

    async def image(self, name: str) -> Image:
        """Return what the engine knows about an image; ImageMissingError when it has none."""
        answer = await self._call(INSPECT, lambda client: client.inspect_image(name))
        return _read(_image, answer)

    async def volume(self, name: str, device: str, labels: Mapping[str, str]) -> str:
        """Make sure of a volume over the directory `device`; return what it really points to."""
        options = {"type": "none", "o": "bind", "device": device}
        answer = await self._call(
            START, lambda client: client.create_volume(name, "local", options, dict(labels))
        )
        return _read(lambda made: str((made["Options"] or {}).get("device", "")), answer)

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id."""
        answer = await self._call(
            START, lambda client: client.create_container_from_config(dict(body), name)
        )
        return _read(lambda made: str(made["Id"]), answer)

    async def start(self, container: str) -> None:
        """Start a created container."""
        await self._call(START, lambda client: client.start(container))

    async def stop(self, container: str, grace_seconds: int) -> None:
        """End a container: ask, and kill it after the grace. A container that is gone is fine."""
        with contextlib.suppress(NotFoundError):
            await self._call(STOP, lambda client: client.stop(container, timeout=grace_seconds))

    async def remove(self, container: str) -> None:
        """Kill and remove a container with its anonymous volumes; one that is gone is fine."""
        with contextlib.suppress(NotFoundError):
            await self._call(
                STOP, lambda client: client.remove_container(container, v=True, force=True)
            )

    async def log_tail(self, container: str, lines: int) -> str:
        """Return the last lines a container wrote."""
        answer = await self._call(INSPECT, lambda client: client.logs(container, tail=lines))
        return str(answer.decode("utf-8", "replace"))

    async def has_path(self, container: str, path: str) -> bool:
        """Whether a container's file system has this path."""
        try:
            await self._call(INSPECT, lambda client: _first_bytes(client, container, path, 1))
        except NotFoundError:
            return False
        return True

    async def file(self, container: str, path: str) -> str | None:
        """Return the text of a small regular file of a container that was never started."""
        try:
            data = await self._call(
                INSPECT, lambda client: _first_bytes(client, container, path, FILE_LENGTH_MAX)
            )
        except NotFoundError:
            return None
        return _only_member(data)

    async def _call(self, lane: Lane, call: Call) -> Any:  # noqa: ANN401
        """Run a call in its lane, within the lane's deadline."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pools[lane], self._run, lane, call)
        future.add_done_callback(_retrieve)
        try:
            return await asyncio.wait_for(asyncio.shield(future), lane.seconds)
        except TimeoutError:
            msg = f"no answer within {lane.seconds:g} seconds"
            raise UnavailableError(msg) from None

    def _run(self, lane: Lane, call: Call) -> Any:  # noqa: ANN401
        """Run a call in this thread and translate what goes wrong."""
        try:
            return call(self._client(lane))
        except docker.errors.APIError as error:
            raise translate(error.status_code or 500, str(error.explanation or error)) from None
        except EngineError:
            raise
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise UnavailableError(str(error)) from None
        except Exception as error:  # anything else is about an answer that cannot be read
            raise UnknownError(repr(error)) from error

    def _client(self, lane: Lane) -> docker.APIClient:
        """Return this thread's own client: sessions are not made for sharing between threads."""
        if not hasattr(self._clients, "client"):
            self._clients.client = docker.APIClient(
                version=self._version, timeout=lane.seconds, **kwargs_from_env()
            )
            self._version = self._clients.client.api_version
        return self._clients.client


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at the outcome of a call nobody waits for any more, so that it is not reported."""
    if not future.cancelled():
        future.exception()


def _read(reader: Callable[[Any], T], answer: object) -> T:
    """Read an answer; one of another shape than documented says nothing about the world."""
    try:
        return reader(answer)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = f"unreadable answer: {error!r}"
        raise UnknownError(msg) from error


def _container(answer: dict[str, Any]) -> Container:
    """Read an inspect answer."""
    state, networks = answer["State"], answer["NetworkSettings"]["Networks"] or {}
    return Container(
        id=answer["Id"],
        name=answer["Name"].lstrip("/"),
        status=state["Status"],
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        error=state["Error"],
        labels=answer["Config"]["Labels"] or {},
        addresses={name: network["IPAddress"] for name, network in networks.items()},
    )


def _image(answer: dict[str, Any]) -> Image:
    """Read an image's inspect answer."""
    return Image(id=answer["Id"], labels=(answer.get("Config") or {}).get("Labels") or {})


def _first_bytes(client: docker.APIClient, container: str, path: str, length: int) -> bytes:
    """Return the beginning of the archive of a path, without reading the rest of it."""
    chunks, _ = client.get_archive(container, path)
    data = b""
    with contextlib.closing(chunks):
        for chunk in chunks:
            data += chunk
            if len(data) >= length:
                break
    return data


def _only_member(data: bytes) -> str | None:
    """Return the text of the one regular file of an archive, None for a link or a directory."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.next()
        content = tar.extractfile(member) if member is not None and member.isreg() else None
        return content.read().decode("utf-8", "replace") if content is not None else None
