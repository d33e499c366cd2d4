"""A hub behind a fault proxy, people with servers, and what must hold whatever the engine does.

Each case has a victim, whose calls meet the fault, and an image of its own, which no case before
has looked into. The bystander's server runs throughout; somebody else starts all the time.
"""

import itertools
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from auth.accounts import AccountBook
from spawner.container import identity_labels
from spawner.gpu_monitor import write
from spawner.gpu_readings import Gpu, Process, Reading, Report
from tests.lib.fake_engine import FakeEngine
from tests.lib.fake_state import Container
from tests.lib.fault_proxy import FaultProxy
from tests.lib.faults import Kind
from tests.lib.http_wire import Call
from tests.lib.lab import Lab

PROVIDER = "github"
HUB_CONFIG = Path(__file__).with_name("unsigned_config.py")
# Deadlines of 1.5 and 6.75 seconds for calls that would have 10 and 45: hangs must not last.
PATIENCE = 0.15
SETTLE_SECONDS = 60
HIT_SECONDS = 45
SECONDS = {Kind.SLOW: 0.5, Kind.DRIP: 0.1, Kind.DELAY: 2.0, Kind.REORDER: 1.0}
PAUSE_SECONDS = 0.4
LOOKS = 3
BYSTANDER = "bystander"
CONFIG = f"""\
login:
  provider: {PROVIDER}
  client_id: nobody
  client_secret: {{env: FAULTS_SECRET}}
  allow: {{users: [nobody]}}
images:
%s
quotas:
  default: {{cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 0}}
  users:
    nobody: {{cpus: 1}}
"""
IMAGE = "  %s: {title: %s, image: %s}"


def wait_until(true: Callable[[], object], otherwise: str) -> None:
    """Wait, not for ever; say what was the matter."""
    deadline = time.monotonic() + HIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"within {HIT_SECONDS} s {otherwise}"
        time.sleep(PAUSE_SECONDS / 2)


def image_name(key: str) -> str:
    """Return the engine's name of an image."""
    return f"faults/{key}:1"


