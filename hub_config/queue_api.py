"""The queue: see one's place, start without a GPU instead, or leave.

    GET  /hub/api/labhub/queue/USER/[SERVER]     what spawner/place.py shows; 404: it does not wait
    POST /hub/api/labhub/queue/USER/[SERVER]     {"do": "without_gpu"}

For whoever may start the server: its owner, admins. Leaving is what JupyterHub has for it: DELETE
of the server. A look counts: who asks for it keeps the place.
"""

import time
from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado.web import HTTPError

from spawner.messages import leases as messages
from spawner.runs import Holder

if TYPE_CHECKING:
    from spawner.desk import Desk

BAD_REQUEST, NOT_FOUND = 400, 404
WISHES = {"without_gpu": {"gpus": 0}}


def routes(desk: "Desk") -> list[tuple[str, type[BaseHandler], dict[str, Any]]]:
    """Return what the hub has to serve."""
    return [(r"/api/labhub/queue/([^/]+)/([^/]*)", QueueHandler, {"desk": desk})]


class QueueHandler(APIHandler):
    """The place of one start that waits."""

    def initialize(self, desk: "Desk") -> None:
        """Know whom to ask."""
        self.desk = desk

    @needs_scope("start:servers")
    async def get(self, user_name: str, server_name: str) -> None:
        """Show it; while nobody follows the start's progress, this look keeps the place."""
        holder = Holder(user_name, server_name)
        waiting = await self.desk.receipts.transact(lambda ledger: ledger.tickets(), otherwise=())
        if all(each.holder != holder for each in waiting):
            raise HTTPError(NOT_FOUND, messages.NOT_WAITING)
        if holder not in self.desk.room.lookers:
            await self.desk.receipts.transact(
                lambda ledger: ledger.look(holder, looked_at=False), otherwise=None
            )
        is_admin = bool(getattr(self.current_user, "admin", False))
        place = self.desk.room.places.get(holder)
        shown = place.shown(time.time(), names=is_admin) if place is not None else None
        self.finish({"queue": shown})

    @needs_scope("start:servers")
    async def post(self, user_name: str, server_name: str) -> None:
        """Change what it waits for."""
        body = self.get_json_body()
        wish = body.get("do") if isinstance(body, dict) else None
        if not isinstance(wish, str) or wish not in WISHES:
            raise HTTPError(BAD_REQUEST, messages.NO_SUCH_WISH)
        if not self.desk.room.wish(Holder(user_name, server_name), WISHES[wish]):
            raise HTTPError(NOT_FOUND, messages.NOT_WAITING)
        self.finish({})
