"""Requests that schemathesis makes of a description of the doors: no server gets more by them.

It goes through each shape that the description allows, and through what it does not allow; then it
makes up both at random, the same in every run. After each request the engine is looked at.
"""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import requests
from requests.auth import AuthBase
from schemathesis import Case, HookContext, Response, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.lib.doors_document import document
from tests.lib.fake_engine import FakeEngine
from tests.lib.guarded import CONFIG, GIB, OFTEN, SERVERS, GuardedHub, faults
from tests.lib.lab import Lab
from tests.lib.tampering import MODEST

LEAST_REQUESTS, LEAST_STARTS, LEAST_OF_A_KIND = 600, 25, 5
ALWAYS = os.environ.get("LABHUB_HYPOTHESIS") != "random"
EXAMPLES = 16 if ALWAYS else 250
# Who sends: mostly whose server it is, sometimes an admin, sometimes one who must not.
SENDERS = ("owner", "owner", "grace", "owner", "owner", "stranger")
STRANGER = {"ada": "bob", "bob": "ada"}


WORKS = {
    "form": 302, "query": 302, "POST": 201, "POST one": 201, "PUT": 201, "PATCH": 200,
    "see time": 200, "change time": 200, "time form": 303,
}  # fmt: skip


class Signed(AuthBase):
    """Signs requests: those of pages as a browser in turn, those of the API as a program."""

    def __init__(self, hub: GuardedHub) -> None:
        self.web, self.senders = hub.web, itertools.cycle(SENDERS)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url, sender = str(request.url), next(self.senders)
        owner = "bob" if "/bob" in url else "ada"
        by = {"owner": owner, "stranger": STRANGER[owner]}.get(sender, sender)
        browser, program = self.web[by]
        if "/hub/api/" in url:
            request.headers["Authorization"] = str(program.headers["Authorization"])
        else:
            request.headers["X-XSRFToken"] = browser.xsrf
            request.prepare_cookies(browser.web.cookies)
        return request


def settings(url: str) -> SchemathesisConfig:
    """Return how schemathesis works here: everything, the same each time unless asked not to."""
    return SchemathesisConfig.from_dict({
        **({"seed": 20} if ALWAYS else {}),
        "base-url": url, "max-redirects": 0, "continue-on-failure": True,
        "generation": {"mode": "all", "deterministic": ALWAYS, "max-examples": EXAMPLES},
        "phases": {"stateful": {"enabled": False}},
        "checks": {"enabled": False, "not_a_server_error": {"enabled": True}},
    })  # fmt: skip


class Told:
    """What schemathesis tells of its requests: whether each was right, and what came of it."""

    def __init__(self, hub: GuardedHub) -> None:
        self.hub, self.schema = hub, openapi.from_dict(document(), config=settings(hub.lab.url))
        self.sent: Counter[tuple[str, str]] = Counter()
        self.schema.auth.set_from_requests(Signed(hub))

        @self.schema.hook
        def after_call(_: HookContext, case: Case, response: Response) -> None:
            self.look(case, response)

    def look(self, case: Case, response: Response) -> None:
        """Look at the hub after one request."""
        door, user = case.operation.definition.raw["operationId"], case.path_parameters["user"]
        self.sent[door, case.meta.generation.mode.value] += 1
        self.hub.saw(door, response.status_code)
        self.hub.tidy(str(user))
        if self.hub.statuses.total() % OFTEN == 0:
            for each in SERVERS:
                self.hub.forget(each)
        self.arrange(door)

    def arrange(self, door: str) -> None:
        """Let there be what the next request at this door needs to come to something."""
        hub = self.hub
        if "time" in door and "day" not in hub.running("ada"):
            hub.lab.api("POST", "users/ada/servers/day", json=MODEST)
        elif door == "PUT":
            hub.remove("ada", "day")
        elif door == "PATCH":
            hub.lab.api("PUT", "users/ada/servers/day", json={})

    def failures(self) -> list[str]:
        """Send everything; return what went wrong."""
        found = []
        for event in from_schema(self.schema).execute():
            if isinstance(event, events.ScenarioFinished) and event.status is Status.FAILURE:
                found.append(f"{event.phase}: {event.label}")
            if isinstance(event, events.NonFatalError | events.FatalError):
                found.append(str(event))
        return found


@pytest.fixture(scope="module")
def hub(fake_engine: FakeEngine) -> Iterator[GuardedHub]:
    """One hub for all of them."""
    with Lab(fake_engine.url, config=CONFIG) as lab:
        yield GuardedHub(lab, fake_engine)


@pytest.fixture(scope="module")
def told(hub: GuardedHub) -> Told:
    """Who makes the requests."""
    return Told(hub)


def test_no_request_makes_an_error_of_ours_or_gets_more(told: Told) -> None:
    assert told.failures() == []


def test_each_door_was_tried_with_right_and_wrong_things(told: Told) -> None:
    assert told.hub.statuses.total() >= LEAST_REQUESTS
    for door in WORKS:
        for mode in ("positive", "negative"):
            assert told.sent[door, mode] >= LEAST_OF_A_KIND, (door, mode)


def test_some_of_it_worked(hub: GuardedHub) -> None:
    for door, works in WORKS.items():
        assert hub.statuses[door, works] > 0, hub.statuses


def test_the_engine_never_heard_of_more(hub: GuardedHub) -> None:
    assert hub.never_more() > LEAST_STARTS
    assert hub.faults() == []


LARGER = {
    "memory": {"Memory": 5 * GIB, "MemorySwap": 5 * GIB}, "cpus": {"CpuQuota": 200_001},
    "pids": {"PidsLimit": 257}, "shm": {"ShmSize": 65 << 20}, "privileged": {"Privileged": True},
    "a folder of the host": {"Binds": ["/:/host"]},
}  # fmt: skip


@pytest.mark.parametrize("more", LARGER.values(), ids=LARGER)
def test_one_that_is_larger_would_be_seen(hub: GuardedHub, more: dict[str, Any]) -> None:
    hub.lab.api("POST", "users/bob/server", json=MODEST)
    body = hub.engine.containers()[-1].body
    larger = {**body, "HostConfig": {**body["HostConfig"], **more}}
    engine = docker.APIClient(base_url=hub.engine.url)
    name = engine.create_container_from_config(larger, "larger")["Id"]
    with pytest.raises(AssertionError):
        hub.saw("POST", 201)
    engine.remove_container(name)
    with pytest.raises(AssertionError):
        hub.never_more()


def test_errors_of_ours_would_be_seen(hub: GuardedHub) -> None:
    with pytest.raises(AssertionError):
        hub.saw("POST", 500)
    assert faults("[E log:1] a\n    Traceback (most recent call last):\n      b\n[I log:1] c") != []
