"""The time of this server in JupyterLab: asked of the hub, and put off there, with its own token.

    GET  PREFIX/labhub/time                      until when it runs, and what to warn of
    POST PREFIX/labhub/time   {"do": "extend"}   put the end off, as the quota allows
                              {"do": "keep"}     somebody is here

The answer is the hub's own, with its sentences. The hub is not asked by the browser: a page of this
server cannot use the hub's cookies, and need not.
"""

import json
import os
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import HTTPError, authenticated

WISHES = ("extend", "keep")
HUB_SECONDS = 10
# What only asks says nothing about a person: an open JupyterLab asks all the time.
ASKING = {"GET", "HEAD", "OPTIONS"}
NO_ANSWER = "The hub does not answer at the moment; try again in a minute."
NO_WISH = 'Say what to do: {"do": "extend"} or {"do": "keep"}.'
BAD_REQUEST, UNAVAILABLE = 400, 503


def address(environ: dict[str, str]) -> str:
    """Give the address of this server's time in the hub's API."""
    user, server = (quote(environ.get(f"JUPYTERHUB_{key}", "")) for key in ("USER", "SERVER_NAME"))
    return f"{environ.get('JUPYTERHUB_API_URL', '').rstrip('/')}/labhub/time/{user}/{server}"


def refusal(body: bytes) -> str:
    """Give the sentence with which the hub refused."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, TypeError, LookupError):
        return NO_ANSWER


async def ask_hub(method: str, wish: str | None = None) -> dict[str, Any]:
    """Ask the hub, or raise the HTTPError with the sentence that people read."""
    environ = dict(os.environ)
    request = HTTPRequest(
        address(environ),
        method,
        headers={"Authorization": f"token {environ.get('JUPYTERHUB_API_TOKEN', '')}"},
        body=None if wish is None else json.dumps({"do": wish}),
        request_timeout=HUB_SECONDS,
    )
    try:
        answer = await AsyncHTTPClient().fetch(request)
        return dict(json.loads(answer.body))
    except HTTPClientError as error:
        if error.response is None or error.code >= 500:  # noqa: PLR2004 - the hub's own trouble
            raise HTTPError(UNAVAILABLE, NO_ANSWER) from None
        raise HTTPError(error.code, refusal(error.response.body)) from None
    except (OSError, ValueError):
        raise HTTPError(UNAVAILABLE, NO_ANSWER) from None


class TimeHandler(APIHandler):
    """What JupyterLab asks every minute."""

    @authenticated
    async def get(self) -> None:
        """Show the time."""
        self.finish(await ask_hub("GET"))

    @authenticated
    async def post(self) -> None:
        """Change it."""
        body = self.get_json_body()
        wish = body.get("do") if isinstance(body, dict) else None
        if wish not in WISHES:
            raise HTTPError(BAD_REQUEST, NO_WISH)
        self.finish(await ask_hub("POST", wish))


def count_what_changes() -> None:
    """Let requests that only ask be no activity, or a forgotten tab would be use for ever."""
    original = APIHandler.update_api_activity

    def update_api_activity(handler: APIHandler) -> None:
        if handler.request.method not in ASKING:
            original(handler)

    APIHandler.update_api_activity = update_api_activity


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "labserver.times"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    count_what_changes()
    route = f"{server.base_url.rstrip('/')}/labhub/time"
    server.web_app.add_handlers(".*", [(route, TimeHandler)])
