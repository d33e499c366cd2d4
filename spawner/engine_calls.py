"""Every call we make to the engine: which lane it takes, what it looks like on the wire. Pure.

Tests walk through `CALLS` to show what becomes of each call when the engine errs; a call that is
missing here does not exist in `Engine`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_VERSION = re.compile(r"/v\d+\.\d+(?=/)")


@dataclass(frozen=True, slots=True)
class Lane:
    """How many calls of one kind run at once, and how long one may take, queueing included."""

    name: str
    threads: int
    seconds: float


INSPECT = Lane("inspect", threads=16, seconds=10)
START = Lane("start", threads=8, seconds=45)
STOP = Lane("stop", threads=16, seconds=45)
UPDATE = Lane("update", threads=16, seconds=20)
PULL = Lane("pull", threads=2, seconds=1800)
# The stream lasts; its seconds are how long it may be silent before it counts as lost.
EVENTS = Lane("events", threads=1, seconds=60)
LANES = (INSPECT, START, STOP, UPDATE, PULL, EVENTS)

PULL_QUIET_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Only one that is idempotent may be made again when nobody knows how it went."""

    lane: Lane
    method: str
    path_regex: str
    idempotent: bool

    def takes(self, method: str, path: str) -> bool:
        """Whether a request, its path without a query, is this call."""
        bare = _VERSION.sub("", path, count=1)
        return method == self.method and re.fullmatch(self.path_regex, bare) is not None


_ONE = r"/containers/[^/]+"

CALLS: Mapping[str, Call] = MappingProxyType(
    {
        "container": Call(INSPECT, "GET", rf"{_ONE}/json", idempotent=True),
        "listed": Call(INSPECT, "GET", r"/containers/json", idempotent=True),
        "image": Call(INSPECT, "GET", r"/images/.+/json", idempotent=True),
        "discovered": Call(INSPECT, "GET", r"/info", idempotent=True),
        "past": Call(INSPECT, "GET", r"/events", idempotent=True),
        "log_tail": Call(INSPECT, "GET", rf"{_ONE}/logs", idempotent=True),
        "has_path": Call(INSPECT, "GET", rf"{_ONE}/archive", idempotent=True),
        "file": Call(INSPECT, "GET", rf"{_ONE}/archive", idempotent=True),
        "volume": Call(START, "POST", r"/volumes/create", idempotent=False),
        "create": Call(START, "POST", r"/containers/create", idempotent=False),
        "start": Call(START, "POST", rf"{_ONE}/start", idempotent=False),
        "stop": Call(STOP, "POST", rf"{_ONE}/stop", idempotent=False),
        "remove": Call(STOP, "DELETE", _ONE, idempotent=False),
        "update": Call(UPDATE, "POST", rf"{_ONE}/update", idempotent=False),
        "pull": Call(PULL, "POST", r"/images/create", idempotent=False),
        "events": Call(EVENTS, "GET", r"/events", idempotent=False),
    }
)
# What the watch asks about all containers at once: how these end tells how the engine does.
PROBES = frozenset({"listed", "events"})
