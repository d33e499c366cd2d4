"""The provider as a process of its own: many requests at once, restarts, and a bad environment."""

import base64
import hashlib
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.lib.instance_dir import DEFAULT_CONFIG, InstanceDir
from tests.lib.node import ROOT
from tests.lib.person import Person
from tests.lib.processes import Process, listens

PASSWORD = "correct horse battery staple"
ENGINE = "unix:///nowhere"
SERVE = [sys.executable, "-m", "auth.local.serve"]
VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")


class Provider:
    """One running provider with the account ada; the hub's side of the protocol."""

    def __init__(self, folder: Path) -> None:
        """Lay out an instance; nothing runs yet."""
        self.dir = InstanceDir(folder, DEFAULT_CONFIG)
        self.env = self.dir.environment(ENGINE)
        self.url = f"http://127.0.0.1:{self.dir.accounts_port}/services/accounts"
        self.redirect_uri = f"{self.dir.url}/hub/oauth_callback"
        self.process = Process("accounts", SERVE, folder / "accounts.out")

    def start(self) -> None:
        """Start it and wait for its port."""
        self.process.start(self.env, ROOT)
        self.process.wait_for(lambda: listens(self.dir.accounts_port))

    def user(self, *words: str, text: str = "") -> None:
        """Run `labhub user WORDS…`."""
        code = "from auth.local.cli import user; user()"
        argv = [sys.executable, "-c", code, *words]
        subprocess.run(argv, env=self.env, cwd=ROOT, input=text, text=True, check=True)

    def signed_in(self) -> requests.Session:
        """Return a browser in which ada is signed in."""
        browser = Person(self.url)
        page = browser.get("/services/accounts/sign-in/?next=/services/accounts/")
        done = browser.web.post(
            page.url,
            {
                "csrfmiddlewaretoken": csrf(page.text),
                "username": "ada",
                "password": PASSWORD,
                "next": "/services/accounts/",
            },
            timeout=30,
        )
        assert "Your account" in done.text
        return browser.web

    def code(self, browser: requests.Session) -> str:
        """Return an authorization code."""
        parameters = {
            "client_id": "labhub",
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": "openid profile email groups",
            "state": "s",
            "code_challenge": CHALLENGE.decode(),
            "code_challenge_method": "S256",
        }
        answer = browser.get(
            f"{self.url}/o/authorize/", params=parameters, allow_redirects=False, timeout=30
        )
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]

    def token(self, **data: str) -> requests.Response:
        """Ask the token endpoint."""
        secret = self.dir.secret("accounts_client_secret")
        return requests.post(f"{self.url}/o/token/", data=data, auth=("labhub", secret), timeout=30)

    def redeem(self, code: str) -> requests.Response:
        """Exchange a code for tokens."""
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.redirect_uri,
            code_verifier=VERIFIER,
        )

    def refresh(self, refresh_token: str) -> requests.Response:
        """Ask for new tokens."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def userinfo(self, access_token: str) -> requests.Response:
        """Ask who the token is about."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return requests.get(f"{self.url}/o/userinfo/", headers=headers, timeout=30)


