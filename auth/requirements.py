"""Which keys of ``login:`` each provider needs and understands. Pure.

A key without effect is an error: who writes ``tenant`` for GitHub believes that it restricts
something.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from hub_config.schema import Login

# Entra's names for "any tenant": the names of people would then be given out by strangers.
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below ``login`` (dotted below ``allow``) beside provider, title and admins."""

    required: frozenset[str]
    optional: frozenset[str]


def _keys(required: str, optional: str) -> Keys:
    return Keys(frozenset(required.split()), frozenset(optional.split()))


_CLIENT = "client_id client_secret"
_RULES = "allow.users allow.everyone scopes"

KEYS: dict[str, Keys] = {
    "local": _keys("", ""),
    "github": _keys(_CLIENT, f"{_RULES} allow.organisations allow.groups url"),
    "gitlab": _keys(_CLIENT, f"{_RULES} allow.groups url"),
    "google": _keys(_CLIENT, f"{_RULES} hosted_domains"),
    "azuread": _keys(f"{_CLIENT} tenant", f"{_RULES} allow.groups groups_claim username_claim"),
    "cilogon": _keys(f"{_CLIENT} idps", f"{_RULES} allow.groups groups_claim username_claim"),
    "globus": _keys(_CLIENT, f"{_RULES} allow.groups idps"),
    "bitbucket": _keys(_CLIENT, f"{_RULES} allow.organisations"),
    "auth0": _keys(f"{_CLIENT} url", f"{_RULES} allow.groups groups_claim username_claim"),
    "openshift": _keys(f"{_CLIENT} url", f"{_RULES} allow.groups"),
    "mediawiki": _keys(_CLIENT, "allow.users allow.everyone allow.groups url"),
    "oidc": _keys(f"{_CLIENT} issuer", f"{_RULES} allow.groups groups_claim username_claim"),
}

_INSTEAD = {
    ("gitlab", "allow.organisations"): "GitLab's word is groups: use allow.groups",
    ("bitbucket", "allow.groups"): "use allow.organisations with the ids of workspaces",
    ("google", "allow.groups"): (
        "Google tells groups to service accounts only: use allow.users, or hosted_domains "
        "with allow.everyone"
    ),
    ("google", "allow.organisations"): "use hosted_domains",
    ("local", "allow.users"): "an account lets its owner in: use labhub user add",
    ("local", "allow.everyone"): "an account lets its owner in: use labhub user add",
}


def problems(login: Login) -> list[tuple[str, str]]:
    """Return every (key, sentence) that is wrong with this login; none means usable."""
    keys = KEYS[login.provider]
    given = given_keys(login)
    missing = [(f"login.{key}", _missing(login, key)) for key in sorted(keys.required - given)]
    useless = sorted(given - keys.required - keys.optional)
    return missing + [(f"login.{key}", _useless(login, key)) for key in useless] + _values(login)


def given_keys(login: Login) -> frozenset[str]:
    """Return the keys that say something."""
    own = ("client_id", "client_secret", "issuer", "url", "tenant", "hosted_domains", "idps")
    claims = ("username_claim", "groups_claim", "scopes")
    rules = ("users", "groups", "organisations", "everyone")
    return frozenset(
        [key for key in own + claims if getattr(login, key)]
        + [f"allow.{rule}" for rule in rules if getattr(login.allow, rule)]
    )


def _missing(login: Login, key: str) -> str:
    what = {
        "client_id": "the id that the provider gave this lab when it was registered there",
        "client_secret": "the secret of that registration, as {file: PATH} or {env: NAME}",
        "issuer": "the provider's address, such as https://login.example.org/realms/lab",
        "tenant": "the directory (tenant) id",
        "idps": "the entity ids of the institutions whose members may come "
        "(https://cilogon.org/idplist)",
        "url": "the provider's address, such as https://login.example.org",
    }[key]
    return f"provider {login.provider} needs {key}: {what}"


def _useless(login: Login, key: str) -> str:
    instead = _INSTEAD.get((login.provider, key), "remove it")
    return f"{key} has no effect with provider {login.provider}; {instead}"


def _values(login: Login) -> list[tuple[str, str]]:
    """Return what is wrong with values that only this provider cares about."""
    found = []
    if login.provider == "azuread" and login.tenant in _SHARED_TENANTS:
        found.append(("login.tenant", f"{login.tenant} means any tenant; write your own one's id"))
    if login.provider == "globus" and len(login.idps) > 1:
        found.append(("login.idps", "Globus can be limited to one institution only; write one"))
    if login.provider == "cilogon":
        found += _cilogon(login)
    found += [
        (f"login.{key}", f"{value} is not an https address; write https://HOST")
        for key, value in (("url", login.url), ("issuer", login.issuer))
        if value and not _is_address(value)
    ]
    return found


def _cilogon(login: Login) -> list[tuple[str, str]]:
    """Entity ids are addresses or urns; an e-mail address says nothing about who vouches."""
    found = [
        ("login.idps", f"{idp} is not an entity id; take it from https://cilogon.org/idplist")
        for idp in login.idps
        if urlsplit(idp).scheme not in {"http", "https", "urn"}
    ]
    if login.username_claim == "email" and len(login.idps) > 1:
        found.append(
            (
                "login.username_claim",
                "with several idps any of them could claim any e-mail address; use eppn",
            )
        )
    return found


def _is_address(value: str) -> bool:
    """Say whether this is https://HOST…, or http on this machine itself."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return False
    is_here = host in {"127.0.0.1", "localhost", "::1"}
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    return (
        bool(host)
        and is_plain
        and (parts.scheme == "https" or (parts.scheme == "http" and is_here))
    )
