"""Thousands of requests that want more than they may, at one hub: no server ever gets more.

After each of them the engine is looked at: every container is within the quota of its owner, and
so are all containers of one owner together. And no answer is an error of ours.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fake_state import Container
from tests.lib.lab import Lab
from tests.lib.person import TIMEOUT_SECONDS, Person
from tests.lib.tampering import Attempt, attempts, corpus

GIB, MIB = 1 << 30, 1 << 20
CONFIG = f"""\
login:
  provider: local
  admins: [grace]
images:
  tensorflow: {{title: TensorFlow, image: {TENSORFLOW}}}
quotas:
  default: {{cpus: 2, memory: 4 GiB, shm: 64 MiB, pids: 256, gpus: 1, session: 8 h}}
  users:
    ada: {{servers: 3}}
    grace: {{cpus: 64, memory: 512 GiB, servers: 9}}  # an admin has more; it is not what counts
"""
LEAST_REQUESTS, LEAST_STARTS = 2000, 20
GENERATED = 440
SERVERS = {"ada": 3, "bob": 1}
MOUNTED = {"/opt/labserver", "/tf/notebooks", "/etc/passwd", "/etc/group"}
NEVER = ("Privileged", "Binds", "CapAdd", "Devices", "DeviceRequests", "NanoCpus", "PidMode")

OFTEN = 20  # after so many requests nothing runs: where all is running, little can be started
WORKS = {"form": 302, "query": 302, "POST": 201, "PUT": 201, "PATCH": 200}


class Hub:
    """The hub and those who tamper with it."""

    def __init__(self, lab: Lab, engine: FakeEngine) -> None:
        """Sign everybody in."""
        self.lab, self.engine = lab, engine
        self.web = {name: self._enter(name) for name in ("ada", "bob", "grace")}
        self.statuses: Counter[tuple[str, int]] = Counter()

    def _enter(self, name: str) -> tuple[Person, requests.Session]:
        """Return a browser and a program of this person."""
        self.lab.add_user(name)
        browser, program = self.lab.login(name), requests.Session()
        token = browser.api("POST", f"users/{name}/tokens", json={}).json()["token"]
        program.headers["Authorization"] = f"token {token}"
        return browser, program

    def send(self, attempt: Attempt) -> requests.Response:
        """Send it by its door."""
        browser, program = self.web[attempt.by]
        options: dict[str, Any] = {"timeout": TIMEOUT_SECONDS, "allow_redirects": False}
        path = f"/hub/spawn/{attempt.of}" + f"/{attempt.server}" * bool(attempt.server)
        if attempt.door == "query":
            return browser.get(f"{path}?{attempt.sent.decode()}", **options)
        if attempt.door == "form":
            url, form = f"{self.lab.url}{path}", "application/x-www-form-urlencoded"
            options |= {"headers": {"Content-Type": form}, "params": {"_xsrf": browser.xsrf}}
            return browser.web.post(url, data=attempt.sent, **options)
        url = f"{self.lab.url}/hub/api/users/{attempt.of}/servers/{attempt.server}"
        return program.request(attempt.door, url, data=attempt.sent, **options)

    def tamper(self, attempt: Attempt) -> None:
        """Send it; the hub holds."""
        status = self.send(attempt).status_code
        self.statuses[attempt.door, status] += 1
        assert status < 500, f"{status}: {attempt}"
        self.holds()
        if status in {201, 202, 302, 409}:
            self.tidy(attempt)
        if self.statuses.total() % OFTEN == 0:
            for user in SERVERS:
                for server in self.running(user):
                    self.remove(user, server)

    def holds(self) -> None:
        """Whatever the engine has is within the quota of its owner, and so is all of it."""
        mine = self.engine.containers()
        for each in mine:
            within(each)
        for user, servers in SERVERS.items():
            together(mine, user, servers)

    def tidy(self, attempt: Attempt) -> None:
        """Forget a name that was only made; stop all servers of a person who has their share."""
        if attempt.door == "PUT":
            self.remove(attempt.of, attempt.server)
        elif len(self.running(attempt.of)) == SERVERS[attempt.of]:
            for server in self.running(attempt.of):
                self.remove(attempt.of, server)

    def running(self, user: str) -> list[str]:
        """Return the names of the servers of a user that run."""
        labels = [each.labels for each in self.engine.containers()]
        return [each["labhub.server"] for each in labels if each["labhub.user"] == user]

    def remove(self, user: str, server: str) -> None:
        """Stop a server, and forget its name."""
        body = {"remove": bool(server)}
        self.lab.api("DELETE", f"users/{user}/servers/{server}", json=body)


def within(container: Container) -> None:
    """Assert that the engine was asked for no more than one person may have."""
    body, host = container.body, container.body["HostConfig"]
    assert 0 < host["CpuQuota"] <= 2 * host["CpuPeriod"]
    assert 64 * MIB <= host["Memory"] == host["MemorySwap"] <= 4 * GIB
    assert 0 < host["PidsLimit"] <= 256
    assert 0 < host["ShmSize"] <= min(64 * MIB, host["Memory"])
    assert not any(host.get(key) for key in NEVER)
    assert {mount["Target"] for mount in host["Mounts"]} == MOUNTED
    assert body["Image"] == TENSORFLOW
    uid, _, gid = body["User"].partition(":")
    assert uid == gid
    assert int(uid) >= 200_000


def together(containers: list[Container], user: str, servers: int) -> None:
    """Assert the same of all servers of one person."""
    hosts = [each.body["HostConfig"] for each in containers if each.labels["labhub.user"] == user]
    assert len(hosts) <= servers
    assert sum(host["CpuQuota"] for host in hosts) <= 200_000
    assert sum(host["Memory"] for host in hosts) <= 4 * GIB
    assert sum(host["PidsLimit"] for host in hosts) <= 256


@pytest.fixture(scope="module")
def hub(fake_engine: FakeEngine) -> Iterator[Hub]:
    """One hub for all of them."""
    with Lab(fake_engine.url, config=CONFIG) as lab:
        yield Hub(lab, fake_engine)


def test_what_was_written_by_hand(hub: Hub) -> None:
    for attempt in corpus():
        hub.tamper(attempt)


@given(attempt=attempts())
@settings(
    max_examples=GENERATED, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_what_nobody_thought_of(hub: Hub, attempt: Attempt) -> None:
    hub.tamper(attempt)


def test_enough_was_tried_at_every_door_and_some_of_it_worked(hub: Hub) -> None:
    assert hub.statuses.total() >= LEAST_REQUESTS
    for door, works in WORKS.items():
        assert sum(count for (by, _), count in hub.statuses.items() if by == door) > 80, door
        assert hub.statuses[door, works] > 0, hub.statuses
    assert len(hub.engine.bodies("POST", "/containers/create$")) > LEAST_STARTS


def test_the_hub_works_as_before(hub: Hub) -> None:
    hub.lab.api("DELETE", "users/bob/server")
    assert hub.lab.api("POST", "users/bob/server", json={"cpus": 1}).status_code == 201
    [container] = [each for each in hub.engine.containers() if each.labels["labhub.user"] == "bob"]
    assert container.host_config["CpuQuota"] == 100_000
