"""A hub that is tampered with, and whose engine is looked at after each request.

    with Lab(engine.url, config=CONFIG) as lab:
        hub = GuardedHub(lab, engine)
        hub.saw("POST", status)             # no error of ours, and nobody has more than their share

Ada may have three servers together, bob one; grace is an admin who may have more, and asks for
theirs. The quota of both is the same, so the engine must never hear a larger number than that.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import requests

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fake_state import Container
from tests.lib.lab import Lab
from tests.lib.person import Person

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
SERVERS = {"ada": 3, "bob": 1}
MOUNTED = {"/opt/labserver", "/tf/notebooks", "/etc/passwd", "/etc/group"}
NEVER = ("Privileged", "Binds", "CapAdd", "Devices", "DeviceRequests", "NanoCpus", "PidMode")

OFTEN = 20  # after so many requests nothing runs: where all is running, little can be started


class GuardedHub:
    """The hub, those who tamper with it, and what it answered to each door."""

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

    def saw(self, door: str, status: int) -> None:
        """Count an answer, which is no error of ours, and see that everybody is within bounds."""
        self.statuses[door, status] += 1
        assert status < 500, f"{door}: {status}"
        self.holds()

    def holds(self) -> None:
        """Whatever the engine has is within the quota of its owner, and so is all of it."""
        mine = self.engine.containers()
        for each in mine:
            within(each.body)
        for user, servers in SERVERS.items():
            together(mine, user, servers)

    def never_more(self) -> int:
        """See that no container was ever asked for, or changed, beyond the quota; count those."""
        bodies = self.engine.bodies("POST", "/containers/create$")
        # A container to look into an image with never runs.
        asked = [body for body in bodies if body["Labels"].get("labhub.role") != "look"]
        for body in asked:
            within(body)
        for body in self.engine.bodies("POST", "/update$"):
            assert body.get("Memory", 0) <= 4 * GIB
            assert body.get("CpuQuota", 0) <= 200_000
            assert body.get("PidsLimit", 0) <= 256
        return len(asked)

    def faults(self) -> list[str]:
        """Return what the hub's log has to say of errors of ours."""
        return faults(self.lab.hub.log.read_text(errors="replace"))

    def tidy(self, user: str) -> None:
        """Stop all servers of a person who has their share, and everybody's now and then."""
        if len(self.running(user)) == SERVERS.get(user):
            self.stop(user)
        if self.statuses.total() % OFTEN == 0:
            for each in SERVERS:
                self.stop(each)

    def stop(self, user: str) -> None:
        """Stop all servers of a person."""
        for server in self.running(user):
            self.remove(user, server)

    def forget(self, user: str) -> None:
        """Stop all servers of a person, and forget the names of those that do not run, too."""
        known = self.lab.api("GET", f"users/{user}", params={"include_stopped_servers": "1"})
        for server in known.json()["servers"]:
            self.remove(user, server)

    def running(self, user: str) -> list[str]:
        """Return the names of the servers of a user that run."""
        labels = [each.labels for each in self.engine.containers()]
        return [each["labhub.server"] for each in labels if each["labhub.user"] == user]

    def remove(self, user: str, server: str) -> None:
        """Stop a server, and forget its name."""
        body = {"remove": bool(server)}
        self.lab.api("DELETE", f"users/{user}/servers/{server}", json=body)


def within(body: dict[str, Any]) -> None:
    """Assert that the engine was asked for no more than one person may have."""
    host = body["HostConfig"]
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


def together(containers: Iterable[Container], user: str, servers: int) -> None:
    """Assert the same of all servers of one person."""
    hosts = [each.body["HostConfig"] for each in containers if each.labels["labhub.user"] == user]
    assert len(hosts) <= servers
    assert sum(host["CpuQuota"] for host in hosts) <= 200_000
    assert sum(host["Memory"] for host in hosts) <= 4 * GIB
    assert sum(host["PidsLimit"] for host in hosts) <= 256


def faults(log: str) -> list[str]:
    """Return each traceback of a log, with the line before it and the ones that follow."""
    lines = log.splitlines()
    return [
        "\n".join(lines[max(0, number - 1) : number + 40])
        for number, line in enumerate(lines)
        if "Traceback (most recent call last)" in line
    ]
