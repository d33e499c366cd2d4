"""Whether hub, store and engine tell the same story about an instance. The comparison is pure.

The rule, in one sentence: a server that runs is one running container, one open run and one
answer through the proxy; a server that does not run is nothing at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spawner.runs import Run

SERVER_ROLE = "server"


@dataclass(frozen=True, slots=True)
class Box:
    """One container as the engine lists it."""

    id: str
    name: str
    state: str
    role: str
    user: str


@dataclass(frozen=True, slots=True)
class Story:
    """What the three say. `hub` has what each user's default server is: ready, or pending what.

    `answering` are the users whose server answers through the proxy.
    """

    hub: Mapping[str, str]
    boxes: tuple[Box, ...]
    runs: tuple[Run, ...]
    answering: frozenset[str]


def read_box(entry: Mapping[str, object]) -> Box:
    """Read one entry of the engine's list."""
    labels = entry.get("Labels")
    labels = labels if isinstance(labels, Mapping) else {}
    names = entry["Names"]
    name = str(names[0]).lstrip("/") if isinstance(names, list) and names else ""
    role, user = labels.get("labhub.role", ""), labels.get("labhub.user", "")
    return Box(str(entry["Id"]), name, str(entry["State"]), str(role), str(user))


def read_hub(users: list[dict[str, object]]) -> dict[str, str]:
    """Read the hub's list of users: whose default server is ready, or pending what."""
    found = {}
    for user in users:
        servers = user.get("servers")
        server = servers.get("") if isinstance(servers, Mapping) else None
        if server is not None:
            word = "ready" if server["ready"] else "not ready"
            found[str(user["name"])] = f"pending {server['pending']}" if server["pending"] else word
    return found


def disagreements(story: Story) -> list[str]:
    """Return a sentence for everything that does not fit together."""
    return [*_leftovers(story), *_hub_and_engine(story), *_store_and_engine(story)]


def _leftovers(story: Story) -> list[str]:
    return [
        f"the container {box.name} (role {box.role}) is {box.state}"
        for box in story.boxes
        if box.role != SERVER_ROLE or box.state != "running"
    ]


def _hub_and_engine(story: Story) -> list[str]:
    servers = [box.user for box in story.boxes if box.role == SERVER_ROLE]
    wrong = [f"{user} has two containers" for user in set(servers) if servers.count(user) > 1]
    for user in sorted({*servers, *story.hub}):
        word = story.hub.get(user, "stopped")
        if word != "ready" or user not in servers:
            boxes = servers.count(user)
            wrong.append(f"the hub says {word} of {user}, who has {boxes} containers")
        elif user not in story.answering:
            wrong.append(f"the server of {user} does not answer")
    return wrong


def _store_and_engine(story: Story) -> list[str]:
    boxes = {box.name: box for box in story.boxes if box.role == SERVER_ROLE}
    runs = {run.name: run for run in story.runs}
    return [
        *(f"the run {name} is open without a container" for name in sorted(runs.keys() - boxes)),
        *(f"the container {name} is in no run" for name in sorted(boxes.keys() - runs)),
        *(
            f"the run {name} is bound to {runs[name].container!r}, not {boxes[name].id!r}"
            for name in sorted(runs.keys() & boxes)
            if runs[name].container != boxes[name].id
        ),
    ]