def csrf(page: str) -> str:
    """Return the form's token."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found, page
    return found[1]


def at_once(times: int, act: Callable[[int], Any]) -> list[Any]:
    """Do something so many times at the same moment."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(act, range(times)))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """Run a provider for all tests of this module."""
    running = Provider(tmp_path_factory.mktemp("accounts") / "lab")
    running.user("add", "ada", "--password-stdin", text=PASSWORD + "\n")
    running.start()
    yield running
    running.process.end()


def test_parallel_refreshes_all_work(provider: Provider) -> None:
    """The hub has no lock around a refresh: four at once get the same new tokens."""
    tokens = provider.redeem(provider.code(provider.signed_in())).json()
    answers = at_once(4, lambda _: provider.refresh(tokens["refresh_token"]))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    assert (
        provider.userinfo(answers[0].json()["access_token"]).json()["preferred_username"] == "ada"
    )


def test_parallel_code_exchanges_all_work(provider: Provider) -> None:
    """Eight people sign in within the same second."""
    browser = provider.signed_in()
    codes = [provider.code(browser) for _ in range(8)]
    answers = at_once(8, lambda number: provider.redeem(codes[number]))
    assert [answer.status_code for answer in answers] == [200] * 8


def test_one_code_in_parallel_works_once(provider: Provider) -> None:
    """A race is no way around single use."""
    code = provider.code(provider.signed_in())
    statuses = [answer.status_code for answer in at_once(4, lambda _: provider.redeem(code))]
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 400}


def test_parallel_guesses_are_counted(provider: Provider) -> None:
    """Twenty at once are no way around the wait: five are checked, the others are not."""
    page = provider_page = requests.get(f"{provider.url}/sign-in/", timeout=30)
    fields = {
        "csrfmiddlewaretoken": csrf(page.text),
        "username": "eve",
        "password": "wrong",
        "next": "",
    }
    cookies = provider_page.cookies.get_dict()
    answers = at_once(
        20,
        lambda _: requests.post(
            f"{provider.url}/sign-in/", data=fields, cookies=cookies, timeout=60
        ),
    )
    counted = Counter(answer.status_code for answer in answers)
    # The wait after the fifth is 2 s; on a slow machine it may end before the last request.
    assert counted[200] <= 7
    assert counted[200] + counted[429] == 20
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 429)


def test_everything_on_disk_is_private(provider: Provider) -> None:
    """Database, its journal, the log and the keys: nobody else can read them."""
    files = [*provider.dir.state.glob("accounts*"), provider.dir.secrets / "accounts.json"]
    assert {"accounts.sqlite", "accounts.sqlite-wal", "accounts.log", "accounts.json"} <= {
        file.name for file in files
    }
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []


def test_restart_keeps_sessions_and_tokens(provider: Provider) -> None:
    """The provider restarts with the hub, and nobody notices; the stop takes no time."""
    browser = provider.signed_in()
    tokens = provider.redeem(provider.code(browser)).json()
    begin = time.monotonic()
    provider.process.end()
    assert time.monotonic() - begin < 5
    provider.start()
    assert provider.userinfo(tokens["access_token"]).json()["preferred_username"] == "ada"
    assert provider.refresh(tokens["refresh_token"]).status_code == 200
    assert "Your account" in browser.get(f"{provider.url}/", timeout=30).text


def test_it_ends_with_the_hub(provider: Provider) -> None:
    """A hub that is killed cannot stop its services; an orphan would keep the port."""
    provider.process.end()
    code = f"import subprocess, sys; subprocess.run([sys.executable, *{SERVE[1:]!r}])"
    hub = subprocess.Popen(
        [sys.executable, "-c", code],
        env=provider.env | {"JUPYTERHUB_SERVICE_NAME": "accounts"},
        cwd=ROOT,
    )
    port = provider.dir.accounts_port
    try:
        until(lambda: listens(port))
    finally:
        hub.kill()
        hub.wait()
    until(lambda: not listens(port))
    provider.start()


def until(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# a bad environment


def _missing_variable(directory: InstanceDir, env: dict[str, str]) -> None:
    del env["LABHUB_SECRETS"]


def _missing_state(directory: InstanceDir, env: dict[str, str]) -> None:
    env["LABHUB_STATE"] = "/nowhere/state"


def _no_database(directory: InstanceDir, env: dict[str, str]) -> None:
    (directory.state / "accounts.sqlite").write_text("this is no database, it only looks like one")


def _newer_database(directory: InstanceDir, env: dict[str, str]) -> None:
    with sqlite3.connect(directory.state / "accounts.sqlite") as database:
        database.execute("CREATE TABLE accounts_account (something TEXT)")


def _damaged_keys(directory: InstanceDir, env: dict[str, str]) -> None:
    (directory.secrets / "accounts.json").write_text("{}")


BAD = [
    (_missing_variable, "LABHUB_SECRETS"),
    (_missing_state, "/nowhere/state must be a directory"),
    (_no_database, "accounts.sqlite: file is not a database"),
    (_newer_database, "accounts.sqlite"),
    (_damaged_keys, "accounts.json is damaged"),
]


@pytest.mark.parametrize(("breaks", "why"), BAD)
@pytest.mark.parametrize("module", ["auth.local.init", "auth.local.serve"])
def test_bad_environment_is_one_sentence(
    tmp_path: Path, module: str, breaks: Callable[..., None], why: str
) -> None:
    """Status 1, one line that names the file, no traceback."""
    directory = InstanceDir(tmp_path / "lab", DEFAULT_CONFIG)
    env = directory.environment(ENGINE)
    breaks(directory, env)
    argv = [sys.executable, "-m", module]
    done = subprocess.run(argv, env=env, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert why in done.stderr


def test_port_taken_is_one_sentence(tmp_path: Path) -> None:
    """It waits a moment for an old process to end, then says which port."""
    directory = InstanceDir(tmp_path / "lab", DEFAULT_CONFIG)
    code = (
        "import os, sys; from auth.local import serve; serve.PORT_WAIT_SECONDS = 0.5;"
        "sys.exit(serve.main(os.environ))"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", directory.accounts_port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=directory.environment(ENGINE),
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
        )
    port = directory.accounts_port
    assert done.returncode == 1
    assert done.stderr == (
        f"accounts: cannot listen on 127.0.0.1:{port}: Address already in use.\n"
    )


def test_two_first_starts_at_once(tmp_path: Path) -> None:
    """The service and a command may meet an empty directory at the same moment."""
    directory = InstanceDir(tmp_path / "lab", DEFAULT_CONFIG)
    argv = [sys.executable, "-m", "auth.local.init"]
    env = directory.environment(ENGINE)
    children = [subprocess.Popen(argv, env=env, cwd=ROOT) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]


# what Django itself checks

CHECK = """
import json, os, sys
from auth.local.place import read_place
from auth.local.start import prepare, start
place = read_place(os.environ)
start(place)
prepare(place)
from django.core import checks
from django.core.management import call_command
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
found = checks.run_checks(include_deployment_checks=True)
print(json.dumps(sorted(message.id for message in found if not message.is_silenced())))
"""
CHECKS = {
    # http cannot have https cookies, and its redirect URIs are http: loopback only, or said aloud.
    "trial": ("", '["oauth2_provider.W008", "security.W012", "security.W016"]'),
    "https": ("hub: {url: 'https://gpu.example.org'}\n", "[]"),
}


@pytest.mark.parametrize(("hub", "expected"), CHECKS.values(), ids=CHECKS)
def test_check_deploy(tmp_path: Path, hub: str, expected: str) -> None:
    """`check --deploy` finds nothing behind https, and no migration is missing."""
    directory = InstanceDir(tmp_path / "lab", hub + DEFAULT_CONFIG)
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        env=directory.environment(ENGINE),
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


def test_stop_by_the_hub_is_clean(provider: Provider) -> None:
    """SIGTERM, as the hub sends it, ends the process with status 0."""
    child = provider.process
    os.kill(child.pid, signal.SIGTERM)
    until(lambda: child.ended is not None)
    assert child.ended == 0
    assert "Traceback" not in child.tail()
    provider.start()
