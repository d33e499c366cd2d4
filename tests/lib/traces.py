"""Traces of a GPU server that has more to do than it can: made by a seed, the same every time.

Run times are log-uniform from seconds to two days, limits 1.1 to 4 times as long. How many GPUs a
request wants is a matter of the shape: of those in `SHAPES`, most want one, or nearly all, or all.
A few users want much, many little; each is in one group. `load` is the device time
wanted per device time there is, from the first arrival to the last.
"""

import math
import random
from collections.abc import Sequence

from spawner.simulation import Request

SHORTEST_SECONDS, LONGEST_SECONDS = 10.0, 2 * 86400.0
LIMIT_FACTORS = (1.1, 4.0)
USERS = 20
GROUPS = ("staff", "students", "guests")
# How many of a thousand requests want so many GPUs.
SIZES = {1: 740, 2: 130, 3: 20, 4: 70, 6: 10, 8: 30}
SHAPES: dict[str, dict[int, int]] = {
    "mixed": SIZES,
    "nearly one each": {1: 985, 2: 6, 4: 6, 8: 3},
    "one each": {1: 1000},
}
LOADS = (0.9, 1.0, 1.1, 1.2, 1.3)


def trace(seed: int, count: int, devices: int, load: float, shape: str = "mixed") -> list[Request]:
    """Return so many requests for so many devices, in the order of arrival."""
    rng = random.Random(seed)  # noqa: S311 - the same every time
    wanted = [_wanted(rng, devices, shape) for _ in range(count)]
    seconds = sum(each.gpus * each.duration for each in wanted) / (devices * load)
    arrivals = sorted(rng.uniform(0, seconds) for _ in range(count))
    return [
        Request(round(at, 3), each.user, each.group, each.gpus, each.duration, each.limit)
        for at, each in zip(arrivals, wanted, strict=True)
    ]


def _wanted(rng: random.Random, devices: int, shape: str) -> Request:
    sizes = {size: weight for size, weight in SHAPES[shape].items() if size <= devices}
    shortest, longest = math.log(SHORTEST_SECONDS), math.log(LONGEST_SECONDS)
    duration = round(math.exp(rng.uniform(shortest, longest)), 3)
    user = rng.choices(range(USERS), [1 / (number + 1) for number in range(USERS)])[0]
    return Request(
        arrival=0.0,
        user=f"user{user}",
        group=GROUPS[user % len(GROUPS)],
        gpus=rng.choices(list(sizes), list(sizes.values()))[0],
        duration=duration,
        limit=round(duration * rng.uniform(*LIMIT_FACTORS), 3),
    )


def as_csv(requests: Sequence[Request]) -> str:
    """Return a trace as labhub simulate reads it."""
    rows = (
        f"{each.arrival},{each.user},{each.group},{each.gpus},{each.duration},{each.limit}"
        for each in requests
    )
    return "\n".join(["arrival_s,user,group,gpus,duration_s,limit_s", *rows, ""])
