"""What can happen to a server, as short scenes; each is played with a hub that may die in it.

A scene is prepared, happens, and is over when hub, store and engine agree. It lists how often, at
least, each point of spawner/checkpoint.py is passed while it happens.
"""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field

import requests

from spawner.runs import Reason
from tests.lib.agreement import Box
from tests.lib.crash_points import occurrence
from tests.lib.real_lab import RealLab, wait_until

VICTIM = "victim"
Step = Callable[[RealLab], None]
# Three times what a server may have.
HOG = ["perl", "-e", "my $x = 'x' x (3 << 30); sleep 60"]


@dataclass(frozen=True)
class Scene:
    """`calls` are passed before and after, `steps` once each; `reasons` are its receipts'."""

    name: str
    happens: Step
    calls: Mapping[str, int]
    steps: Mapping[str, int]
    reasons: frozenset[Reason]
    prepare: Step = field(default=lambda _lab: None)

    def points(self) -> dict[str, int]:
        """Return how often each point is passed, at least."""
        sides = ("before", "after")
        return {f"{call}:{side}": n for call, n in self.calls.items() for side in sides} | dict(
            self.steps
        )

    def occurrences(self) -> list[str]:
        """Return every point of it, each time that it is passed."""
        return [occurrence(name, i + 1) for name, n in self.points().items() for i in range(n)]


def containers(lab: RealLab) -> list[Box]:
    """Return the victim's containers."""
    return [box for box in lab.boxes() if box.user == VICTIM]


def start(lab: RealLab) -> None:
    """Start the victim's server."""
    lab.start_server(VICTIM, "quick")


def stop(lab: RealLab) -> None:
    """Stop it."""
    lab.stop_server(VICTIM)


def start_and_stop(lab: RealLab) -> None:
    """Start and stop."""
    start(lab)
    stop(lab)


def begin_a_start_that_hangs(lab: RealLab) -> None:
    """Start what never answers, and come back when its container runs."""

    def ask() -> None:
        with suppress(requests.RequestException, TimeoutError):
            lab.start_server(VICTIM, "deaf")

    threading.Thread(target=ask, daemon=True).start()
    wait_until(lambda: "running" in {box.state for box in containers(lab)}, "its container to run")


def start_what_dies(lab: RealLab) -> None:
    """Start what ends before it answers."""
    lab.start_server(VICTIM, "dead")


def kill(lab: RealLab) -> None:
    """Kill the server past the hub, as `docker kill` does."""
    with lab.engine() as engine:
        for box in containers(lab):
            engine.api.kill(box.id)


def be_away_while_it_is_killed(lab: RealLab) -> None:
    """Let the hub be dead while the server ends."""
    start(lab)
    lab.stop_hub(kill=True)
    kill(lab)


def be_away_while_it_is_forgotten(lab: RealLab) -> None:
    """Let the hub be dead while its database is put back to one of before the server's start."""
    start(lab)
    lab.stop_hub(kill=True)
    with closing(sqlite3.connect(lab.dir.state / "hub.sqlite")) as database, database:
        of_victim = "user_id = (SELECT id FROM users WHERE name = ?)"
        database.execute(f"DELETE FROM spawners WHERE {of_victim}", [VICTIM])  # noqa: S608


def come_back(lab: RealLab) -> None:
    """Start the hub, which may die before it answers."""
    with suppress(RuntimeError):
        lab.start_hub()


def run_out_of_memory(lab: RealLab) -> None:
    """Let a program in the server, not the server itself, be killed for its memory."""
    known = len(lab.receipts(VICTIM))
    with lab.engine() as engine:
        [box] = containers(lab)
        program = engine.api.exec_create(box.id, HOG)["Id"]
        engine.api.exec_start(program)
    wait_until(lambda: died(lab) or len(lab.receipts(VICTIM)) > known, "the program's receipt")


def died(lab: RealLab) -> bool:
    """Whether the hub is not there any more."""
    return lab.hub.ended is not None


# What every start passes until its container runs.
BEGINNING = {
    "image": 1,
    "listed": 1,
    "volume": 1,
    "create": 2,
    "file": 2,
    "remove": 1,
    "store.begin": 1,
    "store.bind": 1,
    "start": 1,
    "container": 1,
}
# What every end passes once the container has ended.
ENDING = {"log_tail": 1, "store.end": 1, "remove": 1}
# The engine's 404 is an answer, and no success.
PATHS = {"has_path:before": 2, "has_path:after": 1}


def _sum(*parts: Mapping[str, int]) -> dict[str, int]:
    return dict(sum(map(Counter, parts), Counter()))


SCENES = (
    Scene(
        "start and stop",
        start_and_stop,
        _sum(BEGINNING, {"container": 4, "store.ask_stop": 1, "stop": 1}, ENDING),
        {**PATHS, "stop.asked": 1, "end.ended": 1, "end.written": 1},
        frozenset({Reason.ADMIN, Reason.START_FAILED}),
    ),
    Scene(
        "a start is cancelled",
        stop,
        _sum({"store.ask_stop": 1, "container": 2, "stop": 1}, ENDING),
        {"stop.asked": 1, "end.ended": 1, "end.written": 1},
        # The hub that comes back finds a server that does not answer, and ends it.
        frozenset({Reason.CANCELLED, Reason.UNKNOWN}),
        prepare=begin_a_start_that_hangs,
    ),
    Scene(
        "a start fails",
        start_what_dies,
        _sum(BEGINNING, {"container": 2, "log_tail": 1}, ENDING),
        {**PATHS, "end.ended": 1, "end.written": 1},
        # Whether it ever answered, nobody knows who was not there; the exit code tells enough.
        frozenset({Reason.START_FAILED, Reason.EXITED}),
    ),
    Scene(
        "killed past the hub",
        kill,
        _sum({"container": 1}, ENDING),
        {"end.written": 1},
        frozenset({Reason.ADMIN, Reason.UNKNOWN}),
        prepare=start,
    ),
    Scene(
        "the hub comes back",
        come_back,
        _sum({"events": 1, "container": 2, "listed": 1}, ENDING),
        {"round.decided": 1, "end.written": 1},
        # The engine remembers the kill; a hub that dies again before the receipt had asked already.
        frozenset({Reason.ADMIN, Reason.UNKNOWN}),
        prepare=be_away_while_it_is_killed,
    ),
    Scene(
        "the hub comes back and does not know it",
        come_back,
        _sum({"events": 1, "container": 2, "listed": 1, "store.end_ours": 1, "stop": 1}, ENDING),
        {"round.decided": 1, "end.ended": 1, "end.written": 1},
        frozenset({Reason.UNKNOWN}),
        prepare=be_away_while_it_is_forgotten,
    ),
    Scene(
        "a program in it runs out of memory",
        run_out_of_memory,
        {"store.note_kernel": 1},
        {},
        frozenset({Reason.ADMIN}),
        prepare=start,
    ),
)
