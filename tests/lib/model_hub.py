"""JupyterHub as far as servers' lives go, around the real spawner, watch, store and all between.

What is here follows JupyterHub 6.1.1, user.py (`spawn`, `stop`), handlers/base.py
(`spawn_single_user`, `stop_single_user`), apihandlers/users.py (`delete`) and app.py
(`init_spawners`): which flags and rows are set in which order, and where it waits.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlparse

from hub_config.hub import LabHub
from hub_config.instance import Instance
from hub_config.schema import Config
from hub_config.stopping import undone
from spawner.capacity import Facts
from spawner.container import Server
from spawner.desk import Desk
from spawner.launch import Launch
from spawner.memory import Usage
from spawner.queueing import Queueing
from spawner.receipts import Asked
from spawner.runs import Holder, Reason, Run
from spawner.spawner import QuotaDockerSpawner
from spawner.store import Ledger, Store, StoreError
from spawner.waiting import Waiting
from spawner.watch import Watch
from tests.lib.model_engine import EngineClient, ModelEngine

INSTANCE = "model"
NOWHERE = Path("/nonexistent")
LAB = Instance(
    name=INSTANCE, config_path=NOWHERE, secrets_dir=NOWHERE, state_dir=NOWHERE,
    state_dir_on_host=NOWHERE, volumes_dir=NOWHERE, volumes_dir_on_host=NOWHERE, port=1,
    api_port=1, hub_port=1, accounts_port=1, network="users", gateway="127.0.0.1",
    bundle="bundle", cgroup_dir=NOWHERE,
)  # fmt: skip
CONFIG = Config.model_validate(
    {
        "images": {"one": {"title": "One", "image": "lab/image:1"}},
        "quotas": {
            "default": {"cpus": 1, "memory": "1 GiB", "shm": "64 MiB", "pids": 256, "gpus": 0}
        },
    }
)
CANCEL_SECONDS = 1
SILENT = logging.getLogger("tests.model_hub")
SILENT.disabled = True
T = TypeVar("T")


@dataclass
class Row:
    """What the hub's database says of a server that has an address."""

    container: str = ""
    address: str = ""


class World:
    """What outlives a hub: the engine, the store, the hub's rows, and what people want."""

    def __init__(self, engine: ModelEngine, store: Store, config: Config = CONFIG) -> None:
        """Nobody has a server."""
        self.engine, self.store, self.config = engine, store, config
        self.rows: dict[Holder, Row] = {}
        self.full = False
        # The runs that somebody asked for, and has neither ended nor heard to have failed.
        self.wanted: dict[str, Holder] = {}
        # What a person would have seen as an error of the hub's own.
        self.failures: list[str] = []

    def unwant(self, holder: Holder) -> None:
        """From now on the holder wants none of the servers so far."""
        for name in [name for name, owner in self.wanted.items() if owner == holder]:
            del self.wanted[name]

    async def first_answer(self, url: str) -> None:
        """Return once the server at this address answers."""
        address = urlparse(url).hostname
        for box in self.engine.boxes.values():
            if box.address == address:
                await box.answers.wait()
                return
        await asyncio.Event().wait()


class ModelLaunch(Launch):
    """A launch that needs neither an account nor an image, and tells what people may expect."""

    def __init__(self, world: World, *arguments: Any) -> None:
        """Do nothing yet."""
        super().__init__(*arguments)
        self._world = world
        world.wanted[self.name] = self.holder

    async def _files(self, _account: Any) -> None:
        return None

    async def _contents(self, _image: str) -> Any:
        return None

    def _server(self, _contents: Any) -> Server:
        user, server = self.holder
        return Server(
            INSTANCE, LAB.network, LAB.bundle, user, server, "a" * 16, 1, "one", "lab/image:1",
            "volume", "/home", "/", "/bin/sh", "/passwd", "/group", self.quota,
        )  # fmt: skip

    async def failed(self, *arguments: Any) -> Any:
        """Fail: nobody expects this server any more."""
        self._world.wanted.pop(self.name, None)
        return await super().failed(*arguments)


class ModelSpawner(QuotaDockerSpawner):
    """The real spawner, whose row is the world's."""

    def __init__(self, hub: "ModelHub", holder: Holder) -> None:
        """Begin as after a start of the hub."""
        super().__init__(lab=LAB, current_config=lambda: hub.world.config, log=SILENT)
        self._hub, self.holder = hub, holder
        self.user = hub.users[holder.user]

    @property
    def name(self) -> str:
        """The server's name."""
        return self.holder.server

    @property
    def _desk(self) -> Desk:
        return self._hub.desk

    @property
    def server(self) -> Any:
        """Its address, if the row has one."""
        row = self._hub.world.rows.get(self.holder)
        return row and SimpleNamespace(base_url="/", ip=row.address, url=f"http://{row.address}/")

    @server.setter
    def server(self, _none: None) -> None:
        if not self._hub.dead:
            self._hub.world.rows.pop(self.holder, None)

    def get_env(self) -> dict[str, str]:
        """Return no environment."""
        return {}

    def get_args(self) -> list[str]:
        """Return no arguments."""
        return []


