"""Where this provider lives: its files, its port, and the address browsers know it by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from auth.local import SERVICE_PREFIX
from auth.local.errors import AccountsError
from hub_config.instance import Instance, read_instance
from hub_config.load import ConfigErrors, load
from hub_config.schema import Config


@dataclass(frozen=True, slots=True)
class Place:
    """Everything the provider must know about the lab around it."""

    public_url: str
    is_trial: bool
    provider: str
    port: int
    hub_api_url: str
    state_dir: Path
    secrets_dir: Path

    @property
    def database(self) -> Path:
        """The accounts, their sessions and tokens."""
        return self.state_dir / "accounts.sqlite"

    @property
    def audit_log(self) -> Path:
        """Who signed in, failed to, was locked, and so on."""
        return self.state_dir / "accounts.log"

    @property
    def lock_file(self) -> Path:
        """Held while the database is created or migrated, so that two processes never do both."""
        return self.state_dir / "accounts.lock"

    @property
    def keys_file(self) -> Path:
        """The provider's own keys."""
        return self.secrets_dir / "accounts.json"

    @property
    def client_secret_file(self) -> Path:
        """The secret that the hub and this provider share."""
        return self.secrets_dir / "accounts_client_secret"

    @property
    def cli_token_file(self) -> Path:
        """The token with which the command line speaks to the hub."""
        return self.secrets_dir / "cli_token"

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the lab through TLS."""
        return self.public_url.startswith("https://")

    @property
    def service_url(self) -> str:
        """Where a browser finds this provider's pages."""
        return self.public_url + SERVICE_PREFIX

    @property
    def issuer(self) -> str:
        """The ``iss`` of every token; fixed, so that it never follows a request's Host."""
        return self.service_url + "/o"

    @property
    def public_host(self) -> str:
        """The host name in the public URL."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def origins(self) -> tuple[str, ...]:
        """Every origin a browser may come from: the public one, or loopback names in a trial."""
        if not self.is_trial:
            return (self.public_url,)
        return (self.public_url, self.public_url.replace("127.0.0.1", "localhost"))

    @property
    def fronts(self) -> int:
        """How many proxies of our own stand between browsers and the hub's proxy: the TLS one."""
        return 1 if self.is_https else 0


def place_for(instance: Instance, config: Config) -> Place:
    """Derive the place from the instance and the admin's file."""
    public_url = (config.hub.url or f"http://127.0.0.1:{instance.port}").rstrip("/")
    gateway = f"[{instance.gateway}]" if ":" in instance.gateway else instance.gateway
    return Place(
        public_url=public_url,
        is_trial=config.hub.url is None,
        provider=config.login.provider,
        port=instance.accounts_port,
        hub_api_url=f"http://{gateway}:{instance.hub_port}/hub/api",
        state_dir=instance.state_dir,
        secrets_dir=instance.secrets_dir,
    )


def read_place(environ: Mapping[str, str], config_path: Path | None = None) -> Place:
    """Read the place from the environment and the admin's file, or raise AccountsError."""
    try:
        instance = read_instance(environ)
        config = load(config_path or instance.config_path)
    except ConfigErrors as error:
        raise AccountsError(str(error)) from None
    except (OSError, ValueError) as error:
        raise AccountsError(f"accounts: {error}") from None
    return place_for(instance, config)
