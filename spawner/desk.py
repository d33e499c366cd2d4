"""What all servers of one instance share: the engine, the images, the accounts, the store."""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from auth.accounts import AccountBook
from hub_config.instance import Instance
from spawner import lookback
from spawner.container import identity_labels
from spawner.devices import Device, inventory, unshared, with_claims
from spawner.ends import Ends
from spawner.engine import Container, Engine
from spawner.engine_errors import EngineError, NotFoundError, UnknownError
from spawner.gpu_view import Sight
from spawner.images import Images
from spawner.lookback import Lookback
from spawner.machine import Machine
from spawner.memory import CgroupMeter
from spawner.nodes import Nodes
from spawner.receipts import Asked, Receipts, Story
from spawner.room import Room
from spawner.runs import Holder
from spawner.sightings import Sightings
from spawner.store import Store
from spawner.timepiece import Timepiece

if TYPE_CHECKING:
    from hub_config.schema_gpus import Gpus

log = logging.getLogger(__name__)


class Desk:
    """Reaches for the engine, the accounts and the store only when they are first needed."""

    def __init__(self, lab: Instance) -> None:
        """Open nothing yet."""
        self.lab = lab
        self.engine = Engine(lab.engine_patience)
        self.sightings = Sightings()
        self.meter = meter = CgroupMeter(lab.cgroup_dir)
        self.machine = Machine(lab.proc_dir, meter)
        self.nodes = Nodes(lab.cgroup_dir, lab.proc_dir)
        # The GPUs that the engine names, None until it has been asked.
        self.discovered: tuple[str, ...] | None = None
        # What NVIDIA's driver shows, nothing while nobody asks it (spawner/gpu_watch.py).
        self.sight = Sight()
        # What of a changed labhub.yaml servers that run cannot have yet, for their pages.
        self.late: Mapping[Holder, tuple[str, ...]] = {}
        # The time of a server that runs, once somebody keeps it (spawner/timekeeping.py).
        self.time_of: Callable[[Holder], Timepiece | None] = lambda _holder: None
        # Whether a container computes on a GPU now: nobody knows, until somebody reads GPUs.
        self.gpu_busy: Callable[[str], bool] = lambda _container: False
        # Set by whoever knows that hub, store and engine may disagree (spawner/watch.py).
        self.round_due = asyncio.Event()
        self.engine.health.doubted = self.round_due.set
        # Set by whoever knows that a server may have other limits than the rules of now give it.
        self.limits_due = asyncio.Event()
        # Set by whoever knows that a server began, or that other rules about time hold.
        self.time_due = asyncio.Event()
        # Who waits for room, and whoever knows that there may be some says so there.
        self.room = Room()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._words: dict[str, asyncio.Event] = {}
        self.images = Images(self.engine, {"labhub.instance": lab.name, "labhub.role": "look"})

    @property
    def trouble(self) -> str:
        """What admins read on every page, empty while all is well."""
        return self.engine.health.trouble

    @functools.cached_property
    def accounts(self) -> AccountBook:
        """Return the book of accounts."""
        return AccountBook(self.lab.state_dir / "identity.sqlite")

    @functools.cached_property
    def store(self) -> Store:
        """Return what was begun and how it ended."""
        return Store(f"sqlite:///{self.lab.state_dir / 'labhub.sqlite'}")

    @functools.cached_property
    def receipts(self) -> Receipts:
        """Return what writes how servers ended."""
        look_back = self.lookback.once
        return Receipts(self.store, self.sightings, self.room.due.set, look_back)

    @functools.cached_property
    def lookback(self) -> Lookback:
        """Return what knows of the time before this hub."""
        path = self.lab.state_dir / lookback.FILE
        return Lookback(self.engine, self.sightings, self.server_labels, path)

    @property
    def server_labels(self) -> dict[str, str]:
        """Return what the containers of all servers carry, and no others."""
        return {"labhub.instance": self.lab.name, "labhub.role": "server"}

    @functools.cached_property
    def ends(self) -> Ends:
        """Return what ends servers."""
        return Ends(self.engine, self.receipts, self.meter, self.sightings)

    def devices(self, rules: "Gpus") -> tuple[Device, ...]:
        """Return the GPUs that servers can get here."""
        return with_claims(inventory(rules, self.discovered or (), self.sight.seen), self.sight)

    def unshared(self, rules: "Gpus") -> tuple[str, ...]:
        """Return what is to be shared and is no GPU here, once somebody told which there are."""
        found = self.devices(rules)
        return unshared(rules, found) if found or self.discovered is not None else ()

    async def discover(self) -> None:
        """Ask the engine which GPUs there are; while it does not tell, those of before are."""
        try:
            await self.names_of_gpus(anew=True)
        except EngineError as error:
            log.debug("Docker does not tell which GPUs there are: %s", error)

    async def names_of_gpus(self, *, anew: bool = False) -> tuple[str, ...]:
        """Return the GPUs that the engine names; ask it if it never told. Raises EngineError."""
        if self.discovered is None or anew:
            found = await self.engine.discovered()
            if found != self.discovered:
                log.info("GPUs that Docker names: %s", ", ".join(found) or "none")
            self.discovered = found
        return self.discovered

    async def find(self, identifier: str, labels: Mapping[str, str]) -> Container | None:
        """Return a server's container, by id or else by labels; None is proof that there is none.

        Of several the one that runs counts. Any other answer of the engine is an error: also one
        that contradicts itself, such as a 404 for a container that is still listed.
        """
        if identifier:
            try:
                return await self.engine.container(identifier)
            except NotFoundError:
                log.info("No container %s any more", identifier[:12])
        listed = sorted(await self.engine.listed(labels), key=lambda each: (each.ended, each.name))
        if not listed:
            return None
        try:
            return await self.engine.container(listed[0].id)
        except NotFoundError:
            msg = f"container {listed[0].id[:12]} is listed and not found"
            raise UnknownError(msg) from None

    async def stop(
        self, holder: Holder, container: str, asked: Asked, grace_seconds: int
    ) -> Container | None:
        """End a server because somebody asked; return how it ended, if the engine told.

        What the engine does not do now, a round of the watch does later.
        """
        await self.receipts.ask(holder, asked, container=container)
        labels = identity_labels(self.lab.name, *holder)
        try:
            state = await self.find(container, labels)
            if state is not None:
                return await self.ends.end(state, grace_seconds, Story(asked.reason))
            await self.receipts.close_all(holder, container)
        except EngineError as error:
            log.warning("Stopping the server of %s: %s", holder.user, error)
            self.round_due.set()
        return None

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work to its end, whatever becomes of the request that began it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        """Let nothing fail in silence."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Unexpected: %r", error, exc_info=error)

    # news of a container, for whoever waits for its end

    def tell(self, container: str) -> None:
        """Wake those who wait for news of this container."""
        if (event := self._words.pop(container, None)) is not None:
            event.set()

    async def word(self, container: str, seconds: float) -> None:
        """Return when there is news of this container, or after this many seconds."""
        event = self._words.setdefault(container, asyncio.Event())
        try:
            # not wait_for: that of Python 3.11 may swallow a cancellation
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            if self._words.get(container) is event:
                del self._words[container]


@functools.cache
def desk(lab: Instance) -> Desk:
    """Return the one desk of an instance."""
    return Desk(lab)