class World:
    """The hub, its engine, and the people."""

    def __init__(self, victims: int, images: Sequence[str] = ()) -> None:
        """Describe it; it runs inside `with`. There is one more image, for everybody."""
        self.images = ["everybody", *images]
        self.engine = FakeEngine()
        self.proxy = FaultProxy(self.engine.socket)
        lines = "\n".join(IMAGE % (key, key, image_name(key)) for key in self.images)
        environment = {"LABHUB_ENGINE_PATIENCE": f"{PATIENCE}", "FAULTS_SECRET": "secret"}
        text = CONFIG % lines
        self.lab = Lab(self.proxy.url, config=text, env=environment, hub_config=HUB_CONFIG)
        self._free: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._names = [f"victim{number}" for number in range(victims)]
        self._before: object = None
        self._saving, self._numbers = threading.Lock(), itertools.count(1)
        self._computing: set[str] = set()

    def __enter__(self) -> Self:
        """Start everything, and the bystander's server."""
        with ExitStack() as stack:
            for each in (self.engine, self.proxy, self.lab):
                stack.enter_context(each)
            for key in self.images:
                self.engine.add_image(image_name(key))
            for name in (BYSTANDER, *self._names):
                self.add_person(name)
            for name in self._names:
                self._free.put(name)
            answer = self.start(BYSTANDER)
            assert answer.status_code == requests.codes.created, answer.text
            self._before = self.bystander()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything."""
        self.proxy.clear()
        self._stack.__exit__(kind, error, trace)

    def add_person(self, name: str) -> None:
        """Let the hub know somebody, as a first sign-in does."""
        book = AccountBook(self.lab.dir.state / "identity.sqlite")
        book.sign_in(PROVIDER, name, name, name)
        book.close()
        assert self.lab.api("POST", f"users/{name}").status_code == requests.codes.created

    @contextmanager
    def victim(self) -> Iterator[str]:
        """Somebody without a server, whom no other case uses meanwhile."""
        name = self._free.get(timeout=10 * SETTLE_SECONDS)
        try:
            yield name
        finally:
            self.lab.api("DELETE", f"users/{name}/server")
            self._free.put(name)

    # what people do

    def start(self, user: str, image: str = "everybody") -> requests.Response:
        """Start a server; the answer comes when it is ready or has failed."""
        return self.lab.api("POST", f"users/{user}/server", json={"image": image})

    def stop(self, user: str) -> requests.Response:
        """Stop a server."""
        return self.lab.api("DELETE", f"users/{user}/server")

    def give_another_number(self, user: str) -> None:
        """Save labhub.yaml with a number of processors for one person that nobody had before."""
        with self._saving:
            cpus = 1 + next(self._numbers) / 100
            lines = self.lab.dir.config.read_text().splitlines()
            others = [line for line in lines if f"    {user}:" not in line]
            self.lab.dir.save("\n".join([*others, f"    {user}: {{cpus: {cpus}}}", ""]))

    def leave_server(self, user: str) -> None:
        """Let a container of a user's run of which the hub knows nothing, as after a crash."""
        labels = identity_labels(self.lab.name, user, "")
        self.engine.add_container(self._name("left"), image_name("everybody"), labels)

    def leave_look(self, key: str) -> None:
        """Let there be a container for reading an image that nobody reads, as after a crash."""
        labels = {"labhub.instance": self.lab.name, "labhub.role": "look"}
        self.engine.add_container(self._name("look"), image_name(key), labels)

    def _name(self, begin: str) -> str:
        return f"{begin}-{next(self._numbers)}"

    @contextmanager
    def computing(self, container: str) -> Iterator[Callable[[], None]]:
        """Somebody computes on a GPU in this container; yield what lets the monitor report it."""
        self._computing.add(container)
        try:
            yield self._report
        finally:
            self._computing.discard(container)

    def _report(self) -> None:
        """Write the monitor's report of now."""
        with self._saving:
            programs = tuple(Process(1, container=each) for each in sorted(self._computing))
            reading = Reading((Gpu("GPU-faults", processes=programs),), "550", "")
            folder = self.lab.dir.state / "gpus"
            folder.mkdir(exist_ok=True)
            write(folder, Report(time.time(), 5.0, reading))

    # what is

    def model(self, user: str) -> dict[str, Any]:
        """Return what the hub thinks of a server, empty when there is none."""
        return self.lab.api("GET", f"users/{user}").json()["servers"].get("") or {}

    def containers(self, user: str) -> list[Container]:
        """Return the containers made for a user."""
        return [c for c in self.engine.containers() if c.labels.get("labhub.user") == user]

    def looks(self, image: str) -> list[Container]:
        """Return the containers made for reading an image."""
        found = [c for c in self.engine.containers() if c.image == image_name(image)]
        return [c for c in found if c.labels.get("labhub.role") == "look"]

    def answers(self, user: str) -> bool:
        """Whether a server answers through the proxy."""
        page = requests.get(f"{self.lab.url}/user/{user}/api", timeout=10, allow_redirects=False)
        return page.status_code == requests.codes.ok and "version" in page.json()

    def bystander(self) -> object:
        """Return all about the bystander's server that a fault must not change."""
        seen = self.model(BYSTANDER)
        containers = [(c.id, c.status, c.started_at) for c in self.containers(BYSTANDER)]
        kept = {key: seen.get(key) for key in ("ready", "pending", "stopped", "started", "state")}
        return kept, containers, self.answers(BYSTANDER)

    # what must hold

    def check_bystander(self) -> None:
        """Fail unless nothing happened to the bystander."""
        assert self.bystander() == self._before

    def settle(self, user: str, image: str = "") -> str:
        """Wait until hub and engine agree for good; return "running" or "stopped"."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while not (agreed := self._agreed(user, image)):
            if time.monotonic() > deadline:
                raise AssertionError(self._disagreement(user, image))
        return agreed

    def _agreed(self, user: str, image: str) -> str:
        """Look at the engine several times, then ask the hub; return what both say, if they do."""
        seen = set()
        for _ in range(LOOKS):
            time.sleep(PAUSE_SECONDS)
            seen.add(self._on_engine(user, image))
        on_engine = seen.pop() if len(seen) == 1 else ""
        if on_engine == "stopped" and not self.model(user):
            return on_engine
        if on_engine == "running" and self.model(user).get("ready") and self.answers(user):
            return on_engine
        return ""

    def _on_engine(self, user: str, image: str) -> str:
        """Return what the engine has of a user, empty for what nobody wants."""
        statuses = [c.status for c in self.containers(user)]
        if image and self.looks(image):
            return ""
        return {(): "stopped", ("running",): "running"}.get(tuple(statuses), "")

    def _disagreement(self, user: str, image: str) -> str:
        """Say what is wrong."""
        containers = [(c.name, c.status) for c in self.containers(user) + self.looks(image)]
        model = {key: self.model(user).get(key) for key in ("ready", "pending", "stopped")}
        return f"{SETTLE_SECONDS} s later the hub says {model} and the engine has {containers}"

    # which calls

    def calls_of(self, user: str) -> Callable[[Call], bool]:
        """Return a test for the calls that are about this user's server."""
        return lambda call: self._subject(call)[0] == user

    def looks_into(self, image: str) -> Callable[[Call], bool]:
        """Return a test for the calls that are about this image and about nobody's server."""
        return lambda call: self._subject(call) == ("", image)

    def _subject(self, call: Call) -> tuple[str, str]:
        """Return the user and the image that a call is about, each "" for none."""
        if call.path.startswith("/containers/") and "Image" not in call.body:
            key = call.path.split("/")[2]
            for container in self.engine.containers():
                if key in (container.id, container.name):
                    return container.labels.get("labhub.user", ""), _key(container.image)
        if call.path == "/images/create":
            return "", _key(f"{call.query['fromImage']}:{call.query['tag']}")
        if call.path.startswith("/images/"):
            return "", _key(call.path.removeprefix("/images/").removesuffix("/json"))
        labels = call.body.get("Labels") or _wanted(call.query.get("filters", "{}"))
        image = call.body.get("Image", "")
        known = [tag for tag, seen in self.engine.life.images.items() if seen["Id"] == image]
        return labels.get("labhub.user", ""), _key((known or [image])[0])


def _key(image: str) -> str:
    """Return the key in labhub.yaml of one of these images."""
    found = re.fullmatch(r"faults/(.*):1", image)
    return found[1] if found else ""


def _wanted(filters: str) -> dict[str, str]:
    """Return the labels that a listing asks for."""
    pairs = (entry.partition("=") for entry in json.loads(filters).get("label", []))
    return {key: value for key, _, value in pairs}


class Starts:
    """Somebody else, who starts and stops all the time; keeps how long each start took."""

    def __init__(self, world: World, names: tuple[str, ...]) -> None:
        """Begin at once, with one thread per person."""
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._world = world
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(name,)) for name in names]
        for name, thread in zip(names, self._threads, strict=True):
            world.add_person(name)
            thread.start()

    def _go_on(self, name: str) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            answer = self._world.start(name)
            if answer.status_code == requests.codes.created and self._world.answers(name):
                self.seconds.append(time.monotonic() - began)
            else:
                self.failures.append(f"{answer.status_code} {answer.text[:300]}")
            self._world.stop(name)
            self._over.wait(PAUSE_SECONDS)

    def end(self) -> None:
        """Stop."""
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=SETTLE_SECONDS)
