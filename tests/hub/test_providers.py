# ruff: noqa: E501 - sentences are compared whole
"""Every provider's traits, whole; and that OAuthenticator 17.4 knows every one of them."""

import logging
from importlib import import_module
from typing import Any

import pytest
from traitlets.config import Config as TraitConfig

from auth import providers, requirements
from auth.discovery import Endpoints
from auth.groups import ClaimGroups, github_groups, globus_groups
from auth.login import lab_class
from auth.provider_traits import Site
from hub_config.schema import Allow, Login, SecretRef

SECRET = {"client_id": "lab", "client_secret": SecretRef(file="/etc/labhub/secrets/login")}
ENDPOINTS = Endpoints(
    issuer="https://id.example/",
    authorize_url="https://id.example/authorize",
    token_url="https://id.example/token",
    userinfo_url="https://id.example/userinfo",
    end_session_url="https://id.example/logout",
    basic_auth=False,
    offers_groups_scope=True,
)
SITE = Site(
    public_url="https://gpu.example",
    port=8000,
    accounts_port=10101,
    accounts_path="/var/lib/labhub/identity.sqlite",
    client_id="lab",
    client_secret="s3cret",
    endpoints=ENDPOINTS,
)
COMMON = {
    "client_id": "lab",
    "client_secret": "s3cret",
    "oauth_callback_url": "https://gpu.example/hub/oauth_callback",
    "enable_auth_state": True,
    "auth_refresh_age": 300,
    "username_pattern": r"\A[a-z][a-z0-9]{0,30}\Z",
    "allow_all": False,
    "allow_existing_users": False,
    "auth_refresh_strict": True,
    "allowed_names": set(),
    "admin_names": set(),
    "accounts_path": "/var/lib/labhub/identity.sqlite",
    "public_url": "https://gpu.example",
    "trial_port": 8000,
    "subject_claims": ["sub"],
    "names_ignore_case": True,
}

