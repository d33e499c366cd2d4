"""JupyterHub, as labhub runs it: one hub per instance, a watch over engine and proxy.

python -m hub_config.hub -f jupyterhub_config.py
"""

import asyncio
import contextlib
import fcntl
import logging
import sys
from typing import TextIO
from urllib.parse import urlparse

from jupyterhub import orm
from sqlalchemy import event
from traitlets import Instance as InstanceOf

from hub_config import gpus_page, queue_api, time_api
from hub_config.answers import AnsweringHub
from hub_config.doors import with_doors
from hub_config.follower import Follower
from hub_config.instance import Instance
from hub_config.reload import LiveConfig
from hub_config.status import LOCK
from spawner import messages
from spawner.desk import Desk, desk
from spawner.gpu_watch import GpuWatch
from spawner.live import Live
from spawner.queueing import Queueing
from spawner.timekeeping import Timekeeper
from spawner.watch import Watch

PROXY_RETRY_SECONDS = 0.25
# Between checks of routes that fail while the proxy is there.
PROXY_CHECK_SECONDS = 2


orm.JSONDict.cache_ok = True  # it has no state; without this SQLAlchemy compiles every query anew


class LabHub(AnsweringHub):
    """The hub. Only one may run on an instance's directory."""

    live_config = InstanceOf(LiveConfig, help="labhub.yaml, as it holds now.").tag(config=True)

    _lock: TextIO | None = None
    _watch: Watch | None = None
    _live: Live | None = None
    _follower: Follower | None = None
    _clock: Timekeeper | None = None
    _gpus: GpuWatch | None = None
    _queueing: Queueing | None = None
    _proxy_guard: asyncio.Task[None] | None = None

    @property
    def _desk(self) -> Desk:
        """The desk that the spawners use, too."""
        lab: Instance = self.config.QuotaDockerSpawner.lab
        return desk(lab)

    def init_logging(self) -> None:
        """Let what our own modules say stand in the hub's log, too."""
        super().init_logging()
        for name in ("auth", "hub_config", "spawner"):
            logger = logging.getLogger(name)
            logger.parent = self.log
            logger.setLevel(self.log.level)

    def init_db(self) -> None:
        """Make sure that nobody else writes this database, then open it."""
        path = self._desk.lab.state_dir / LOCK
        self._lock = path.open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(messages.second_hub(path), file=sys.stderr)  # noqa: T201 - not with a traceback
            self.exit(1)
        super().init_db()

    def init_handlers(self) -> None:
        """Let options for servers in by our own doors only; serve their time and the queue."""
        super().init_handlers()
        desk = self._desk
        routes = [
            *time_api.routes(self),
            *queue_api.routes(desk),
            *gpus_page.routes(desk, self.live_config),
        ]
        ours = self.add_url_prefix(self.hub_prefix, routes)
        self.handlers = [*ours, *with_doors(self.handlers)]

    async def init_spawners(self) -> int:
        """Adopt what runs; the watch begins with it."""
        self._watch = Watch(self._desk, self)
        self._watch.begin()
        self._gpus = GpuWatch(self._desk, has_gpus=self._has_gpus)
        self._gpus.begin()
        self._live = Live(self._desk, self, self.live_config)
        self.timekeeper = self._clock = Timekeeper(self._desk, self, self.live_config)
        self._desk.time_of = self.timekeeper.of
        for change in ("append", "remove"):
            event.listen(orm.User.groups, change, self._groups_changed)
        count: int = await super().init_spawners()
        return count

    def _has_gpus(self) -> bool:
        """Whether there is a GPU to give out."""
        return bool(self._desk.devices(self.live_config().gpus))

    async def start(self) -> None:
        """Start everything, and keep an eye on the proxy from then on."""
        await super().start()
        self._proxy_guard = asyncio.ensure_future(self._guard_proxy())
        self._live.begin()
        self.timekeeper.begin()
        self._follower = Follower(self._desk, self.live_config, self._rules_changed)
        self._follower.begin()
        self._queueing = Queueing(self._desk, self, self.live_config)
        self._queueing.begin()

    async def cleanup(self) -> None:
        """End the watch and the engine's threads, then the rest."""
        parts = (
            self._queueing,
            self._follower,
            self._clock,
            self._live,
            self._gpus,
            self._watch,
        )
        for part in parts:
            if part is not None:
                await part.close()
        self._desk.engine.close()
        await super().cleanup()

    def _groups_changed(self, user: orm.User, *_: object) -> None:
        """Let quotas follow once the hub has written that somebody joins or leaves a group."""
        asyncio.get_running_loop().call_soon(self._rules_changed, user.name)

    def _rules_changed(self, user: str = "") -> None:
        """Let servers that run, and starts that wait, follow other numbers: all, or a user's."""
        if self._live is not None:
            self._live.due()
        self._desk.time_due.set()
        self._desk.room.ask_anew(user)

    # the proxy

    async def _guard_proxy(self) -> None:
        """Give a proxy that was restarted its routes back.

        A connection to its API ends when it ends. The proxy also ends one that stays silent, so a
        healthy one is asked for its routes about once a minute.
        """
        address = urlparse(self.proxy.api_url)
        while True:
            pause_seconds = PROXY_RETRY_SECONDS
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                try:
                    if await self._check_routes():
                        await reader.read()
                    else:
                        pause_seconds = PROXY_CHECK_SECONDS
                finally:
                    writer.close()
            await asyncio.sleep(pause_seconds)

    async def _check_routes(self) -> bool:
        """Compare the routes with what they should be; return whether that went well."""
        try:
            await self.proxy.check_routes(self.users, self._service_map)
        except Exception as error:  # noqa: BLE001 - whatever it is, the guard must go on
            self.log.warning("The proxy's routes could not be checked: %s", error)
            return False
        return True


if __name__ == "__main__":
    LabHub.launch_instance()
