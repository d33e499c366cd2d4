"""The time of servers: see how long one may run, put its end off, keep it.

    GET  /hub/api/labhub/time/USER/[SERVER]      what spawner/timepiece.py shows
    POST /hub/api/labhub/time/USER/[SERVER]      {"do": "extend"} or {"do": "keep"}
    POST /hub/time/USER/[SERVER]                 the same as a form of the home page

For whoever may use the server: its owner's browser, the server itself with its own token, admins.
"""

import json
import logging
from typing import TYPE_CHECKING, Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import url_path_join
from tornado.web import HTTPError, authenticated

from spawner.messages import times as messages
from spawner.runs import Holder
from spawner.store import StoreError
from spawner.timekeeping import NotNowError, Timekeeper
from spawner.timepiece import Timepiece

if TYPE_CHECKING:
    from hub_config.hub import LabHub

SEE_OTHER = 303
BAD_REQUEST, NOT_FOUND, CONFLICT, UNAVAILABLE = 400, 404, 409, 503

log = logging.getLogger(__name__)


def routes(hub: "LabHub") -> list[tuple[str, type[BaseHandler], dict[str, Any]]]:
    """Return what the hub has to serve."""
    return [
        (r"/api/labhub/time/([^/]+)/([^/]*)", TimeHandler, {"lab_hub": hub}),
        (r"/time/([^/]+)/([^/]*)", TimePage, {"lab_hub": hub}),
    ]


class TimeHandler(APIHandler):
    """The time of one server, for scripts."""

    def initialize(self, lab_hub: "LabHub") -> None:
        """Know whom to ask."""
        self.lab_hub = lab_hub

    @needs_scope("access:servers")
    async def get(self, user_name: str, server_name: str) -> None:
        """Show it."""
        holder = Holder(user_name, server_name)
        self.finish(_known(self.lab_hub.timekeeper.of(holder)).shown())

    @needs_scope("access:servers")
    async def post(self, user_name: str, server_name: str) -> None:
        """Change it, and show it."""
        wish = _wish(self.request.body)
        piece = await change(self.lab_hub.timekeeper, Holder(user_name, server_name), wish)
        self.finish({**piece.shown(), "said": messages.DONE[wish]})


class TimePage(BaseHandler):
    """The same for the buttons of a page, which need no script."""

    def initialize(self, lab_hub: "LabHub") -> None:
        """Know whom to ask."""
        self.lab_hub = lab_hub

    def get(self, *_: str) -> None:
        """There is nothing to see; whoever reloads the page of an error comes by here."""
        self.redirect(url_path_join(self.hub.base_url, "home"))

    @authenticated
    @needs_scope("access:servers")
    async def post(self, user_name: str, server_name: str) -> None:
        """Change it, and lead back to where all servers are."""
        wish = self.get_body_argument("do", "")
        await change(self.lab_hub.timekeeper, Holder(user_name, server_name), wish)
        self.redirect(url_path_join(self.hub.base_url, "home"), status=SEE_OTHER)


async def change(timekeeper: Timekeeper, holder: Holder, wish: object) -> Timepiece:
    """Do what somebody wishes for a server, or raise HTTPError with a sentence."""
    if not isinstance(wish, str) or wish not in messages.DONE:
        raise HTTPError(BAD_REQUEST, messages.NO_SUCH_WISH)
    if wish == "keep":
        return _known(timekeeper.keep(holder))
    try:
        return _known(await timekeeper.extend(holder))
    except NotNowError as error:
        sentence = messages.no_extension(error.why) or messages.NO_END
        raise HTTPError(CONFLICT, sentence) from None
    except StoreError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        raise HTTPError(UNAVAILABLE, messages.NOT_NOTED) from None


def _wish(body: bytes) -> object:
    """Return what a body asks for, None where it is no such JSON."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return asked.get("do") if isinstance(asked, dict) else None


def _known(piece: Timepiece | None) -> Timepiece:
    if piece is None:
        raise HTTPError(NOT_FOUND, messages.NOT_RUNNING)
    return piece
