"""The figures that the benches print."""

import pytest

from spawner.simulation import Request, Start
from tests.bench.cpu import parse
from tests.bench.figures import figures, milliseconds, percentile, ratios
from tests.bench.shortest import shortest_first


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


def test_seconds_are_shown_in_milliseconds_to_a_tenth() -> None:
    shown = milliseconds([0.03124, 0.0458, 0.0961])
    assert shown == {"median": 45.8, "p95": 96.1, "all": [31.2, 45.8, 96.1]}


@pytest.mark.parametrize("name", ["python", "a (b) c", "x) S 1"])
def test_the_processor_time_is_read_whatever_the_program_is_called(name: str) -> None:
    stat = f"71 ({name}) S 1 71 71 0 -1 4194560 9 8 7 6 250 31 5 4 20 0 1 0 12 34 56"
    assert parse(stat) == 281


def test_a_free_device_goes_to_the_shortest_run_that_waits() -> None:
    runs = [(0, 100), (1, 50), (2, 10), (300, 5)]
    requests = [Request(at, "ada", "staff", 1, run, 2 * run) for at, run in runs]
    assert shortest_first(requests, 1) == [
        Start(0, (0,)), Start(110, (0,)), Start(100, (0,)), Start(300, (0,)),
    ]  # fmt: skip
    assert [each.at for each in shortest_first(requests, 2)] == [0, 1, 51, 300]
