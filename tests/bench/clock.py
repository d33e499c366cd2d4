"""Click → ready of one server behind a hub, measured the same way for every hub."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

API_SECONDS = 30.0
SPAWN_SECONDS = 120.0
POLL_SECONDS = 0.005


class Caller(Protocol):
    """Whoever may use a hub's API: a signed-in person, or the bearer of a token."""

    @property
    def url(self) -> str:
        """The address a browser opens, without a final slash."""

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the hub's REST API."""


class Bearer:
    """The bearer of a token, on connections that are kept open."""

    def __init__(self, url: str, token: str) -> None:
        """Open nothing yet."""
        self.url = url
        self._web = requests.Session()
        self._web.trust_env = False
        self._web.headers["Authorization"] = f"token {token}"

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the hub's REST API."""
        options.setdefault("timeout", API_SECONDS)
        return self._web.request(method, f"{self.url}/hub/api/{path}", **options)


def click_to_ready(hub: Caller, user: str, options: dict[str, Any]) -> float:
    """Press Start for `user` and return the seconds until the server answers through the proxy.

    The hub's own events say when to look, as they do for a browser, so that waiting costs the
    hub nothing.
    """
    began = time.perf_counter()
    answer = hub.api("POST", f"users/{user}/server", json=options, timeout=SPAWN_SECONDS)
    if answer.status_code == requests.codes.accepted:
        _follow_progress(hub, user)
    elif answer.status_code != requests.codes.created:
        message = f"the spawn of {user} was answered {answer.status_code}: {answer.text[:500]}"
        raise RuntimeError(message)
    wait_for_answer(f"{hub.url}/user/{user}/api")
    return time.perf_counter() - began


def stop(hub: Caller, user: str) -> None:
    """Stop the server of `user` and wait until it is gone."""
    deadline = time.monotonic() + SPAWN_SECONDS
    while hub.api("DELETE", f"users/{user}/server").status_code != requests.codes.no_content:
        if time.monotonic() > deadline:
            message = f"the server of {user} did not stop"
            raise TimeoutError(message)
        time.sleep(0.2)


def wait_for_answer(url: str) -> None:
    """Return as soon as `url` answers 200; asks every few milliseconds."""
    deadline = time.monotonic() + SPAWN_SECONDS
    while _status(url) != requests.codes.ok:
        if time.monotonic() > deadline:
            message = f"{url} did not answer within {SPAWN_SECONDS:.0f} s"
            raise TimeoutError(message)
        time.sleep(POLL_SECONDS)


def _status(url: str) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _follow_progress(hub: Caller, user: str) -> None:
    for event in _events(hub, user):
        if event.get("failed"):
            message = f"the server of {user} failed: {event.get('message')}"
            raise RuntimeError(message)
        if event.get("ready"):
            return


def _events(hub: Caller, user: str) -> Iterator[dict[str, Any]]:
    path = f"users/{user}/server/progress"
    with hub.api("GET", path, stream=True, timeout=SPAWN_SECONDS) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:"):
                yield json.loads(line[5:])
