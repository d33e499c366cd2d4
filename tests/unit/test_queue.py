"""Who gets a GPU, who waits for how long, and who is told at once that waiting does not help."""

from dataclasses import replace
from typing import Any

import pytest

from hub_config.schema import Gpus
from spawner.devices import Device
from spawner.lease import Granted, Lease, Queued, Rules, Scene, Ticket, rules
from spawner.messages import leases as messages
from spawner.queue import decide, etas, served, turns, what_if
from spawner.recent import Recent
from spawner.runs import Holder

NOW, HOUR, DAY = 1_000_000.0, 3600.0, 86400.0
RULES = rules(Gpus.model_validate({"reserve_after": "8 h"}))
TWO = (Device("GPU-a"), Device("GPU-b"))


def has(user: str, *devices: str, left: float | None = HOUR, **more: Any) -> Lease:
    """A lease that began an hour ago and has so long left."""
    until = None if left is None else NOW + left
    return Lease(Holder(user, ""), devices, NOW - HOUR, until, **more)


def wants(
    user: str, wanted: int = 1, waited: float = 0, asked: float | None = HOUR, **more: Any
) -> Ticket:
    """A ticket of somebody who has waited so long."""
    return Ticket(Holder(user, ""), wanted, NOW - waited, asked, **more)


def scene(*leases: Lease, devices: tuple[Device, ...] = TWO, **more: Any) -> Scene:
    return Scene(RULES, devices, leases, **more)


def test_the_rules_are_those_of_the_file() -> None:
    gpus = Gpus.model_validate({"half_life": "1 d", "claim": "5 min", "soft_limit": False})
    assert rules(gpus) == Rules(DAY, 2 * HOUR, 1800, 300, soft_limit=False)


@pytest.mark.parametrize(
    ("devices", "leases", "wanted", "expected"),
    [
        pytest.param(TWO, [], 1, ("GPU-a",), id="the first"),
        pytest.param(TWO, [], 2, ("GPU-a", "GPU-b"), id="both"),
        pytest.param(TWO, [has("bob", "GPU-a")], 1, ("GPU-b",), id="the one that is free"),
        pytest.param((Device("GPU-a", healthy=False), TWO[1]), [], 1, ("GPU-b",), id="healthy"),
        pytest.param((Device("GPU-a", draining=True), TWO[1]), [], 1, ("GPU-b",), id="drained"),
        pytest.param(
            (Device("GPU-a", used_by_others=True), TWO[1]), [], 1, ("GPU-b",), id="used by others"
        ),
        pytest.param((Device("GPU-a", 4), TWO[1]), [], 1, ("GPU-b",), id="one of one's own"),
        pytest.param(
            (Device("GPU-a", 4), TWO[1]), [has("bob", "GPU-b")], 1, ("GPU-a",), id="a shared one"
        ),
        pytest.param(
            (Device("GPU-a", 2), Device("GPU-b", 2)), [has("bob", "GPU-a")], 1, ("GPU-b",),
            id="the emptiest",
        ),
        pytest.param((Device("GPU-a", 2), TWO[1]), [], 2, ("GPU-b", "GPU-a"), id="never one twice"),
        pytest.param(TWO, [has("ada", "GPU-b")], 1, ("GPU-b",), id="what one has already"),
    ],
)  # fmt: skip
def test_what_is_granted(
    devices: tuple[Device, ...], leases: list[Lease], wanted: int, expected: tuple[str, ...]
) -> None:
    assert decide(scene(*leases, devices=devices), wants("ada", wanted), NOW) == Granted(expected)


FULL = (has("bob", "GPU-a", left=HOUR), has("cyd", "GPU-b", left=3 * HOUR))


