"""Closing what an account has open at the hub, against a hub that is a dictionary."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from auth.local import offboard as module
from auth.local.offboard import HubError, Offboarded, offboard


@dataclass
class FakeHub:
    """Knows one user; a server takes some requests until it is gone, or never goes."""

    servers: dict[str, int] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    is_known: bool = True
    late: list[str] = field(default_factory=list)

    def get(self, path: str) -> dict[str, Any]:
        """Answer as the hub's API."""
        if path.endswith("/tokens"):
            return {"api_tokens": [{"id": token} for token in self.tokens]}
        if not self.is_known:
            return {}
        answer = {"name": "eve", "servers": {name: {} for name in self.servers}}
        if not self.servers and self.asked and self.late:
            self.servers[self.late.pop()] = 1
        return answer

    def delete(self, path: str) -> None:
        """Forget a token, or bring a server one request closer to its end."""
        self.asked.append(path)
        if "/tokens/" in path:
            self.tokens.remove(path.rpartition("/")[2])
            return
        name = "" if path.endswith("/server") else path.rpartition("/")[2]
        self.servers[name] -= 1
        if not self.servers[name]:
            del self.servers[name]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0)


CASES = {
    "never came": (FakeHub(is_known=False), Offboarded(servers=0, tokens=0), []),
    "has nothing open": (FakeHub(), Offboarded(servers=0, tokens=0), []),
    "a server that a check from before the lock let through": (
        FakeHub(servers={"": 1}, late=["late"]),
        Offboarded(servers=2, tokens=0),
        ["users/eve/server", "users/eve/servers/late"],
    ),
    "one server": (
        FakeHub(servers={"": 1}),
        Offboarded(servers=1, tokens=0),
        ["users/eve/server"],
    ),
    "two servers, one is just starting, and tokens, which go first": (
        FakeHub(servers={"": 3, "big": 1}, tokens=["a1", "a2"]),
        Offboarded(servers=2, tokens=2),
        [
            "users/eve/tokens/a1",
            "users/eve/tokens/a2",
            "users/eve/server",
            "users/eve/servers/big",
            "users/eve/server",
            "users/eve/server",
        ],
    ),
}


@pytest.mark.parametrize(("hub", "closed", "asked"), CASES.values(), ids=CASES)
def test_everything_is_closed(hub: FakeHub, closed: Offboarded, asked: list[str]) -> None:
    """Tokens first, so that nothing starts a server again; then servers until none is left."""
    assert offboard(hub, "eve") == closed
    assert hub.asked == asked
    assert (hub.servers, hub.tokens) == ({}, [])


def test_a_server_that_does_not_stop_is_said() -> None:
    """The caller must not believe that it is gone."""
    clock = iter(range(0, 1000, 50))
    with pytest.raises(HubError, match="did not stop in time"):
        offboard(FakeHub(servers={"": 10**6}), "eve", now=lambda: next(clock))
