"""From when each request began to the figures by which policies are compared. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from spawner.simulation import Request, Start, double_leases

# Slowdowns of shorter runs are those of a run of so long.
SLOWDOWN_BOUND_SECONDS = 600.0
STARVED_AFTER_SECONDS = 86400.0
STARVED_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What `labhub simulate` prints, under these names.

    `utilisation`: the part of all device time, from the first arrival to the last end, in which
    devices were in use. `mean_bounded_slowdown`: the mean of (wait + run) / run, runs shorter than
    10 min counted as 10 min. `jain`: Jain's index of fairness over the users' mean slowdowns, 1
    when all are alike. `starved`: who waited for more than a day, and more than three times as
    long as in a strict line.
    """

    policy: str
    requests: int
    mean_wait_s: float
    median_wait_s: float
    p95_wait_s: float
    max_wait_s: float
    utilisation: float
    mean_bounded_slowdown: float
    jain: float
    starved: int
    double_leases: int


def figures(
    policy: str,
    requests: Sequence[Request],
    starts: Sequence[Start],
    line: Sequence[Start],
    devices: int,
) -> Figures:
    """Return the figures of a policy's starts; `line` are those of the strict line."""
    waits = _waits(requests, starts)
    slowdowns = [_slowdown(each, wait) for each, wait in zip(requests, waits, strict=True)]
    return Figures(
        policy=policy,
        requests=len(requests),
        mean_wait_s=_rounded(statistics.fmean(waits)),
        median_wait_s=_rounded(statistics.median(waits)),
        p95_wait_s=_rounded(percentile(waits, 95)),
        max_wait_s=_rounded(max(waits)),
        utilisation=round(_utilisation(requests, starts, devices), 6),
        mean_bounded_slowdown=_rounded(statistics.fmean(slowdowns)),
        jain=round(_jain(_means_by_user(requests, slowdowns)), 6),
        starved=sum(map(_is_starved, waits, _waits(requests, line))),
        double_leases=double_leases(requests, starts),
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` % of all values do not exceed."""
    rank = -(-percent * len(values) // 100)  # rounded up, in integers
    return sorted(values)[rank - 1]


def _rounded(number: float) -> float:
    return round(number, 3)


def _waits(requests: Sequence[Request], starts: Sequence[Start]) -> list[float]:
    pairs = zip(requests, starts, strict=True)
    return [start.at - request.arrival for request, start in pairs]


def _slowdown(request: Request, wait: float) -> float:
    return max(1.0, (wait + request.run) / max(request.run, SLOWDOWN_BOUND_SECONDS))


def _is_starved(wait: float, in_line: float) -> bool:
    return wait > STARVED_AFTER_SECONDS and wait > STARVED_FACTOR * in_line


def _utilisation(requests: Sequence[Request], starts: Sequence[Start], devices: int) -> float:
    pairs = list(zip(requests, starts, strict=True))
    began = min(each.arrival for each in requests)
    over = max(start.at + request.run for request, start in pairs)
    used = sum(request.run * request.gpus for request in requests)
    return used / (devices * (over - began)) if over > began else 0.0


def _means_by_user(requests: Sequence[Request], slowdowns: Sequence[float]) -> list[float]:
    found: dict[str, list[float]] = {}
    for request, slowdown in zip(requests, slowdowns, strict=True):
        found.setdefault(request.user, []).append(slowdown)
    return [statistics.fmean(each) for each in found.values()]


def _jain(values: Sequence[float]) -> float:
    return sum(values) ** 2 / (len(values) * sum(each * each for each in values))
