"""The hub's API for the time of servers: see how long one may run, put its end off, keep it.

    GET  /hub/api/labhub/time/USER/[SERVER]      what spawner/timepiece.py shows
    POST /hub/api/labhub/time/USER/[SERVER]      {"do": "extend"} or {"do": "keep"}

For whoever may use the server: its owner's browser, the server itself with its own token, admins.
"""

from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from tornado.web import HTTPError

from spawner.messages import times as messages
from spawner.runs import Holder
from spawner.store import StoreError
from spawner.timekeeping import NotNowError, Timekeeper
from spawner.timepiece import Timepiece

if TYPE_CHECKING:
    from hub_config.hub import LabHub

NOT_FOUND, CONFLICT, BAD_REQUEST, UNAVAILABLE = 404, 409, 400, 503


def routes(hub: "LabHub") -> list[tuple[str, type[APIHandler], dict[str, Any]]]:
    """Return what the hub has to serve."""
    return [(r"/api/labhub/time/([^/]+)/([^/]*)", TimeHandler, {"lab_hub": hub})]


class TimeHandler(APIHandler):
    """The time of one server."""

    def initialize(self, lab_hub: "LabHub") -> None:
        """Know whom to ask."""
        self.lab_hub = lab_hub

    @property
    def _timekeeper(self) -> Timekeeper:
        return self.lab_hub.timekeeper

    @needs_scope("access:servers")
    async def get(self, user_name: str, server_name: str) -> None:
        """Show it."""
        self._show(self._timekeeper.of(Holder(user_name, server_name)))

    @needs_scope("access:servers")
    async def post(self, user_name: str, server_name: str) -> None:
        """Change it, and show it."""
        body = self.get_json_body()
        wish = body.get("do") if isinstance(body, dict) else None
        holder = Holder(user_name, server_name)
        if wish == "extend":
            self._show(await self._extend(holder))
        elif wish == "keep":
            self._show(self._timekeeper.keep(holder))
        else:
            raise HTTPError(BAD_REQUEST, messages.NO_SUCH_WISH)

    async def _extend(self, holder: Holder) -> Timepiece | None:
        try:
            return await self._timekeeper.extend(holder)
        except NotNowError as error:
            sentence = messages.no_extension(error.why) or messages.NO_END
            raise HTTPError(CONFLICT, sentence) from None
        except StoreError as error:
            self.log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            raise HTTPError(UNAVAILABLE, messages.NOT_NOTED) from None

    def _show(self, piece: Timepiece | None) -> None:
        if piece is None:
            raise HTTPError(NOT_FOUND, messages.NOT_RUNNING)
        self.finish(piece.shown())
