"""What single providers' classes would get wrong, with their own requests answered by a table."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from mwoauth import AccessToken, OAuthException, RequestToken
from oauthenticator.mediawiki import jsonify
from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httpclient import HTTPClientError
from traitlets.config import Config as TraitConfig

from auth import providers, quirks_mediawiki
from auth.login import LabLogin, lab_class
from auth.provider_traits import Site
from hub_config.schema import Allow, Login, SecretRef

MEMO = {"subject": "1", "provider_name": "ada", "display_name": "Ada"}
TOKENS = {"access_token": "t", "token_type": "bearer"}


@pytest.fixture
def made(tmp_path: Any) -> Callable[..., LabLogin]:
    """Make the authenticator of a provider with these words of the admin."""

    def make(provider: str, **words: Any) -> LabLogin:
        login = Login(provider=provider, client_id="lab", client_secret=SecretRef(env="X"), **words)
        site = Site(None, 8000, 10101, str(tmp_path / "identity.sqlite"), "lab", "s3cret")
        found, traits = providers.login_traits(login, site)
        cls = lab_class(providers._load(found.base), providers._load(found.quirk))
        return cls(config=TraitConfig({cls.__name__: traits}))

    return make


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answer requests to the provider from a table; whatever is not in it is a 404."""
    state = SimpleNamespace(answers={}, urls=[])

    async def httpfetch(self: Any, url: str, *_: Any, parse_json: bool = True, **__: Any) -> Any:
        del self
        state.urls.append(url)
        answer = state.answers.get(url)
        if parse_json:
            return answer
        return (
            SimpleNamespace(code=200 if answer is None else answer, headers={}, body=b"{}")
            if (url in state.answers)
            else SimpleNamespace(code=404, headers={}, body=b"{}")
        )

    monkeypatch.setattr(OAuthenticator, "httpfetch", httpfetch)
    return state


def model(user_key: str, claims: dict[str, Any], name: str = "ada", **state: Any) -> dict[str, Any]:
    return {
        "name": name,
        "admin": None,
        "auth_state": {user_key: claims, "token_response": TOKENS, "labhub": MEMO, **state},
    }


async def test_github_asks_about_the_name_at_github(
    made: Callable[..., LabLogin], asked: Any
) -> None:
    """The hub's name is another one, and could be somebody else's at GitHub."""
    github = made("github", allow=Allow(organisations=("lab",)))
    asked.answers["https://api.github.com/orgs/lab/members/octo-cat"] = 204
    known = model("github_user", {"id": 1})
    known["auth_state"]["labhub"] = {**MEMO, "provider_name": "octo-cat"}
    assert await github.check_allowed("octocat0abcdefghij", known)
    assert asked.urls == ["https://api.github.com/orgs/lab/members/octo-cat"]


async def test_gitlab_subgroups(made: Callable[..., LabLogin], asked: Any) -> None:
    gitlab = made("gitlab", allow=Allow(groups=("lab/gpu",)))
    url = "https://gitlab.com/api/v4/groups/lab%2Fgpu/members/all/7"
    asked.answers[url] = 200
    assert await gitlab.check_allowed("ada", model("gitlab_user", {"id": 7}))
    assert asked.urls == [url]
    assert not await gitlab.check_allowed("ada", model("gitlab_user", {"id": 8}))


async def test_bitbucket_workspaces_are_not_display_names(
    made: Callable[..., LabLogin], asked: Any
) -> None:
    bitbucket = made("bitbucket", allow=Allow(organisations=("lab",)))
    page = "https://api.bitbucket.org/2.0/workspaces?role=member"
    asked.answers[page] = {"values": [{"name": "lab", "slug": "eves-own"}], "next": page + "&p=2"}
    asked.answers[page + "&p=2"] = {"values": [{"name": "The Lab", "slug": "physics"}]}
    teams = await bitbucket._fetch_user_teams("t", "bearer")
    assert teams == {"eves-own", "physics"}


@pytest.mark.parametrize(("idps", "expected"), [((), "ada@uni.example"), (("uni.example",), "ada")])
def test_globus_names_have_an_institution(
    made: Callable[..., LabLogin], idps: tuple[str, ...], expected: str
) -> None:
    globus = made("globus", idps=idps)
    assert globus.user_info_to_username({"preferred_username": "ada@uni.example"}) == expected


async def test_globus_puts_no_tokens_into_servers(made: Callable[..., LabLogin]) -> None:
    spawner = SimpleNamespace(environment={})
    await made("globus").pre_spawn_start(None, spawner)
    assert spawner.environment == {}


def entra_token(seconds: int, audience: str = "lab") -> dict[str, str]:
    claims = {"tid": "t", "oid": "o", "aud": audience, "exp": int(time.time()) + seconds}
    return {"id_token": jwt.encode(claims, "k" * 32)}


async def test_entra_is_asked_again_when_the_token_is_old(made: Callable[..., LabLogin]) -> None:
    entra = made("azuread", tenant="t")
    assert (await entra.token_to_user(entra_token(60)))["oid"] == "o"
    for tokens in (entra_token(-60), entra_token(60, "another lab"), {"id_token": "x"}, {}):
        with pytest.raises(HTTPClientError) as refused:
            await entra.token_to_user(tokens)
        assert refused.value.code == 401


