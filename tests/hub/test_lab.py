"""The whole chain on one page: account, sign-in, start, hub restart, stop."""

import requests

from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab


def test_from_an_account_to_a_server_and_back(lab: Lab, fake_engine: FakeEngine) -> None:
    """A new person signs in by OpenID Connect, starts a server, and stops it."""
    lab.add_user("ada")
    ada = lab.login("ada")
    assert ada.start("ada", image="tensorflow").is_redirect
    ada.wait_until_running("ada")
    (container,) = fake_engine.containers()
    assert container.labels["labhub.user"] == "ada"
    assert ada.api("DELETE", "users/ada/server").status_code == requests.codes.no_content
    assert fake_engine.containers() == []


def test_a_killed_hub_finds_its_servers_again(lab: Lab, fake_engine: FakeEngine) -> None:
    """Server, cookies and proxy routes outlive the hub; nothing is started twice."""
    lab.add_user("bob")
    bob = lab.login("bob")
    bob.start("bob", image="tensorflow")
    bob.wait_until_running("bob")
    (before,) = fake_engine.containers()
    lab.stop_hub(kill=True)
    assert bob.get("/user/bob/api").ok
    lab.start_hub()
    assert bob.get("/user/bob/api").ok
    assert lab.api("GET", "users/bob").json()["servers"][""]["ready"]
    assert [container.id for container in fake_engine.containers()] == [before.id]
    assert bob.signed_in()


def test_without_a_password_nobody_comes_in(lab: Lab) -> None:
    """The wrong password leads back to the sign-in page, and the hub's pages stay closed."""
    lab.add_user("eve")
    stranger = lab.visitor()
    stranger.login("eve", "not the password at all")
    assert not stranger.signed_in()
    assert stranger.api("POST", "users/eve/server").status_code == requests.codes.forbidden
