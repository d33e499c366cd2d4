"""In which order tickets are served. Pure.

By the groups' priority first, and then by score:

    score = (1 + seconds waited) / (seconds asked for) ^ 1.5 / (1 + device time had lately)

- Asking for less is in sooner. Half of all runs take minutes and are nothing to a machine that is
  full of runs of days: letting them go first costs the others little and saves them days.
- Everybody's score grows for ever, so everybody comes first some day.
- Device time had lately is in half-lives of a device: who had one all the time waits about twice
  as long as who had none.

Who has waited for `reserve_after` stands in a line besides, in the order of their coming; one point
of priority counts as much as `reserve_after` there. So whoever has less priority than others who
wait comes into it so much later, and priority comes first there, too, but for those who have waited
for all that it counts. It leads nobody into the line sooner than `reserve_after`: a group of which
all have priority would be served in the order of coming. What is done with that line, and why
nobody waits much longer than in a strict line, stands in spawner/queue.py.
"""

from collections.abc import Sequence
from functools import lru_cache

from spawner.lease import Scene, Ticket

# Nobody gains by asking for less than this.
SHORTEST_SECONDS = 60.0
# Nobody loses by asking for more than this; who asks for ever counts as if for so long.
LONGEST_SECONDS = 30 * 86400.0
SHARPNESS = 1.5


def ranked(scene: Scene, tickets: Sequence[Ticket], now: float) -> list[Ticket]:
    """Return the tickets by priority and score, the next one first."""
    half_life = scene.rules.half_life
    costs = {user: 1.0 + seconds / half_life for user, seconds in scene.used.items()}
    came = now + 1.0
    keyed = [
        (
            -each.rank,
            -each.priority,
            (each.since - came) / _cost(each.asked) / costs.get(each.holder.user, 1.0),
            each.since,
            index,
        )
        for index, each in enumerate(tickets)
    ]
    keyed.sort()
    return [tickets[key[-1]] for key in keyed]


@lru_cache(maxsize=65536)
def _cost(asked: float | None) -> float:
    """Return what a ticket's time asked for divides its score by."""
    bounded = LONGEST_SECONDS if asked is None else min(asked, LONGEST_SECONDS)
    seconds = max(SHORTEST_SECONDS, bounded)
    return float(seconds**SHARPNESS)


def line(scene: Scene, tickets: Sequence[Ticket], now: float) -> list[Ticket]:
    """Return the tickets that have waited too long for a score to matter, the first one first."""
    step = scene.rules.reserve_after
    bound = now - step
    # whom an admin put first stands at its head
    late = [e for e in tickets if e.rank > 0 or (e.rank == 0 and e.since <= bound)]
    priorities = {each.priority for each in tickets if each.rank == 0} if late else set()
    if len(priorities) > 1:
        top = max(priorities)
        late = [e for e in late if e.rank > 0 or e.since + (top - e.priority) * step <= bound]
    return sorted(late, key=lambda each: (-each.rank, each.since - each.priority * step))