# (what the admin writes, the traits beside COMMON)
TABLE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"provider": "local", "admins": ("ada",)},
        {
            "login_service": "local accounts",
            "issuer": "local",
            "authorize_url": "/services/accounts/o/authorize/",
            "token_url": "http://127.0.0.1:10101/services/accounts/o/token/",
            "userdata_url": "http://127.0.0.1:10101/services/accounts/o/userinfo/",
            "end_session_url": "/services/accounts/o/logout/",
            "scope": ["openid", "profile", "email", "groups"],
            "username_claim": "preferred_username",
            "basic_auth": True,
            "enable_pkce": True,
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("oauth_user", "groups"),
            "admin_groups": {"labhub-admins"},
            "admin_names": {"ada"},
            "allow_all": True,
            "names_ignore_case": False,
        },
    ),
    (
        {
            "provider": "github",
            "admins": ("ada",),
            "allow": Allow(
                users=("octocat",), organisations=("lab", "uni:gpu"), groups=("lab:gpu",)
            ),
        },
        {
            "login_service": "GitHub",
            "issuer": "https://github.com",
            "github_url": "https://github.com",
            "subject_claims": ["id"],
            "scope": ["read:org"],
            "allowed_names": {"octocat"},
            "admin_names": {"ada"},
            "allowed_organizations": {"lab", "uni:gpu"},
            "populate_teams_in_auth_state": True,
            "manage_groups": True,
            "auth_state_groups_key": github_groups,
            "allowed_groups": {"lab:gpu"},
            "auth_refresh_age": 3600,
        },
    ),
    (
        {"provider": "github", "url": "https://git.example/", "scopes": ("read:user",)},
        {
            "login_service": "GitHub",
            "issuer": "https://git.example",
            "github_url": "https://git.example",
            "subject_claims": ["id"],
            "scope": ["read:org", "read:user"],
            "allowed_organizations": set(),
            "populate_teams_in_auth_state": True,
            "manage_groups": True,
            "auth_state_groups_key": github_groups,
            "allowed_groups": set(),
            "auth_refresh_age": 3600,
        },
    ),
    (
        {
            "provider": "gitlab",
            "url": "https://gitlab.example",
            "allow": Allow(groups=("lab/gpu",)),
        },
        {
            "login_service": "GitLab",
            "issuer": "https://gitlab.example",
            "gitlab_url": "https://gitlab.example",
            "subject_claims": ["id"],
            "scope": ["read_user", "read_api"],
            "username_claim": "username",
            "allowed_gitlab_groups": {"lab/gpu"},
        },
    ),
    (
        {"provider": "gitlab", "allow": Allow(users=("ada",))},
        {
            "login_service": "GitLab",
            "issuer": "https://gitlab.com",
            "gitlab_url": "https://gitlab.com",
            "subject_claims": ["id"],
            "scope": ["read_user"],
            "username_claim": "username",
            "allowed_names": {"ada"},
            "allowed_gitlab_groups": set(),
        },
    ),
    (
        {
            "provider": "google",
            "hosted_domains": ("Lab.example",),
            "allow": Allow(everyone=True),
            "admins": ("ada@lab.example",),
        },
        {
            "login_service": "Google",
            "issuer": "https://accounts.google.com",
            "subject_claims": ["id"],
            "scope": ["openid", "email", "profile"],
            "username_claim": "email",
            "hosted_domain": ["lab.example"],
            "strip_domain": False,
            "extra_authorize_params": {"access_type": "offline", "hd": "lab.example"},
            "allow_all": True,
            "admin_names": {"ada@lab.example"},
        },
    ),
    (
        {"provider": "azuread", "tenant": "0000-1111", "allow": Allow(groups=("2222-3333",))},
        {
            "login_service": "Microsoft",
            "issuer": "https://login.microsoftonline.com",
            "tenant_id": "0000-1111",
            "authorize_url": "https://login.microsoftonline.com/0000-1111/oauth2/v2.0/authorize",
            "token_url": "https://login.microsoftonline.com/0000-1111/oauth2/v2.0/token",
            "subject_claims": ["tid", "oid"],
            "scope": ["openid", "profile", "email", "offline_access"],
            "username_claim": "preferred_username",
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("user", "groups"),
            "allowed_groups": {"2222-3333"},
        },
    ),
    (
        {"provider": "cilogon", "idps": ("https://idp.uni.example/shibboleth",)},
        {
            "login_service": "CILogon",
            "issuer": "https://cilogon.org",
            "scope": ["openid", "email", "org.cilogon.userinfo", "profile"],
            "idps": {
                "https://idp.uni.example/shibboleth": {
                    "username_derivation": {"username_claim": "eppn"}
                }
            },
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("cilogon_user", "isMemberOf"),
            "allowed_groups": set(),
        },
    ),
    (
        {"provider": "globus", "idps": ("uni.example",), "allow": Allow(groups=("4444-5555",))},
        {
            "login_service": "Globus",
            "issuer": "https://auth.globus.org",
            "scope": [
                "openid",
                "profile",
                "email",
                "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships",
            ],
            "identity_provider": "uni.example",
            "username_claim": "preferred_username",
            "allowed_globus_groups": {"4444-5555"},
            "manage_groups": True,
            "auth_state_groups_key": globus_groups,
        },
    ),
    (
        {"provider": "globus", "allow": Allow(users=("ada@uni.example",))},
        {
            "login_service": "Globus",
            "issuer": "https://auth.globus.org",
            "scope": ["openid", "profile", "email"],
            "identity_provider": "",
            "username_claim": "preferred_username",
            "allowed_names": {"ada@uni.example"},
        },
    ),
    (
        {"provider": "bitbucket", "allow": Allow(organisations=("lab",))},
        {
            "login_service": "Bitbucket",
            "issuer": "https://bitbucket.org",
            "subject_claims": ["uuid"],
            "scope": ["account"],
            "username_claim": "username",
            "allowed_teams": {"lab"},
            "auth_refresh_age": 3600,
        },
    ),
    (
        {
            "provider": "auth0",
            "url": "https://lab.eu.auth0.com",
            "groups_claim": "https://lab.example/groups",
            "allow": Allow(groups=("staff",)),
        },
        {
            "login_service": "Auth0",
            "issuer": "https://lab.eu.auth0.com",
            "auth0_domain": "lab.eu.auth0.com",
            "scope": ["openid", "profile", "email"],
            "username_claim": "email",
            "logout_redirect_url": "https://lab.eu.auth0.com/v2/logout?client_id=lab",
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("auth0_user", "https://lab.example/groups"),
            "allowed_groups": {"staff"},
        },
    ),
    (
        {"provider": "openshift", "url": "https://api.shift.example:6443", "title": "The cluster"},
        {
            "login_service": "The cluster",
            "issuer": "https://api.shift.example:6443",
            "openshift_url": "https://api.shift.example:6443",
            "openshift_auth_api_url": "https://id.example/",
            "authorize_url": "https://id.example/authorize",
            "token_url": "https://id.example/token",
            "subject_claims": ["metadata.uid"],
            "names_ignore_case": False,
            "scope": ["user:info"],
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("openshift_user", "groups"),
            "allowed_groups": set(),
        },
    ),
    (
        {"provider": "mediawiki", "allow": Allow(users=("Ada Lovelace",), groups=("sysop",))},
        {
            "login_service": "MediaWiki",
            "issuer": "https://meta.wikimedia.org",
            "mw_index_url": "https://meta.wikimedia.org/w/index.php",
            "username_claim": "username",
            "names_ignore_case": False,
            "allowed_names": {"Ada_Lovelace"},
            "auth_refresh_age": 3600,
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("MEDIAWIKI_USER_IDENTITY", "groups"),
            "allowed_groups": {"sysop"},
        },
    ),
    (
        {
            "provider": "oidc",
            "issuer": "https://id.example",
            "title": "Uni Login",
            "groups_claim": "realm_access.roles",
            "username_claim": "uid",
            "scopes": ("offline_access",),
            "allow": Allow(users=("ada",), groups=("/staff",)),
        },
        {
            "login_service": "Uni Login",
            "issuer": "https://id.example",
            "authorize_url": "https://id.example/authorize",
            "token_url": "https://id.example/token",
            "userdata_url": "https://id.example/userinfo",
            "end_session_url": "https://id.example/logout",
            "scope": ["openid", "profile", "email", "groups", "offline_access"],
            "username_claim": "uid",
            "basic_auth": False,
            "enable_pkce": True,
            "names_ignore_case": False,
            "allowed_names": {"ada"},
            "manage_groups": True,
            "auth_state_groups_key": ClaimGroups("oauth_user", "realm_access.roles"),
            "allowed_groups": {"staff"},
        },
    ),
]
CASES = pytest.mark.parametrize(
    ("words", "traits"),
    TABLE,
    ids=[f"{n}-{words['provider']}" for n, (words, _) in enumerate(TABLE)],
)


