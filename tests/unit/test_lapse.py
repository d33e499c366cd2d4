"""What is over in the queue: who loses their place, and who has to end because others wait."""

from dataclasses import replace

import pytest

from spawner.devices import Device
from spawner.lapse import expired, needed, unclaimed
from spawner.lease import Lease, Scene, Ticket
from tests.unit.test_queue import DAY, FOUR, HOUR, MEMORY, NOW, STUDENTS, has, scene, wants

STUDENT = {STUDENTS: 1}


def test_a_place_is_kept_for_a_while() -> None:
    away = [wants("ada", lost=NOW - 1800), wants("bob", lost=NOW - 1799), wants("cyd")]
    assert expired(scene(tickets=away), NOW) == away[:1]


# who did not come

LATE = [has("ada", "GPU-a", offered=NOW - 900), has("bob", "GPU-b", offered=NOW - 900.5)]


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        pytest.param([], [], id="nobody waits"),
        pytest.param([wants("dan")], ["bob"], id="as many as are waited for, the longest kept"),
        pytest.param([wants("dan"), wants("fay")], ["bob", "ada"], id="both"),
        pytest.param([wants("dan", 0, draws={MEMORY: 1})], [], id="enough of what is waited for"),
        pytest.param([wants("dan", 0, draws={MEMORY: 9})], ["gus"], id="memory, of who has it"),
        pytest.param([wants("dan", 4)], [], id="more than there is"),
    ],
)
def test_what_nobody_claims_goes_on_to_who_waits_for_it(
    tickets: list[Ticket], expected: list[str]
) -> None:
    here = scene(
        *LATE,
        has("cyd", "GPU-c", offered=NOW - 899),
        has("eve"),
        has("gus", offered=NOW - 2000, draws={MEMORY: 8}),
        devices=FOUR[:3],
        tickets=tickets,
        caps={MEMORY: 16},
    )
    assert [each.holder.user for each in unclaimed(here, NOW)] == expected


# whose session is to end

LEASES = (
    has("ada", "GPU-a", left=HOUR, draws={MEMORY: 16}),
    has("bob", "GPU-b", left=2 * HOUR, draws={MEMORY: 16, **STUDENT}),
    replace(has("cyd", "GPU-c", left=2 * HOUR, draws={MEMORY: 16}), since=NOW - DAY),
    has("eve", "GPU-d", left=None, draws={MEMORY: 8}),
    has("gus", left=3 * HOUR, draws={MEMORY: 8}),
)


def needed_by(*tickets: Ticket, devices: tuple[Device, ...] = FOUR) -> list[str]:
    """Return whose end these wait for."""
    caps = {MEMORY: 64, STUDENTS: 1}
    here: Scene = scene(*LEASES, devices=devices, tickets=tickets, caps=caps)
    return [each.holder.user for each in needed(here, NOW)]


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        pytest.param([], [], id="nobody waits"),
        pytest.param([wants("dan")], ["ada"], id="who ends the soonest"),
        pytest.param([wants("dan", 2)], ["ada", "cyd"], id="then who had it the longest"),
        pytest.param([wants("dan"), wants("fay")], ["ada", "cyd"], id="one for each"),
        pytest.param([wants("dan", 4)], ["ada", "cyd", "bob"], id="what never ends cannot help"),
        pytest.param([wants("dan", 5)], [], id="more than there is"),
        pytest.param([wants("dan", 0, draws={MEMORY: 10})], ["ada"], id="memory"),
        pytest.param([wants("dan", 0, draws={MEMORY: 24})], ["ada", "cyd"], id="more memory"),
        pytest.param([wants("dan", 0, draws={MEMORY: 65})], [], id="more memory than there is"),
        pytest.param([wants("dan", draws=STUDENT)], ["bob"], id="the total of a group"),
        pytest.param(
            [wants("dan", 2, draws=STUDENT)], ["bob", "ada"], id="a total, and devices besides"
        ),
        pytest.param(
            [wants("dan", draws=STUDENT), wants("fay", draws=STUDENT)], ["bob"],
            id="a total that is used up for longer",
        ),
        pytest.param(
            [wants("dan", draws={STUDENTS: 2}), wants("fay")], ["ada"],
            id="who cannot start at all keeps nothing from others",
        ),
    ],
)  # fmt: skip
def test_whose_end_is_waited_for(tickets: list[Ticket], expected: list[str]) -> None:
    assert needed_by(*tickets) == expected


def test_who_was_told_when_it_ends_does_not_go_on_because_another_is_over_then() -> None:
    """Else it would be taken back at that very moment, and told the next one, and so for ever."""
    was_told = has("ada", "GPU-a", left=0, due=NOW - HOUR)
    others = (has("bob", "GPU-b", left=-60, notice=15.0), has("cyd", "GPU-c", left=DAY))
    here = scene(was_told, *others, devices=FOUR[:3], tickets=[wants("dan")])
    assert needed(here, NOW) == [was_told]
    assert needed(here, NOW + 60) == [was_told]


def test_a_free_device_is_no_reason_to_end_a_server() -> None:
    five = (*FOUR, Device("GPU-e"))
    assert needed_by(wants("dan"), devices=five) == []
    assert needed_by(wants("dan", draws=STUDENT), devices=five) == ["bob"]
    assert needed_by(wants("dan"), wants("fay"), devices=five) == ["ada"]
    assert needed_by(wants("dan", 2), devices=five) == ["ada"]
    assert needed_by(wants("dan", 0, draws={MEMORY: 1}), devices=five) == ["ada"]


def test_a_device_that_gets_no_lease_helps_nobody() -> None:
    drained = (replace(FOUR[0], draining=True), *FOUR[1:])
    assert needed_by(wants("dan"), devices=drained) == ["cyd"]


def test_a_place_helps_only_where_the_device_is_full() -> None:
    shared = (Device("GPU-a", 2), Device("GPU-b", 2))
    leases: tuple[Lease, ...] = (
        has("ada", "GPU-a", left=60), has("bob", "GPU-b"), has("cyd", "GPU-b"),
    )  # fmt: skip
    here = scene(*leases, devices=shared, tickets=[wants("dan", 2)])
    assert [each.holder.user for each in needed(here, NOW)] == ["bob"]


def test_who_has_a_part_of_a_device_or_the_whole_of_it_keeps_it_from_others() -> None:
    cut = (Device("GPU-a", overlaps=frozenset({"MIG-1", "MIG-2"})),)
    leases = (has("ada", "MIG-1", left=60), has("bob", "MIG-2"), has("cyd", "MIG-9"))
    for mine, expected in ((wants("dan"), ["ada", "bob"]), (wants("dan", 2), [])):
        here = scene(*leases, devices=cut, tickets=[mine])
        assert [each.holder.user for each in needed(here, NOW)] == expected
