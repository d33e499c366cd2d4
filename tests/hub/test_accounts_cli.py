"""`labhub user …`: what each command prints, what it refuses, and what it does at the hub."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from auth.local import cli, offboard
from tests.lib import accounts as provider
from tests.lib.instance_dir import DEFAULT_CONFIG, InstanceDir

PASSWORD = "correct horse battery staple"
Labhub = Callable[..., Result]
LINK = re.compile(r"http://127\.0\.0\.1:\d+/services/accounts/setup/\w+/[\w-]+/")


@pytest.fixture
def accounts() -> Iterator[ModuleType]:
    """Return the provider in this process; what a test writes to its database is undone."""
    with provider.rolled_back():
        yield provider


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceDir:
    """Put this process into an instance's environment."""
    directory = InstanceDir(tmp_path / "lab", DEFAULT_CONFIG)
    monkeypatch.setattr(offboard, "SETTLE_SECONDS", 0)
    for name, value in directory.environment("unix:///nowhere").items():
        if name.startswith("LABHUB_"):
            monkeypatch.setenv(name, value)
    return directory


@pytest.fixture
def labhub(accounts: ModuleType, home: InstanceDir) -> Labhub:
    """Return a function that runs `labhub user WORDS…`."""

    def run(*words: str, text: str = "") -> Result:
        result = CliRunner().invoke(cli.user, list(words), input=text)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            result.exception
        )
        return result

    return run


class FakeHub(ThreadingHTTPServer):
    """The hub's API with one user, one server and two tokens; ``status`` answers instead."""

    def __init__(self, port: int, token: str) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", port), _Api)
        self.token, self.status = token, 0
        self.servers, self.tokens = [""], ["a1", "a2"]


