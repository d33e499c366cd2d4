"""The policies, by hand on small traces, and against each other on those of a crowded server."""

from dataclasses import replace

import pytest

from hub_config.schema import Gpus
from spawner.lease import rules
from spawner.simulation import Lab, Request, Start, double_leases, fifo, ours, static
from spawner.simulation_figures import Figures, figures
from tests.lib.traces import trace

RULES = rules(Gpus())
HOUR = 3600.0


def wants(arrival: float, gpus: int, run: float, limit: float = 0, user: str = "ada") -> Request:
    """A request; without a limit of its own, that of its run time."""
    return Request(arrival, user, "staff", gpus, run, limit or run)


SMALL = [
    wants(0, 1, 100, user="ada"),
    wants(1, 2, 10, user="bob"),
    wants(2, 1, 30, user="cyd"),
    wants(3, 1, 500, limit=20, user="ada"),
]


def test_a_strict_line_is_blocked_by_whoever_is_first() -> None:
    assert fifo(SMALL, 2) == [
        Start(0, (0,)), Start(100, (1, 0)), Start(110, (0,)), Start(110, (1,)),
    ]  # fmt: skip


def test_devices_of_ones_own_stay_empty_while_others_wait() -> None:
    assert static(SMALL, 2) == [
        Start(0, (0,)), Start(100, (1, 0)), Start(110, (0,)), Start(140, (0,)),
    ]  # fmt: skip


def test_what_surely_ends_before_a_reserved_start_goes_first() -> None:
    assert ours(SMALL, Lab(2, RULES)) == [
        Start(0, (0,)), Start(100, (0, 1)), Start(2, (1,)), Start(32, (1,)),
    ]  # fmt: skip


def test_what_might_not_end_before_it_does_not() -> None:
    longer = [*SMALL[:2], wants(2, 1, 30, limit=99, user="cyd")]
    assert ours(longer, Lab(2, RULES))[1:] == [Start(100, (0, 1)), Start(110, (0,))]


def test_a_group_with_a_total_waits_for_itself_only() -> None:
    staff = [wants(0, 1, 100), wants(0, 1, 100), Request(0, "bob", "guests", 1, 100, 100)]
    lab = Lab(2, RULES, totals={"staff": 1})
    assert ours(staff, lab) == [Start(0, (0,)), Start(100, (0,)), Start(0, (1,))]


def test_a_total_holds_in_a_strict_line_and_for_devices_of_ones_own() -> None:
    three = [
        wants(0, 1, 100, user="ada"), wants(0, 1, 50, user="bob"),
        Request(1, "cyd", "guests", 1, 10, 10),
    ]  # fmt: skip
    assert [each.at for each in fifo(three, 3, {"staff": 1})] == [0, 100, 100]
    assert [each.at for each in static(three, 3, {"staff": 1})] == [0, 100, 1]
    two_each = [wants(0, 2, 100), wants(0, 1, 10), wants(0, 2, 5)]
    assert [each.at for each in fifo(two_each, 9, {"staff": 3})] == [0, 0, 100]


def test_a_higher_priority_comes_first() -> None:
    two = [wants(0, 1, 100), wants(1, 1, 10), Request(2, "bob", "guests", 1, 1000, 1000)]
    lab = Lab(1, RULES, priorities={"guests": 5})
    assert [start.at for start in ours(two, lab)] == [0, 1100, 100]


def test_two_at_once_on_one_device_are_counted() -> None:
    four = [wants(0, 1, 10) for _ in range(4)]
    starts = [Start(0, (0,)), Start(9, (0,)), Start(10, (0,)), Start(10, (1,))]
    assert double_leases(four, starts) == 2


def test_the_figures() -> None:
    two = [wants(0, 1, 1200, user="ada"), wants(0, 1, 300, user="bob")]
    line = fifo(two, 1)
    assert figures("fifo", two, line, line, 1) == Figures(
        policy="fifo",
        requests=2,
        mean_wait_s=600.0,
        median_wait_s=600.0,
        p95_wait_s=1200.0,
        max_wait_s=1200.0,
        utilisation=1.0,
        mean_bounded_slowdown=1.75,
        jain=0.844828,
        starved=0,
        double_leases=0,
    )


@pytest.mark.parametrize(
    ("wait_hours", "in_line_hours", "starved"),
    [(25, 8, 1), (24, 1, 0), (25, 9, 0), (240, 80, 0), (241, 80, 1)],
)
def test_who_starved(wait_hours: float, in_line_hours: float, starved: int) -> None:
    one = [wants(0, 1, 10)]
    starts, line = [Start(wait_hours * HOUR, (0,))], [Start(in_line_hours * HOUR, (0,))]
    assert figures("ours", one, starts, line, 1).starved == starved


CROWDED = [(1, 600, devices, load) for devices in (4, 8) for load in (0.9, 1.1, 1.3)]
# In these, somebody who came early waited for days while the queue was still short.
SHORT_QUEUES = [(1023, 1500, 4, 1.1), (1037, 1500, 8, 1.3)]


def compared(
    seed: int, count: int, devices: int, load: float, shape: str
) -> tuple[Figures, Figures]:
    """Return the figures of the strict line, and ours, on a trace."""
    requests = trace(seed, count, devices, load, shape=shape)
    line = fifo(requests, devices)
    starts = ours(requests, Lab(devices, RULES))
    return (
        figures("fifo", requests, line, line, devices),
        figures("ours", requests, starts, line, devices),
    )


@pytest.mark.parametrize(("seed", "count", "devices", "load"), [*CROWDED, *SHORT_QUEUES])
def test_on_a_crowded_server(seed: int, count: int, devices: int, load: float) -> None:
    """Short waits, nobody starved, and no device idle for it; tests/bench/queue has more seeds."""
    before, after = compared(seed, count, devices, load, "mixed")
    assert after.mean_wait_s <= 0.3 * before.mean_wait_s
    assert (after.starved, after.double_leases) == (0, 0)
    assert after.utilisation >= before.utilisation


@pytest.mark.parametrize(
    ("seed", "devices", "load", "ratio"),
    [(4, 4, 1.0, 0.33), (7, 4, 1.0, 0.33), (1, 8, 1.1, 0.3), (1, 8, 1.3, 0.25)],
)
def test_on_a_crowded_server_where_everybody_wants_one_device(
    seed: int, devices: int, load: float, ratio: float
) -> None:
    """A strict line wastes nothing there, so less is gained; the long runs come late, at the end.

    At a load of 1.0 its mean wait is only a few hours: knowing all limits and starving whoever asks
    for long, one would come to 0.23.
    """
    before, after = compared(seed, 1500, devices, load, "one each")
    assert after.mean_wait_s <= ratio * before.mean_wait_s
    assert (after.starved, after.double_leases) == (0, 0)
    assert after.utilisation >= 0.99 * before.utilisation


def test_run_times_are_not_known_to_the_policy() -> None:
    """Whatever a run takes, nothing that began before it ended is different."""
    requests = trace(3, 300, 4, 1.1)
    changed = [replace(each, duration=each.duration / 2) for each in requests]
    lab = Lab(4, RULES)
    first = min(
        start.at + each.run for each, start in zip(changed, ours(changed, lab), strict=True)
    )
    for before, after in zip(ours(requests, lab), ours(changed, lab), strict=True):
        assert before == after or min(before.at, after.at) >= first


def test_the_same_trace_gives_the_same_starts() -> None:
    requests = trace(4, 200, 8, 1.2)
    assert ours(requests, Lab(8, RULES)) == ours(requests, Lab(8, RULES))
