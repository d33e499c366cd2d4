"""An engine in memory, whose every call is two steps: it does what is asked, and it answers.

Between the two, before them and instead of them anything may happen: the answer is old when it
comes, or never comes, or the engine does late what nobody waits for any more.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from spawner.engine_answers import Container, Listed, Made
from spawner.engine_calls import CALLS
from spawner.engine_errors import ConflictError, EngineError, NotFoundError, UnavailableError
from spawner.engine_health import Health
from spawner.events import Event

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(eq=False)
class Box:
    """One container."""

    id: str
    name: str
    labels: Mapping[str, str]
    network: str
    body: Mapping[str, Any]
    status: str = "created"
    exit_code: int = 0
    oom: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether it runs, be it paused."""
        return self.status in {"running", "paused"}

    @property
    def address(self) -> str:
        """Where it answers while it runs."""
        return f"10.0.0.{self.id}"


@dataclass(eq=False)
class Call:
    """One call under way."""

    name: str
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    worked: bool = False
    result: Any = None
    error: EngineError | None = None

    def do(self) -> None:
        """Let the engine do it, once."""
        if self.worked:
            return
        self.worked = True
        try:
            self.result = self.work()
        except EngineError as error:
            self.error = error

    def answer(self) -> None:
        """Let the hub hear of it, if it still listens; without work it hears of a failure."""
        if self.future.done():
            return
        error = self.error if self.worked else UnavailableError("no answer")
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.result)


@dataclass(eq=False)
class Stream:
    """A connection for events: those on their way, and those that the hub has not taken yet."""

    labels: Mapping[str, str]
    coming: list[Event]
    heard: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)


