"""Shortest first with run times known: about how short waits can be at all on one device each.

No server can do this: it knows limits, not run times. Long runs starve in it, as `starved` says.
"""

import heapq
from collections.abc import Sequence
from math import inf

from spawner.simulation import Request, Start


def shortest_first(requests: Sequence[Request], devices: int) -> list[Start]:
    """Return the starts where a free device goes to the shortest run; each wants one device."""
    free, ends, waiting = list(range(devices)), list[tuple[float, int]](), list[tuple[float, int]]()
    starts: dict[int, Start] = {}
    coming = [(request.arrival, index) for index, request in enumerate(requests)][::-1]
    while coming or ends:
        now = min(coming[-1][0] if coming else inf, ends[0][0] if ends else inf)
        while ends and ends[0][0] <= now:
            free.append(heapq.heappop(ends)[1])
        while coming and coming[-1][0] <= now:
            index = coming.pop()[1]
            heapq.heappush(waiting, (requests[index].run, index))
        while free and waiting:
            run, index = heapq.heappop(waiting)
            starts[index] = Start(now, (free.pop(),))
            heapq.heappush(ends, (now + run, starts[index].devices[0]))
    return [starts[index] for index in range(len(requests))]
