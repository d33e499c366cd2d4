"""A person at a real hub, behind a real proxy, signing in at a provider of somebody else's."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.fake_oidc import CLIENT_ID, CLIENT_SECRET, FakeOidc
from tests.lib.lab import Lab
from tests.lib.person import Person, words

pytestmark = pytest.mark.hub

QUICK_REFRESH = Path(__file__).parents[1] / "lib" / "quick_refresh_config.py"
CONFIG = """\
login:
  provider: oidc
  title: Uni Login
  issuer: {issuer}
  client_id: {client_id}
  client_secret: {{env: TEST_CLIENT_SECRET}}
  admins: [grace]
  allow: {{users: [ada], groups: [staff]}}
images:
  tensorflow: {{title: TensorFlow 2.9, image: {image}}}
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeOidc]:
    with FakeOidc() as running:
        running.add("ada", "sub-ada", groups=["guests"])
        running.add("bob", "sub-bob", groups=["staff", "gpu"])
        running.add("carl", "sub-carl", groups=["staff"])
        running.add("eve", "sub-eve", groups=["guests"])
        running.add("grace", "sub-grace")
        yield running


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, provider: FakeOidc) -> Iterator[Lab]:
    config = CONFIG.format(issuer=provider.issuer, client_id=CLIENT_ID, image=TENSORFLOW)
    env = {"TEST_CLIENT_SECRET": CLIENT_SECRET}
    lab = Lab(fake_engine.url, config=config, env=env, hub_config=QUICK_REFRESH)
    provider.redirect_uris.add(f"{lab.url}/hub/oauth_callback")
    with lab as running:
        yield running


@pytest.fixture(autouse=True)
def well_again(provider: FakeOidc) -> Iterator[None]:
    """Whatever a test broke at the provider works for the next one."""
    yield
    provider.outage = provider.rate_limited = provider.nonsense = False
    provider.secret = CLIENT_SECRET


def sign_in(lab: Lab, provider: FakeOidc, name: str) -> Person:
    provider.signs_in(name)
    person = lab.visitor()
    page = person.get("/hub/oauth_login?next=/hub/home")
    assert page.status_code == requests.codes.ok, words(page)
    assert person.signed_in()
    return person


def refused(lab: Lab, provider: FakeOidc, name: str) -> requests.Response:
    provider.signs_in(name)
    return lab.visitor().get("/hub/oauth_login")


def refresh_is_due() -> None:
    """Pass the second after which this hub asks the provider again."""
    time.sleep(1.3)


@pytest.mark.parametrize(
    ("name", "admin", "groups"),
    [("ada", False, ["guests"]), ("bob", False, ["gpu", "staff"]), ("grace", True, [])],
)
def test_rules_let_people_in(
    lab: Lab, provider: FakeOidc, name: str, admin: bool, groups: list[str]
) -> None:
    sign_in(lab, provider, name)
    user = lab.api("GET", f"users/{name}").json()
    assert (user["admin"], sorted(user["groups"])) == (admin, groups)


def test_nobody_else_comes_in(lab: Lab, provider: FakeOidc) -> None:
    page = refused(lab, provider, "eve")
    assert page.status_code == requests.codes.forbidden
    assert "not on this lab" in words(page)
    assert lab.api("GET", "users/eve").status_code == requests.codes.not_found


def test_the_login_page_names_the_provider(lab: Lab) -> None:
    assert "Sign in with Uni Login" in words(lab.visitor().get("/hub/login"))


def test_a_recycled_name_is_refused(lab: Lab, provider: FakeOidc) -> None:
    provider.add("dora", "sub-dora", groups=["staff"])
    sign_in(lab, provider, "dora")
    provider.remove("dora")
    provider.add("dora", "sub-of-another-dora", groups=["staff"])
    page = refused(lab, provider, "dora")
    assert page.status_code == requests.codes.forbidden
    assert "belongs to another person" in words(page)


def test_a_renamed_person_keeps_the_account(lab: Lab, provider: FakeOidc) -> None:
    provider.add("fred", "sub-fred", groups=["staff"])
    sign_in(lab, provider, "fred")
    provider.rename("fred", "frederick")
    person = sign_in(lab, provider, "frederick")
    assert person.api("GET", "user").json()["name"] == "fred"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "Sign in again"),
        ("?code=abc", "Sign in again"),
        ("?code=abc&state=", "Sign in again"),
        ("?code=abc&state=W10=", "Sign in again"),
        ("?code=abc&state=%C3%A9", "Sign in again"),
        ("?error=access_denied&error_description=Call+0800", "Sign in again"),
        ("?code=abc&state=%00%ff", "Sign in again"),
    ],
)
def test_answers_to_nothing(lab: Lab, query: str, sentence: str) -> None:
    page = lab.visitor().get(f"/hub/oauth_callback{query}")
    assert page.status_code == requests.codes.bad_request
    assert sentence in words(page)
    assert "Call 0800" not in page.text