def test_entra_people_are_a_tenant_and_an_object(made: Callable[..., LabLogin]) -> None:
    entra = made("azuread", tenant="t")
    assert entra._subject({"tid": "t", "oid": "o", "sub": "s"}) == "t/o"
    for claims in ({"oid": "o"}, {"tid": "t", "oid": None}, {"tid": "t", "oid": ["o"]}):
        with pytest.raises(web.HTTPError):
            entra._subject(claims)


async def test_google_marks_of_verification(made: Callable[..., LabLogin], asked: Any) -> None:
    google = made("google", hosted_domains=("lab.example",), allow=Allow(everyone=True))
    for mark, expected in ((True, True), ("true", False), (None, False)):
        asked.answers[google.userdata_url] = {"id": "1", "email": "a@lab.example"} | (
            {} if mark is None else {"verified_email": mark}
        )
        assert (await google.token_to_user(TOKENS))["verified_email"] is expected


async def test_google_domains_hold_for_everyone(made: Callable[..., LabLogin]) -> None:
    google = made("google", hosted_domains=("lab.example",), allow=Allow(everyone=True))
    inside = {"email": "a@lab.example", "hd": "lab.example", "domain": "lab.example"}
    outside = {"email": "a@lab.example", "domain": "lab.example"}
    assert google.check_blocked_users("a", model("google_user", inside))
    assert not google.check_blocked_users("a", model("google_user", outside))


async def test_unverified_addresses_are_refused_even_for_everyone(
    made: Callable[..., LabLogin],
) -> None:
    """The hub leaves out check_allowed when everyone may come; Google's check is in there."""
    google = made("google", allow=Allow(everyone=True))
    claims = {"id": "1", "email": "a@lab.example", "verified_email": False, "domain": "x"}
    with pytest.raises(web.HTTPError, match="has not verified your e-mail"):
        await google.update_auth_model(model("google_user", claims))


async def test_auth0_without_an_address(made: Callable[..., LabLogin], asked: Any) -> None:
    auth0 = made("auth0", url="https://lab.eu.auth0.com", username_claim="nickname")
    asked.answers[auth0.userdata_url] = {"sub": "auth0|1", "nickname": "ada"}
    assert (await auth0.token_to_user(TOKENS))["email"] == ""


def test_openshift_people_are_uids(made: Callable[..., LabLogin]) -> None:
    github = made("github")
    github.subject_claims = ["metadata.uid"]
    assert github._subject({"metadata": {"uid": "u-1", "name": "ada"}}) == "u-1"
    with pytest.raises(web.HTTPError):
        github._subject({"metadata": {"uid": "", "name": "kube:admin"}})


class Wiki:
    """MediaWiki as mwoauth's handshaker shows it."""

    refuses = False

    def __init__(self, *_: Any) -> None:
        """Take what the handshaker takes."""

    def identify(self, token: AccessToken) -> dict[str, Any]:
        """Say whose token it is, or refuse."""
        if self.refuses:
            raise OAuthException("revoked")
        return {"sub": 7, "username": "Ada Lovelace", "groups": ["sysop"], "key": token.key}


@pytest.fixture
def wiki(monkeypatch: pytest.MonkeyPatch) -> type[Wiki]:
    monkeypatch.setattr("oauthenticator.mediawiki.Handshaker", Wiki)
    monkeypatch.setattr(Wiki, "refuses", False)
    return Wiki


async def test_mediawiki_is_asked_again(made: Callable[..., LabLogin], wiki: type[Wiki]) -> None:
    mediawiki = made("mediawiki", allow=Allow(users=("Ada_Lovelace",)))
    tokens = {"access_token": AccessToken("k", "s"), "consumer_token": None}
    first = await mediawiki._token_to_auth_model(tokens)
    await mediawiki.record(first)
    stored = first["auth_state"]

    async def get_auth_state() -> dict[str, Any]:
        return stored

    user = SimpleNamespace(name=first["name"], groups=[], get_auth_state=get_auth_state)
    again = await mediawiki.refresh_user(user)
    assert (again["name"], again["groups"]) == (first["name"], ["sysop"])
    wiki.refuses = True
    mediawiki.forget_refresh(first["name"])
    assert await mediawiki.refresh_user(user) is False


@pytest.mark.parametrize(
    ("cookie", "token", "passes"),
    [
        (RequestToken("key", "secret"), "key", True),
        (RequestToken("key", "secret"), "another", False),
        (RequestToken("key", "secret"), "", False),
        (None, "key", False),
        (None, "", False),
    ],
)
def test_mediawiki_answers_to_nothing(
    cookie: RequestToken | None, token: str, passes: bool
) -> None:
    handler = SimpleNamespace(
        get_secure_cookie=lambda _name: jsonify(cookie).encode() if cookie else None,
        get_argument=lambda _name, _default: token,
    )
    check = quirks_mediawiki.MediaWikiCallback.check_arguments
    if passes:
        check(handler)
        return
    with pytest.raises(web.HTTPError) as refused:
        check(handler)
    assert refused.value.status_code == 400