@pytest.mark.parametrize(
    ("others", "mine", "expected"),
    [
        pytest.param([], wants("ada"), Queued(1, NOW + HOUR), id="the first that is free"),
        pytest.param([], wants("ada", 2), Queued(1, NOW + 3 * HOUR), id="both"),
        pytest.param([wants("dan")], wants("ada"), Queued(2, NOW + 2 * HOUR), id="after another"),
        pytest.param(
            [wants("dan", asked=DAY)], wants("ada"), Queued(1, NOW + HOUR), id="less is sooner"
        ),
        pytest.param(
            [wants("dan", asked=DAY, priority=1)], wants("ada"), Queued(2, NOW + 3 * HOUR),
            id="priority comes first",
        ),
        pytest.param(
            [wants("dan", asked=None)], wants("ada", waited=1, asked=60 * DAY),
            Queued(1, NOW + HOUR), id="asking for ever is never less",
        ),
        pytest.param(
            [wants("dan", 2, waited=9 * HOUR, asked=DAY)], wants("ada", asked=2 * HOUR),
            Queued(2, NOW + HOUR), id="in the gap before a large one",
        ),
        pytest.param(
            [wants("dan", 2, waited=9 * HOUR, asked=DAY)], wants("ada", asked=3 * HOUR),
            Queued(2, NOW + 27 * HOUR), id="after it where the gap is too short",
        ),
    ],
)  # fmt: skip
def test_who_waits_until_when(others: list[Ticket], mine: Ticket, expected: Queued) -> None:
    assert decide(scene(*FULL, tickets=others), mine, NOW) == expected


@pytest.mark.parametrize(
    ("leases", "expected"),
    [
        pytest.param([has("bob", "GPU-a", left=-60)], NOW + 300, id="over, but not gone yet"),
        pytest.param(
            [has("bob", "GPU-a", left=-60, notice=900)], NOW + 900, id="over, and never told"
        ),
        pytest.param([has("bob", "GPU-a", left=600, notice=900)], NOW + 900, id="not told in time"),
        pytest.param([has("bob", "GPU-a", notice=900)], NOW + HOUR, id="to be told in time"),
        pytest.param(
            [has("bob", "GPU-a", left=None)], None, id="nobody can tell when that is over"
        ),
    ],
)
def test_leases_without_a_known_end(leases: list[Lease], expected: float | None) -> None:
    assert decide(scene(*leases, devices=TWO[:1]), wants("ada"), NOW) == Queued(1, expected)


def test_nobody_can_tell_when_a_device_is_mended() -> None:
    broken = (replace(TWO[0], healthy=False),)
    assert decide(scene(devices=broken), wants("ada"), NOW) == Queued(1, None)


STUDENTS = ("students", "GPUs")


def test_a_group_waits_for_its_own_members_and_others_go_on() -> None:
    found = scene(has("bob", "GPU-a", draws={STUDENTS: 1}), caps={STUDENTS: 1})
    assert decide(found, wants("ada", draws={STUDENTS: 1}), NOW) == Queued(1, NOW + HOUR)
    waiting = replace(found, tickets=(wants("ada", draws={STUDENTS: 1}),))
    assert decide(waiting, wants("dan"), NOW) == Granted(("GPU-b",))


MEMORY = ("", "memory")
HALF_FULL = (has("bob", left=HOUR, draws={MEMORY: 32}),)


@pytest.mark.parametrize(
    ("tickets", "mine", "expected"),
    [
        pytest.param([], wants("ada", 0, draws={MEMORY: 32}), Granted(()), id="what is free"),
        pytest.param([], wants("ada", 0, draws={MEMORY: 33}), Queued(1, NOW + HOUR), id="too much"),
        pytest.param(
            [wants("dan", 0, waited=9 * HOUR, draws={MEMORY: 64})],
            wants("ada", 0, asked=2 * HOUR, draws={MEMORY: 1}), Queued(2, NOW + 2 * HOUR),
            id="a little does not delay the much that was promised",
        ),
        pytest.param(
            [wants("dan", 0, waited=60, asked=HOUR, draws={MEMORY: 64})],
            wants("ada", 0, asked=HOUR / 2, draws={MEMORY: 1}), Granted(()),
            id="and may go before it where it surely ends in time",
        ),
        pytest.param(
            [], wants("ada", 1, draws={MEMORY: 64}), Queued(1, NOW + HOUR), id="beside a GPU"
        ),
    ],
)  # fmt: skip
def test_memory_is_waited_for_like_a_device(
    tickets: list[Ticket], mine: Ticket, expected: Granted | Queued
) -> None:
    found = scene(*HALF_FULL, tickets=tickets, caps={MEMORY: 64})
    assert decide(found, mine, NOW) == expected
    without_devices = replace(found, devices=())
    if not mine.wanted:
        assert decide(without_devices, mine, NOW) == expected


