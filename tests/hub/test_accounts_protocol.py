"""The embedded provider speaks one protocol only: authorization code, PKCE S256, a secret.

Read the tables as: what the hub (or somebody in its place) does → what the provider answers.
"""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from jwcrypto import jwk, jwt

from tests.lib import accounts as provider

CHALLENGE_WITHOUT_METHOD = {"code_challenge_method": None}


@pytest.fixture
def accounts() -> Iterator[ModuleType]:
    """Return the provider in this process; what a test writes to its database is undone."""
    with provider.rolled_back():
        yield provider


@pytest.fixture
def ada(accounts: ModuleType) -> provider.Browser:
    """Return a browser in which Ada, an admin in one group, is signed in."""
    accounts.people.add(
        "ada",
        is_admin=True,
        name="Ada Lovelace",
        email="ada@example.org",
        password=accounts.PASSWORD,
    )
    accounts.people.change_group("staff", add=("ada",))
    browser = accounts.Browser()
    browser.sign_in("ada")
    return browser


@pytest.fixture
def hub(accounts: ModuleType) -> provider.HubClient:
    """Return the hub's side of the protocol."""
    return accounts.HubClient()


REFUSED_WITH_A_REDIRECT = {
    "no PKCE": ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    "PKCE plain": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a challenge without a method, which means plain": (
        CHALLENGE_WITHOUT_METHOD,
        "invalid_request",
    ),
    "a scope that does not exist": ({"scope": "openid root"}, "invalid_scope"),
    "implicit grant": ({"response_type": "token"}, "unauthorized_client"),
    "implicit OpenID grant": (
        {"response_type": "id_token", "nonce": "n"},
        "unauthorized_client",
    ),
    "hybrid grant": ({"response_type": "code token"}, "unauthorized_client"),
}


@pytest.mark.parametrize(
    ("changes", "error"), REFUSED_WITH_A_REDIRECT.values(), ids=REFUSED_WITH_A_REDIRECT
)
def test_authorization_is_refused_and_the_hub_is_told(
    accounts: ModuleType,
    ada: provider.Browser,
    hub: provider.HubClient,
    changes: dict[str, str | None],
    error: str,
) -> None:
    """The redirect carries the error and never a code or a token."""
    response = hub.authorize(ada, **changes)
    assert response.status_code == 302
    location = response.headers["Location"]
    assert location.startswith(accounts.REDIRECT_URI)
    assert f"error={error}" in location
    assert "code=" not in location.replace("error_code=", "")
    assert "token=" not in location


REFUSED_WITH_A_PAGE = {
    "foreign redirect URI": {"redirect_uri": "https://evil.example/hub/oauth_callback"},
    "redirect URI with another path": {"redirect_uri": "http://127.0.0.1:8000/user/eve/x"},
    "redirect URI below the right one": {
        "redirect_uri": "http://127.0.0.1:8000/hub/oauth_callback/../x"
    },
    "localhost with another port": {"redirect_uri": "http://localhost:9999/hub/oauth_callback"},
    "no redirect URI": {"redirect_uri": None},
    "unknown client": {"client_id": "somebody"},
    "no client": {"client_id": None},
}


@pytest.mark.parametrize("changes", REFUSED_WITH_A_PAGE.values(), ids=REFUSED_WITH_A_PAGE)
def test_authorization_is_refused_and_nobody_is_redirected(
    ada: provider.Browser, hub: provider.HubClient, changes: dict[str, str | None]
) -> None:
    """Where the redirect itself cannot be trusted, the person sees a page."""
    response = hub.authorize(ada, **changes)
    assert response.status_code == 400
    assert "Location" not in response.headers
    assert "Sign-in not possible this way" in response.content.decode()


def test_the_answer_names_its_issuer(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient
) -> None:
    """RFC 9207: the client can tell which provider a code comes from."""
    answer = accounts.answer(hub.authorize(ada))
    assert set(answer) == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("some-state", accounts.TRIAL.issuer)


def test_without_a_session_the_person_signs_in_first(
    accounts: ModuleType, hub: provider.HubClient
) -> None:
    """The whole request survives the detour."""
    response = hub.authorize(accounts.Browser())
    assert response.status_code == 302
    assert response.headers["Location"].startswith(
        "/services/accounts/sign-in/?next=/services/accounts/o/authorize/%3Fclient_id%3Dlabhub"
    )


