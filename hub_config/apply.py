"""Config and Instance → the hub's traits. Only sets; never appends, never mutates a default."""

import hmac
import re
import sys
from pathlib import Path
from typing import Any

from auth.providers import apply_login
from hub_config.instance import Instance, in_url
from hub_config.schema import Config
from spawner.idle_culler import NAME as CULLER
from spawner.idle_culler import SCOPES as CULLER_SCOPES

FOLDER = Path(__file__).parent
ACCOUNTS = "accounts"
# All that a server's own token may do: say that the server is in use, and let its user in.
SERVER_SCOPES = ["users:activity!user", "access:servers!server"]
CLI = "labhub-cli"
# What `labhub user lock` does: look a user up, revoke tokens, stop servers.
CLI_SCOPES = ["read:users", "list:users", "read:servers", "delete:servers", "tokens"]

LOOP_LOOK_SECONDS = 0.2
QUEUE = "queue"
# The hub itself goes on with starts that an earlier hub left waiting.
QUEUE_SCOPES = ["start:servers", "read:servers", "read:users:name"]

_SECRET = re.compile(r"[0-9a-f]{64}")  # 32 bytes, as deploy/up writes them


class SecretMissingError(ValueError):
    """A secret of the instance cannot be read; the text is one sentence."""


def apply(config: Config, instance: Instance, c: Any) -> None:  # noqa: ANN401 - traitlets' Config
    """Set everything that the hub must know."""
    update_addresses(config, instance, c)
    update_proxy(instance, c)
    update_state(instance, c)
    update_pages(c)
    update_services(config, instance, c)
    update_spawner(instance, c)
    update_metrics(c)
    apply_login(config.login, instance, c, config.hub.url)


def update_addresses(config: Config, instance: Instance, c: Any) -> None:  # noqa: ANN401
    """The hub listens where users' containers reach it, and the proxy where browsers do."""
    c.JupyterHub.bind_url = f"http://{in_url(config.hub.bind)}:{instance.port}"
    c.JupyterHub.hub_bind_url = instance.hub_url
    if config.hub.url is not None:
        c.JupyterHub.public_url = f"{config.hub.url}/"


def update_proxy(instance: Instance, c: Any) -> None:  # noqa: ANN401
    """The proxy is a process of its own and outlives the hub."""
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{instance.api_port}"
    c.ConfigurableHTTPProxy.auth_token = read_instance_secret(instance, "proxy_token")
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.cleanup_servers = False


def update_state(instance: Instance, c: Any) -> None:  # noqa: ANN401
    """What must survive a restart: who is signed in, what runs, what the provider told."""
    c.JupyterHub.db_url = f"sqlite:///{instance.state_dir / 'hub.sqlite'}"
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.cookie_secret = bytes.fromhex(read_instance_secret(instance, "cookie_secret"))
    c.CryptKeeper.keys = [bytes.fromhex(read_instance_secret(instance, "crypt_key"))]


def update_pages(c: Any) -> None:  # noqa: ANN401
    """Our pages go before the stock ones."""
    c.JupyterHub.template_paths = [str(FOLDER / "templates")]


def update_services(config: Config, instance: Instance, c: Any) -> None:  # noqa: ANN401
    """The command line's way into the hub, and the pages of the local accounts."""
    token = read_instance_secret(instance, "cli_token")
    services = [
        {"name": CLI, "api_token": token, "display": False},
        {"name": CULLER, "api_token": own_token(instance, CULLER), "display": False},
        {"name": QUEUE, "api_token": own_token(instance, QUEUE), "display": False},
    ]
    roles = [
        {"name": CLI, "services": [CLI], "scopes": CLI_SCOPES},
        {"name": CULLER, "services": [CULLER], "scopes": CULLER_SCOPES},
        {"name": QUEUE, "services": [QUEUE], "scopes": QUEUE_SCOPES},
    ]
    if config.login.provider == "local":
        services.append(accounts_service(instance))
        # Scopes decide who finds the link to it on the hub's pages: everybody.
        own_account = f"access:services!service={ACCOUNTS}"
        roles.append({"name": "user", "scopes": ["self", own_account]})
    c.JupyterHub.services = services
    c.JupyterHub.load_roles = roles


