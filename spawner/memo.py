"""What was made of a row of things the last time, for those that are the same ones still. Pure.

Most of a long queue is at the next decision what it was at the last: one came, left or changed.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import is_
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Memo(Generic[K, V]):
    """One last time. Threads may use it at once: it may be forgotten what one of them made."""

    def __init__(self, same: Callable[[Any, Any], bool] = is_) -> None:
        """Remember nothing; `same` says whether two things are the same one."""
        self._same = same
        self._last: tuple[Hashable, Sequence[K], list[V]] = None, (), []

    def all(self, things: Sequence[K], given: Hashable, make: Callable[[K], V]) -> list[V]:
        """Return what is made of each thing; `given` is all that `make` depends on besides."""
        before, known, made = self._last
        if before != given:
            known, made = (), []
        first = self._alike(things, known)
        rest = min(len(things), len(known)) - first
        last = min(self._alike(reversed(things), reversed(known)), rest)
        middle = [make(each) for each in things[first : len(things) - last]]
        found = [*made[:first], *middle, *made[len(made) - last :]]
        self._last = given, things, found
        return found

    def _alike(self, these: Iterable[K], those: Iterable[K]) -> int:
        """Return how many of these are, from the first on, the same as those."""
        same = list(map(self._same, these, those))
        return same.index(False) if False in same else len(same)
