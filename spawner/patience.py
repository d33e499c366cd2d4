"""For how long places in the queue and GPUs are kept already for people who are away. Pure.

A clock that is set must take nobody's place, so it is counted by one that nobody sets. What the
store notes is a time of the clock on the wall: here it only tells one absence from another, so
that also a clock that is followed (queueing.py) begins the counting anew. A hub that has just come
up counts anew, too: while there was none, nobody could come.
"""

from dataclasses import replace

from spawner.lease import Scene
from spawner.runs import Holder


class Patience:
    """Counts from round to round."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        # Since when by the steady clock, of what is kept for whom since when by the other.
        self._since: dict[tuple[str, Holder, float], float] = {}

    def counted(self, scene: Scene, now: float, steady: float) -> Scene:
        """Return the scene with these times as if the clock on the wall had never been set.

        `now` and `steady` are the moment by the clock on the wall and by the one nobody sets.
        """
        before, self._since = self._since, {}

        def since(what: str, holder: Holder, noted: float | None) -> float | None:
            if noted is None:
                return None
            key = what, holder, noted
            self._since[key] = before.get(key, steady)
            return now - (steady - self._since[key])

        return replace(
            scene,
            tickets=[
                replace(each, lost=since("place", each.holder, each.lost)) for each in scene.tickets
            ],
            leases=[
                replace(each, offered=since("GPU", each.holder, each.offered))
                for each in scene.leases
            ],
        )
