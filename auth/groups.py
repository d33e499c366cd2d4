"""What a provider says about groups and addresses, read with strict types. Pure.

Claims come from outside: a text where a list belongs, a number in a list or a name of a kilobyte
must neither let anyone in nor break a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The hub keeps group names in a column of this width.
GROUP_NAME_LENGTH_MAX = 255
GROUPS_MAX = 1000


def claim_at(claims: Mapping[str, Any], claim: str) -> Any:  # noqa: ANN401 - claims are any JSON
    """Return a claim by its exact name, else by a dotted path, else None.

    The exact name comes first because namespaced claims contain dots
    (``https://lab.example/groups``).
    """
    if claim in claims:
        return claims[claim]
    value: Any = claims
    for part in claim.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def group_name(name: str) -> str:
    """Return a group's name as rules and claims are compared: Keycloak writes /staff for staff."""
    return name.removeprefix("/")


def group_names(value: object) -> list[str]:
    """Return the groups in a claim, sorted; whatever is not a usable name is left out.

    One text is one group, as several providers send it to members of a single group.
    """
    candidates = [value] if isinstance(value, str) else value
    if not isinstance(candidates, list | tuple):
        return []
    names = {group_name(item) for item in candidates if isinstance(item, str)}
    return sorted(name for name in names if _is_usable(name))[:GROUPS_MAX]


@dataclass(frozen=True, slots=True)
class ClaimGroups:
    """Reads the groups claim of a person from the auth state; [] when it is absent."""

    user_key: str
    claim: str

    def __call__(self, auth_state: Mapping[str, Any]) -> list[str]:
        """Return the group names."""
        claims = auth_state.get(self.user_key)
        return group_names(claim_at(claims, self.claim)) if isinstance(claims, Mapping) else []


def github_groups(auth_state: Mapping[str, Any]) -> list[str]:
    """Return a GitHub user's organisations and teams, as ``org`` and ``org:team``."""
    names = set()
    for team in auth_state.get("teams") or []:
        organisation = claim_at(team, "organization.login")
        if isinstance(organisation, str):
            names.add(organisation)
            if isinstance(team.get("slug"), str):
                names.add(f"{organisation}:{team['slug']}")
    return group_names(sorted(names))


def globus_groups(auth_state: Mapping[str, Any]) -> list[str]:
    """Return the ids of a Globus user's groups."""
    return group_names(auth_state.get("globus_groups"))


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """Return the e-mail address if the provider has verified it, else None.

    Only the boolean true counts. Some providers send the text "false", which is true in Python.
    """
    verified = claims.get("email_verified") is True or claims.get("verified_email") is True
    email = claims.get("email")
    return email if verified and isinstance(email, str) and "@" in email else None


def _is_usable(name: str) -> bool:
    return 0 < len(name) <= GROUP_NAME_LENGTH_MAX and name.isprintable()