def login_of(words: dict[str, Any]) -> Login:
    return Login(**(words if words["provider"] == "local" else {**SECRET, **words}))


@CASES
def test_traits(words: dict[str, Any], traits: dict[str, Any]) -> None:
    _, resulting = providers.login_traits(login_of(words), SITE)
    assert resulting == COMMON | traits


@pytest.mark.parametrize("words", [words for words, _ in TABLE])
def test_the_words_are_accepted(words: dict[str, Any]) -> None:
    assert requirements.problems(login_of(words)) == []


@pytest.mark.parametrize("words", [words for words, _ in TABLE])
def test_the_class_knows_every_trait(
    words: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A renamed or deprecated trait would be a rule that nobody applies (CVE-2020-26250)."""
    provider, resulting = providers.login_traits(login_of(words), SITE)
    authenticator_class = lab_class(load(provider.base), load(provider.quirk))
    monkeypatch.setattr("traitlets.log.get_logger", lambda: logging.getLogger("traitlets"))
    with caplog.at_level(logging.WARNING):
        config = TraitConfig({authenticator_class.__name__: resulting})
        authenticator = authenticator_class(config=config)
        found = {name: getattr(authenticator, name) for name in resulting}
    assert [record.getMessage() for record in caplog.records] == []
    assert found == without_filled_in(resulting)
    assert authenticator.custom_403_message.startswith("You are signed in with ")


def without_filled_in(traits: dict[str, Any]) -> dict[str, Any]:
    """CILogon's class adds an empty list to every institution."""
    if "idps" not in traits:
        return traits
    return traits | {
        "idps": {idp: {**rule, "allowed_domains": []} for idp, rule in traits["idps"].items()}
    }


def load(path: str | None) -> type | None:
    if path is None:
        return None
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def test_the_table_has_every_provider() -> None:
    assert {words["provider"] for words, _ in TABLE} == set(providers.PROVIDERS)
    assert set(requirements.KEYS) == set(providers.PROVIDERS)


@pytest.mark.parametrize("provider", sorted(set(providers.PROVIDERS) - {"local"}))
def test_nobody_is_let_in_by_default(provider: str) -> None:
    words = {
        "issuer": "https://id.example",
        "url": "https://id.example",
        "idps": ("https://x.example",),
        "tenant": "t",
    }
    _, traits = providers.login_traits(login_of({"provider": provider, **words}), SITE)
    rules = {name: value for name, value in traits.items() if name.startswith("allow")}
    assert not any(rules.values())
    assert not traits.get("admin_groups")
    assert not traits["admin_names"]


def test_a_trial_follows_the_address_in_the_browser() -> None:
    site = Site(None, 8000, 10101, "/accounts", "labhub", "s3cret")
    _, traits = providers.login_traits(Login(), site)
    assert (traits["oauth_callback_url"], traits["public_url"]) == ("", "")


@pytest.mark.parametrize(
    ("public_url", "expected"),
    [
        (None, "http://127.0.0.1:8000/hub/oauth_callback"),
        ("https://gpu.example", "https://gpu.example/hub/oauth_callback"),
        ("https://gpu.example:8443/", "https://gpu.example:8443/hub/oauth_callback"),
    ],
)
def test_callback_to_register(public_url: str | None, expected: str) -> None:
    assert providers.callback_url(public_url, 8000) == expected


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        (
            {"provider": "github"},
            [
                ("login.client_id", "provider github needs client_id: the id that the provider gave this lab when it was registered there"),
                ("login.client_secret", "provider github needs client_secret: the secret of that registration, as {file: PATH} or {env: NAME}"),
            ],
        ),
        (
            {**SECRET, "provider": "oidc"},
            [("login.issuer", "provider oidc needs issuer: the provider's address, such as https://login.example.org/realms/lab")],
        ),
        (
            {**SECRET, "provider": "azuread"},
            [("login.tenant", "provider azuread needs tenant: the directory (tenant) id")],
        ),
        (
            {**SECRET, "provider": "azuread", "tenant": "common"},
            [("login.tenant", "common means any tenant; write your own one's id")],
        ),
        (
            {**SECRET, "provider": "cilogon"},
            [("login.idps", "provider cilogon needs idps: the entity ids of the institutions whose members may come (https://cilogon.org/idplist)")],
        ),
        (
            {**SECRET, "provider": "cilogon", "idps": ("uni.example",)},
            [("login.idps", "uni.example is not an entity id; take it from https://cilogon.org/idplist")],
        ),
        (
            {**SECRET, "provider": "cilogon", "idps": ("urn:a", "urn:b"), "username_claim": "email"},
            [("login.username_claim", "with several idps any of them could claim any e-mail address; use eppn")],
        ),
        (
            {**SECRET, "provider": "auth0"},
            [("login.url", "provider auth0 needs url: the provider's address, such as https://login.example.org")],
        ),
        (
            {**SECRET, "provider": "openshift", "url": "http://api.shift.example"},
            [("login.url", "http://api.shift.example is not an https address; write https://HOST")],
        ),
        (
            {**SECRET, "provider": "oidc", "issuer": "id.example"},
            [("login.issuer", "id.example is not an https address; write https://HOST")],
        ),
        (
            {**SECRET, "provider": "globus", "idps": ("a.example", "b.example")},
            [("login.idps", "Globus can be limited to one institution only; write one")],
        ),
        (
            {**SECRET, "provider": "github", "tenant": "t"},
            [("login.tenant", "tenant has no effect with provider github; remove it")],
        ),
        (
            {**SECRET, "provider": "gitlab", "allow": Allow(organisations=("lab",))},
            [("login.allow.organisations", "allow.organisations has no effect with provider gitlab; GitLab's word is groups: use allow.groups")],
        ),
        (
            {**SECRET, "provider": "google", "allow": Allow(groups=("lab",))},
            [("login.allow.groups", "allow.groups has no effect with provider google; Google tells groups to service accounts only: use allow.users, or hosted_domains with allow.everyone")],
        ),
        (
            {"provider": "local", "allow": Allow(users=("ada",))},
            [("login.allow.users", "allow.users has no effect with provider local; an account lets its owner in: use labhub user add")],
        ),
        ({"provider": "local"}, []),
    ],
)  # fmt: skip
def test_one_sentence_for_every_problem(
    words: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    assert requirements.problems(Login(**words)) == problems
