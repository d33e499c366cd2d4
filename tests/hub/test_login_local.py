"""Signing in at the lab's own accounts, from whatever address a trial is opened by."""

from collections.abc import Iterator

import pytest
import requests

from tests.lib.fake_engine import FakeEngine
from tests.lib.instance_dir import DEFAULT_CONFIG
from tests.lib.lab import PASSWORD, Lab
from tests.lib.person import Person, words

pytestmark = pytest.mark.hub

CONFIG = DEFAULT_CONFIG.replace("provider: local", "provider: local\n  admins: [bob]")


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    with Lab(fake_engine.url, config=CONFIG) as running:
        running.add_user("ada", admin=True)
        running.add_user("bob")
        running.add_user("carl")
        yield running


@pytest.mark.parametrize(
    ("name", "admin", "groups"),
    [("ada", True, ["labhub-admins"]), ("bob", True, []), ("carl", False, [])],
)
def test_admins_by_account_and_by_rule(lab: Lab, name: str, admin: bool, groups: list[str]) -> None:
    lab.login(name)
    user = lab.api("GET", f"users/{name}").json()
    assert (user["admin"], user["groups"]) == (admin, groups)


def test_localhost_works_by_itself(lab: Lab) -> None:
    person = Person(lab.url.replace("127.0.0.1", "localhost"))
    page = person.login("carl", PASSWORD)
    assert page.status_code == requests.codes.ok, words(page)
    assert page.url == f"{person.url}/hub/home"


def test_signing_out_asks_for_the_password_again(lab: Lab) -> None:
    person = lab.login("carl")
    page = person.get("/hub/logout")
    assert page.url == f"{lab.url}/hub/login", words(page)
    page = person.get("/hub/oauth_login")
    assert 'type="password"' in page.text


def test_another_address_is_refused_with_the_fix(lab: Lab) -> None:
    page = lab.visitor().get("/hub/oauth_login", headers={"Host": "192.0.2.7:8000"})
    assert page.status_code == requests.codes.bad_request
    assert "hub.url" in words(page)


def test_a_tunnel_with_another_port(lab: Lab) -> None:
    """The other end of `ssh -L 9999:127.0.0.1:8000`: the callback follows the browser."""
    answer = lab.visitor().get(
        "/hub/oauth_login", headers={"Host": "127.0.0.1:9999"}, allow_redirects=False
    )
    location = answer.headers["Location"]
    assert location.startswith("/services/accounts/o/authorize/?")
    assert "redirect_uri=http%3A%2F%2F127.0.0.1%3A9999%2Fhub%2Foauth_callback" in location
    page = lab.visitor().get(location)
    assert 'type="password"' in page.text, words(page)


def test_accounts_files_are_private(lab: Lab) -> None:
    lab.login("carl")
    book = lab.dir.state / "identity.sqlite"
    assert oct(book.stat().st_mode & 0o777) == "0o600"
