"""The words for what runs and how it ended. Pure data, shared by all that follow a server's life.

A run is one attempt of one holder, with one container; the container's name is its key, because
it is known before the container exists and is never used twice. A receipt says how a run ended,
or that a kernel was killed inside a server that goes on.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Holder(NamedTuple):
    """Whose server: a user, and the server's name, empty for the default one."""

    user: str
    server: str

    @property
    def text(self) -> str:
        """What people call it: USER, or USER/SERVER."""
        return f"{self.user}/{self.server}" if self.server else self.user

    @classmethod
    def of(cls, text: str) -> "Holder":
        """Return the server that USER or USER/SERVER means."""
        user, _, server = text.partition("/")
        return cls(user, server)


class Reason(StrEnum):
    """Why a server ended. The values are metric labels and stand in the store."""

    USER = "user"  # its user stopped it
    ADMIN = "admin"  # an admin did, in the hub or on the machine
    CANCELLED = "cancelled"  # the start was cancelled
    IDLE = "idle"  # nobody used it
    TIME_LIMIT = "time_limit"  # its session was over
    GPU_HOURS = "gpu_hours"  # its user's GPU time was used up
    UNCLAIMED = "unclaimed"  # nobody came when its turn in the queue came
    OUT_OF_MEMORY = "out_of_memory"
    EXITED = "exited"  # the image's process ended by itself
    START_FAILED = "start_failed"  # it never answered
    ENGINE_RESTARTED = "engine_restarted"  # the engine ended it, or the machine went down
    LOST = "lost"  # the container is gone and nobody saw it go
    UNKNOWN = "unknown"  # it was stopped, and nobody noted by whom


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used of a budget of GPU time when it ended a server, and when it begins anew.

    `period` is `week` or `month`; `anew_at` is in the lab's own time.
    """

    period: str
    allowed_seconds: float
    used_seconds: float
    anew_at: datetime


class Kind(StrEnum):
    """What ended."""

    SERVER = "server"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt. `container` is empty until the engine has made it; times are UTC.

    `stop` and `actor` say that somebody asked for its end, who, and why; both are empty before.
    `groups` are the holder's when it began. No server has 0 cpus or 0 pids: there, it was begun by
    a labhub that did not note them. None of seconds is no limit, None of times is never.

    `devices` are the UUIDs of its GPUs: they are its own until the run has a receipt, those of them
    that are in `alone` nobody else's, whatever the file says of sharing by then. `late`:
    it waited so long that its turn was overdue. `offered`: nobody was there when its turn came, and
    since then it is kept for the person; None when they came.

    `chosen_seconds` is the session that was asked for, where it is shorter than what the quota
    allows; `extended_seconds` came on top of the session in `extensions` steps, and from
    `warned_at` on the user could read that the end is near. spawner/times.py keeps all of it.
    `spent`: its end is due, because this budget of GPU time is used up (spawner/budget.py).
    """

    name: str
    holder: Holder
    image: str
    memory_bytes: int
    began: datetime
    container: str = ""
    stop: Reason | None = None
    actor: str = ""
    cpus: float = 0.0
    pids: int = 0
    gpus: int = 0
    shm_bytes: int = 0
    groups: frozenset[str] = frozenset()
    session_seconds: int | None = None
    idle_seconds: int | None = None
    extend_seconds: int | None = None
    ends_at: datetime | None = None
    extended_at: datetime | None = None
    chosen_seconds: int | None = None
    extended_seconds: int = 0
    extensions: int = 0
    warned_at: datetime | None = None
    devices: tuple[str, ...] = ()
    late: bool = False
    offered: datetime | None = None
    spent: Spent | None = None
    alone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a run ended, or (`Kind.KERNEL`) that a process in it was killed for its memory.

    `peak_bytes` is None where nobody measured, `exit_code` where the engine does not tell.
    `allowed_seconds` is the limit that was over: of the session, or without any activity.
    """

    run: str
    holder: Holder
    kind: Kind
    at: datetime
    reason: Reason
    limit_bytes: int
    exit_code: int | None = None
    peak_bytes: int | None = None
    actor: str = ""
    log: tuple[str, ...] = ()
    allowed_seconds: int | None = None
    extensions: int = 0
    spent: Spent | None = None
