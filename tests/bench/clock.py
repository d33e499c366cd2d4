"""Click → ready of one server behind a hub, measured the same way for every hub."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.lib.person import Person

SPAWN_SECONDS = 120.0
POLL_SECONDS = 0.005


def click_to_ready(person: Person, user: str, options: dict[str, Any]) -> float:
    """Press Start for `user` and return the seconds until the server answers through the proxy.

    The hub's own events say when to look, as they do for a browser, so that waiting costs the
    hub nothing.
    """
    began = time.perf_counter()
    answer = person.api("POST", f"users/{user}/server", json=options, timeout=SPAWN_SECONDS)
    if answer.status_code == requests.codes.accepted:
        _follow_progress(person, user)
    elif answer.status_code != requests.codes.created:
        message = f"the spawn of {user} was answered {answer.status_code}: {answer.text[:500]}"
        raise RuntimeError(message)
    wait_for_answer(f"{person.url}/user/{user}/api")
    return time.perf_counter() - began


def stop(person: Person, user: str) -> None:
    """Stop the server of `user` and wait until it is gone."""
    deadline = time.monotonic() + SPAWN_SECONDS
    while person.api("DELETE", f"users/{user}/server").status_code != requests.codes.no_content:
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


def _follow_progress(person: Person, user: str) -> None:
    for event in _events(person, user):
        if event.get("failed"):
            message = f"the server of {user} failed: {event.get('message')}"
            raise RuntimeError(message)
        if event.get("ready"):
            return


def _events(person: Person, user: str) -> Iterator[dict[str, Any]]:
    path = f"users/{user}/server/progress"
    with person.api("GET", path, stream=True, timeout=SPAWN_SECONDS) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data:"):
                yield json.loads(line[5:])
