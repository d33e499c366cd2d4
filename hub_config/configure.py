"""What jupyterhub_config.py does: read, check, set; what is wrong is a sentence."""

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from jupyterhub.handlers.base import BaseHandler

from auth.discovery import LoginError
from hub_config.apply import SecretMissingError, apply
from hub_config.instance import Instance, InstanceError, read_instance
from hub_config.load import ConfigErrors
from hub_config.reload import LiveConfig
from hub_config.stopping import mend_stops
from spawner import messages
from spawner.desk import desk
from spawner.messages import devices


def configure(c: Any, environ: Mapping[str, str]) -> None:  # noqa: ANN401 - traitlets' Config
    """Set everything the hub must know, or end the process with status 1."""
    try:
        instance = read_instance(environ)
        live = LiveConfig(instance.config_path, environ)
        apply(live.config, instance, c)
    except (InstanceError, ConfigErrors, SecretMissingError, LoginError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - nothing that logs is up yet
        raise SystemExit(1) from None
    c.LabHub.live_config = live
    c.QuotaDockerSpawner.current_config = live
    c.JupyterHub.template_vars = {
        "engine_trouble": partial(engine_trouble, instance),
        "config_trouble": partial(config_trouble, live),
        "gpu_trouble": partial(gpu_trouble, instance),
    }
    mend_expired_logins()
    mend_stops()


def engine_trouble(instance: Instance, user: Any) -> str:  # noqa: ANN401 - JupyterHub's User
    """Return what this user (None: nobody yet) must know about the engine, mostly nothing."""
    trouble = desk(instance).trouble
    if not trouble or user is None:
        return ""
    return messages.engine_trouble(trouble if user.admin else "")


def config_trouble(live: LiveConfig, user: Any) -> str:  # noqa: ANN401 - JupyterHub's User
    """Return what an admin must know about labhub.yaml, and nobody else."""
    return live.trouble if user is not None and user.admin else ""


def gpu_trouble(instance: Instance, user: Any) -> str:  # noqa: ANN401 - JupyterHub's User
    """Return what an admin must know about the GPUs, and nobody else."""
    if user is None or not user.admin:
        return ""
    sight = desk(instance).sight
    return sight.trouble or devices.in_quarantine(sum(not each.healthy for each in sight.seen))


def mend_expired_logins() -> None:
    """Give the hub's handlers an attribute that JupyterHub 6.1.1 reads before it is ever set.

    Without it, starting a server with an expired login is a 500 instead of a new sign-in.
    """
    BaseHandler._token_authenticated = False  # noqa: SLF001
