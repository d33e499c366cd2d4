"""What a person meets: setup links, signing in, changing the password, signing out."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from tests.lib import accounts as provider

PASSWORD = "correct horse battery staple"
OTHER = "a much better password"
WRONG = "Name or password is wrong."
TOO_OLD = "Link used or too old"


@pytest.fixture
def accounts() -> Iterator[ModuleType]:
    """Return the provider in this process; what a test writes to its database is undone."""
    with provider.rolled_back():
        yield provider


@pytest.fixture
def ada(accounts: ModuleType) -> Any:
    """Return Ada's account, which has a password."""
    return accounts.people.add("ada", name="Ada Lovelace", password=PASSWORD)


@pytest.fixture
def link(accounts: ModuleType) -> str:
    """Return the setup link of the new account ben."""
    return make_link(accounts, accounts.people.add("ben"))


def make_link(accounts: ModuleType, account: Any) -> str:
    """Make a setup link."""
    return accounts.people.make_link(account, accounts.TRIAL.service_url)


# the setup link


def test_setup_link_leads_to_the_hub_signed_in(accounts: ModuleType, link: str) -> None:
    """Link → password → the hub's own sign-in, which finds the person signed in already."""
    browser = accounts.Browser()
    done = browser.choose(link)
    assert (done.status_code, done.headers["Location"]) == (
        302,
        "/hub/oauth_login?next=%2Fhub%2Fhome",
    )
    assert browser.signed_in()


def test_setup_page_says_whose_account_and_which_rule(accounts: ModuleType, link: str) -> None:
    """Password stores find the user name, and the rule is beside the field."""
    page = accounts.Browser().open_link(link).content.decode()
    assert "Choose a password" in page
    assert re.search(r'autocomplete="username" value="ben"', page)
    assert "At least 12 characters" in page


def _use(accounts: ModuleType, link: str) -> None:
    accounts.Browser().choose(link)


def _make_a_newer_one(accounts: ModuleType, _link: str) -> None:
    make_link(accounts, accounts.people.find("ben"))


def _lock(accounts: ModuleType, _link: str) -> None:
    accounts.people.lock(accounts.people.find("ben"))


def _lock_and_unlock(accounts: ModuleType, _link: str) -> None:
    accounts.people.lock(accounts.people.find("ben"))
    accounts.people.unlock(accounts.people.find("ben"))


def _change_the_address(accounts: ModuleType, _link: str) -> None:
    accounts.models.Account.objects.filter(username="ben").update(email="ben@example.org")


def _delete(accounts: ModuleType, _link: str) -> None:
    accounts.people.find("ben").delete()


ENDS_A_LINK = [_use, _make_a_newer_one, _lock, _lock_and_unlock, _change_the_address, _delete]


@pytest.mark.parametrize("end", ENDS_A_LINK)
def test_setup_link_ends(accounts: ModuleType, link: str, end: Callable[..., None]) -> None:
    """It works once, and everything that replaces it ends it; the page tells no details."""
    end(accounts, link)
    page = accounts.Browser().open_link(link)
    assert page.status_code == 200
    assert TOO_OLD in page.content.decode()
    assert "ben" not in page.content.decode()


def test_setup_link_ends_when_the_old_password_is_used(accounts: ModuleType, ada: Any) -> None:
    """Whoever remembers the password needs no link."""
    link = make_link(accounts, ada)
    accounts.Browser().sign_in("ada")
    assert TOO_OLD in accounts.Browser().open_link(link).content.decode()


def test_setup_link_ends_after_two_days(accounts: ModuleType, link: str) -> None:
    """48 hours, not a moment longer."""
    with accounts.override_settings(PASSWORD_RESET_TIMEOUT=-1):
        assert TOO_OLD in accounts.Browser().open_link(link).content.decode()
    assert accounts.SETTINGS["PASSWORD_RESET_TIMEOUT"] == 48 * 3600


def test_a_lock_between_opening_and_choosing_counts(accounts: ModuleType, link: str) -> None:
    """A page that was open when the account was locked sets no password."""
    browser = accounts.Browser()
    page = browser.open_link(link)
    accounts.people.lock(accounts.people.find("ben"))
    fields = {"new_password1": PASSWORD, "new_password2": PASSWORD}
    assert TOO_OLD in browser.post(page.request["PATH_INFO"], fields).content.decode()
    assert not accounts.people.find("ben").has_usable_password()


BAD_PASSWORDS = {
    "too short": ("short1234", None, "too short"),
    "only digits": ("839405762019", None, "entirely numeric"),
    "common": ("1qaz2wsx3edc", None, "too common"),
    "like the name": ("benjamin12345", None, "too similar"),
    "not the same twice": (PASSWORD, OTHER, "password fields didn"),
}


