"""Each provider's own traits, as OAuthenticator 17.4 names them. Pure.

One function per provider: the admin's words and the site in, traits out. What is the same for all
of them is in providers.py.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from auth.discovery import Endpoints
from auth.groups import ClaimGroups, github_groups, globus_groups, group_name
from auth.local import ADMIN_GROUP, SERVICE_PREFIX
from hub_config.schema import Login

Traits = dict[str, Any]

# Every refresh costs GitHub and Bitbucket several API calls, which they count.
REFRESH_SECONDS_COUNTED = 3600

_GLOBUS_GROUPS_SCOPE = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"


@dataclass(frozen=True, slots=True)
class Site:
    """What a login needs to know besides the admin's words."""

    public_url: str | None
    port: int
    accounts_port: int
    accounts_path: str
    client_id: str
    client_secret: str
    endpoints: Endpoints | None = None


def _scopes(login: Login, *defaults: str) -> list[str]:
    """Return the scopes that are needed, then the admin's own."""
    return list(dict.fromkeys([*defaults, *login.scopes]))


def _groups_from(login: Login, user_key: str, default_claim: str = "groups") -> Traits:
    """Return traits for hub groups that follow a claim."""
    return {
        "manage_groups": True,
        "auth_state_groups_key": ClaimGroups(user_key, login.groups_claim or default_claim),
        "allowed_groups": {group_name(group) for group in login.allow.groups},
    }


def _base_url(login: Login, default: str) -> str:
    return (login.url or default).rstrip("/")


def local(_login: Login, site: Site) -> Traits:
    """Return the traits for the lab's own accounts, spoken to inside the machine."""
    inside = f"http://127.0.0.1:{site.accounts_port}{SERVICE_PREFIX}/o"
    return {
        "issuer": "local",
        # A path only: the browser stays on whatever address it came by.
        "authorize_url": f"{SERVICE_PREFIX}/o/authorize/",
        "token_url": f"{inside}/token/",
        "userdata_url": f"{inside}/userinfo/",
        "end_session_url": f"{SERVICE_PREFIX}/o/logout/",
        "scope": ["openid", "profile", "email", "groups"],
        "username_claim": "preferred_username",
        "basic_auth": True,
        "enable_pkce": True,
        "manage_groups": True,
        "auth_state_groups_key": ClaimGroups("oauth_user", "groups"),
        "admin_groups": {ADMIN_GROUP},
        # Accounts exist only because an admin made them.
        "allow_all": True,
    }


def oidc(login: Login, site: Site) -> Traits:
    """Return the traits for any OpenID Connect provider, from what it publishes."""
    endpoints = site.endpoints
    if endpoints is None:
        raise ValueError("the oidc provider needs discovered endpoints")
    groups_scope = ["groups"] if endpoints.offers_groups_scope else []
    return {
        "issuer": endpoints.issuer.rstrip("/"),
        "authorize_url": endpoints.authorize_url,
        "token_url": endpoints.token_url,
        "userdata_url": endpoints.userinfo_url,
        "end_session_url": endpoints.end_session_url,
        "scope": _scopes(login, "openid", "profile", "email", *groups_scope),
        "username_claim": login.username_claim or "preferred_username",
        "basic_auth": endpoints.basic_auth,
        "enable_pkce": True,
        **_groups_from(login, "oauth_user"),
    }


def github(login: Login, _site: Site) -> Traits:
    """Return the traits for GitHub: organisations and teams are the hub's groups."""
    url = _base_url(login, "https://github.com")
    return {
        "issuer": url,
        "github_url": url,
        "scope": _scopes(login, "read:org"),
        "allowed_organizations": set(login.allow.organisations),
        "populate_teams_in_auth_state": True,
        "manage_groups": True,
        "auth_state_groups_key": github_groups,
        "allowed_groups": set(login.allow.groups),
        "auth_refresh_age": REFRESH_SECONDS_COUNTED,
    }


def gitlab(login: Login, _site: Site) -> Traits:
    """Return the traits for GitLab; groups are asked for one by one."""
    url = _base_url(login, "https://gitlab.com")
    needs_api = ["read_api"] if login.allow.groups else []
    return {
        "issuer": url,
        "gitlab_url": url,
        "scope": _scopes(login, "read_user", *needs_api),
        "username_claim": "username",
        "allowed_gitlab_groups": {group_name(group) for group in login.allow.groups},
    }


