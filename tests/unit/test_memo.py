"""What was made once is there again for the same things, and for no others."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from spawner.memo import Memo


@dataclass(frozen=True)
class Thing:
    """Something that equals others and is not the same."""

    number: int


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 1)), max_size=4),
        ),
        max_size=5,
    )
)
def test_it_never_says_anything_but_what_would_be_made(
    calls: list[tuple[int, list[tuple[int, bool, int]]]],
) -> None:
    memo: Memo[Thing, int, tuple[int, int, int]] = Memo()
    same = [Thing(number) for number in range(4)]
    for given_to_all, wanted in calls:
        chosen = {number: (is_new, about) for number, is_new, about in wanted}
        things = [
            (Thing(number) if is_new else same[number], about)
            for number, (is_new, about) in chosen.items()
        ]
        made = memo.all(given_to_all, things, lambda t, a, g=given_to_all: (g, t.number, a))
        assert made == [(given_to_all, thing.number, about) for thing, about in things]


def test_the_same_things_are_made_once() -> None:
    memo: Memo[Thing, int, object] = Memo()
    things = [(Thing(1), 0), (Thing(2), 0)]
    first = memo.all("all", things, lambda *_: object())
    second = memo.all("all", [(things[0][0], 0), (things[1][0], 1)], lambda *_: object())
    assert second[0] is first[0]
    assert second[1] is not first[1]
