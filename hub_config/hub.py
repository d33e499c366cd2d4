"""JupyterHub, as labhub runs it: one hub per instance, a watch over engine and proxy.

python -m hub_config.hub -f jupyterhub_config.py
"""

import asyncio
import contextlib
import fcntl
import logging
import sys
from collections.abc import Mapping
from typing import TextIO
from urllib.parse import urlparse

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from sqlalchemy import event
from traitlets import Instance as InstanceOf

from hub_config.doors import with_doors
from hub_config.instance import Instance
from hub_config.reload import LOOK_SECONDS, LiveConfig
from hub_config.status import LOCK, describe, write_status
from spawner import messages
from spawner.desk import Desk, desk
from spawner.live import Live, Told
from spawner.metrics import CONFIG_LOADED, CONFIG_LOADS, CONFIG_VALID
from spawner.runs import Holder
from spawner.watch import Watch

PROXY_RETRY_SECONDS = 0.25
PENDING_LOOKS, PENDING_PAUSE_SECONDS = 100, 0.1


orm.JSONDict.cache_ok = True  # it has no state; without this SQLAlchemy compiles every query anew


class LabHub(JupyterHub):
    """The hub. Only one may run on an instance's directory."""

    live_config = InstanceOf(LiveConfig, help="labhub.yaml, as it holds now.").tag(config=True)

    _lock: TextIO | None = None
    _watch: Watch | None = None
    _live: Live | None = None
    _follower: asyncio.Task[None] | None = None
    _status: Mapping[str, object] | None = None
    _proxy_guard: asyncio.Task[None] | None = None

    @property
    def _desk(self) -> Desk:
        """The desk that the spawners use, too."""
        lab: Instance = self.config.QuotaDockerSpawner.lab
        return desk(lab)

    def init_logging(self) -> None:
        """Let what our own modules say stand in the hub's log, too."""
        super().init_logging()
        for name in ("auth", "spawner"):
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
        """Let options for servers in by our own doors only."""
        super().init_handlers()
        self.handlers = with_doors(self.handlers)

    async def init_spawners(self) -> int:
        """Adopt what runs; the watch begins with it."""
        self._watch = Watch(self._desk, self)
        self._watch.begin()
        self._live = Live(self._desk, self, self.live_config)
        for change in ("append", "remove"):
            event.listen(orm.User.groups, change, self._groups_changed)
        count: int = await super().init_spawners()
        return count

    async def start(self) -> None:
        """Start everything, and keep an eye on the proxy from then on."""
        await super().start()
        self._proxy_guard = asyncio.ensure_future(self._guard_proxy())
        self._count_reading()
        self._live.begin()
        self._follower = asyncio.ensure_future(self._follow_config())

    async def cleanup(self) -> None:
        """End the watch and the engine's threads, then the rest."""
        if self._follower is not None:
            self._follower.cancel()
        for part in (self._live, self._watch):
            if part is not None:
                await part.close()
        self._desk.engine.close()
        await super().cleanup()

    # what the watch asks

    def active(self) -> Mapping[Holder, str]:
        """Return the servers that have an address, with their containers."""
        query = (
            self.db.query(orm.User.name, orm.Spawner.name, orm.Spawner.state)
            .join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.is_not(None))
        )
        return {
            Holder(user, server): (state or {}).get("object_id") or ""
            for user, server, state in query
        }

    def busy(self) -> set[Holder]:
        """Return the servers that are being started, stopped or looked for."""
        return {
            Holder(user.name, name)
            for user in self.users.values()
            for name, spawner in user.spawners.items()
            if spawner.pending
        }

    async def notify(self, holder: Holder, container: str = "") -> None:
        """Let the hub ask after a server, once nobody is at it any more.

        `container` is the one whose end the engine told of.
        """
        user = self.users.get(holder.user)
        for _ in range(PENDING_LOOKS if user is not None else 0):
            if holder.server not in user.spawners:
                return
            if not user.spawners[holder.server].pending:
                await user.spawners[holder.server].look(container)
                return
            await asyncio.sleep(PENDING_PAUSE_SECONDS)

    # labhub.yaml

    def standing(self) -> Mapping[Holder, Told]:
        """Return the servers that run, with their people's groups and what these chose."""
        groups: dict[str, set[str]] = {}
        members = self.db.query(orm.User.name, orm.Group.name).join(orm.User.groups)
        for user, group in members:
            groups.setdefault(user, set()).add(group)
        query = (
            self.db.query(orm.User.name, orm.Spawner.name, orm.Spawner.user_options)
            .join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.is_not(None))
        )
        return {
            Holder(user, server): Told(frozenset(groups.get(user, ())), options)
            for user, server, options in query
        }

    def _groups_changed(self, *_: object) -> None:
        """Let quotas follow once the hub has written that somebody joins or leaves a group."""
        if self._live is not None:
            asyncio.get_running_loop().call_soon(self._live.due)

    async def _follow_config(self) -> None:
        """Keep up with the file, and let running servers follow it."""
        while True:
            try:
                if await asyncio.to_thread(self.live_config.look):
                    self._tell_config()
                    self._live.due()
                self._write_status()
            except Exception:  # nothing may end this
                self.log.exception("Unexpected, while following labhub.yaml")
            await asyncio.sleep(LOOK_SECONDS)

    def _write_status(self) -> None:
        """Write what `labhub status` tells, when it is something new."""
        facts = describe(self.live_config.reading, self._desk.trouble, self._desk.late)
        if facts != self._status:
            write_status(self._desk.lab.state_dir, facts)
            self._status = facts

    def _tell_config(self) -> None:
        """Say in the log and in numbers how the last reading went."""
        reading = self.live_config.reading
        self._count_reading()
        for error in reading.errors:
            self.log.error("%s", error)
        if reading.errors:
            self.log.error("The settings from before hold.")
        for sentence in reading.waits:
            self.log.warning("%s", sentence)
        if not reading.errors:
            self.log.info("%s was read and holds.", self.live_config.path)

    def _count_reading(self) -> None:
        reading = self.live_config.reading
        CONFIG_VALID.set(not reading.errors)
        CONFIG_LOADED.set(reading.at.timestamp())
        CONFIG_LOADS.labels("invalid" if reading.errors else "valid").inc()

    # the proxy

    async def _guard_proxy(self) -> None:
        """Give a proxy that was restarted its routes back.

        A connection to its API ends when it ends. The proxy also ends one that stays silent, so a
        healthy one is asked for its routes about once a minute.
        """
        address = urlparse(self.proxy.api_url)
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(address.hostname, address.port)
                try:
                    await self._check_routes()
                    await reader.read()
                finally:
                    writer.close()
            await asyncio.sleep(PROXY_RETRY_SECONDS)

    async def _check_routes(self) -> None:
        """Compare the routes with what they should be; the next connection tries again."""
        try:
            await self.proxy.check_routes(self.users, self._service_map)
        except Exception as error:  # noqa: BLE001 - whatever it is, the guard must go on
            self.log.warning("The proxy's routes could not be checked: %s", error)


if __name__ == "__main__":
    LabHub.launch_instance()