class _Api(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Show the user or the tokens."""
        if self.path.endswith("/tokens"):
            return self._answer({"api_tokens": [{"id": each} for each in self.server.tokens]})
        return self._answer({"name": "eve", "servers": {each: {} for each in self.server.servers}})

    def do_DELETE(self) -> None:
        """Delete what the path names."""
        if "/tokens/" in self.path:
            self.server.tokens.remove(self.path.rpartition("/")[2])
        else:
            self.server.servers.clear()
        return self._answer({})

    def _answer(self, body: dict[str, object]) -> None:
        allowed = self.headers["Authorization"] == f"token {self.server.token}"
        self.send_response(self.server.status or (200 if allowed else 403))
        data = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub(home: InstanceDir) -> Iterator[FakeHub]:
    """Run a hub at the instance's hub port."""
    with FakeHub(home.hub_port, home.secret("cli_token")) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


# add and link


def test_add_prints_a_link_that_works(accounts: ModuleType, labhub: Labhub) -> None:
    """The link is the last line, so that a script can take it."""
    result = labhub("add", "ada", "--admin", "--name", "Ada Lovelace", "--email", "ada@example.org")
    assert result.exit_code == 0
    link = result.output.splitlines()[-1]
    assert LINK.fullmatch(link)
    assert accounts.Browser().choose(link).status_code == 302
    account = accounts.people.find("ada")
    assert (account.is_admin, account.name, account.email) == (
        True,
        "Ada Lovelace",
        "ada@example.org",
    )


def test_add_with_a_password_prints_no_link(accounts: ModuleType, labhub: Labhub) -> None:
    """For unattended installs; the password itself is never printed."""
    result = labhub("add", "ada", "--password-stdin", text=f"{PASSWORD}\n")
    assert (result.exit_code, result.output) == (0, "Added ada.\n")
    assert accounts.Browser().sign_in("ada").status_code == 302


def test_link_for_a_lost_password(accounts: ModuleType, labhub: Labhub) -> None:
    """A new link ends the one before."""
    first = labhub("add", "ada").output.splitlines()[-1]
    second = labhub("link", "ada").output.splitlines()[-1]
    assert "Link used or too old" in accounts.Browser().open_link(first).content.decode()
    assert accounts.Browser().choose(second).status_code == 302


REFUSALS = {
    "name taken": (("add", "ada"), "", "There already is an account 'ada'"),
    "capital letter": (("add", "Ada"), "", "'Ada' cannot be a user name"),
    "hyphen": (("add", "ada-lovelace"), "", "'ada-lovelace' cannot be a user name"),
    "e-mail as name": (("add", "ada@example.org"), "", "cannot be a user name"),
    "reserved name": (("add", "root"), "", "'root' cannot be a user name"),
    "32 letters": (("add", "a" * 32), "", "cannot be a user name"),
    "control character": (("add", "eve\x02"), "", "cannot be a user name"),
    "bad e-mail": (("add", "ben", "--email", "nowhere"), "", "Enter a valid email address."),
    "short password": (("add", "ben", "--password-stdin"), "short\n", "too short"),
    "password like the name": (
        ("add", "benjamin", "--password-stdin"),
        "benjamin12345\n",
        "too similar to the username",
    ),
    "no password": (("add", "ben", "--password-stdin"), "", "No password on standard input"),
    "link for nobody": (("link", "nobodyknows"), "", "There is no account 'nobodyknows'"),
    "lock nobody": (("lock", "nobodyknows"), "", "There is no account 'nobodyknows'"),
    "unlock nobody": (("unlock", "nobodyknows"), "", "There is no account 'nobodyknows'"),
    "the computed group": (("group", "labhub-admins", "--add", "ada"), "", "follows from"),
    "bad group name": (("group", "Staff!", "--add", "ada"), "", "cannot be a group name"),
    "no such group": (("group", "staff"), "", "There is no group 'staff'"),
    "unknown member": (("group", "staff", "--add", "nobodyknows"), "", "There is no account"),
}


@pytest.mark.parametrize(("words", "text", "why"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_sentence(
    accounts: ModuleType, labhub: Labhub, words: tuple[str, ...], text: str, why: str
) -> None:
    """Status 1, one line, no traceback, and nothing was changed."""
    accounts.people.add("ada")
    result = labhub(*words, text=text)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert len(result.output.splitlines()) == 1
    assert why in result.output
    assert [row["user"] for row in accounts.people.overview()] == ["ada"]


def test_link_for_a_locked_account_is_refused(accounts: ModuleType, labhub: Labhub) -> None:
    """It would open nothing; the sentence says what to do first."""
    accounts.people.lock(accounts.people.add("eve"))
    result = labhub("link", "eve")
    assert (result.exit_code, result.output) == (
        1,
        "Error: eve is locked: labhub user unlock eve first.\n",
    )


# lock and unlock


def test_lock_closes_everything(accounts: ModuleType, labhub: Labhub, hub: FakeHub) -> None:
    """No way in, no token, no server."""
    accounts.people.add("eve", password=PASSWORD)
    result = labhub("lock", "eve")
    assert (result.exit_code, result.output) == (
        0,
        "Locked eve: 1 server stopped, 2 tokens revoked.\n",
    )
    assert (hub.servers, hub.tokens) == ([], [])
    assert accounts.Browser().sign_in("eve").status_code == 200


HUB_TROUBLE = {
    "down": (None, "the hub did not answer"),
    "refuses the token": (403, "the hub did not accept this command's token"),
    "broken": (500, "the hub answered with status 500"),
}


@pytest.mark.parametrize(("status", "why"), HUB_TROUBLE.values(), ids=HUB_TROUBLE)
def test_lock_without_the_hub_says_what_is_left_to_do(
    accounts: ModuleType,
    labhub: Labhub,
    request: pytest.FixtureRequest,
    status: int | None,
    why: str,
) -> None:
    """The account is locked all the same, and the status says that it was not everything."""
    if status is not None:
        request.getfixturevalue("hub").status = status
    accounts.people.add("eve", password=PASSWORD)
    result = labhub("lock", "eve")
    assert result.exit_code == 1
    assert result.output == (
        "Error: eve is locked, but servers and tokens at the hub could not be ended because "
        f"{why}: run labhub user lock eve again once the hub is up.\n"
    )
    assert not accounts.people.find("eve").is_active


def test_lock_of_somebody_the_hub_never_saw(
    accounts: ModuleType, labhub: Labhub, hub: FakeHub
) -> None:
    """Nothing to close is no error."""
    hub.status = 404
    accounts.people.add("eve")
    assert labhub("lock", "eve").output == "Locked eve: 0 servers stopped, 0 tokens revoked.\n"


def test_unlock(accounts: ModuleType, labhub: Labhub) -> None:
    """The old password works again."""
    accounts.people.lock(accounts.people.add("eve", password=PASSWORD))
    assert labhub("unlock", "eve").output == "Unlocked eve.\n"
    assert accounts.Browser().sign_in("eve").status_code == 302


# groups and lists


def test_group(accounts: ModuleType, labhub: Labhub) -> None:
    """The first --add creates it; every call prints who is in it."""
    for name in ("ada", "ben", "eve"):
        accounts.people.add(name)
    calls = [
        (("group", "staff", "--add", "ada", "--add", "ben"), "staff: ada, ben\n"),
        (("group", "staff", "--remove", "ada", "--add", "eve"), "staff: ben, eve\n"),
        (("group", "staff"), "staff: ben, eve\n"),
        (("group", "staff", "--remove", "ben", "--remove", "eve"), "staff: nobody\n"),
    ]
    assert [labhub(*words).output for words, _ in calls] == [text for _, text in calls]


def test_group_changes_all_or_nothing(accounts: ModuleType, labhub: Labhub) -> None:
    """One unknown name, and nobody joins."""
    accounts.people.add("ada")
    assert labhub("group", "staff", "--add", "ada", "--add", "nobodyknows").exit_code == 1
    assert accounts.people.find("ada").group_names() == []


def test_list(accounts: ModuleType, labhub: Labhub) -> None:
    """One line each; the same as JSON for scripts."""
    accounts.people.add("ada", is_admin=True, name="Ada Lovelace", password=PASSWORD)
    accounts.people.lock(accounts.people.add("eve"))
    accounts.people.change_group("staff", add=("ada",))
    lines = [line.split() for line in labhub("list").output.splitlines()]
    assert lines == [
        ["ada", "admin", "labhub-admins,", "staff"],
        ["eve", "locked,", "no", "password", "yet", "-"],
    ]
    assert json.loads(labhub("list", "--json").output) == [
        {
            "user": "ada",
            "name": "Ada Lovelace",
            "email": "",
            "admin": True,
            "locked": False,
            "has_password": True,
            "groups": ["labhub-admins", "staff"],
            "last_sign_in": None,
        },
        {
            "user": "eve",
            "name": "",
            "email": "",
            "admin": False,
            "locked": True,
            "has_password": False,
            "groups": [],
            "last_sign_in": None,
        },
    ]


def test_list_of_nobody_says_how_to_begin(labhub: Labhub) -> None:
    """An empty answer would leave the admin guessing."""
    expected = "No accounts yet: labhub user add NAME --admin creates the first.\n"
    assert labhub("list").output == expected
    assert json.loads(labhub("list", "--json").output) == []


# the environment


def test_other_provider(labhub: Labhub, home: InstanceDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where accounts live elsewhere, this command changes nothing and says where."""
    monkeypatch.setenv("SECRET", "s")
    home.config.write_text(
        DEFAULT_CONFIG.replace(
            "provider: local",
            "provider: github\n  client_id: x\n  client_secret: {env: SECRET}\n"
            "  allow: {organisations: [lab]}",
        )
    )
    result = labhub("add", "ada")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Accounts are managed at the login provider 'github'")


def _no_secret(home: InstanceDir) -> None:
    (home.secrets / "accounts_client_secret").unlink()


def _empty_secret(home: InstanceDir) -> None:
    (home.secrets / "accounts_client_secret").write_text("\n")


def _misspelt_config(home: InstanceDir) -> None:
    home.config.write_text("logn: {}\n")


def _no_config(home: InstanceDir) -> None:
    home.config.unlink()


BROKEN = [
    (_no_secret, "accounts_client_secret: No such file or directory; deploy/up writes this file"),
    (_empty_secret, "accounts_client_secret is empty"),
    (_misspelt_config, "logn"),
    (_no_config, "labhub.yaml"),
]


@pytest.mark.parametrize(("breaks", "why"), BROKEN)
def test_broken_environment_is_one_sentence(
    labhub: Labhub, home: InstanceDir, breaks: Callable[[InstanceDir], None], why: str
) -> None:
    """Which file, and what to do."""
    breaks(home)
    result = labhub("list")
    assert result.exit_code == 1
    assert why in result.output
    assert "Traceback" not in result.output


def test_outside_the_container(labhub: Labhub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the instance's environment nothing can be found, and that is said."""
    monkeypatch.delenv("LABHUB_STATE")
    result = labhub("list")
    assert result.exit_code == 1
    assert "LABHUB_STATE" in result.output


def test_audit_trail(
    accounts: ModuleType, labhub: Labhub, caplog: pytest.LogCaptureFixture
) -> None:
    """Who, what, from where; never a password or a link, and nothing forged by a long name."""
    caplog.set_level("INFO", logger="labhub.accounts.audit")
    link = labhub("add", "ada").output.splitlines()[-1]
    accounts.Browser().choose(link)
    accounts.Browser().sign_in("ada", "wrong-" + PASSWORD)
    accounts.Browser().sign_in('x"\nsigned-in name="ada"' + "y" * 1000, PASSWORD)
    accounts.Browser().sign_in("ada")
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split()[0] for message in messages] == [
        "account-added",
        "setup-link-made",
        "password-chosen",
        "sign-in-failed",
        "sign-in-failed",
        "signed-in",
    ]
    assert messages[3] == 'sign-in-failed name="ada" address="127.0.0.1"'
    assert all("\n" not in message and len(message) < 200 for message in messages)
    assert not any(PASSWORD in message or link in message for message in messages)