class StoreClient:
    """The store, until the hub dies."""

    def __init__(self, world: World) -> None:
        """Use the world's."""
        self._world, self.dead = world, False

    def transact(self, work: Callable[[Ledger], T]) -> T:
        """Do it, unless there is no space, or the hub is dead."""
        if self.dead:
            raise asyncio.CancelledError
        if self._world.full:
            raise StoreError("no space")
        return self._world.store.transact(work)

    def signature(self) -> tuple[object, ...]:
        """Nobody else writes into it."""
        return ()


class Nothing:
    """No cgroups to read, no images to look into, one account, and a machine without an end."""

    def by_name(self, _user: str) -> Any:
        """Return the account that all have."""
        return SimpleNamespace(key="a" * 16, uid=1)

    def read(self, _container: str) -> Usage | None:
        """Return nothing."""
        return None

    def look(self, _containers: object) -> Facts:
        """Return a machine on which everything fits."""
        return Facts(memory_bytes=1 << 50, cpus=1)

    async def tidy(self) -> None:
        """Leave nothing behind: nothing was done."""


class ModelHub:
    """One life of the hub. All runs on the world's loop."""

    notify = LabHub.notify
    busy = LabHub.busy

    def __init__(self, world: World) -> None:
        """Come up, as after a crash."""
        self.world, self.dead = world, False
        self._client, self._store = EngineClient(world.engine), StoreClient(world)
        self.desk = Desk(LAB)
        self.desk.engine = self._client  # type: ignore[assignment]
        self.desk.store = self._store  # type: ignore[misc, assignment]
        self.desk.accounts = Nothing()  # type: ignore[misc, assignment]
        self.desk.meter = self.desk.images = self.desk.machine = Nothing()  # type: ignore[assignment]
        self.users: dict[str, Any] = {}
        self.watch = Watch(self.desk, self)
        self.queueing = Queueing(self.desk, self, lambda: world.config)
        self._tasks: set[asyncio.Task[None]] = set()
        # Whose last start was ended by its person before it was through.
        self._cancelled: set[Holder] = set()

    async def begin(self) -> None:
        """Begin to watch, and look for what the rows tell of."""
        self.watch.begin()
        self.queueing.begin()
        for holder, row in self.world.rows.items():
            spawner = self.spawner(holder)
            spawner.load_state({"object_id": row.container})
            spawner._check_pending = True
            self._go(self._check(spawner))

    def active(self) -> dict[Holder, str]:
        """Return the servers with an address."""
        return {holder: row.container for holder, row in self.world.rows.items()}

    def has_come(self, _run: Run) -> bool:
        """Everybody is there when their turn comes."""
        return True

    def has_server(self, holder: Holder) -> bool:
        """Return whether a server is called ready."""
        return holder in self.world.rows and not self.spawner(holder).pending

    async def resume(self, waiting: Waiting) -> None:
        """Go on with a start that an earlier hub left waiting, unless something is at it."""
        if self.dead:
            return
        if waiting.holder in self._cancelled:
            self.world.failures.append(f"{waiting.holder} cancelled, and it begins again")
        if waiting.holder not in self.world.rows:
            self.spawner(waiting.holder).user_options = dict(waiting.options)
            self.start(waiting.holder)

    def spawner(self, holder: Holder) -> ModelSpawner:
        """Return a server's spawner; a new one where there is none."""
        database = SimpleNamespace(commit=lambda: None)
        made = SimpleNamespace(name=holder.user, groups=[], spawners={}, db=database)
        user = self.users.setdefault(holder.user, made)
        if holder.server not in user.spawners:
            user.spawners[holder.server] = ModelSpawner(self, holder)
        found: ModelSpawner = user.spawners[holder.server]
        return found

    def die(self) -> None:
        """From now on nothing of this hub has an effect; what waits has to be cancelled."""
        self.dead = self._client.dead = self._store.dead = True

    def _go(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # what people do

    def start(self, holder: Holder) -> None:
        """Press Start."""
        spawner = self.spawner(holder)
        self._cancelled.discard(holder)
        spawner._spawn_pending = True
        spawner._spawn_future = self._go(self._spawn(spawner))
        spawner._spawn_future.add_done_callback(lambda done: self._spawned(spawner, done))

    def start_over(self, holder: Holder) -> None:
        """Ask the API for a start although the server is called ready: it may have just died."""
        self._go(self._start_over(holder))

    async def _start_over(self, holder: Holder) -> None:
        spawner = self.spawner(holder)
        spawner._spawn_pending = True
        try:
            status = await spawner.poll_and_notify()
        finally:
            spawner._spawn_pending = False
        if status is not None:
            if pending := self.spawner(holder).pending:
                self.world.failures.append(f"{holder} pending {pending}: that is a 500")
            else:
                self.start(holder)

    def _spawned(self, spawner: ModelSpawner, done: "asyncio.Task[None]") -> None:
        if done.cancelled() or done.exception() is None:
            spawner._spawn_future = None
        spawner._spawn_pending = False

    def press_end(self, holder: Holder) -> None:
        """Press Stop, or Cancel while it starts."""
        spawner = self.spawner(holder)
        self.world.unwant(holder)
        self._go(self._cancel(spawner) if spawner.pending else self._delete(spawner))

    async def end(self, holder: Holder, reason: Reason, container: str) -> None:
        """End a server for the queue if it is this container, unless somebody is at it."""
        spawner = self.spawner(holder)
        if spawner.object_id != container:
            return
        if spawner.pending in {None, "check"} and holder in self.world.rows:
            spawner.asked_to_stop(Asked(reason))
            self.world.unwant(holder)
            await undone(spawner)
            if self._stands(spawner):
                await self._stop(holder)

    def _stands(self, spawner: ModelSpawner) -> bool:
        """Return whether this very server is there, and nothing is at it."""
        here = self.users[spawner.holder.user].spawners.get(spawner.holder.server) is spawner
        return here and not spawner.pending

    async def _cancel(self, spawner: ModelSpawner) -> None:
        if spawner._spawn_future is not None:
            spawner._spawn_future.cancel()
            self._cancelled.add(spawner.holder)
        await asyncio.sleep(CANCEL_SECONDS)
        await self._stop_single_user(spawner.holder)

    async def _delete(self, spawner: ModelSpawner) -> None:
        if await spawner.poll_and_notify() is None:
            await self._stop_single_user(spawner.holder)

    async def _stop_single_user(self, holder: Holder) -> None:
        """Look the server up anew: it may be a later one than was asked about, or gone."""
        if holder.server not in self.users[holder.user].spawners:
            return
        spawner = self.spawner(holder)
        spawner.asked_to_stop(Asked(Reason.USER, holder.user))
        await undone(spawner)
        if self._stands(spawner):
            self.world.unwant(holder)  # also one that was started within that second
            await self._stop(holder)
        elif spawner.pending and spawner.pending != "spawn":  # that is a later start
            self.world.failures.append(f"{holder} pending {spawner.pending}: that is a 500")

    # what the hub does

    async def _spawn(self, spawner: ModelSpawner) -> None:
        row = self.world.rows[spawner.holder] = Row()
        spawner.clear_state()
        spawner._start_pending = True
        try:
            await spawner.run_pre_spawn_hook()
            start = asyncio.ensure_future(spawner.start())
            url = await asyncio.wait_for(start, spawner.start_timeout)
        except Exception:
            with suppress(Exception):
                await self._stop(spawner.holder)
            spawner._start_pending = False
            raise
        row.address, row.container = str(urlparse(url).hostname), spawner.object_id
        await self._wait_up(spawner, row)
        spawner.add_poll_callback(self._stopped, spawner.holder)

    async def _wait_up(self, spawner: ModelSpawner, row: Row) -> None:
        try:
            answer = self.world.first_answer(f"http://{row.address}")
            await asyncio.wait_for(answer, spawner.http_timeout)
        except TimeoutError:
            await self._stop(spawner.holder)
            raise
        finally:
            spawner._start_pending = False

    async def _check(self, spawner: ModelSpawner) -> None:
        row = self.world.rows[spawner.holder]
        if await spawner.poll() is None:
            row.address = str(urlparse(await spawner.get_url()).hostname)
            with suppress(TimeoutError):
                await self._wait_up(spawner, row)
                spawner.add_poll_callback(self._stopped, spawner.holder)
        elif spawner.server:
            await self._stop(spawner.holder)
        spawner._check_pending = False

    async def _stopped(self, holder: Holder) -> None:
        await self.spawner(holder).poll()
        await self._stop(holder)

    async def _stop(self, holder: Holder) -> None:
        spawner = self.spawner(holder)
        spawner._spawn_pending = spawner._start_pending = spawner._check_pending = False
        spawner._stop_pending = True
        try:
            if await spawner.poll() is None:
                await spawner.stop()
        finally:
            spawner.server = None
            await spawner.run_post_stop_hook()
            spawner.clear_state()
            spawner._stop_pending = False
            future = spawner._spawn_future
            if future is None or (future.done() and future.exception() is None):
                self.users[holder.user].spawners.pop(holder.server, None)
