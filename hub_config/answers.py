"""What the hub tells of its servers, and does to them, when the watch and its like ask for it."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from jupyterhub import orm
from jupyterhub.app import JupyterHub
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from hub_config.apply import QUEUE
from hub_config.stopping import let_go
from spawner.idle_culler import NAME as CULLER
from spawner.idle_culler import cull
from spawner.idleness import Answer
from spawner.live import Told
from spawner.question import ask
from spawner.receipts import Asked
from spawner.runs import Holder, Reason, Run
from spawner.timekeeping import Living, Timekeeper
from spawner.waiting import Waiting

# A server that has just begun says once that it is there.
OWN_ACTIVITY_SECONDS = 120
PENDING_LOOKS, PENDING_PAUSE_SECONDS = 100, 0.1
ASK_SECONDS = 60


class AnsweringHub(JupyterHub):
    """JupyterHub, with answers. Everything runs on its event loop."""

    timekeeper: Timekeeper

    # for the watch

    def active(self) -> Mapping[Holder, str]:
        """Return the servers that have an address, with their containers."""
        return {
            Holder(user, server): (state or {}).get("object_id") or ""
            for user, server, state in self._running(orm.Spawner.state)
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

    # for what follows labhub.yaml

    def standing(self) -> Mapping[Holder, Told]:
        """Return the servers that run, with their people's groups and what these chose."""
        groups = self._groups()
        return {
            Holder(user, server): Told(groups.get(user, frozenset()), options)
            for user, server, options in self._running(orm.Spawner.user_options)
        }

    # for the timekeeper

    def living(self) -> Mapping[Holder, Living]:
        """Return the servers that run, with their people's groups and last activity."""
        groups = self._groups()
        return {
            Holder(user, server): Living(groups.get(user, frozenset()), _utc(last))
            for user, server, last in self._running(orm.Spawner.last_activity)
        }

    async def update_last_activity(self) -> None:
        """Only see to the proxy's routes: servers tell their activity themselves.

        The proxy would call every open tab activity: JupyterLab asks its server all the time.
        """
        await self.proxy.check_routes(self.users, self._service_map)

    def container(self, holder: Holder) -> str:
        """Return the container of a server that runs, "" for one that does not."""
        return self._spawner(holder).object_id if self._is_there(holder) else ""

    async def ask(self, holder: Holder) -> Answer | None:
        """Ask a server what its kernels do; None when it does not say."""
        spawner = self._spawner(holder)
        if spawner is None or spawner.server is None:
            return None
        # Not the server's own token: a hub that was restarted does not know it.
        token = spawner.user.new_api_token(
            note="The hub asks whether the server is in use",
            scopes=[f"access:servers!server={holder.user}/{holder.server}"],
            expires_in=ASK_SECONDS,
        )
        try:
            return await ask(spawner.server.url, token)
        finally:
            self._revoke(token)

    def _revoke(self, token: str) -> None:
        if (known := orm.APIToken.find(self.db, token)) is not None:
            self.db.delete(known)
            self.db.commit()

    def has_server(self, holder: Holder) -> bool:
        """Return whether a server runs already, and nobody is about to change that."""
        spawner = self._spawner(holder)
        return spawner is not None and spawner.ready

    def _is_there(self, holder: Holder) -> bool:
        """Return whether a server runs as far as anybody knows: also one that does not answer yet.

        A hub that came back waits for it, for as long as it is hung or paused.
        """
        spawner = self._spawner(holder)
        return spawner is not None and (spawner.ready or spawner.pending == "check")

    async def end(self, holder: Holder, reason: Reason, container: str) -> None:
        """End a server that is this container, unless somebody is at it already.

        An earlier one of the same person, which is still to be removed, may be meant.
        """
        if not container or self.container(holder) != container:
            return
        spawner = self._spawner(holder)
        spawner.asked_to_stop(Asked(reason))
        if spawner.pending:
            await let_go(spawner, self.proxy)
            if self._spawner(holder) is not spawner or not spawner.ready:
                return
        spawner._stop_pending = True  # noqa: SLF001 - as JupyterHub's own stop does
        try:
            await self.proxy.delete_user(spawner.user, holder.server)
            await spawner.user.stop(holder.server)
        finally:
            spawner._stop_pending = False  # noqa: SLF001

    # for the queue

    def has_come(self, run: Run) -> bool:
        """Return whether the person of a server that runs has opened or used it.

        Each browser that opens a server gets a token for it from the hub, anew at each start.
        """
        if not self._is_there(run.holder):
            return False
        spawner = self._spawner(run.holder)
        opened = self.db.query(orm.APIToken.id).filter(
            orm.APIToken.client_id == spawner.oauth_client_id, orm.APIToken.session_id.is_not(None)
        )
        used = _utc(spawner.orm_spawner.last_activity)
        first_use = run.began + timedelta(seconds=OWN_ACTIVITY_SECONDS)
        return opened.first() is not None or (used is not None and used > first_use)

    async def resume(self, waiting: Waiting) -> None:
        """Begin a start again that an earlier hub left waiting, as its person did."""
        token = next(each["api_token"] for each in self.services if each["name"] == QUEUE)
        user, server = (quote(part, safe="") for part in waiting.holder)
        url = f"{self.hub.api_url.rstrip('/')}/users/{user}/servers/{server}"
        request = HTTPRequest(
            url,
            method="POST",
            headers={"Authorization": f"token {token}"},
            body=json.dumps({"user_options": dict(waiting.options)}),
            request_timeout=ASK_SECONDS,
        )
        try:
            await AsyncHTTPClient().fetch(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, a later round tries again
            self.log.warning("%s cannot wait on: %s", waiting.holder, error)

    async def cull(self) -> None:
        """End the servers that the timekeeper calls idle."""
        token = next(each["api_token"] for each in self.services if each["name"] == CULLER)
        await cull(self.hub.api_url.rstrip("/"), token, self.timekeeper.is_idle)

    def _running(self, column: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's, without types
        """Return user, server and one thing about it, for each server that has an address."""
        return (
            self.db.query(orm.User.name, orm.Spawner.name, column)
            .join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.is_not(None))
        )

    def _spawner(self, holder: Holder) -> Any:  # noqa: ANN401 - JupyterHub's, without types
        user = self.users.get(holder.user)
        return None if user is None else user.spawners.get(holder.server)

    def _groups(self) -> dict[str, frozenset[str]]:
        """Return everybody's groups."""
        groups: dict[str, set[str]] = {}
        members = self.db.query(orm.User.name, orm.Group.name).join(orm.User.groups)
        for user, group in members:
            groups.setdefault(user, set()).add(group)
        return {user: frozenset(names) for user, names in groups.items()}


def _utc(moment: datetime | None) -> datetime | None:
    """Return a time as the hub's database keeps it, with its zone."""
    return None if moment is None else moment.replace(tzinfo=UTC)
