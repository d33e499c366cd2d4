"""Killing a server's container and watching who notices when."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
import requests

from tests.bench.clock import SPAWN_SECONDS, Caller
from tests.bench.fakes import server

NOTICE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Mortal:
    """A hub, its engine, and by which filter each user's container is found there."""

    hub: Caller
    engine: docker.DockerClient
    options: Mapping[str, str]
    containers: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Death:
    """How long after the kill the hub's API and the engine's event stream said so."""

    hub_seconds: float
    engine_seconds: float
    look_seconds: float


@dataclass
class Dying:
    """A death under way."""

    mortal: Mortal
    user: str
    container: str
    began: float = 0.0
    died: float = 0.0
    noticed: float = 0.0
    looks: list[float] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def listen(self) -> None:
        """Note when the engine says it; returns once the engine listens to us."""
        wanted = {"container": self.container, "event": "die"}
        events = self.mortal.engine.api.events(decode=True, filters=wanted)

        def take() -> None:
            for _ in events:
                self.died = time.perf_counter()
                events.close()
                return

        self.thread(take)

    def kill(self) -> None:
        """Start the clock and send SIGKILL; the engine answers only when it is dead."""
        self.began = time.perf_counter()
        self.thread(lambda: self.mortal.engine.api.kill(self.container))

    def thread(self, work: Any) -> None:
        """Do it beside everything else."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)

    def look(self) -> None:
        """Ask the hub once."""
        before = time.perf_counter()
        ready = is_ready(self.mortal, self.user)
        after = time.perf_counter()
        self.looks.append(after - before)
        if not ready:
            self.noticed = after

    def over(self) -> Death:
        """Return the figures once all has happened."""
        if not self.noticed:
            message = f"the hub calls the server of {self.user} ready, but it is dead"
            raise TimeoutError(message)
        for thread in self.threads:
            thread.join(NOTICE_SECONDS)
        look = sorted(self.looks)[len(self.looks) // 2]
        return Death(self.noticed - self.began, self.died - self.began, look)


def begin(mortal: Mortal, user: str) -> Dying:
    """Kill the container of somebody's server."""
    found = mortal.engine.api.containers(filters=dict(mortal.containers[user]))
    if len(found) != 1:
        message = f"{user} has {len(found)} containers that run, not one"
        raise RuntimeError(message)
    dying = Dying(mortal, user, found[0]["Id"])
    dying.listen()
    dying.kill()
    return dying


def watch(dying: list[Dying], pause_seconds: float, seconds: float) -> None:
    """Look until the hub knows of all of them, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        waiting = [each for each in dying if not each.noticed]
        if not waiting:
            return
        for each in waiting:
            each.look()
        time.sleep(pause_seconds)


def finish(dying: list[Dying], pause_seconds: float) -> list[Death]:
    """Look until the hub knows of all of them; return the figures."""
    watch(dying, pause_seconds, NOTICE_SECONDS)
    return [each.over() for each in dying]


def is_ready(mortal: Mortal, user: str) -> bool:
    """Whether the hub calls somebody's server ready."""
    return bool(server(mortal.hub.api("GET", f"users/{user}")).get("ready"))


def revive(mortal: Mortal, user: str) -> None:
    """Start somebody's server, once nothing is left of the one before."""
    deadline = time.monotonic() + SPAWN_SECONDS
    _until(lambda: not server(mortal.hub.api("GET", f"users/{user}")), deadline)
    answer = mortal.hub.api(
        "POST", f"users/{user}/server", json=dict(mortal.options), timeout=SPAWN_SECONDS
    )
    if answer.status_code not in {requests.codes.created, requests.codes.accepted}:
        message = f"the start of {user} was answered {answer.status_code}: {answer.text[:500]}"
        raise RuntimeError(message)
    _until(lambda: is_ready(mortal, user), deadline)


def _until(true: Any, deadline: float) -> None:
    while not true():
        if time.monotonic() > deadline:
            message = "the server did not start"
            raise TimeoutError(message)
        time.sleep(0.1)
