"""``login:`` in labhub.yaml → an OAuthenticator class and its traits, for every provider.

``login_traits`` is pure: what must be read (secrets, discovery) comes in as a Site. Nobody is let
in by default, and allow and admin rules are written with the provider's own names.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from auth import discovery
from auth import provider_traits as traits_of
from auth.discovery import Endpoints, LoginError
from auth.local import CLIENT_ID
from auth.provider_traits import Site, Traits
from hub_config.instance import Instance
from hub_config.load import read_secret
from hub_config.schema import Login

CALLBACK_PATH = "/hub/oauth_callback"
REFRESH_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider: OAuthenticator's class, and what is the same in every lab."""

    base: str
    title: str
    build: Callable[[Login, Site], Traits]
    subject_claims: tuple[str, ...] = ("sub",)
    names_ignore_case: bool = True
    quirk: str | None = None


def callback_url(public_url: str | None, port: int) -> str:
    """Return the callback URL to register at a provider."""
    return (public_url or f"http://127.0.0.1:{port}").rstrip("/") + CALLBACK_PATH


def login_traits(login: Login, site: Site) -> tuple[Provider, Traits]:
    """Return the provider and all traits of its authenticator, ours included."""
    provider = PROVIDERS[login.provider]
    return provider, _common(login, site, provider) | provider.build(login, site)


def apply_login(
    login: Login,
    instance: Instance,
    c: Any,  # noqa: ANN401 - traitlets' configuration object
    public_url: str | None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Set the hub's authenticator. Reads secrets, and asks the provider where this needs it."""
    from auth.login import lab_class  # noqa: PLC0415 - loads the web server; not for `config check`

    provider, traits = login_traits(login, site_for(login, instance, public_url, environ))
    authenticator = lab_class(_load(provider.base), _load(provider.quirk))
    c.JupyterHub.authenticator_class = authenticator
    c[authenticator.__name__].update(traits)


def site_for(
    login: Login, instance: Instance, public_url: str | None, environ: Mapping[str, str]
) -> Site:
    """Read what ``login_traits`` needs."""
    state = instance.state_dir
    if login.provider == "local":
        secret = _accounts_secret(instance)
        client_id = CLIENT_ID
    else:
        secret = read_secret(login.client_secret, environ)
        client_id = (
            login.client_id
            if isinstance(login.client_id, str)
            else read_secret(login.client_id, environ)
        )
    return Site(
        public_url=public_url.rstrip("/") if public_url else None,
        port=instance.port,
        accounts_port=instance.accounts_port,
        accounts_path=str(state / "identity.sqlite"),
        client_id=client_id,
        client_secret=secret,
        endpoints=_ask(login, state / "discovery"),
    )


def _accounts_secret(instance: Instance) -> str:
    """Return the secret that the hub and the local accounts share."""
    path = instance.secrets_dir / "accounts_client_secret"
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise LoginError(
            f"{path} cannot be read ({error.strerror}): run deploy/up, which makes what is missing"
        ) from None


def _ask(login: Login, folder: Path) -> Endpoints | None:
    if login.provider == "oidc":
        return discovery.discover(login.issuer, folder)
    if login.provider == "openshift":
        return discovery.discover(login.url, folder, discovery.OAUTH)
    return None


def _load(path: str | None) -> type | None:
    """Import a class: only the configured provider's, as MediaWiki's pulls in libraries."""
    if path is None:
        return None
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _common(login: Login, site: Site, provider: Provider) -> Traits:
    """Return what is the same for all providers."""
    return {
        "client_id": site.client_id,
        "client_secret": site.client_secret,
        # Without a public URL the callback follows the address in the browser: 127.0.0.1,
        # localhost, or the other end of a tunnel (auth/web.py lets no other address begin).
        "oauth_callback_url": callback_url(site.public_url, site.port) if site.public_url else "",
        "login_service": login.title or provider.title,
        "enable_auth_state": True,
        "auth_refresh_age": REFRESH_SECONDS,
        "username_pattern": r"\A[a-z][a-z0-9]{0,30}\Z",
        "allow_all": login.allow.everyone,
        "allow_existing_users": False,
        # A request with a token is not refreshed otherwise: a token that a locked person makes
        # before the next refresh would start servers for ever.
        "auth_refresh_strict": True,
        "allowed_names": set(login.allow.users),
        "admin_names": set(login.admins),
        "accounts_path": site.accounts_path,
        "public_url": site.public_url or "",
        "trial_port": site.port,
        "subject_claims": list(provider.subject_claims),
        "names_ignore_case": provider.names_ignore_case,
    }


PROVIDERS: dict[str, Provider] = {
    "local": Provider(
        "oauthenticator.generic:GenericOAuthenticator",
        "local accounts",
        traits_of.local,
        names_ignore_case=False,
        quirk="auth.quirks:OpenId",
    ),
    "github": Provider(
        "oauthenticator.github:GitHubOAuthenticator", "GitHub", traits_of.github, ("id",)
    ),
    "gitlab": Provider(
        "oauthenticator.gitlab:GitLabOAuthenticator",
        "GitLab",
        traits_of.gitlab,
        ("id",),
        quirk="auth.quirks:GitLabGroups",
    ),
    "google": Provider(
        "oauthenticator.google:GoogleOAuthenticator",
        "Google",
        traits_of.google,
        ("id",),
        quirk="auth.quirks:GoogleAddress",
    ),
    "azuread": Provider(
        "oauthenticator.azuread:AzureAdOAuthenticator",
        "Microsoft",
        traits_of.azuread,
        ("tid", "oid"),
        quirk="auth.quirks:AzureTokens",
    ),
    "cilogon": Provider(
        "oauthenticator.cilogon:CILogonOAuthenticator", "CILogon", traits_of.cilogon
    ),
    "globus": Provider(
        "oauthenticator.globus:GlobusOAuthenticator",
        "Globus",
        traits_of.globus,
        quirk="auth.quirks:GlobusNames",
    ),
    "bitbucket": Provider(
        "oauthenticator.bitbucket:BitbucketOAuthenticator",
        "Bitbucket",
        traits_of.bitbucket,
        ("uuid",),
        quirk="auth.quirks:BitbucketWorkspaces",
    ),
    "auth0": Provider(
        "oauthenticator.auth0:Auth0OAuthenticator",
        "Auth0",
        traits_of.auth0,
        quirk="auth.quirks:Auth0Address",
    ),
    "openshift": Provider(
        "oauthenticator.openshift:OpenShiftOAuthenticator",
        "OpenShift",
        traits_of.openshift,
        ("metadata.uid",),
        names_ignore_case=False,
    ),
    "mediawiki": Provider(
        "oauthenticator.mediawiki:MWOAuthenticator",
        "MediaWiki",
        traits_of.mediawiki,
        names_ignore_case=False,
        quirk="auth.quirks_mediawiki:MediaWikiTokens",
    ),
    "oidc": Provider(
        "oauthenticator.generic:GenericOAuthenticator",
        "single sign-on",
        traits_of.oidc,
        names_ignore_case=False,
        quirk="auth.quirks:OpenId",
    ),
}
