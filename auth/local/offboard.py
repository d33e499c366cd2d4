"""Close what an account has open at the hub: its API tokens and its running servers.

A lock at the provider alone does not stop a running server, and requests with a token of the hub's
own are not checked against the provider at all. So both are ended here, through the hub's API.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

ANSWER_SECONDS = 15.0
STOP_SECONDS = 120.0
ASK_AGAIN_SECONDS = 0.5
# The hub lets requests that come together share one check at the provider, for five seconds.
SETTLE_SECONDS = 6.0


class HubError(Exception):
    """The hub did not answer, or not as needed; one clause that completes 'because …'."""


@dataclass(frozen=True, slots=True)
class Offboarded:
    """What was closed."""

    servers: int
    tokens: int


class Hub:
    """The few requests of the hub's API that are needed here."""

    def __init__(self, api_url: str, token: str) -> None:
        """Speak to this hub, never through a proxy of the environment."""
        self.api_url = api_url
        self._headers = {"Authorization": f"token {token}", "Accept": "application/json"}
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> dict[str, Any]:
        """Return what the hub says; nothing when it does not know the user."""
        status, body = self._request("GET", path)
        if status == HTTPStatus.NOT_FOUND:
            return {}
        self._require_success(status)
        return dict(json.loads(body))

    def delete(self, path: str) -> None:
        """Delete; gone already and in progress are as good as done."""
        status, _ = self._request("DELETE", path)
        if status not in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
            self._require_success(status)

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        request = urllib.request.Request(  # noqa: S310 - the URL is the hub's own
            f"{self.api_url}/{path}", method=method, headers=self._headers
        )
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""
        except OSError:
            raise HubError("the hub did not answer") from None

    @staticmethod
    def _require_success(status: int) -> None:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise HubError("the hub did not accept this command's token")
        if status >= HTTPStatus.BAD_REQUEST:
            raise HubError(f"the hub answered with status {status}")


def offboard(
    hub: Hub,
    name: str,
    *,
    limit_seconds: float = STOP_SECONDS,
    now: Callable[[], float] = time.monotonic,
) -> Offboarded:
    """Revoke the user's tokens, stop the servers, and return only when none is left."""
    user = urllib.parse.quote(name, safe="")
    if not hub.get(f"users/{user}"):
        return Offboarded(servers=0, tokens=0)
    deadline = now() + limit_seconds
    first = _close(hub, user, deadline, now)
    # Whatever a check from before the lock still let through.
    time.sleep(SETTLE_SECONDS)
    late = _close(hub, user, deadline, now)
    return Offboarded(servers=first.servers + late.servers, tokens=first.tokens + late.tokens)


def _close(hub: Hub, user: str, deadline: float, now: Callable[[], float]) -> Offboarded:
    """Tokens first, so that none of them starts a server again."""
    tokens = _revoke_tokens(hub, user)
    servers = _stop_servers(hub, user, deadline, now)
    return Offboarded(servers=servers, tokens=tokens)


def _revoke_tokens(hub: Hub, user: str) -> int:
    tokens = hub.get(f"users/{user}/tokens").get("api_tokens", [])
    for token in tokens:
        hub.delete(f"users/{user}/tokens/{token['id']}")
    return len(tokens)


def _stop_servers(hub: Hub, user: str, deadline: float, now: Callable[[], float]) -> int:
    """Ask until no server is left: one that is just starting can be stopped only once it runs."""
    seen: set[str] = set()
    while servers := hub.get(f"users/{user}").get("servers", {}):
        seen.update(servers)
        for server in servers:
            hub.delete(f"users/{user}/{_server_path(server)}")
        if now() > deadline:
            raise HubError("a server did not stop in time")
        time.sleep(ASK_AGAIN_SECONDS)
    return len(seen)


def _server_path(server: str) -> str:
    return f"servers/{urllib.parse.quote(server, safe='')}" if server else "server"