def started(found: Scene) -> list[tuple[str, tuple[str, ...]]]:
    return [(ticket.holder.user, granted.devices) for ticket, granted in turns(found, NOW)]


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        pytest.param(
            [wants("ada", 2, asked=HOUR), wants("bob", asked=HOUR / 2)], [("bob", ("GPU-b",))],
            id="a short one before a large one",
        ),
        pytest.param(
            [wants("ada", 2, waited=60), wants("bob", asked=2 * HOUR)], [],
            id="not one that might not end in time",
        ),
        pytest.param(
            [wants("ada", 2, waited=9 * HOUR, asked=9 * DAY), wants("bob", asked=HOUR / 2)], [],
            id="nor one that ends after the first of the line can be expected to begin",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR, asked=9 * DAY), wants("bob", asked=60)],
            [("ada", ("GPU-b",))], id="the line before the ranking",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR, lost=NOW - 1), wants("bob", asked=60)],
            [("ada", ("GPU-b",))], id="nobody has to look at the page all the time",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR, priority=9), wants("bob", asked=9 * DAY, rank=1)],
            [("bob", ("GPU-b",))], id="whom an admin put first",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR, rank=-1), wants("bob", asked=9 * DAY)],
            [("bob", ("GPU-b",))], id="whom an admin put last",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR), wants("bob", waited=10 * HOUR)],
            [("bob", ("GPU-b",))], id="the line is in the order of coming",
        ),
        pytest.param(
            [wants("ada", waited=9 * HOUR, priority=1), wants("bob", waited=16 * HOUR)],
            [("ada", ("GPU-b",))], id="a point of priority is worth eight hours there",
        ),
        pytest.param(
            [wants("ada", waited=HOUR, asked=9 * DAY, priority=9), wants("bob", waited=79 * HOUR)],
            [("ada", ("GPU-b",))], id="priority before the line",
        ),
        pytest.param(
            [wants("ada", waited=HOUR, priority=9), wants("bob", waited=82 * HOUR, asked=9 * DAY)],
            [("bob", ("GPU-b",))], id="but for who has waited for all of its worth besides",
        ),
        pytest.param(
            [wants("ada", waited=60, asked=60, priority=-9), wants("bob", waited=60, priority=-9),
             wants("cyd", waited=9 * HOUR, asked=9 * DAY, priority=-9)],
            [("cyd", ("GPU-b",))], id="the line of those who all have as little",
        ),
        pytest.param(
            [wants("ada", waited=60, asked=60, priority=9),
             wants("bob", waited=60, asked=HOUR, priority=9)],
            [("ada", ("GPU-b",))], id="nor does priority alone lead into the line",
        ),
    ],
)  # fmt: skip
def test_whose_turn_it_is(
    tickets: list[Ticket], expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert started(scene(has("eve", "GPU-a", left=HOUR), tickets=tickets)) == expected


def test_who_wants_no_device_does_not_wait_for_those_that_are_kept_for_others() -> None:
    waits = (wants("dan", 2, waited=9 * HOUR),)
    here = scene(FULL[0], tickets=waits, caps={MEMORY: 64})
    mine = wants("ada", 0, asked=DAY, draws={MEMORY: 1})
    assert decide(here, mine, NOW) == Granted(())
    assert isinstance(decide(here, replace(mine, wanted=1), NOW), Queued)


FOUR = tuple(Device(f"GPU-{name}") for name in "abcd")
ONE_DRAINED = (*FOUR[:3], replace(FOUR[3], draining=True))


@pytest.mark.parametrize(
    ("waited", "asked"),
    [pytest.param(9 * HOUR, 9 * DAY, id="the line"), pytest.param(60.0, HOUR, id="the ranking")],
)
@pytest.mark.parametrize(
    "impossible",
    [wants("ada", 4, asked=60), wants("ada", 3, asked=60, draws={STUDENTS: 3})],
    ids=["more devices than there are", "more than its group may have"],
)
def test_who_cannot_start_at_all_now_keeps_nobody_else_from_a_reserved_start(
    impossible: Ticket, waited: float, asked: float
) -> None:
    leases = [has("eve", "GPU-a", left=HOUR), has("fay", "GPU-b", left=2 * HOUR)]
    first = replace(impossible, since=NOW - waited - 60)
    large = wants("bob", 2, waited=waited, asked=asked)
    small = wants("cyd", waited=50, asked=2 * HOUR)
    here = scene(*leases, devices=ONE_DRAINED, tickets=[first, large, small], caps={STUDENTS: 1})
    assert [(each.holder.user, eta) for each, eta in etas(here, NOW) if eta is None] == [
        ("ada", None)
    ]
    assert started(here) == []
    shorter = replace(small, asked=HOUR / 12)
    assert started(replace(here, tickets=[first, large, shorter])) == [("cyd", ("GPU-c",))]


LONG = wants("ada", waited=9 * HOUR, asked=9 * DAY)


@pytest.mark.parametrize(
    ("late", "tickets", "expected"),
    [
        pytest.param(
            [1, 1, 1], [LONG, wants("dan", 4, asked=DAY), wants("bob", asked=60)], ["bob"],
            id="the last quarter is for what is short",
        ),
        pytest.param(
            [1, 1, 1], [LONG, wants("dan", 4, asked=DAY), wants("bob", asked=9 * HOUR)], ["ada"],
            id="and else for the line, before what is not short",
        ),
        pytest.param(
            [1, 1, 1], [replace(LONG, since=NOW - 2 * DAY), wants("dan", 4, waited=60),
                        wants("bob", waited=60, asked=HOUR)], ["bob"],
            id="for all others when everybody waits for days",
        ),
        pytest.param(
            [1, 1, 1], [replace(LONG, wanted=2), wants("dan", 3, asked=60), wants("bob", asked=60)],
            ["bob"], id="what is short keeps nothing from the line",
        ),
        pytest.param(
            [1, 1], [LONG, wants("dan", 4, asked=DAY), wants("bob", asked=60)], ["ada", "bob"],
            id="the line has three quarters before",
        ),
        pytest.param(
            [1, 1], [LONG, wants("bob", asked=60), wants("cyd", asked=8 * HOUR)], ["bob", "cyd"],
            id="half of it while nobody has or wants more than one",
        ),
        pytest.param(
            [2], [LONG, wants("bob", asked=60), wants("cyd", asked=60)], ["ada", "bob"],
            id="but not while somebody has more",
        ),
        pytest.param(
            [1, 1], [LONG, wants("bob", asked=60), wants("cyd", asked=9 * HOUR)], ["bob", "ada"],
            id="the other half is for what is short then, and else for the line",
        ),
        pytest.param(
            [1, 1], [replace(LONG, since=NOW - 2 * DAY), wants("bob", waited=60, asked=20 * HOUR)],
            ["bob", "ada"], id="more is short when somebody has waited for two days",
        ),
        pytest.param(
            [1, 1, 1], [replace(LONG, since=NOW - 2 * DAY),
                        wants("bob", waited=60, asked=21 * HOUR)], ["ada"],
            id="but not most of a day",
        ),
    ],
)  # fmt: skip
def test_a_part_of_the_machine_is_left_to_those_who_ask_for_little(
    late: list[int], tickets: list[Ticket], expected: list[str]
) -> None:
    names = iter("abcd")
    leases = [
        has(f"l{n}", *(f"GPU-{next(names)}" for _ in range(n)), left=DAY, late=True) for n in late
    ]
    assert [user for user, _ in started(scene(*leases, devices=FOUR, tickets=tickets))] == expected


@pytest.mark.parametrize(
    ("waited", "asked", "starts"),
    [
        pytest.param(60, 0.3, True, id="what ends before a large request can begin"),
        pytest.param(60, 0.5, False, id="not what ends before its limits alone"),
        pytest.param(9 * HOUR, 0.05, True, id="in the line, what takes a tenth of its time"),
        pytest.param(9 * HOUR, 0.3, False, id="but not what takes more"),
        pytest.param(2 * DAY, 0.3, True, id="unless everybody waits for days"),
        pytest.param(2 * DAY, 0.5, False, id="when it takes less than can be expected"),
    ],
)  # fmt: skip
def test_what_is_kept_for_a_large_request(waited: float, asked: float, starts: bool) -> None:
    large = wants("ada", 2, waited=waited, asked=60)
    small = wants("bob", asked=asked * 10 * HOUR)
    here = scene(has("eve", "GPU-a", left=10 * HOUR), tickets=[large, small])
    assert started(here) == ([("bob", ("GPU-b",))] if starts else [])


def test_behind_a_start_that_needs_what_never_ends_nobody_can_tell() -> None:
    endless = has("bob", "GPU-a", left=None)
    here = scene(endless, FULL[1], tickets=[wants("dan", 2, waited=9 * HOUR)])
    assert decide(here, wants("ada"), NOW) == Queued(2, None)


def test_who_had_much_lately_is_behind_who_had_nothing() -> None:
    found = scene(*FULL, tickets=[wants("ada", waited=90), wants("bob", waited=60)])
    assert [each.holder.user for each in served(found, NOW)] == ["ada", "bob"]
    found = replace(found, used={"ada": RULES.half_life})
    assert [each.holder.user for each in served(found, NOW)] == ["bob", "ada"]


def test_all_waits_at_once() -> None:
    tickets = [wants("ada", waited=60), wants("bob", 2), wants("cyd", asked=DAY)]
    found = [(each.holder.user, eta) for each, eta in etas(scene(*FULL, tickets=tickets), NOW)]
    assert found == [("ada", NOW + HOUR), ("bob", NOW + 3 * HOUR), ("cyd", NOW + 4 * HOUR)]


def test_what_asking_for_less_buys() -> None:
    large = [wants("dan", 2, waited=9 * HOUR, asked=DAY)]
    found = what_if(scene(*FULL, tickets=large), wants("ada"), [HOUR, 4 * HOUR], NOW)
    assert found == [(HOUR, NOW + HOUR), (4 * HOUR, NOW + 27 * HOUR)]
    assert what_if(scene(), wants("ada"), [HOUR], NOW) == [(HOUR, NOW)]
    assert what_if(scene(), wants("ada", 3), [HOUR], NOW) == [(HOUR, None)]


def test_device_time_is_forgotten_by_halves() -> None:
    had = Recent(at=0.0).changed(0.0, DAY, 2).changed(DAY, DAY, -2)
    assert had.devices == 0
    assert had.seconds == pytest.approx(DAY / 0.6931471805599453)
    assert had.then(2 * DAY, DAY) == pytest.approx(had.seconds / 2)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            messages.position(2, 1, 5400),
            "No GPU is free for you now. You are number 2 in the queue; "
            "a GPU is yours in about 1 h 30 min.",
        ),
        (
            messages.position(1, 2, None),
            "No GPU is free for you now. You are next; nobody can tell when 2 GPUs are yours.",
        ),
        (
            messages.position(1, 0, 60),
            "There is no room now. You are next; memory is yours in about 1 min.",
        ),
        (messages.ahead(2, 4 * HOUR, 600), "2 GPUs for 4 h, waiting since 10 min"),
        (messages.ahead(0, None, 60), "memory without a limit, waiting since 1 min"),
        (
            messages.trade(1, [(4 * HOUR, 1200), (24 * HOUR, 6 * HOUR)]),
            "With 1 GPU: 4 h: about 20 min from now; 24 h: about 6 h from now.",
        ),
        (
            messages.trade(2, [(HOUR, 0), (2 * HOUR, 0), (4 * HOUR, None)]),
            "With 2 GPUs: 1 h to 2 h: now; 4 h: nobody can tell when.",
        ),
        (
            messages.trade(1, [(HOUR, 60), (24 * HOUR, 7200), (None, 7200)]),
            "With 1 GPU: 1 h: about 1 min from now; 24 h to no limit: about 2 h from now.",
        ),
        (
            messages.trade(1, [(HOUR, 60), (4 * HOUR, 60)]),
            "With 1 GPU: about 1 min from now, however long it may run.",
        ),
    ],
)
def test_sentences(sentence: str, expected: str) -> None:
    assert sentence == expected
