"""Thousands of requests that want more than they may, at one hub: no server ever gets more.

After each of them the engine is looked at: every container is within the quota of its owner, and
so are all containers of one owner together. And no answer is an error of ours.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from tests.lib.fake_engine import FakeEngine
from tests.lib.guarded import CONFIG, GuardedHub
from tests.lib.lab import Lab
from tests.lib.person import TIMEOUT_SECONDS
from tests.lib.tampering import Attempt, attempts, corpus

LEAST_REQUESTS, LEAST_STARTS = 2000, 20
GENERATED = 440
WORKS = {"form": 302, "query": 302, "POST": 201, "PUT": 201, "PATCH": 200}


def send(hub: GuardedHub, attempt: Attempt) -> requests.Response:
    """Send it by its door."""
    browser, program = hub.web[attempt.by]
    options: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "allow_redirects": False}
    path = f"/hub/spawn/{attempt.of}" + f"/{attempt.server}" * bool(attempt.server)
    if attempt.door == "query":
        return browser.get(f"{path}?{attempt.sent.decode()}", **options)
    if attempt.door == "form":
        url, form = f"{hub.lab.url}{path}", "application/x-www-form-urlencoded"
        options |= {"headers": {"Content-Type": form}, "params": {"_xsrf": browser.xsrf}}
        return browser.web.post(url, data=attempt.sent, **options)
    url = f"{hub.lab.url}/hub/api/users/{attempt.of}/servers/{attempt.server}"
    return program.request(attempt.door, url, data=attempt.sent, **options)


def tamper(hub: GuardedHub, attempt: Attempt) -> None:
    """Send it; the hub holds. A name that was only made is forgotten."""
    status = send(hub, attempt).status_code
    hub.saw(attempt.door, status)
    if attempt.door == "PUT" and status in {201, 202, 409}:
        hub.remove(attempt.of, attempt.server)
    hub.tidy(attempt.of)


@pytest.fixture(scope="module")
def hub(fake_engine: FakeEngine) -> Iterator[GuardedHub]:
    """One hub for all of them."""
    with Lab(fake_engine.url, config=CONFIG) as lab:
        yield GuardedHub(lab, fake_engine)


def test_what_was_written_by_hand(hub: GuardedHub) -> None:
    for attempt in corpus():
        tamper(hub, attempt)


@given(attempt=attempts())
@settings(
    max_examples=GENERATED, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_what_nobody_thought_of(hub: GuardedHub, attempt: Attempt) -> None:
    tamper(hub, attempt)


def test_enough_was_tried_at_every_door_and_some_of_it_worked(hub: GuardedHub) -> None:
    assert hub.statuses.total() >= LEAST_REQUESTS
    for door, works in WORKS.items():
        assert sum(count for (by, _), count in hub.statuses.items() if by == door) > 80, door
        assert hub.statuses[door, works] > 0, hub.statuses


def test_the_engine_never_heard_of_more(hub: GuardedHub) -> None:
    assert hub.never_more() > LEAST_STARTS
    assert hub.faults() == []


def test_the_hub_works_as_before(hub: GuardedHub) -> None:
    hub.lab.api("DELETE", "users/bob/server")
    assert hub.lab.api("POST", "users/bob/server", json={"cpus": 1}).status_code == 201
    [container] = [each for each in hub.engine.containers() if each.labels["labhub.user"] == "bob"]
    assert container.host_config["CpuQuota"] == 100_000
