"""The instance that a command is about, what its hub says, its store: failures are one sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hub_config.instance import Instance, InstanceError, read_instance
from hub_config.status import read_status
from spawner.store import Ledger, Store, StoreError

T = TypeVar("T")


def instance_of(file: Path) -> Instance:
    """Return the instance that runs with this configuration."""
    try:
        return read_instance({**os.environ, "LABHUB_CONFIG": str(file)})
    except InstanceError as error:
        raise click.ClickException(str(error)) from None


def status_of(instance: Instance) -> dict[str, Any]:
    """Return what the instance's hub wrote about itself last; nothing where none ever ran."""
    try:
        return read_status(instance.state_dir)
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"what the hub wrote about itself cannot be read ({error}); restart it with deploy/up"
        ) from None


def transact(instance: Instance, work: Callable[[Ledger], T], *, otherwise: T) -> T:
    """Do work on the instance's store; `otherwise` where none was ever written."""
    path = instance.state_dir / "labhub.sqlite"
    if not path.exists():
        return otherwise
    try:
        store = Store(f"sqlite:///{path}")
        try:
            return store.transact(work)
        finally:
            store.close()
    except StoreError as error:
        raise click.ClickException(str(error)) from None