REFUSED_CODES = {
    "no verifier": ({"code_verifier": None}, 400, "invalid_request"),
    "wrong verifier": ({"code_verifier": "w" * 64}, 400, "invalid_grant"),
    "wrong secret": ({"secret": "0" * 64}, 401, "invalid_client"),
    "no secret": ({"secret": None, "client_id": "labhub"}, 401, "invalid_client"),
    "a made-up code": ({"code": "c" * 30}, 400, "invalid_grant"),
    "another redirect URI": (
        {"redirect_uri": "http://localhost:8000/hub/oauth_callback"},
        400,
        "invalid_request",
    ),
}


@pytest.mark.parametrize(("changes", "status", "error"), REFUSED_CODES.values(), ids=REFUSED_CODES)
def test_code_is_refused(
    ada: provider.Browser,
    hub: provider.HubClient,
    changes: dict[str, str | None],
    status: int,
    error: str,
) -> None:
    """Status and error are what the hub's authenticator and `doctor` tell apart."""
    response = hub.redeem(**{"code": hub.code(ada)} | changes)
    assert (response.status_code, response.json()["error"]) == (status, error)


def test_code_works_once(ada: provider.Browser, hub: provider.HubClient) -> None:
    """A replayed code is refused."""
    code = hub.code(ada)
    assert hub.redeem(code).status_code == 200
    again = hub.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


OTHER_GRANTS = {
    "password": {"username": "ada", "password": "correct horse battery staple"},
    "client_credentials": {},
    "urn:ietf:params:oauth:grant-type:jwt-bearer": {"assertion": "x"},
}


@pytest.mark.parametrize(("grant_type", "parameters"), OTHER_GRANTS.items())
@pytest.mark.usefixtures("ada")
def test_no_other_grant(
    hub: provider.HubClient, grant_type: str, parameters: dict[str, str]
) -> None:
    """Nothing but the code flow gives tokens, right password or not."""
    response = hub.token(grant_type=grant_type, **parameters)
    assert response.status_code == 400
    assert response.json()["error"] in ("unauthorized_client", "unsupported_grant_type")


def test_userinfo_says_who_it_is(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient
) -> None:
    """Every claim, whole."""
    claims = hub.userinfo(hub.tokens(ada)["access_token"]).json()
    assert claims == {
        "sub": str(accounts.people.find("ada").sub),
        "preferred_username": "ada",
        "name": "Ada Lovelace",
        "email": "ada@example.org",
        "groups": ["labhub-admins", "staff"],
    }


def test_userinfo_leaves_out_what_nobody_entered(
    accounts: ModuleType, hub: provider.HubClient
) -> None:
    """No empty e-mail address, no admins' group for others."""
    accounts.people.add("ben", password=accounts.PASSWORD)
    browser = accounts.Browser()
    browser.sign_in("ben")
    claims = hub.userinfo(hub.tokens(browser)["access_token"]).json()
    assert claims == {
        "sub": str(accounts.people.find("ben").sub),
        "preferred_username": "ben",
        "name": "ben",
        "groups": [],
    }


def test_claims_follow_the_scopes(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient
) -> None:
    """What was not asked for is not told."""
    code = accounts.answer(hub.authorize(ada, scope="openid"))["code"]
    token = hub.redeem(code).json()["access_token"]
    assert set(hub.userinfo(token).json()) == {"sub"}


def test_id_token_is_signed_by_the_published_key(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient
) -> None:
    """Issuer, audience and subject are right, and jwks.json verifies it."""
    signed = hub.tokens(ada)["id_token"]
    published = ada.get("/o/.well-known/jwks.json").content.decode()
    claims = jwt.json_decode(jwt.JWT(jwt=signed, key=jwk.JWKSet.from_json(published)).claims)
    assert claims["iss"] == accounts.TRIAL.issuer
    assert claims["aud"] == "labhub"
    assert claims["sub"] == str(accounts.people.find("ada").sub)


@pytest.mark.usefixtures("ada")
def test_same_name_again_is_another_person(accounts: ModuleType) -> None:
    """A deleted and recreated account has another sub: nobody inherits a volume."""
    before = accounts.people.find("ada").sub
    accounts.people.find("ada").delete()
    assert accounts.people.add("ada").sub != before