def begin(lab: Lab) -> tuple[Person, str]:
    """Begin a sign-in and return its state."""
    person = lab.visitor()
    answer = person.get("/hub/oauth_login", allow_redirects=False)
    return person, parse_qs(urlsplit(answer.headers["Location"]).query)["state"][0]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("error=access_denied&error_description=Call+0800", "with Uni Login was cancelled"),
        ("error=server_error", "with the error server_error"),
        ("error=<b>x</b>", "with Uni Login was cancelled"),
        ("x=1", "Sign in again"),
        ("code=never-issued", "Sign in again"),
    ],
)
def test_answers_of_the_provider(lab: Lab, answer: str, sentence: str) -> None:
    person, state = begin(lab)
    page = person.get(f"/hub/oauth_callback?state={state}&{answer}")
    assert page.status_code == requests.codes.bad_request
    assert sentence in words(page)
    assert "Call 0800" not in page.text
    assert "<b>x</b>" not in page.text


def test_two_tabs(lab: Lab) -> None:
    """The second tab's sign-in replaces the first one's: a page with a way on, not an error."""
    person, first = begin(lab)
    person.get("/hub/oauth_login", allow_redirects=False)
    page = person.get(f"/hub/oauth_callback?state={first}&code=abc")
    assert page.status_code == requests.codes.bad_request
    assert "Sign in again" in words(page)


def test_the_back_button(lab: Lab, provider: FakeOidc) -> None:
    provider.signs_in("ada")
    person = lab.visitor()
    page = person.get("/hub/oauth_login")
    callback = next(each.url for each in page.history if "oauth_callback" in each.url)
    assert person.get(callback).status_code == requests.codes.bad_request
    assert person.signed_in()


def test_no_secret_of_a_sign_in_is_logged(lab: Lab) -> None:
    lab.visitor().get("/hub/oauth_callback?code=SECRET-CODE&state=SECRET-STATE")
    log = lab.hub.log.read_text()
    assert "oauth_callback" in log
    assert "SECRET-CODE" not in log
    assert "SECRET-STATE" not in log
    assert CLIENT_SECRET not in log


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "https:evil.example"],
)
def test_a_sign_in_ends_on_this_host(lab: Lab, provider: FakeOidc, target: str) -> None:
    provider.signs_in("ada")
    person = lab.visitor()
    page = person.get("/hub/oauth_login", params={"next": target})
    visited = {urlsplit(each.url).netloc for each in [*page.history, page]}
    assert visited == {urlsplit(lab.url).netloc, urlsplit(provider.issuer).netloc}


def test_localhost_leads_to_the_registered_address(lab: Lab, provider: FakeOidc) -> None:
    provider.signs_in("ada")
    person = Person(lab.url.replace("127.0.0.1", "localhost"))
    page = person.get("/hub/oauth_login?next=/hub/home")
    assert page.status_code == requests.codes.ok, words(page)
    assert page.url == f"{lab.url}/hub/home"


def test_another_address_is_refused_with_the_fix(lab: Lab) -> None:
    page = lab.visitor().get("/hub/oauth_login", headers={"Host": "gpu.example"})
    assert page.status_code == requests.codes.bad_request
    assert "hub.url" in words(page)


@pytest.mark.parametrize("mood", ["outage", "rate_limited"])
def test_nobody_can_sign_in_during_an_outage(lab: Lab, provider: FakeOidc, mood: str) -> None:
    provider.signs_in("ada")
    person, state = begin(lab)
    setattr(provider, mood, True)
    page = person.get(f"/hub/oauth_callback?state={state}&code=abc")
    assert page.status_code == requests.codes.service_unavailable
    assert "Uni Login does not answer at the moment" in words(page)


def test_a_wrong_client_secret_is_the_admins(lab: Lab, provider: FakeOidc) -> None:
    provider.secret = "rotated"
    page = refused(lab, provider, "ada")
    assert page.status_code == requests.codes.bad_gateway
    assert "client_secret" in words(page)
    assert CLIENT_SECRET not in page.text


def test_signing_out_ends_the_providers_session(lab: Lab, provider: FakeOidc) -> None:
    person = sign_in(lab, provider, "ada")
    provider.ended_sessions.clear()
    page = person.get("/hub/logout")
    (ended,) = provider.ended_sessions
    assert ended["client_id"] == CLIENT_ID
    assert ended["post_logout_redirect_uri"] == f"{lab.url}/hub/login"
    assert ended["id_token_hint"].count(".") == 2
    assert page.url == f"{lab.url}/hub/login"
    assert not person.signed_in()


def test_an_outage_throws_nobody_out(lab: Lab, provider: FakeOidc) -> None:
    person = sign_in(lab, provider, "ada")
    provider.outage = True
    refresh_is_due()
    assert person.signed_in()


def test_removed_from_the_group(lab: Lab, provider: FakeOidc) -> None:
    """Upstream checks rules at login only; a removed member kept home and spawn pages."""
    person = sign_in(lab, provider, "carl")
    spawn_page = person.get("/hub/spawn/carl")
    provider.by_name("carl").claims["groups"] = ["guests"]
    answer = person.submit(spawn_page, {"image": "tensorflow"}, allow_redirects=False)
    assert answer.status_code in {requests.codes.found, requests.codes.forbidden}, words(answer)
    refresh_is_due()
    assert not person.signed_in()
    assert lab.api("GET", "users/carl").json()["server"] is None


def test_the_hub_restarts_without_the_provider(lab: Lab, provider: FakeOidc) -> None:
    person = sign_in(lab, provider, "ada")
    provider.outage = True
    lab.restart_hub()
    assert person.signed_in()
