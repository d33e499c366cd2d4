"""Who may have how many named servers, and by which names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyterhub.slugs import is_valid_safe_slug

from spawner.servers import RESERVED, left, name_problem

WORD = (
    "The name of a server must be one word of small letters, digits and single hyphens, at most "
    "30 of them, a letter first."
)


@pytest.mark.parametrize(
    ("name", "owned", "most", "problem"),
    [
        ("night", [""], 2, ""),
        ("n", [], 2, ""),
        ("night-run-2", ["", "day"], 3, ""),
        # what is there stays, whatever the quota says now
        ("night", ["", "night", "day"], 1, ""),
        ("Old Name!", ["Old Name!"], 1, ""),
        ("night", [""], 1, "You may have one server, so none with a name of its own."),
        (
            "night", ["", "day"], 2,
            "You may have 2 servers, the one without a name included, and have them all: "
            "delete one you do not need.",
        ),
        ("lab", [""], 9, "The name lab is a page of your other server; choose another one."),
        *((name, [], 9, WORD) for name in (
            "", "Night", "1st", "a--b", "a-", "a b", "a/b", "nächte", "x" * 31, "a\n", None, 5,
            True, ["night"], {"name": "night"},
        )),
    ],
)  # fmt: skip
def test_names(name: object, owned: list[str], most: int, problem: str) -> None:
    assert name_problem(name, owned, most) == problem


@pytest.mark.parametrize(
    ("owned", "most", "count"),
    [([], 1, 0), ([""], 1, 0), ([""], 3, 2), (["", "a"], 3, 1), (["a", "b"], 3, 0), (["a"], 1, 0)],
)
def test_how_many_more(owned: list[str], most: int, count: int) -> None:
    assert left(owned, most) == count


@given(st.text(max_size=32) | st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True))
def test_what_is_a_name_is_jupyterhubs_business(name: str) -> None:
    if name not in RESERVED:
        assert (name_problem(name, [], 2) == "") == is_valid_safe_slug(name)