@pytest.mark.parametrize(("password", "again", "why"), BAD_PASSWORDS.values(), ids=BAD_PASSWORDS)
def test_bad_password_is_explained(
    accounts: ModuleType, password: str, again: str | None, why: str
) -> None:
    """The page says why, beside the field, and the link still works."""
    link = make_link(accounts, accounts.people.add("benjamin"))
    page = accounts.Browser().choose(link, password, again)
    assert page.status_code == 200
    assert why in page.content.decode()
    assert 'role="alert"' in page.content.decode()
    assert accounts.Browser().choose(link).status_code == 302


@pytest.mark.usefixtures("ada")
def test_new_password_by_link_ends_old_tokens(accounts: ModuleType) -> None:
    """Whoever knew the old password has nothing left."""
    browser, hub = accounts.Browser(), accounts.HubClient()
    browser.sign_in("ada")
    token = hub.tokens(browser)["access_token"]
    accounts.Browser().choose(make_link(accounts, accounts.people.find("ada")), OTHER)
    assert hub.userinfo(token).status_code == 401
    assert not browser.signed_in()


# signing in


@pytest.mark.parametrize("typed", ["ada", "Ada", " ADA "])
@pytest.mark.usefixtures("ada")
def test_sign_in(accounts: ModuleType, typed: str) -> None:
    """Names are lower-case; phones capitalise."""
    browser = accounts.Browser()
    done = browser.sign_in(typed)
    assert (done.status_code, done.headers["Location"]) == (
        302,
        "/hub/oauth_login?next=%2Fhub%2Fhome",
    )
    assert browser.signed_in()


REFUSED_SIGN_INS = {
    "wrong password": ("ada", OTHER),
    "unknown name": ("nobodyknows", PASSWORD),
    "locked": ("eve", PASSWORD),
    "no password yet": ("ben", PASSWORD),
    "a letter that only folds to the right one": ("\u212aim", PASSWORD),
}


@pytest.mark.parametrize(("name", "password"), REFUSED_SIGN_INS.values(), ids=REFUSED_SIGN_INS)
@pytest.mark.usefixtures("ada")
def test_every_refusal_looks_the_same(accounts: ModuleType, name: str, password: str) -> None:
    """Nothing tells which names exist or which are locked."""
    accounts.people.add("ben")
    accounts.people.add("kim", password=PASSWORD)
    accounts.people.lock(accounts.people.add("eve", password=PASSWORD))
    page = accounts.Browser().sign_in(name, password)
    text = re.sub(r'value="[^"]*"', "", page.content.decode())
    expected = accounts.Browser().sign_in("somebodyelse", "x").content.decode()
    assert page.status_code == 200
    assert WRONG in text
    assert text == re.sub(r'value="[^"]*"', "", expected)


@pytest.mark.usefixtures("ada")
def test_lock_closes_open_pages(accounts: ModuleType) -> None:
    """A session that was open leads back to the sign-in page."""
    browser = accounts.Browser()
    browser.sign_in("ada")
    accounts.people.lock(accounts.people.find("ada"))
    assert browser.get("/").headers["Location"].startswith("/services/accounts/sign-in/")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/x", "/\\evil.example"])
@pytest.mark.usefixtures("ada")
def test_next_stays_on_this_host(accounts: ModuleType, target: str) -> None:
    """No open redirect."""
    browser = accounts.Browser()
    done = browser.post("/sign-in/", {"username": "ada", "password": PASSWORD, "next": target})
    assert done.headers["Location"] == "/hub/oauth_login?next=%2Fhub%2Fhome"


@pytest.mark.usefixtures("ada")
def test_forged_form_is_refused(accounts: ModuleType) -> None:
    """A post without the page's token is not taken, and the page says what to do."""
    browser = accounts.Browser(enforce_csrf_checks=True)
    refused = browser.sign_in("ada")
    assert refused.status_code == 403
    assert "That page was open too long" in refused.content.decode()


# guessing


@pytest.mark.usefixtures("ada")
def test_guessing_is_slowed_down(accounts: ModuleType) -> None:
    """Four free failures; after the fifth even the right one has to wait."""
    browser = accounts.Browser()
    assert [browser.sign_in("ada", OTHER).status_code for _ in range(7)] == [200] * 5 + [429] * 2
    refused = browser.sign_in("ada", PASSWORD)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert "Please wait 2 seconds" in refused.content.decode()
    assert "This field is required" not in refused.content.decode()
    assert not browser.signed_in()


