"""A temporary instance directory, as deploy/up would lay it out, and its environment."""

import os
import secrets
import sys
from pathlib import Path

from tests.lib.fake_engine import TENSORFLOW
from tests.lib.node import ROOT
from tests.lib.processes import free_ports

SECRETS = ("crypt_key", "cookie_secret", "proxy_token", "cli_token", "accounts_client_secret")
DEFAULT_CONFIG = f"""\
login:
  provider: local
images:
  tensorflow:
    title: TensorFlow 2.9
    image: {TENSORFLOW}
quotas:
  default: {{cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256}}
"""


class InstanceDir:
    """Names, ports, folders and secrets of one instance."""

    def __init__(self, folder: Path, config: str) -> None:
        """Write the folders, the secrets and labhub.yaml."""
        self.folder = folder
        self.name = f"labhub-{secrets.token_hex(3)}"
        self.config = folder / "labhub.yaml"
        self.secrets = folder / "secrets"
        self.state = folder / "state"
        self.volumes = folder / "volumes"
        self.network = f"{self.name}-users"
        self.bundle = "labhub-server-test"
        self.port, self.api_port, self.hub_port, self.accounts_port = free_ports(4)
        self.proc = folder / "proc"
        for each in (self.secrets, self.state, self.state / "passwd", self.volumes, self.proc):
            each.mkdir(mode=0o700, parents=True)
        for name in SECRETS:
            self._write_secret(name, secrets.token_hex(32))
        self.config.write_text(config)
        self.machine(memory_bytes=1 << 40)

    def save(self, text: str) -> None:
        """Put another labhub.yaml in the place of this one, as most editors do."""
        new = self.config.with_suffix(".new")
        new.write_text(text)
        new.replace(self.config)

    def save_default(self, numbers: str) -> None:
        """Save it with other numbers for everybody, like `cpus: 2, memory: 1 GiB`."""
        text = self.config.read_text()
        line = next(each for each in text.splitlines() if each.startswith("  default:"))
        self.save(text.replace(line, f"  default: {{{numbers}}}"))

    def machine(self, memory_bytes: int, *, free_bytes: int | None = None) -> None:
        """Let the machine have so much memory; the hub takes notice within ten seconds."""
        free = memory_bytes if free_bytes is None else free_bytes
        kib = f"MemTotal: {memory_bytes >> 10} kB\nMemAvailable: {free >> 10} kB\n"
        (self.proc / "meminfo").write_text(kib)
        (self.proc / "stat").write_text("".join(f"cpu{core} 0 0\n" for core in range(8)))
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")

    def _write_secret(self, name: str, value: str) -> None:
        path = self.secrets / name
        path.touch(mode=0o600)
        path.write_text(value + "\n")

    def secret(self, name: str) -> str:
        """Return one secret."""
        return (self.secrets / name).read_text().strip()

    @property
    def url(self) -> str:
        """The address a browser opens, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self, docker_host: str) -> dict[str, str]:
        """Return the instance environment, with little of the caller's own."""
        kept = ("LANG", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "DOCKER_HOST": docker_host,
            "LABHUB_INSTANCE": self.name,
            "LABHUB_CONFIG": str(self.config),
            "LABHUB_SECRETS": str(self.secrets),
            "LABHUB_STATE": str(self.state),
            "LABHUB_STATE_ON_HOST": str(self.state),
            "LABHUB_VOLUMES": str(self.volumes),
            "LABHUB_VOLUMES_ON_HOST": str(self.volumes),
            "LABHUB_PORT": str(self.port),
            "LABHUB_API_PORT": str(self.api_port),
            "LABHUB_HUB_PORT": str(self.hub_port),
            "LABHUB_ACCOUNTS_PORT": str(self.accounts_port),
            "LABHUB_NETWORK": self.network,
            "LABHUB_GATEWAY": "127.0.0.1",
            "LABHUB_BUNDLE": self.bundle,
            "LABHUB_PROC": str(self.proc),
        }
