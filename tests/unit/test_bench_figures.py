"""The figures that tests/bench/spawn prints."""

import pytest

from tests.bench.figures import figures, percentile, ratios


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 95, 3.0),
        ([2.0, 1.0], 95, 2.0),
        ([2.0, 1.0], 50, 1.0),
        ([float(n) for n in range(1, 21)], 95, 19.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
    ],
)
def test_percentile(values: list[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_ours_is_compared_with_each_of_the_others() -> None:
    seconds = {
        "ours": figures([1.0, 1.2, 1.4]),
        "stock": figures([4.0, 4.8, 7.0]),
        "floor": figures([1.0, 1.0, 1.0]),
    }
    assert seconds["ours"] == {"median": 1.2, "p95": 1.4, "all": [1.0, 1.2, 1.4]}
    assert ratios(seconds) == {
        "ours/stock": {"median": 0.25, "p95": 0.2},
        "ours/floor": {"median": 1.2, "p95": 1.4},
    }