@pytest.mark.usefixtures("ada")
def test_guessing_from_elsewhere_does_not_lock_anybody_out(accounts: ModuleType) -> None:
    """Counts belong to name and address; what a browser claims about its address is ignored."""
    for claimed in range(9):
        last = accounts.Browser().sign_in(
            "ada", OTHER, **{"X-Forwarded-For": f"10.0.0.{claimed}, 203.0.113.5"}
        )
    assert last.status_code == 429
    elsewhere = {"X-Forwarded-For": "198.51.100.7"}
    assert accounts.Browser().sign_in("ada", PASSWORD, **elsewhere).status_code == 302


@pytest.mark.usefixtures("ada")
def test_flood_of_names_does_not_clear_the_count(accounts: ModuleType) -> None:
    """The count is in the database: nothing evicts it."""
    now = accounts_now()
    for minute in range(9, 0, -1):  # the last failure blocks for a minute from now on
        accounts.throttle.attempt("ada", "127.0.0.1", now - timedelta(minutes=minute))
    accounts.throttle.attempt("ada", "127.0.0.1", now)
    for number in range(400):
        accounts.throttle.attempt(f"name{number}", "127.0.0.1", now)
    assert accounts.Browser().sign_in("ada", OTHER).status_code == 429


@pytest.mark.usefixtures("ada")
def test_success_forgets_the_failures(accounts: ModuleType) -> None:
    """Four mistakes, then right: the next mistake is the first again."""
    for _ in range(2):
        statuses = [accounts.Browser().sign_in("ada", OTHER).status_code for _ in range(4)]
        assert statuses == [200] * 4
        assert accounts.Browser().sign_in("ada").status_code == 302


def accounts_now() -> datetime:
    """Return the time the views see."""
    from django.utils import timezone  # noqa: PLC0415 - needs Django set up

    return timezone.now()


# the account page


@pytest.mark.usefixtures("ada")
def test_account_page(accounts: ModuleType) -> None:
    """Who one is, and every way on."""
    accounts.people.change_group("staff", add=("ada",))
    browser = accounts.Browser()
    browser.sign_in("ada")
    page = browser.get("/").content.decode()
    for text in ("Ada Lovelace", "staff", "/hub/home", "Change password", "Sign out"):
        assert text in page


@pytest.mark.usefixtures("ada")
def test_change_password(accounts: ModuleType) -> None:
    """This browser stays, the others and the tokens go, and the page confirms it once."""
    here, there, hub = accounts.Browser(), accounts.Browser(), accounts.HubClient()
    here.sign_in("ada")
    there.sign_in("ada")
    token = hub.tokens(there)["access_token"]
    fields = {"old_password": PASSWORD, "new_password1": OTHER, "new_password2": OTHER}
    done = here.post("/password/", fields)
    assert done.headers["Location"] == "/services/accounts/"
    assert "Your password is changed." in here.get("/").content.decode()
    assert "Your password is changed." not in here.get("/").content.decode()
    assert not there.signed_in()
    assert hub.userinfo(token).status_code == 401


@pytest.mark.usefixtures("ada")
def test_old_password_cannot_be_guessed_in_a_stolen_session(accounts: ModuleType) -> None:
    """The same wait as at the sign-in page."""
    browser = accounts.Browser()
    browser.sign_in("ada")
    fields = {"old_password": "x", "new_password1": OTHER, "new_password2": OTHER}
    statuses = [browser.post("/password/", fields).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]


@pytest.mark.usefixtures("ada")
def test_sign_out(accounts: ModuleType) -> None:
    """One button, by POST only, and on to the hub's own logout."""
    browser = accounts.Browser()
    browser.sign_in("ada")
    assert browser.get("/sign-out/").status_code == 405
    assert browser.post("/sign-out/").headers["Location"] == "/hub/logout"
    assert not browser.signed_in()


# signing out from the hub

HUB_LOGIN = "http://127.0.0.1:8000/hub/login"


@pytest.mark.usefixtures("ada")
def test_hub_logout_needs_no_further_click(accounts: ModuleType) -> None:
    """The id token proves who asks; afterwards the password is asked again."""
    browser, hub = accounts.Browser(), accounts.HubClient()
    browser.sign_in("ada")
    hint = hub.tokens(browser)["id_token"]
    parameters = {
        "client_id": "labhub",
        "id_token_hint": hint,
        "post_logout_redirect_uri": HUB_LOGIN,
    }
    assert browser.get("/o/logout/", parameters).headers["Location"] == HUB_LOGIN
    assert not browser.signed_in()


