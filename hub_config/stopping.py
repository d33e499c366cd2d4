"""Ending servers: who wants it, also while the hub is at something else with them."""

import asyncio
import logging
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from tornado.web import HTTPError

from spawner import messages
from spawner.receipts import who_asks

MENDED = "_labhub_stops"
CONFLICT = 409
PAUSE_SECONDS = 0.1

log = logging.getLogger(__name__)


def mend_stops() -> None:
    """Let a person's stop reach a server at any time, and tell the server who ends it.

    JupyterHub 6.1.1 knows who asks, and does not say so to spawners. It answers 500, and stops
    nothing, while it still waits for a server that an earlier hub left, or undoes a start, and
    when two cancel one start at once.
    """
    if not hasattr(BaseHandler, MENDED):
        original = BaseHandler.stop_single_user

        async def stop_single_user(self: BaseHandler, user: Any, server_name: str = "") -> Any:  # noqa: ANN401
            spawner = user.spawners.get(server_name)
            if spawner is None:
                return None  # somebody else's stop came first
            by = self.current_user
            spawner.asked_to_stop(who_asks(by.kind, by.name, user.name))
            if spawner.pending:
                ending = let_go(spawner, self.proxy)
                await asyncio.wait({ending}, timeout=self.slow_stop_timeout)
                if not ending.done():
                    return ending
                if user.spawners.get(server_name) is not spawner:
                    return None
                if spawner.pending:
                    raise HTTPError(CONFLICT, messages.STARTS_ANEW)
            return await original(self, user, server_name)

        BaseHandler.stop_single_user = stop_single_user
        setattr(BaseHandler, MENDED, True)


def let_go(spawner: Any, proxy: Any) -> asyncio.Future[None]:  # noqa: ANN401
    """Return what is done once nothing is at a server any more whose end somebody wants.

    Then it is not there any more, or is ready to be stopped, or has been started anew.
    """
    ending = asyncio.ensure_future(_undone(spawner, proxy))
    if spawner._stop_future is None:  # noqa: SLF001 - JupyterHub deletes a server after it
        spawner._stop_future = ending  # noqa: SLF001
        ending.add_done_callback(lambda _done: setattr(spawner, "_stop_future", None))
    return ending


async def _undone(spawner: Any, proxy: Any) -> None:  # noqa: ANN401
    """Wait until nothing is at the server; what ends with it leaves no route, either."""
    await undone(spawner)
    if not spawner.active:
        try:
            await proxy.delete_user(spawner.user, spawner.name)
        except Exception as error:  # noqa: BLE001 - a later look at all routes removes it
            log.warning("The route of a server of %s stays for now: %s", spawner.user.name, error)


async def undone(spawner: Any) -> None:  # noqa: ANN401
    """Return once nothing is at a server any more that began before somebody wanted its end.

    The hub's first look after a restart ends the server itself, and so does a start that fails.
    """
    while spawner.pending in {"check", "stop"} or _is_being_cancelled(spawner):  # noqa: ASYNC110
        await asyncio.sleep(PAUSE_SECONDS)


def _is_being_cancelled(spawner: Any) -> bool:  # noqa: ANN401
    start = spawner._spawn_future  # noqa: SLF001 - JupyterHub's handlers look there, too
    is_asked = isinstance(start, asyncio.Task) and start.cancelling() > 0
    return spawner.pending == "spawn" and is_asked