def google(login: Login, _site: Site) -> Traits:
    """Return the traits for Google; the domains are a wall before every other rule."""
    domains = [domain.lower() for domain in login.hosted_domains]
    hint = {"hd": domains[0]} if len(domains) == 1 else {}
    return {
        "issuer": "https://accounts.google.com",
        "scope": _scopes(login, "openid", "email", "profile"),
        "username_claim": "email",
        "hosted_domain": domains,
        # One address is one person, whatever becomes of the list of domains.
        "strip_domain": False,
        # Google gives a refresh token only when asked; without one, an hour is all we know.
        "extra_authorize_params": {"access_type": "offline", **hint},
    }


def azuread(login: Login, _site: Site) -> Traits:
    """Return the traits for Entra ID: one tenant, version 2 of its endpoints."""
    host = "https://login.microsoftonline.com"
    return {
        "issuer": host,
        "tenant_id": login.tenant,
        "authorize_url": f"{host}/{login.tenant}/oauth2/v2.0/authorize",
        "token_url": f"{host}/{login.tenant}/oauth2/v2.0/token",
        "scope": _scopes(login, "openid", "profile", "email", "offline_access"),
        # The class's default is the display name, which people choose themselves.
        "username_claim": login.username_claim or "preferred_username",
        **_groups_from(login, "user"),
    }


def cilogon(login: Login, _site: Site) -> Traits:
    """Return the traits for CILogon: only these institutions, matched by entity id."""
    claim = login.username_claim or "eppn"
    derivation = {"username_derivation": {"username_claim": claim}}
    groups = _groups_from(login, "cilogon_user", "isMemberOf")
    return {
        "issuer": "https://cilogon.org",
        "scope": _scopes(login, "openid", "email", "org.cilogon.userinfo", "profile"),
        "idps": {idp: dict(derivation) for idp in login.idps},
        **groups,
    }


def globus(login: Login, _site: Site) -> Traits:
    """Return the traits for Globus; groups are asked for when a rule needs them."""
    groups: Traits = {}
    if login.allow.groups:
        groups = {
            "allowed_globus_groups": set(login.allow.groups),
            "manage_groups": True,
            "auth_state_groups_key": globus_groups,
        }
    scopes = [_GLOBUS_GROUPS_SCOPE] if login.allow.groups else []
    return {
        "issuer": "https://auth.globus.org",
        "scope": _scopes(login, "openid", "profile", "email", *scopes),
        "identity_provider": login.idps[0] if login.idps else "",
        "username_claim": "preferred_username",
        **groups,
    }


def bitbucket(login: Login, _site: Site) -> Traits:
    """Return the traits for Bitbucket; organisations are workspaces, by their ids."""
    return {
        "issuer": "https://bitbucket.org",
        "scope": _scopes(login, "account"),
        "username_claim": "username",
        "allowed_teams": set(login.allow.organisations),
        "auth_refresh_age": REFRESH_SECONDS_COUNTED,
    }


def auth0(login: Login, site: Site) -> Traits:
    """Return the traits for Auth0, whose address is the tenant's own."""
    host = urlsplit(login.url or "").netloc
    return {
        "issuer": f"https://{host}",
        "auth0_domain": host,
        "scope": _scopes(login, "openid", "profile", "email"),
        "username_claim": login.username_claim or "email",
        # Without the client id Auth0 leads to the tenant's page instead of this lab's.
        "logout_redirect_url": f"https://{host}/v2/logout?client_id={site.client_id}",
        **_groups_from(login, "auth0_user"),
    }


def openshift(login: Login, site: Site) -> Traits:
    """Return the traits for OpenShift, whose OAuth server was discovered."""
    endpoints = site.endpoints
    if endpoints is None:
        raise ValueError("the openshift provider needs discovered endpoints")
    url = _base_url(login, "")
    return {
        "issuer": url,
        "openshift_url": url,
        "openshift_auth_api_url": endpoints.issuer,
        "authorize_url": endpoints.authorize_url,
        "token_url": endpoints.token_url,
        "scope": _scopes(login, "user:info"),
        **_groups_from(login, "openshift_user"),
    }


def mediawiki(login: Login, _site: Site) -> Traits:
    """Return the traits for MediaWiki, which speaks OAuth 1."""
    url = login.url or "https://meta.wikimedia.org/w/index.php"
    parts = urlsplit(url)
    return {
        "issuer": f"{parts.scheme}://{parts.netloc}",
        "mw_index_url": url,
        # A blank and an underscore are the same to MediaWiki.
        "allowed_names": {name.replace(" ", "_") for name in login.allow.users},
        "admin_names": {name.replace(" ", "_") for name in login.admins},
        "username_claim": "username",
        "auth_refresh_age": REFRESH_SECONDS_COUNTED,
        **_groups_from(login, "MEDIAWIKI_USER_IDENTITY"),
    }
