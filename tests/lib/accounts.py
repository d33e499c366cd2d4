"""The accounts provider inside this process: Django's test client, a database in memory.

Importing this module configures Django, once per process, exactly as the service does, with three
differences that save seconds: the database is in memory, its tables come straight from the models
(the real server has the migrations), and passwords are hashed with something cheap.

Modules below auth/local that need Django are reached through here (``people``, ``models`` …), so
that no test has to care about the order of its imports.
"""

import base64
import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings
from django.core.management import call_command

from auth.local import CLIENT_ID, SERVICE_PREFIX
from auth.local.keys import read_or_make_keys
from auth.local.place import Place
from auth.local.settings import settings_for

FOLDER = tempfile.TemporaryDirectory(prefix="labhub-accounts-")
CLIENT_SECRET = secrets.token_hex(32)
PASSWORD = "correct horse battery staple"  # the tests' own
TRIAL = Place(
    public_url="http://127.0.0.1:8000",
    is_trial=True,
    provider="local",
    port=10101,
    hub_api_url="http://127.0.0.1:8081/hub/api",
    state_dir=Path(FOLDER.name),
    secrets_dir=Path(FOLDER.name),
)
REDIRECT_URI = "http://127.0.0.1:8000/hub/oauth_callback"


class _NoMigrations:
    """Says of every application that it has none."""

    def __contains__(self, _app: str) -> bool:
        return True

    def __getitem__(self, _app: str) -> None:
        return None


KEYS = read_or_make_keys(TRIAL.keys_file)
SETTINGS = settings_for(TRIAL, KEYS, is_service=False)
settings.configure(
    **SETTINGS
    | {
        "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        "MIGRATION_MODULES": _NoMigrations(),
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    }
)
django.setup()

from django.db import transaction  # noqa: E402
from django.test import Client, override_settings  # noqa: E402

from auth.local import models, people, start, throttle  # noqa: E402

__all__ = ["models", "override_settings", "people", "throttle"]

call_command("migrate", run_syncdb=True, verbosity=0)
start.register_hub(TRIAL, CLIENT_SECRET)


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo in the database whatever the block did."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


class Browser(Client):
    """A browser at the provider: paths as it sees them, below the service's prefix."""

    def __init__(self, **options: Any) -> None:
        """Start without cookies; ``enforce_csrf_checks`` as in Django."""
        super().__init__(SERVER_NAME="127.0.0.1", SERVER_PORT="8000", **options)

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        """Take the prefix off, as the server in front of Django does."""
        return super().generic(method, path.removeprefix(SERVICE_PREFIX) or "/", *args, **kwargs)

    def sign_in(self, name: str, password: str = PASSWORD, **headers: str) -> Any:
        """Fill in the sign-in form."""
        fields = {"username": name, "password": password}
        return self.post("/sign-in/", fields, headers=headers)

    def open_link(self, link: str) -> Any:
        """Open a setup link and follow where it leads."""
        return self.get(urlsplit(link).path, follow=True)

    def choose(self, link: str, password: str = PASSWORD, again: str | None = None) -> Any:
        """Open a setup link and choose a password."""
        page = self.open_link(link)
        fields = {"new_password1": password, "new_password2": password if again is None else again}
        return self.post(page.request["PATH_INFO"], fields)

    def signed_in(self) -> bool:
        """Whether the account page opens."""
        return self.get("/").status_code == 200


class HubClient:
    """The hub's side of the protocol, with everything open to be done wrong."""

    def __init__(self) -> None:
        """Make up a verifier and its challenge."""
        self.verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        self._web = Browser()

    def request(self, **changes: str | None) -> dict[str, str]:
        """Return the parameters of an authorization request; None leaves one out."""
        parameters: Mapping[str, str | None] = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid profile email groups",
            "state": "some-state",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return {key: value for key, value in parameters.items() if value is not None}

    def authorize(self, browser: Browser, **changes: str | None) -> Any:
        """Send a browser to the authorization page."""
        return browser.get("/o/authorize/", self.request(**changes))

    def code(self, browser: Browser) -> str:
        """Return an authorization code for whoever is signed in."""
        return answer(self.authorize(browser))["code"]

    def token(self, secret: str | None = CLIENT_SECRET, **parameters: str | None) -> Any:
        """Ask the token endpoint."""
        data = {key: value for key, value in parameters.items() if value is not None}
        headers = {}
        if secret is not None:
            pair = base64.b64encode(f"{CLIENT_ID}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return self._web.post("/o/token/", data, headers=headers)

    def redeem(self, code: str, secret: str | None = CLIENT_SECRET, **changes: str | None) -> Any:
        """Exchange a code for tokens."""
        right = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
        }
        return self.token(secret, **right | changes)

    def refresh(self, refresh_token: str) -> Any:
        """Ask for new tokens."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def userinfo(self, access_token: str) -> Any:
        """Ask who the token is about."""
        return self._web.get("/o/userinfo/", headers={"Authorization": f"Bearer {access_token}"})

    def tokens(self, browser: Browser) -> dict[str, Any]:
        """Go the whole way for whoever is signed in."""
        return self.redeem(self.code(browser)).json()


def answer(response: Any) -> dict[str, str]:
    """Return what a redirect to the hub carries; nothing when it is no such redirect."""
    location = response.headers.get("Location", "")
    if not location.startswith(REDIRECT_URI + "?"):
        return {}
    return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}
