"""A whole labhub on this machine's own Python: real hub, real proxy, real accounts service.

    with FakeEngine() as engine, Lab(engine.url) as lab:
        lab.add_user("ada", admin=True)
        ada = lab.login("ada")
        ada.start("ada", image="tensorflow")
        lab.api("GET", "users/ada").json()

Only the engine is a choice: `Lab(docker_host)` points the hub at any socket. The hub loads the
real hub_config/jupyterhub_config.py; when the block fails, the ends of all logs are printed.
"""

import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import docker
import requests

from spawner.store import Ledger, Store
from tests.lib.instance_dir import DEFAULT_CONFIG, InstanceDir
from tests.lib.node import ROOT, proxy_path
from tests.lib.person import TIMEOUT_SECONDS, Person, words
from tests.lib.processes import Process, listens
from tests.lib.warm import WarmChild

T = TypeVar("T")
PASSWORD = "correct horse battery staple"  # the tests' own, for accounts that live for seconds
CONFIG = ROOT / "tests" / "lib" / "lab_config.py"


class Lab:
    """One running instance; everything it started is ended by pid when the block ends."""

    def __init__(
        self,
        docker_host: str,
        *,
        config: str = DEFAULT_CONFIG,
        env: dict[str, str] | None = None,
        hub_config: Path = CONFIG,
    ) -> None:
        """Describe the instance; `config` is the text of labhub.yaml, `env` is added for all."""
        self.folder = Path(tempfile.mkdtemp(prefix="labhub-lab-"))
        self.dir = InstanceDir(self.folder, config)
        self.token = secrets.token_hex(16)
        self.env = {
            **self.dir.environment(docker_host),
            "LABHUB_TEST_TOKEN": self.token,
            **(env or {}),
        }
        self.docker_host = docker_host
        python = sys.executable
        self.hub_config = hub_config
        hub = [python, "-m", "hub_config.hub", "-f", str(hub_config)]
        self.hub = Process("hub", hub, self.folder / "hub.log")
        proxy = [python, "-m", "hub_config.cli", "--config", str(self.dir.config), "proxy"]
        self.proxy = Process("proxy", proxy, self.folder / "proxy.log")
        self.passwords: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The address a browser opens, without a final slash."""
        return self.dir.url

    @property
    def name(self) -> str:
        """The instance's name, which its labels carry."""
        return self.dir.name

    def __enter__(self) -> Self:
        """Bring everything up and wait until the hub answers through the proxy."""
        try:
            self._prepare_engine()
            self._prepare_accounts()
            self.start_proxy()
            self.start_hub()
        except BaseException:
            self._close(failed=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything; print the logs when the block failed."""
        self._close(failed=kind is not None)

    # life

    def start_proxy(self) -> None:
        """Start the proxy and wait for its port."""
        self.proxy.start({**self.env, "PATH": proxy_path()}, ROOT)
        self.proxy.wait_for(lambda: listens(self.dir.api_port))

    def start_hub(self) -> None:
        """Start the hub and wait until it answers through the proxy."""
        self.hub.start(self.env, ROOT)
        self.hub.wait_for(self._hub_answers)

    def stop_hub(self, *, kill: bool = False) -> None:
        """End the hub (and the accounts service it started); servers and proxy go on."""
        self.hub.end(kill=kill)

    def restart_hub(self, *, kill: bool = False) -> None:
        """Stop the hub, by force if wished, and start it again."""
        self.stop_hub(kill=kill)
        self.start_hub()

    def _hub_answers(self) -> bool:
        """Whether the hub and its accounts answer through the proxy, as deploy/up waits for."""
        paths = ["hub/health", *(["services/accounts/health"] if self.uses_accounts else [])]
        try:
            answers = [requests.get(f"{self.url}/{path}", timeout=2) for path in paths]
        except requests.RequestException:
            return False
        return all(answer.status_code == requests.codes.ok for answer in answers)

    def _labels(self, role: str) -> dict[str, str]:
        return {"labhub.instance": self.name, "labhub.role": role}

    def _prepare_engine(self) -> None:
        engine = docker.DockerClient(base_url=self.docker_host)
        engine.networks.create(self.dir.network, labels=self._labels("network"))
        engine.close()

    def _prepare_accounts(self) -> None:
        if self.uses_accounts:
            self.run(sys.executable, "-m", "auth.local.init")

    @property
    def uses_accounts(self) -> bool:
        """Whether login is by local accounts."""
        return "provider: local" in self.dir.config.read_text()

    def _close(self, *, failed: bool) -> None:
        for process in (self.hub, self.proxy):
            process.end()
        if failed:
            print(self.logs(), file=sys.stderr)
        self._clean_engine()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean_engine(self) -> None:
        engine = docker.DockerClient(base_url=self.docker_host, timeout=20)
        mine = {"label": f"labhub.instance={self.name}"}
        for container in engine.api.containers(all=True, filters=mine):
            engine.api.remove_container(container["Id"], force=True)
        for volume in engine.api.volumes(filters=mine)["Volumes"] or []:
            engine.api.remove_volume(volume["Name"])
        engine.networks.get(self.dir.network).remove()
        engine.close()

    # use

    def run(self, *argv: str, text: str = "", check: bool = True) -> str:
        """Run a Python module in the instance's environment and return what it printed."""
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("in", "out", "err")]
            files[0].write_text(text)
            status = WarmChild(argv, self.env, ROOT, *files).wait()
            printed, complaints = (each.read_text() for each in files[1:])
        if check and status:
            message = f"{' '.join(argv)} ended with {status}:\n{printed}{complaints}"
            raise RuntimeError(message)
        return printed if check else printed + complaints

    def cli(self, *words: str, text: str = "", check: bool = True) -> str:
        """Run `labhub WORDS…` for this instance."""
        begin = (sys.executable, "-m", "hub_config.cli", "--config", str(self.dir.config))
        return self.run(*begin, *words, text=text, check=check)

    def add_user(self, name: str, *, admin: bool = False, password: str = PASSWORD) -> str:
        """Create a local account with a password; returns the command's output."""
        self.passwords[name] = password
        flags = ["--admin"] if admin else []
        return self.cli("user", "add", name, *flags, "--password-stdin", text=password + "\n")

    def visitor(self) -> Person:
        """Return somebody who is not signed in."""
        return Person(self.url)

    def login(self, name: str, password: str | None = None) -> Person:
        """Sign in by the real redirects; fails with the page when that does not work."""
        person = self.visitor()
        page = person.login(name, password or self.passwords.get(name, PASSWORD))
        if not person.signed_in():
            message = f"{name} is not signed in: {words(page)}"
            raise AssertionError(message)
        return person

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the hub's REST API with a token that may do anything."""
        timeout = options.pop("timeout", TIMEOUT_SECONDS)
        headers = {"Authorization": f"token {self.token}", **options.pop("headers", {})}
        url = f"{self.url}/hub/api/{path}"
        return requests.request(method, url, headers=headers, timeout=timeout, **options)

    def transact(self, work: Callable[[Ledger], T]) -> T:
        """Read or write the store beside the hub, as `labhub` does."""
        store = Store(f"sqlite:///{self.dir.state / 'labhub.sqlite'}")
        try:
            return store.transact(work)
        finally:
            store.close()

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"--- {p.name} ---\n{p.tail()}" for p in (self.proxy, self.hub))