def own_token(instance: Instance, service: str) -> str:
    """Return the token with which the hub itself acts as a service; nobody else ever has it."""
    secret = bytes.fromhex(read_instance_secret(instance, "cookie_secret"))
    return hmac.new(secret, service.encode(), "sha256").hexdigest()


def accounts_service(instance: Instance) -> dict[str, Any]:
    """Return the service that the hub starts, and serves below /services/accounts/."""
    return {
        "name": ACCOUNTS,
        "url": f"http://127.0.0.1:{instance.accounts_port}",
        "command": [sys.executable, "-m", "auth.local.serve"],
        "environment": instance_environment(instance),
    }


def instance_environment(instance: Instance) -> dict[str, str]:
    """Return the instance as the variables that `read_instance` reads: services start bare."""
    return {
        "LABHUB_INSTANCE": instance.name,
        "LABHUB_CONFIG": str(instance.config_path),
        "LABHUB_SECRETS": str(instance.secrets_dir),
        "LABHUB_STATE": str(instance.state_dir),
        "LABHUB_STATE_ON_HOST": str(instance.state_dir_on_host),
        "LABHUB_VOLUMES": str(instance.volumes_dir),
        "LABHUB_VOLUMES_ON_HOST": str(instance.volumes_dir_on_host),
        "LABHUB_PORT": str(instance.port),
        "LABHUB_API_PORT": str(instance.api_port),
        "LABHUB_HUB_PORT": str(instance.hub_port),
        "LABHUB_ACCOUNTS_PORT": str(instance.accounts_port),
        "LABHUB_NETWORK": instance.network,
        "LABHUB_GATEWAY": instance.gateway,
        "LABHUB_BUNDLE": instance.bundle,
        "LABHUB_CGROUP": str(instance.cgroup_dir),
        "LABHUB_ENGINE_PATIENCE": f"{instance.engine_patience:g}",
        "LABHUB_PROC": str(instance.proc_dir),
    }


def update_spawner(instance: Instance, c: Any) -> None:  # noqa: ANN401 - traitlets' Config
    """Servers are containers with limits, which outlive a sign-out."""
    c.JupyterHub.spawner_class = "labhub"
    # The spawner lets as many starts through as the engine takes; the hub's limit would refuse.
    c.JupyterHub.concurrent_spawn_limit = 0
    # How many each person may have stands in labhub.yaml; JupyterHub's own limit cannot say "none",
    # and asks about whoever makes the server instead of its owner: hub_config/doors.py.
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.shutdown_on_logout = False
    c.QuotaDockerSpawner.lab = instance
    # One listing of all containers every 30 seconds does this (spawner/watch.py), and events.
    c.QuotaDockerSpawner.poll_interval = 0
    c.QuotaDockerSpawner.server_token_scopes = SERVER_SCOPES


def update_metrics(c: Any) -> None:  # noqa: ANN401 - traitlets' Config
    """The hub measures how late its event loop is."""
    # By waking up so often; JupyterHub's own 20 times a second are a third of a hub at rest.
    c.PeriodicMetricsCollector.event_loop_interval_resolution = LOOP_LOOK_SECONDS


def read_instance_secret(instance: Instance, name: str) -> str:
    """Return one of the secrets that deploy/up made, or raise SecretMissingError."""
    path = instance.secrets_dir / name
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretMissingError(
            f"{path} cannot be read ({error.strerror}); run deploy/up, which makes what is missing"
        ) from None
    except ValueError:
        secret = ""
    if _SECRET.fullmatch(secret) is None:
        raise SecretMissingError(
            f"{path} is not one of labhub's secrets; bring it back from a backup, or remove it and "
            "run deploy/up"
        )
    return secret
