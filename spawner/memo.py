"""What was made of things the last time, for those that are the same ones and about the same. Pure.

Most of a long queue is at the next decision what it was at the last.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
A = TypeVar("A")
V = TypeVar("V")


class Memo(Generic[K, A, V]):
    """One last time. Threads may use it at once: it may be forgotten what one of them made."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._last: tuple[Hashable, dict[int, tuple[K, A, V]]] = None, {}

    def all(
        self, given: Hashable, things: Iterable[tuple[K, A]], make: Callable[[K, A], V]
    ) -> list[V]:
        """Return what is made of each thing and what is about it; `given` is the same for all."""
        before, known = self._last
        if before != given:
            known = {}
        kept = {}
        for thing, about in things:
            entry = known.get(id(thing))  # kept with the thing itself, so nothing else has its id
            if entry is None or entry[0] is not thing or entry[1] != about:
                entry = thing, about, make(thing, about)
            kept[id(thing)] = entry
        self._last = given, kept
        return [made for _, _, made in kept.values()]
