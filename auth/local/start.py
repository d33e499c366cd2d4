"""Bring Django up in this process, and the database up to date."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.db import Error as DatabaseError

from auth.local import CLIENT_ID
from auth.local.errors import AccountsError
from auth.local.keys import read_or_make_keys
from auth.local.place import Place
from auth.local.settings import settings_for

PRIVATE_UMASK = 0o077


def start(place: Place, *, is_service: bool = True) -> None:
    """Configure Django for this place; once per process."""
    os.umask(PRIVATE_UMASK)
    _require_directory(place.state_dir)
    settings.configure(
        **settings_for(place, read_or_make_keys(place.keys_file), is_service=is_service)
    )
    django.setup()


def prepare(place: Place) -> None:
    """Create or migrate the database and register the hub. Running it again changes nothing."""
    secret = _read_client_secret(place.client_secret_file)
    try:
        with _only_one(place.lock_file):
            call_command("migrate", verbosity=0, interactive=False)
            register_hub(place, secret)
    except (DatabaseError, sqlite3.Error) as error:
        raise AccountsError(f"accounts: cannot use {place.database}: {error}.") from None


def register_hub(place: Place, secret: str) -> None:
    """Keep the one client row as the configuration says."""
    from oauth2_provider.models import get_application_model  # noqa: PLC0415 - needs Django set up

    application = get_application_model()
    application.objects.exclude(client_id=CLIENT_ID).delete()
    application.objects.update_or_create(
        client_id=CLIENT_ID,
        defaults={
            "name": "labhub",
            "client_type": application.CLIENT_CONFIDENTIAL,
            "authorization_grant_type": application.GRANT_AUTHORIZATION_CODE,
            "algorithm": application.RS256_ALGORITHM,
            "client_secret": secret,
            # A random secret of 256 bits gains nothing from hashing, and hashing it at every
            # token request would cost more than everything else in a login.
            "hash_client_secret": False,
            "skip_authorization": True,
            "redirect_uris": " ".join(f"{url}/hub/oauth_callback" for url in place.origins),
            "post_logout_redirect_uris": " ".join(f"{url}/hub/login" for url in place.origins),
        },
    )


def _require_directory(path: Path) -> None:
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise AccountsError(f"accounts: {path} must be a directory this process can write to.")


def _read_client_secret(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AccountsError(
            f"accounts: cannot read {path}: {error.strerror}; deploy/up writes this file."
        ) from None
    if not secret:
        raise AccountsError(f"accounts: {path} is empty: delete it and run deploy/up again.")
    return secret


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock file: the service and a command may start at the same moment."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