@pytest.mark.parametrize("hint", [None, "not-a-token", "a.b.c"])
@pytest.mark.usefixtures("ada")
def test_hub_logout_without_proof_asks(accounts: ModuleType, hint: str | None) -> None:
    """One page with one button; a useless hint is as good as none."""
    browser = accounts.Browser()
    browser.sign_in("ada")
    parameters = {"client_id": "labhub", "post_logout_redirect_uri": HUB_LOGIN}
    if hint:
        parameters["id_token_hint"] = hint
    page = browser.get("/o/logout/", parameters)
    assert page.status_code == 200
    assert "Sign out?" in page.content.decode()
    assert browser.signed_in()
    done = browser.post("/o/logout/", parameters | {"allow": "yes"})
    assert done.headers["Location"] == HUB_LOGIN
    assert not browser.signed_in()


@pytest.mark.usefixtures("ada")
def test_hub_logout_with_a_hint_from_before_the_password_change_asks(accounts: ModuleType) -> None:
    """Revoked id tokens are a question, not an error page."""
    browser, hub = accounts.Browser(), accounts.HubClient()
    browser.sign_in("ada")
    hint = hub.tokens(browser)["id_token"]
    accounts.people.revoke_tokens(accounts.people.find("ada"))
    parameters = {"client_id": "labhub", "id_token_hint": hint}
    assert "Sign out?" in browser.get("/o/logout/", parameters).content.decode()


BAD_LOGOUTS = {
    "foreign target": {
        "client_id": "labhub",
        "post_logout_redirect_uri": "https://evil.example/hub/login",
    },
    "unknown client": {"client_id": "somebody", "post_logout_redirect_uri": HUB_LOGIN},
    "no client": {"post_logout_redirect_uri": HUB_LOGIN},
}


@pytest.mark.parametrize("parameters", BAD_LOGOUTS.values(), ids=BAD_LOGOUTS)
@pytest.mark.usefixtures("ada")
def test_bad_logout_is_a_page(accounts: ModuleType, parameters: dict[str, str]) -> None:
    """Status 400 and no redirect, never 500."""
    browser = accounts.Browser()
    browser.sign_in("ada")
    page = browser.get("/o/logout/", parameters)
    assert page.status_code == 400
    assert "Location" not in page.headers
    assert browser.signed_in()


# guards

PAGES = ["/", "/sign-in/", "/password/", "/setup/MQ/x/", "/o/authorize/", "/o/logout/"]
NOT_PAGES = ["/health", "/o/.well-known/openid-configuration", "/o/.well-known/jwks.json"]
BY_SCRIPTS = [
    ("cors", "empty"),
    ("no-cors", "image"),
    ("navigate", "iframe"),
    ("navigate", "object"),
]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("mode", "destination"), BY_SCRIPTS)
def test_pages_answer_navigation_only(
    accounts: ModuleType, path: str, mode: str, destination: str
) -> None:
    """A script or frame of a notebook on the same origin gets nothing."""
    headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    assert accounts.Browser().get(path, headers=headers).status_code == 403


@pytest.mark.parametrize("path", NOT_PAGES)
def test_machines_may_ask(accounts: ModuleType, path: str) -> None:
    """What is not a page has no such guard."""
    headers = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert accounts.Browser().get(path, headers=headers).status_code == 200


def test_headers_of_every_page(accounts: ModuleType) -> None:
    """Nothing cached, nothing framed, nothing loaded from elsewhere."""
    headers = accounts.Browser().get("/sign-in/").headers
    assert "no-store" in headers["Cache-Control"]
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert {name: headers[name] for name in ("X-Frame-Options", "Referrer-Policy")} == {
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
    }
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.usefixtures("ada")
def test_cookies_stay_with_the_provider(accounts: ModuleType) -> None:
    """Own names, own path: user servers never receive them, scripts never read them."""
    browser = accounts.Browser()
    browser.get("/sign-in/")
    browser.sign_in("ada")
    cookies = {name: dict(morsel) for name, morsel in browser.cookies.items()}
    assert set(cookies) == {"labhub-accounts-session", "labhub-accounts-csrf"}
    for cookie in cookies.values():
        assert cookie["path"] == "/services/accounts/"
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "Lax"
    assert cookies["labhub-accounts-session"]["max-age"] == 12 * 3600


def test_unknown_host_is_refused(accounts: ModuleType) -> None:
    """The name in the request cannot be made up."""
    assert accounts.Browser().get("/sign-in/", headers={"Host": "evil.example"}).status_code == 400