class ModelEngine:
    """What survives everything: the containers, the calls under way, what is told of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Know no container."""
        self.loop = loop
        self.boxes: dict[str, Box] = {}
        self.calls: list[Call] = []
        self.streams: list[Stream] = []
        self.told: list[Event] = []
        self.over: set[str] = set()  # the names of what has ended or gone
        self.away = False
        # Told before the hub ends a container; may object.
        self.before_end: Callable[[Box], None] = lambda _box: None
        self._numbers = itertools.count(1)
        self._ticks = itertools.count(1)

    # what happens in it

    def tick(self) -> int:
        """Return a moment later than any before, in nanoseconds."""
        return next(self._ticks) * 10**6

    def now(self) -> datetime:
        """Return a moment later than any before."""
        return EPOCH + timedelta(microseconds=self.tick() // 1000)

    def add(self, name: str, body: Mapping[str, Any]) -> Box:
        """Make a container."""
        if any(box.name == name for box in self.boxes.values()):
            raise ConflictError(f"the name {name} is taken")
        network = body["HostConfig"]["NetworkMode"]
        box = Box(str(next(self._numbers)), name, body["Labels"], network, body)
        self.boxes[box.id] = box
        self._tell("create", box)
        return box

    def run(self, box: Box) -> None:
        """Let it run."""
        if not box.running:
            box.status, box.started_at = "running", self.now()
            self._tell("start", box)

    def end(self, box: Box, exit_code: int, *, oom: bool = False) -> None:
        """Let it die."""
        if box.running:
            box.status, box.exit_code, box.oom = "exited", exit_code, oom
            box.finished_at = self.now()
            box.answers.clear()
            self.over.add(box.name)
            self._tell("die", box)

    def drop(self, box: Box) -> None:
        """Let nothing be left of it."""
        self.end(box, 137)
        self.boxes.pop(box.id, None)
        self.over.add(box.name)
        self._tell("destroy", box)

    def restart(self, *, live_restore: bool) -> None:
        """Restart: nobody hears how the calls under way went."""
        self.cut()
        for call in self.calls:
            call.answer()
        self.calls.clear()
        if not live_restore:
            for box in self.boxes.values():
                self.end(box, 255)

    def cut(self) -> None:
        """Break every connection for events; what was on its way is lost with it."""
        for stream in self.streams:
            stream.heard.put_nowait(None)
        self.streams.clear()

    def _tell(self, action: str, box: Box) -> None:
        event = Event(action, box.id, box.labels, self.tick())
        self.told.append(event)
        for stream in self.streams:
            if stream.labels.items() <= box.labels.items():
                stream.coming.append(event)

    # what it is asked

    def find(self, key: str) -> Box:
        """Return a container by id or name."""
        for box in self.boxes.values():
            if key in {box.id, box.name}:
                return box
        raise NotFoundError(f"No such container: {key}")

    def listen(self, labels: Mapping[str, str], since_ns: int) -> Stream:
        """Begin to tell what happens, and what happened since."""
        mine = [event for event in self.told if labels.items() <= event.labels.items()]
        stream = Stream(labels, [event for event in mine if event.time_ns >= since_ns])
        self.streams.append(stream)
        return stream


class EngineClient:
    """What a hub has of it: `spawner.engine.Engine`, as far as a server's life needs it."""

    def __init__(self, engine: ModelEngine) -> None:
        """Speak to this engine until the hub dies."""
        self._engine = engine
        self.dead = False
        self.health = Health()

    async def container(self, name: str) -> Container:
        """Return a container's state."""
        return await self._ask("container", lambda: _state(self._engine.find(name)))

    async def listed(self, labels: Mapping[str, str]) -> list[Listed]:
        """Return all containers with these labels."""
        boxes = self._engine.boxes
        return await self._ask(
            "listed",
            lambda: [_entry(b) for b in boxes.values() if labels.items() <= b.labels.items()],
        )

    async def discovered(self) -> tuple[str, ...]:
        """Return the GPUs that it names: none."""
        return ()

    async def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container."""
        return await self._ask("create", lambda: self._engine.add(name, body).id)

    async def start(self, container: str) -> None:
        """Start it."""
        await self._ask("start", lambda: self._engine.run(self._engine.find(container)))

    async def stop(self, container: str, _grace_seconds: int) -> None:
        """End it."""
        await self._ask("stop", lambda: self._end(container, remove=False))

    async def remove(self, container: str) -> None:
        """End it, and leave nothing."""
        await self._ask("remove", lambda: self._end(container, remove=True))

    async def log_tail(self, container: str, _lines: int) -> str:
        """Return what it wrote."""
        return await self._ask("log_tail", lambda: self._engine.find(container).name)

    async def events(
        self,
        labels: Mapping[str, str],
        since_ns: int | None = None,
        begun: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Event]:
        """Yield events."""
        stream = await self._ask("events", lambda: self._engine.listen(labels, since_ns or 0))
        begun()
        while (event := await stream.heard.get()) is not None:
            yield event

    def _end(self, container: str, *, remove: bool) -> None:
        try:
            box = self._engine.find(container)
        except NotFoundError:
            return
        self._engine.before_end(box)
        self._engine.end(box, 0)
        if remove:
            self._engine.drop(box)

    async def _ask(self, name: str, work: Callable[[], Any]) -> Any:
        """Wait for the answer as long as the call's lane allows."""
        if self.dead:
            raise asyncio.CancelledError
        if self._engine.away:
            error, now = UnavailableError("away"), self._engine.loop.time()
            self.health.heard(name, now, now, error)
            raise error
        call = Call(name, work, self._engine.loop.create_future())
        self._engine.calls.append(call)
        seconds = CALLS[name].lane.seconds
        try:
            async with asyncio.timeout(seconds):
                answer = await call.future
        except TimeoutError:
            raise UnavailableError(f"no answer within {seconds} s") from None
        now = self._engine.loop.time()
        self.health.heard(name, now, now, None)
        return answer


def _state(box: Box) -> Container:
    """Return what inspect says."""
    addresses = {box.network: box.address if box.running else ""}
    return Container(
        box.id, box.name, box.status, box.exit_code, box.oom, "", dict(box.labels), addresses,
        box.started_at, box.finished_at, Made(box.body, box.body["HostConfig"], ()),
    )  # fmt: skip


def _entry(box: Box) -> Listed:
    """Return what the list says."""
    return Listed(box.id, box.name, box.status, dict(box.labels), "lab/image:1")
