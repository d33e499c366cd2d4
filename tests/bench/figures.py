"""From measured seconds to the figures that are printed; pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("ours", "stock", "floor")


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` % of all values do not exceed."""
    rank = -(-percent * len(values) // 100)  # rounded up, in integers
    return sorted(values)[rank - 1]


def figures(values: Sequence[float]) -> dict[str, Any]:
    """Return median, p95 and every single value."""
    return {
        "median": round(statistics.median(values), 3),
        "p95": round(percentile(values, 95), 3),
        "all": [round(value, 3) for value in values],
    }


def ratios(seconds: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return ours/stock and ours/floor for the median and the p95."""
    ours = seconds["ours"]
    return {
        f"ours/{other}": {
            which: round(ours[which] / seconds[other][which], 2) for which in ("median", "p95")
        }
        for other in ("stock", "floor")
        if other in seconds
    }


def milliseconds(values: Sequence[float]) -> dict[str, Any]:
    """Return median, p95 and every single value of seconds, in milliseconds."""
    return {
        "median": round(1000 * statistics.median(values), 1),
        "p95": round(1000 * percentile(values, 95), 1),
        "all": [round(1000 * value, 1) for value in values],
    }