def test_refresh_gives_new_tokens_and_ends_the_old_ones_later(
    ada: provider.Browser, hub: provider.HubClient
) -> None:
    """A second use within the grace answers with the same tokens: hubs refresh in parallel."""
    old = hub.tokens(ada)
    first, second = hub.refresh(old["refresh_token"]), hub.refresh(old["refresh_token"])
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["access_token"] != old["access_token"]
    assert first.json()["access_token"] == second.json()["access_token"]


def test_token_in_the_url_is_refused(ada: provider.Browser, hub: provider.HubClient) -> None:
    """URLs end in logs; the same token in the header works."""
    token = hub.tokens(ada)["access_token"]
    assert ada.get("/o/userinfo/", {"access_token": token}).status_code == 400
    assert hub.userinfo(token).status_code == 200


def _lock(accounts: ModuleType) -> None:
    accounts.people.lock(accounts.people.find("ada"))


def _lock_without_revoking(accounts: ModuleType) -> None:
    accounts.models.Account.objects.filter(username="ada").update(is_active=False)


def _revoke(accounts: ModuleType) -> None:
    accounts.people.revoke_tokens(accounts.people.find("ada"))


@pytest.mark.parametrize("end", [_lock, _lock_without_revoking, _revoke])
def test_locked_or_revoked_tokens_are_dead_at_once(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient, end: Callable[..., None]
) -> None:
    """Userinfo, refresh and a code on its way are refused, whichever way the account was closed."""
    tokens, code = hub.tokens(ada), hub.code(ada)
    end(accounts)
    assert hub.userinfo(tokens["access_token"]).status_code == 401
    assert hub.refresh(tokens["refresh_token"]).status_code == 400
    assert hub.redeem(code).status_code == 400


def test_a_revoked_refresh_token_stays_dead_after_unlocking(
    accounts: ModuleType, ada: provider.Browser, hub: provider.HubClient
) -> None:
    """Unlocking lets the person in, not the old tokens."""
    tokens = hub.tokens(ada)
    _lock(accounts)
    accounts.people.unlock(accounts.people.find("ada"))
    assert hub.userinfo(tokens["access_token"]).status_code == 401
    assert hub.refresh(tokens["refresh_token"]).status_code == 400


def test_discovery(accounts: ModuleType) -> None:
    """What a client reads first, whole (the lists in any order)."""
    found = accounts.Browser().get("/o/.well-known/openid-configuration").json()
    issuer = "http://127.0.0.1:8000/services/accounts/o"
    assert {key: sorted(v) if isinstance(v, list) else v for key, v in found.items()} == {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize/",
        "token_endpoint": f"{issuer}/token/",
        "userinfo_endpoint": f"{issuer}/userinfo/",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "end_session_endpoint": f"{issuer}/logout/",
        "scopes_supported": ["email", "groups", "openid", "profile"],
        "claims_supported": ["email", "groups", "name", "preferred_username", "sub"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "id_token_signing_alg_values_supported": ["HS256", "RS256"],
        "subject_types_supported": ["public"],
        "prompt_values_supported": ["login", "none"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": False,
    }


NOT_SERVED = [
    "/admin/",
    "/o/applications/",
    "/o/applications/register/",
    "/o/authorized_tokens/",
    "/o/introspect/",
    "/o/register/",
    "/o/device-authorization/",
]


@pytest.mark.parametrize("path", NOT_SERVED)
def test_nothing_else_is_served(ada: provider.Browser, path: str) -> None:
    """No admin site, and none of the toolkit's management pages, not even for an admin."""
    assert ada.get(path).status_code == 404


@pytest.mark.parametrize("check", ["get_code_challenge", "get_code_challenge_method"])
def test_a_code_that_another_request_used_meanwhile_is_refused(
    accounts: ModuleType, check: str
) -> None:
    """The toolkit reads a code several times; in between it may have been redeemed."""
    from oauth2_provider.models import get_application_model  # noqa: PLC0415 - needs Django
    from oauthlib.common import Request  # noqa: PLC0415
    from oauthlib.oauth2 import InvalidGrantError  # noqa: PLC0415

    from auth.local.claims import AccountValidator  # noqa: PLC0415 - the same

    request = Request("https://lab.example.org/token")
    request.client = get_application_model().objects.get()
    with pytest.raises(InvalidGrantError):
        getattr(AccountValidator(), check)("used", request)
    with pytest.raises(InvalidGrantError):
        AccountValidator().confirm_redirect_uri("hub", "used", "https://x", request.client, request)
