"""What the fake engine knows: images, networks, volumes, containers, and who listens."""

import asyncio
import hashlib
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.lib.fake_rules import NAME, Body, EngineError, volume_sources
from tests.lib.fake_server import FakeServer

NEVER = "0001-01-01T00:00:00Z"
EVENTS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Plan:
    """How the next server, of `user` if one is named, behaves once its container is started."""

    boot_seconds: float = 0.0
    exit_code: int | None = None
    exit_seconds: float = 0.0
    oom: bool = False
    log: tuple[str, ...] = ()
    stop_seconds: float = 0.0
    api_status: int = 200
    start_error: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a pull of an image meets: layers, each after a pause, and perhaps an error."""

    layers: int = 3
    pause_seconds: float = 0.0
    error: str = ""


@dataclass
class Container:
    """One container; `body` is the create request exactly as it arrived."""

    id: str
    name: str
    image: str
    body: Body
    host_config: Body
    created: str
    status: str = "created"
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started_at: str = NEVER
    finished_at: str = NEVER
    log: list[str] = field(default_factory=list)
    server: FakeServer | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    plan: Plan = field(default_factory=Plan)

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.status == "running"

    @property
    def labels(self) -> dict[str, str]:
        """The labels it was created with."""
        return dict(self.body.get("Labels") or {})

    @property
    def environment(self) -> dict[str, str]:
        """Its environment as a dict."""
        pairs = (entry.partition("=") for entry in self.body.get("Env") or [])
        return {key: value for key, _, value in pairs}

    @property
    def networks(self) -> list[str]:
        """The networks it is attached to."""
        wanted = (self.body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        return list(wanted) or [self.host_config.get("NetworkMode") or "bridge"]

    def say(self, *lines: str) -> None:
        """Append to its log."""
        self.log.extend(lines)
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        self.changed.set()
        self.changed = asyncio.Event()


def now() -> str:
    """Return the time as the engine writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def full_name(image: str) -> str:
    """Return `image` with the tag the engine would assume."""
    return image if ":" in image.rsplit("/", 1)[-1] or "@" in image else f"{image}:latest"


class State:
    """Everything the fake engine knows."""

    def __init__(self) -> None:
        """Start empty, with the networks that every engine has."""
        self.images: dict[str, Body] = {}
        self.registry: dict[str, Offer] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.containers: dict[str, Container] = {}
        self.volumes: dict[str, Body] = {}
        self.networks: dict[str, Body] = {}
        self.runtimes = {"runc"}
        self.cdi: list[str] = []
        self.plans: list[Plan] = []
        self.drops_limits = False
        self.events: list[Body] = []
        self.listeners: set[asyncio.Queue[Body]] = set()
        for name in ("bridge", "host", "none"):
            self.add_network({"Name": name, "Driver": name})

    # images, networks, volumes

    def add_image(self, name: str, config: Body, files: dict[str, bytes]) -> str:
        """Register an image and return its id."""
        digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
        tag = full_name(name)
        self.images[tag] = {
            "Id": digest, "RepoTags": [tag], "RepoDigests": [], "Created": now(),
            "Os": "linux", "Architecture": "amd64", "Size": 1, "Config": config,
        }  # fmt: skip
        self.files[tag] = files
        return digest

    def image(self, name: str) -> Body:
        """Return an image by name or id, or answer 404."""
        found = self.images.get(full_name(name))
        by_id = (i for i in self.images.values() if name and i["Id"].endswith(name))
        found = found or next(by_id, None)
        if found is None:
            raise EngineError(404, f"No such image: {full_name(name)}")
        return found

    def add_network(self, body: Body) -> Body:
        """Create a network; a taken name is a conflict."""
        if any(n["Name"] == body["Name"] for n in self.networks.values()):
            raise EngineError(409, f"network with name {body['Name']} already exists")
        identity = uuid.uuid4().hex * 2
        self.networks[identity] = {
            "Driver": "bridge", "Options": {}, "Labels": {}, "Internal": False,
            "IPAM": {"Config": [{"Subnet": "127.64.0.0/10", "Gateway": "127.0.0.1"}]},
            "Containers": {}, "Scope": "local", **body, "Id": identity, "Created": now(),
        }  # fmt: skip
        return self.networks[identity]

    def network(self, name: str) -> Body:
        """Return a network by name or id, or answer 404."""
        for identity, network in self.networks.items():
            if name in (network["Name"], identity):
                return network
        raise EngineError(404, f"network {name} not found")

    def add_volume(self, body: Body) -> Body:
        """Create a volume; the same name with the same options returns the existing one."""
        name = body.get("Name") or uuid.uuid4().hex
        if not NAME.fullmatch(name):
            raise EngineError(400, f'create {name}: "{name}" includes invalid characters')
        options = body.get("DriverOpts") or {}
        old = self.volumes.get(name)
        if old and options and old["Options"] != options:
            raise EngineError(409, f'volume "{name}" already exists with different options')
        if old is None:
            self.volumes[name] = {
                "Name": name, "Driver": body.get("Driver") or "local", "Scope": "local",
                "Labels": body.get("Labels") or {}, "Options": options, "CreatedAt": now(),
                "Mountpoint": f"/var/lib/docker/volumes/{name}/_data",
            }  # fmt: skip
        return self.volumes[name]

    def volume(self, name: str) -> Body:
        """Return a volume, or answer 404."""
        if name not in self.volumes:
            raise EngineError(404, f"get {name}: no such volume")
        return self.volumes[name]

    def remove_volume(self, name: str) -> None:
        """Remove a volume that no container uses."""
        self.volume(name)
        users = [c.id for c in self.containers.values() if name in volume_sources(c.host_config)]
        if users:
            message = f"remove {name}: volume is in use - [{', '.join(users)}]"
            raise EngineError(409, message)
        del self.volumes[name]

    def container(self, key: str) -> Container:
        """Return a container by name, id or the start of its id, or answer 404."""
        for container in self.containers.values():
            if key in (container.name, container.id):
                return container
        found = [c for c in self.containers.values() if key and c.id.startswith(key)]
        if len(found) != 1:
            raise EngineError(404, f"No such container: {key}")
        return found[0]

    # events

    def events_since(self, since: str) -> list[Body]:
        """Return what the engine still remembers from `seconds[.nanoseconds]` on."""
        if not since:
            return []
        seconds, _, fraction = since.partition(".")
        begin = int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
        return [event for event in self.events[-EVENTS_KEPT:] if event["timeNano"] >= begin]

    def tell(self, action: str, container: Container, **attributes: str) -> None:
        """Send an event to everybody who listens."""
        clock = time.time_ns()
        facts = {**container.labels, "name": container.name, "image": container.image}
        event = {
            "Type": "container", "Action": action, "status": action, "id": container.id,
            "from": container.image, "scope": "local", "time": clock // 10**9, "timeNano": clock,
            "Actor": {"ID": container.id, "Attributes": {**facts, **attributes}},
        }  # fmt: skip
        self.events.append(event)
        for listener in self.listeners:
            listener.put_nowait(event)
