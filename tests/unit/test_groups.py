"""Claims of auth/groups.py: strict types, and nothing when nothing is said."""

import pytest

from auth import groups


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["staff", "students"], ["staff", "students"]),
        (["/staff", "staff"], ["staff"]),
        (["/uni/staff"], ["uni/staff"]),
        ("staff", ["staff"]),
        (("b", "a"), ["a", "b"]),
        ([], []),
        (None, []),
        (True, []),
        (7, []),
        ({"staff": True}, []),
        ([1, None, ["staff"], {"name": "staff"}, b"staff", "ok"], ["ok"]),
        (["", "/", "a\nb", "a\x00", "x" * 256, "x" * 255], ["x" * 255]),
        ([f"g{n:04}" for n in range(2000)], [f"g{n:04}" for n in range(1000)]),
    ],
)
def test_group_names(value: object, expected: list[str]) -> None:
    assert groups.group_names(value) == expected


@pytest.mark.parametrize(
    ("claims", "claim", "expected"),
    [
        ({"groups": ["a"]}, "groups", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://lab.example/groups": ["a"]}, "https://lab.example/groups", ["a"]),
        ({"a.b": ["exact"], "a": {"b": ["path"]}}, "a.b", ["exact"]),
        ({"a": "text"}, "a.b", []),
        ({"a": None}, "a.b.c", []),
        ({}, "groups", []),
    ],
)
def test_groups_claim(claims: dict[str, object], claim: str, expected: list[str]) -> None:
    assert groups.ClaimGroups("oauth_user", claim)({"oauth_user": claims}) == expected


@pytest.mark.parametrize("auth_state", [{}, {"oauth_user": None}, {"oauth_user": "ada"}])
def test_no_claims_no_groups(auth_state: dict[str, object]) -> None:
    assert groups.ClaimGroups("oauth_user", "groups")(auth_state) == []


def test_github_teams() -> None:
    teams = [
        {"slug": "gpu", "organization": {"login": "lab"}},
        {"slug": "web", "organization": {"login": "lab"}},
        {"slug": "x", "organization": None},
        {"slug": None, "organization": {"login": "uni"}},
        {},
    ]
    assert groups.github_groups({"teams": teams}) == ["lab", "lab:gpu", "lab:web", "uni"]
    assert groups.github_groups({}) == []


def test_globus_groups() -> None:
    assert groups.globus_groups({"globus_groups": ["b", "a"]}) == ["a", "b"]
    assert groups.globus_groups({}) == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"email": "ada@lab.example", "email_verified": True}, "ada@lab.example"),
        ({"email": "ada@lab.example", "verified_email": True}, "ada@lab.example"),
        ({"email": "ada@lab.example"}, None),
        ({"email": "ada@lab.example", "email_verified": False}, None),
        ({"email": "ada@lab.example", "email_verified": "true"}, None),
        ({"email": "ada@lab.example", "email_verified": "false"}, None),
        ({"email": "ada@lab.example", "email_verified": 1}, None),
        ({"email": "ada@lab.example", "email_verified": [True]}, None),
        ({"email": ["ada@lab.example"], "email_verified": True}, None),
        ({"email": "ada", "email_verified": True}, None),
        ({"email_verified": True}, None),
        ({}, None),
    ],
)
def test_only_verified_addresses(claims: dict[str, object], expected: str | None) -> None:
    assert groups.verified_email(claims) == expected
