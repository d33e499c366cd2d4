"""The waiting room of one hub: who waits in it, who looks, and who is called.

What counts stands in the store. This is only what is lost when the hub ends: which starts of this
process wait, whom they tell, and whom to wake.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from spawner.place import Place
from spawner.runs import Holder
from spawner.scene import Known


class LeftError(Exception):
    """A start does not wait any more; the text is one sentence for its user."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A start that ended before it had a run, so there is no receipt; `waited` in the queue."""

    at: datetime
    waited: bool


@dataclass(slots=True)
class Seat:
    """One start of this hub that waits; `tell` is called with each new place."""

    holder: Holder
    tell: Callable[[Place], None]
    # The gate is asked at this moment, and may have let the start in already.
    asking: bool = False
    wishes: dict[str, Any] = field(default_factory=dict)
    why_left: str = ""
    place: Place | None = None
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def turn(self) -> None:
        """Return when it may be this start's turn, or its wishes changed; raises LeftError."""
        await self.called.wait()
        self.called.clear()
        if self.why_left:
            raise LeftError(self.why_left)


class Room:
    """All starts of this hub that wait. Everything runs on its event loop."""

    def __init__(self) -> None:
        """Begin empty. `due` is set by whoever knows that the queue may go on."""
        self.due = asyncio.Event()
        # The hub ends: whoever waits keeps the place for the one that comes back.
        self.closing = False
        self.places: Mapping[Holder, Place] = {}
        # The servers for whose end somebody waits: their sessions end when they are over.
        self.wanted_back: frozenset[Holder] = frozenset()
        # GPU-seconds that each user had lately, as of a moment.
        self.used: Mapping[str, float] = {}
        self.used_at: datetime | None = None
        self.known = Known()
        # Those at whose start somebody looks now, whether it waits or not.
        self.lookers: set[Holder] = set()
        # Whose starts came to this hub: it knows better than the store whether they wait.
        self.met: set[Holder] = set()
        # Who left, and may still stand in the store.
        self.gone: set[Holder] = set()
        # Whose last start was cancelled on its way in.
        self.cancelled: dict[Holder, Cancelled] = {}
        self._seats: dict[Holder, Seat] = {}

    def meet(self, holder: Holder) -> None:
        """Note that a start comes to this hub."""
        self.met.add(holder)
        self.gone.discard(holder)
        self.cancelled.pop(holder, None)

    def dismiss(self, holder: Holder) -> None:
        """Note that nobody wants a start that an earlier hub left waiting, if it is still to come.

        One that waits here leaves by itself.
        """
        if holder not in self._seats:
            self.met.add(holder)
            self.gone.add(holder)
            self.due.set()

    def sit(self, holder: Holder, tell: Callable[[Place], None]) -> Seat:
        """Let a start wait here."""
        seat = self._seats[holder] = Seat(holder, tell)
        return seat

    def leave(self, seat: Seat) -> None:
        """Let a start go, whatever became of it."""
        if self._seats.get(seat.holder) is seat:
            del self._seats[seat.holder]
        self.due.set()

    def seat(self, holder: Holder) -> Seat | None:
        """Return where a start waits, None when none does."""
        return self._seats.get(holder)

    def seated(self) -> tuple[Holder, ...]:
        """Return all starts that wait here."""
        return tuple(self._seats)

    def waiting(self) -> frozenset[Holder]:
        """Return the starts that wait here and have certainly not begun anything."""
        return frozenset(seat.holder for seat in self._seats.values() if not seat.asking)

    def look(self, holder: Holder, *, looked_at: bool) -> bool:
        """Note whether somebody looks at a start; return whether it waits."""
        (self.lookers.add if looked_at else self.lookers.discard)(holder)
        return holder in self._seats

    def call(self, holder: Holder) -> None:
        """Wake a start, because it may be its turn."""
        if (seat := self._seats.get(holder)) is not None:
            seat.called.set()

    def ask_anew(self, user: str = "") -> None:
        """Wake all starts, or those of a user, because other rules hold for them.

        Whoever waits for what the rules never give any more is refused so, and others may have
        another place.
        """
        for holder in self._seats:
            if user in {"", holder.user}:
                self.call(holder)
        self.due.set()

    def send_away(self, holder: Holder, why: str) -> bool:
        """End the waiting of a start with a sentence; False when none of this hub waits there."""
        if (seat := self._seats.get(holder)) is None:
            return False
        seat.why_left = why
        seat.called.set()
        return True

    def wish(self, holder: Holder, options: Mapping[str, Any]) -> bool:
        """Let a start that waits want something else; False when none waits."""
        if (seat := self._seats.get(holder)) is None:
            return False
        seat.wishes.update(options)
        seat.called.set()
        return True

    def show(self, places: Mapping[Holder, Place]) -> None:
        """Tell everybody their place."""
        self.places = places
        for holder, seat in self._seats.items():
            if (place := places.get(holder)) is not None:
                seat.place = place
                seat.tell(place)
