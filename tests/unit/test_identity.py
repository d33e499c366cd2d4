# ruff: noqa: PLR0913, PLR0917 - hypothesis gives each part of two names
"""Names from auth/identity.py: stable, readable where that is safe, and never shared."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from auth import identity

HUB_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
KEY = "abcdefghijklmnop"

# The whole unit tier has five seconds.
few = settings(max_examples=40, deadline=None)

# Everything, lone surrogates and control characters too, weighted towards what collides in
# naive encodings.
hostile = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text("aA-_.%0|:/\\\x00\x02\u212a\ud800\udc00\U00010000é", max_size=12),
    st.sampled_from(["new", "bulk", "hub", "api", ".", "..", "%2e", "root", "ada", "Ada", "ada-x"]),
)
keys = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16)
hub_names = st.from_regex(r"[a-z][a-z0-9]{0,30}", fullmatch=True)
instances = st.sampled_from(["labhub", "labhub-0a1b2c", "x", "a-b"])


def test_keys_stay_what_they_are() -> None:
    """A changed key would lose every volume, so the values are pinned."""
    assert {
        pair: identity.account_key(*pair)
        for pair in [("local", "1"), ("https://github.com", "583231"), ("", "")]
    } == {
        ("local", "1"): "2bvogdsh5yq6hm5b",
        ("https://github.com", "583231"): "orutikb7p7y7pa2c",
        ("", ""): "heh6vpdyny3j4vnz",
    }


@few
@given(hostile, hostile, hostile, hostile)
def test_different_people_have_different_keys(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    assert identity.account_key(a, b) != identity.account_key(c, d)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a|b", "c"), ("a", "b|c")),
        (("a", "bc"), ("ab", "c")),
        (("1:a", ""), ("", "1:a")),
        (("\ud800\udc00", ""), ("\U00010000", "")),
        (("", "\x00"), ("\x00", "")),
    ],
)
def test_joined_texts_do_not_collide(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert identity.account_key(*one) != identity.account_key(*other)


@pytest.mark.parametrize(
    ("provider_name", "hub_name"),
    [
        ("ada", "ada"),
        ("a", "a"),
        ("x" * 31, "x" * 31),
        ("ada7", "ada7"),
        ("x" * 32, "x" * 20 + "0abcdefghij"),
        ("Ada", "ada0abcdefghij"),
        ("ada-x", "adax0abcdefghij"),
        ("ada.lovelace@lab.example", "adalovelace0abcdefghij"),
        ("7ada", "ada0abcdefghij"),
        ("Jürgen Müller", "jurgenmuller0abcdefghij"),
        ("\u212aelvin", "kelvin0abcdefghij"),
        ("ﬁona", "fiona0abcdefghij"),
        ("田中太郎" * 25, "u0abcdefghij"),
        ("", "u0abcdefghij"),
        ("ada\n", "ada0abcdefghij"),
        ("ada\x00", "ada0abcdefghij"),
        ("new", "new0abcdefghij"),
        ("bulk", "bulk0abcdefghij"),
        ("hub", "hub0abcdefghij"),
        ("api", "api0abcdefghij"),
        (".", "u0abcdefghij"),
        ("..", "u0abcdefghij"),
        ("%2e%2e", "e2e0abcdefghij"),
        ("%6e%65%77", "e65770abcdefghij"),
        ("root", "root0abcdefghij"),
        # it looks like the derived name of somebody else, so it is derived itself
        ("ada0qqqqqqqqqq", "ada0qqqqqqqqqq0abcdefghij"),
    ],
)
def test_hub_names(provider_name: str, hub_name: str) -> None:
    assert identity.canonical_name(provider_name, KEY) == hub_name


@few
@given(hostile, keys)
def test_every_name_becomes_a_hub_name(provider_name: str, key: str) -> None:
    name = identity.canonical_name(provider_name, key)
    assert HUB_NAME.fullmatch(name)
    assert name not in identity.RESERVED_NAMES


@few
@given(hostile, hostile, keys, keys)
def test_a_shared_hub_name_means_the_same_provider_name(
    one: str, other: str, key: str, other_key: str
) -> None:
    assume(key[:10] != other_key[:10])
    if identity.canonical_name(one, key) == identity.canonical_name(other, other_key):
        assert one == other
        assert identity.is_canonical(one)


@few
@given(hub_names, keys)
def test_a_derived_name_is_not_canonical(provider_name: str, key: str) -> None:
    name = identity.canonical_name(provider_name, key)
    assert (name == provider_name) == identity.is_canonical(name)


def test_object_names() -> None:
    assert identity.object_name("labhub", "ada", KEY) == "labhub-ada-abcdefghijklmnop"
    longest = identity.object_name("labhub-0a1b2cd", "x" * 31, KEY)
    assert (len(longest), longest[:16]) == (63, "labhub-0a1b2cd-x")


@few
@given(instances, hub_names, keys, instances, hub_names, keys)
def test_object_names_are_injective(
    i: str, user: str, key: str, other_i: str, other_user: str, other_key: str
) -> None:
    assume((i, user, key) != (other_i, other_user, other_key))
    name = identity.object_name(i, user, key)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 63
    assert name != identity.object_name(other_i, other_user, other_key)


def test_container_names() -> None:
    first = identity.container_name("labhub", "ada", KEY, "", 1)
    assert re.fullmatch(r"labhub-ada-[a-z2-7]{16}-1", first)
    assert identity.container_name("labhub", "ada", KEY, "", 2) == first[:-1] + "2"
    assert identity.container_name("labhub", "ada", KEY, "-1", 1) != first


@few
@given(
    st.tuples(instances, hub_names, keys, hostile, st.integers(0, identity.ATTEMPT_MAX - 1)),
    st.tuples(instances, hub_names, keys, hostile, st.integers(0, identity.ATTEMPT_MAX - 1)),
)
def test_container_names_are_injective(
    one: tuple[str, str, str, str, int], other: tuple[str, str, str, str, int]
) -> None:
    assume(one != other)
    name = identity.container_name(*one)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 63
    assert name != identity.container_name(*other)


@few
@given(instances, hub_names, keys, hostile, hostile, st.integers(0, 3), st.integers(0, 3))
def test_servers_and_attempts_of_one_user_are_apart(
    i: str, user: str, key: str, server: str, other_server: str, attempt: int, other_attempt: int
) -> None:
    assume((server, attempt) != (other_server, other_attempt))
    assert identity.container_name(i, user, key, server, attempt) != identity.container_name(
        i, user, key, other_server, other_attempt
    )


@few
@given(hub_names, keys, st.text("abcdefghijklmnopqrstuvwxyz234567", max_size=16))
def test_volumes_and_containers_do_not_share_names(user: str, key: str, server: str) -> None:
    assert identity.object_name("labhub", user, key) != identity.container_name(
        "labhub", user, key, server, 0
    )


@pytest.mark.parametrize(
    ("instance", "user", "key"),
    [
        ("labhub", "Ada", KEY),
        ("labhub", "ada\n", KEY),
        ("labhub", "ada-x", KEY),
        ("labhub", "../etc", KEY),
        ("labhub", "", KEY),
        ("labhub", "ada", "short"),
        ("labhub", "ada", KEY.upper()),
        ("labhub-", "ada", KEY),
        ("Labhub", "ada", KEY),
        ("labhub-0a1b2cde", "ada", KEY),
    ],
)
def test_object_names_refuse_what_is_not_canonical(instance: str, user: str, key: str) -> None:
    with pytest.raises(ValueError, match="is not a valid"):
        identity.object_name(instance, user, key)
    with pytest.raises(ValueError, match="is not a valid"):
        identity.container_name(instance, user, key, "", 0)


@pytest.mark.parametrize("attempt", [-1, identity.ATTEMPT_MAX])
def test_attempts_have_a_range(attempt: int) -> None:
    with pytest.raises(ValueError, match="attempt must be between"):
        identity.container_name("labhub", "ada", KEY, "", attempt)
