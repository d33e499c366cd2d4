"""What a start waits for, where it is not the machine's GPUs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from spawner.admission import MEASURES
from spawner.lease import Scene, Ticket
from spawner.runs import Holder

_WORDS = {measure.plural: measure.words for measure in MEASURES}


@dataclass(frozen=True, slots=True)
class Shortage:
    """A group has too little left of what its members may have in all; amounts in words."""

    group: str
    most: str
    taken: str
    holders: tuple[Holder, ...]


def shortage(scene: Scene, ticket: Ticket) -> Shortage | None:
    """Return which group's total a start waits for, None when it is none."""
    for (group, word), most in scene.caps.items():
        wanted = ticket.draws.get((group, word), 0)
        if group and wanted:
            drawn = _drawn(scene, (group, word))
            if sum(drawn.values()) + wanted > most:
                words = _WORDS[word]
                return Shortage(group, words(most), words(sum(drawn.values())), tuple(drawn))
    return None


def _drawn(scene: Scene, key: tuple[str, str]) -> Mapping[Holder, int]:
    """Return which servers have how much of it."""
    return {each.holder: each.draws[key] for each in scene.leases if each.draws.get(key)}
