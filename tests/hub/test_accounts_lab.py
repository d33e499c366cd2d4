"""Local accounts as people and admins meet them: the whole lab, from the setup link to the lock."""

import requests

from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab
from tests.lib.person import Person

PASSWORD = "correct horse battery staple"
SIGN_IN = "/services/accounts/sign-in/"


def open_setup_link(lab: Lab, *words: str) -> tuple[Person, requests.Response]:
    """Run a command that prints a setup link last, open it, choose a password."""
    link = lab.cli("user", *words).splitlines()[-1]
    person = lab.visitor()
    fields = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    return person, person.submit(person.get(link), fields)


def test_setup_link_ends_at_the_hubs_home(lab: Lab) -> None:
    """The first admin: link, password, home, with the admin's menu."""
    ada, page = open_setup_link(lab, "add", "ada", "--admin")
    assert (page.status_code, page.url) == (200, f"{lab.url}/hub/home")
    assert ada.signed_in()
    assert lab.api("GET", "users/ada").json()["admin"] is True


def test_lost_password(lab: Lab) -> None:
    """A new link is all it takes; the account stays the same one."""
    open_setup_link(lab, "add", "ben")
    before = lab.api("GET", "users/ben").json()["created"]
    _, page = open_setup_link(lab, "link", "ben")
    assert page.url == f"{lab.url}/hub/home"
    assert lab.api("GET", "users/ben").json()["created"] == before


def test_lock_ends_everything(lab: Lab, fake_engine: FakeEngine) -> None:
    """Server stopped, tokens dead, no new start, no way in; unlocking gives the way in back."""
    assert fake_engine.url
    lab.add_user("eve")
    eve = lab.login("eve")
    eve.start("eve", image="tensorflow")
    eve.wait_until_running("eve")
    token = eve.api("POST", "users/eve/tokens", json={"note": "own"}).json()["token"]
    headers = {"Authorization": f"token {token}"}
    assert requests.get(f"{lab.url}/hub/api/user", headers=headers, timeout=30).ok

    # The server's own token and the one that eve made.
    assert lab.cli("user", "lock", "eve") == "Locked eve: 1 server stopped, 2 tokens revoked.\n"

    assert lab.api("GET", "users/eve").json()["servers"] == {}
    assert requests.get(f"{lab.url}/hub/api/user", headers=headers, timeout=30).status_code == 403
    refused = eve.api("POST", "users/eve/server", json={"image": "tensorflow"})
    assert refused.status_code == 403
    # Her cookie lives until the next refresh; a token made with it starts nothing all the same.
    late = eve.api("POST", "users/eve/tokens", json={"note": "late"})
    if late.ok:
        headers = {"Authorization": f"token {late.json()['token']}"}
        start = f"{lab.url}/hub/api/users/eve/server"
        late = requests.post(start, headers=headers, json={"image": "tensorflow"}, timeout=30)
    assert late.status_code == 403
    page = lab.visitor().login("eve", PASSWORD)
    assert "Name or password is wrong." in page.text

    lab.cli("user", "unlock", "eve")
    assert lab.login("eve").signed_in()


def test_logout_asks_for_the_password_again(lab: Lab) -> None:
    """On a shared computer the next person does not get in with one click."""
    lab.add_user("kim")
    kim = lab.login("kim")
    assert kim.get("/hub/logout").url == f"{lab.url}/hub/login"
    assert SIGN_IN in kim.get("/hub/oauth_login").url


def test_sign_out_on_the_account_page(lab: Lab) -> None:
    """The same, from the provider's side: both are signed out."""
    lab.add_user("lea")
    lea = lab.login("lea")
    account = lea.get("/services/accounts/")
    assert "Your account" in account.text
    assert lea.submit(account, {}).url == f"{lab.url}/hub/login"
    assert SIGN_IN in lea.get("/services/accounts/").url
    assert not lea.signed_in()


def test_groups_reach_the_hub(lab: Lab) -> None:
    """What the command says, the hub knows at the next sign-in."""
    lab.add_user("max")
    lab.cli("user", "group", "staff", "--add", "max")
    lab.login("max")
    assert lab.api("GET", "users/max").json()["groups"] == ["staff"]


def test_hub_restart_brings_the_accounts_back(lab: Lab) -> None:
    """Also after the hub was killed and could not stop its service; sessions go on."""
    lab.add_user("zoe")
    zoe = lab.login("zoe")
    lab.restart_hub(kill=True)
    assert zoe.signed_in()
    lab.hub.wait_for(lambda: zoe.get("/services/accounts/health").status_code == 200)
    assert "Your account" in zoe.get("/services/accounts/").text
