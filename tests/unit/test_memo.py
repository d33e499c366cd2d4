"""What was made once is there again for the same things, and for no others."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from spawner.memo import Memo


@dataclass(frozen=True)
class Thing:
    """Something that equals others and is not the same."""

    number: int


SAME = [Thing(number) for number in range(4)]
ROWS = st.lists(
    st.one_of(st.sampled_from(SAME), st.builds(Thing, number=st.integers(0, 3))), max_size=6
)


@given(st.lists(st.tuples(st.integers(0, 1), ROWS), max_size=6))
def test_it_never_says_anything_but_what_would_be_made(
    calls: list[tuple[int, list[Thing]]],
) -> None:
    memo: Memo[Thing, tuple[int, int]] = Memo()
    for about_all, things in calls:
        made = memo.all(things, about_all, lambda each, about=about_all: (about, each.number))
        assert made == [(about_all, each.number) for each in things]


def test_only_what_is_new_in_the_middle_is_made() -> None:
    memo: Memo[Thing, object] = Memo()
    first, second, third, fourth = SAME
    before = memo.all([first, second, third], "all", lambda _: object())
    after = memo.all([first, fourth, Thing(2), third], "all", lambda _: object())
    assert (after[0], after[3]) == (before[0], before[2])
    assert len(set(map(id, before + after))) == 5
    assert memo.all([first], "others", lambda _: object()) != before[:1]
