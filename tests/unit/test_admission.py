"""One more server fits into its person's quota, its groups' totals and the machine, or does not."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_config.schema import Config
from spawner.admission import (
    MEMORY,
    Admitted,
    Answer,
    InUse,
    Refused,
    Room,
    Wait,
    admit,
    counted,
    pots,
    tightest,
)
from spawner.capacity import Facts, capacity
from spawner.quota import Quota, Total
from spawner.runs import Holder, Run

MIB, GIB = 1024**2, 1024**3
ADA = Holder("ada", "")
QUOTA = Quota(cpus=4, memory_bytes=16 * GIB, shm_bytes=GIB, pids=1000, gpus=2, servers=3)


def size(cpus: float = 1, memory: int = 4, pids: int = 100, gpus: int = 0) -> Quota:
    """A server."""
    return Quota(cpus, memory * GIB, GIB, pids, gpus)


def used(user: str, server: str = "", groups: str = "", **numbers: float) -> InUse:
    """A server that was begun."""
    of = size(**numbers)  # type: ignore[arg-type]
    holder = Holder(user, server)
    return InUse(holder, frozenset(groups.split()), of.cpus, of.memory_bytes, of.pids, of.gpus)


def answer(
    wanted: Quota,
    *in_use: InUse,
    totals: Mapping[str, Total] | None = None,
    host: Room | None = None,
    quota: Quota = QUOTA,
) -> Answer:
    return admit(wanted, pots(ADA, in_use, quota, totals or {}, host or Room()))


NIGHT = used("ada", "night", cpus=3, memory=10, pids=700, gpus=2)


@pytest.mark.parametrize(
    ("wanted", "in_use"),
    [
        pytest.param(QUOTA, [], id="all of it"),
        pytest.param(size(cpus=1, memory=6, pids=300), [NIGHT], id="exactly the rest"),
        pytest.param(QUOTA, [used("bob", memory=999)], id="somebody else's do not count"),
        pytest.param(QUOTA, [used("ada", "", cpus=4, memory=16)], id="nor the one it replaces"),
        pytest.param(
            size(cpus=0.1), [used("ada", "a", cpus=0.2), used("ada", "b", cpus=3.7)],
            id="tenths are added exactly",
        ),
    ],
)  # fmt: skip
def test_what_fits_into_a_persons_quota(wanted: Quota, in_use: list[InUse]) -> None:
    assert answer(wanted, *in_use) == Admitted()


@pytest.mark.parametrize(
    ("wanted", "in_use", "sentence"),
    [
        (
            size(cpus=1.5), [NIGHT],
            "You may have 4 cores in all, and your other servers leave 1 core: "
            "choose at most that, or stop another server first.",
        ),
        (
            size(memory=7), [NIGHT],
            "You may have 16 GiB of memory in all, and your other servers leave 6 GiB of memory: "
            "choose at most that, or stop another server first.",
        ),
        (
            size(gpus=1), [NIGHT],
            "You may have 2 GPUs in all, and your other servers have all of it: stop one first.",
        ),
        (
            size(pids=301), [NIGHT],
            "You may have 1000 processes in all, and your other servers leave 300 processes: "
            "choose at most that, or stop another server first.",
        ),
        (
            size(), [used("ada", "a", memory=9), used("ada", "b", memory=9)],
            "You may have 16 GiB of memory in all, and your other servers have all of it: "
            "stop one first.",
        ),
        (
            size(), [used("ada", name) for name in "abc"],
            "You may run 3 servers at a time, and 3 of yours run: stop one first.",
        ),
        (size(memory=17), [], "You may have at most 16 GiB of memory; choose that or less."),
    ],
)  # fmt: skip
def test_what_does_not_fit_into_a_persons_quota(
    wanted: Quota, in_use: list[InUse], sentence: str
) -> None:
    assert answer(wanted, *in_use) == Refused(sentence)


def test_the_second_server_of_somebody_who_may_have_one() -> None:
    one = Quota(cpus=4, memory_bytes=16 * GIB, shm_bytes=GIB, pids=1000)
    assert answer(size(), used("ada", "x"), quota=one) == Refused(
        "You may run one server at a time, and another one of yours runs: stop it first."
    )


STUDENTS = {"students": Total(cpus=8, memory_bytes=20 * GIB, gpus=2, servers=3)}


@pytest.mark.parametrize(
    ("wanted", "in_use", "expected"),
    [
        pytest.param(size(), [used("bob", "", "students", memory=16)], Admitted(), id="it fits"),
        pytest.param(size(), [used("bob", "", "staff", memory=20)], Admitted(), id="no member"),
        (
            size(memory=5), [used("bob", "", "students", memory=16)],
            Wait("The group students may have 20 GiB of memory in all, and its members leave 4 GiB "
                 "of memory: choose at most that, or wait until others have stopped theirs."),
        ),
        (
            size(gpus=1), [used("bob", "", "students staff", gpus=2)],
            Wait("The group students may have 2 GPUs in all, and its members have all of it: "
                 "you wait until others have stopped theirs."),
        ),
        (
            size(), [used(name, "", "students") for name in ("bob", "cid", "dan")],
            Wait("The group students may have 3 servers in all, and its members have all of it: "
                 "you wait until others have stopped theirs."),
        ),
    ],
)  # fmt: skip
def test_a_groups_total(wanted: Quota, in_use: list[InUse], expected: Answer) -> None:
    assert answer(wanted, *in_use, totals=STUDENTS) == expected


def test_what_a_whole_group_never_has_is_not_waited_for() -> None:
    assert answer(size(gpus=2), totals={"small": Total(gpus=1)}) == Refused(
        "The group small may have at most 1 GPU in all; choose that or less."
    )


def test_a_total_without_a_number_is_no_limit() -> None:
    assert answer(QUOTA, used("bob", "", "g", memory=999), totals={"g": Total()}) == Admitted()


@pytest.mark.parametrize(
    ("wanted", "host", "expected"),
    [
        pytest.param(size(memory=4), Room(20 * GIB), Admitted(), id="it fits"),
        pytest.param(size(cpus=4), Room(20 * GIB), Admitted(), id="CPUs do not count"),
        (
            size(memory=5), Room(20 * GIB),
            Wait("This machine has 4 GiB of memory left for servers: "
                 "choose at most that, or wait until others have stopped theirs."),
        ),
        (
            size(memory=5), Room(15 * GIB),
            Wait("This machine has no memory left for servers: "
                 "you wait until others have stopped theirs."),
        ),
        (
            size(memory=5), Room(4 * GIB),
            Refused("This machine has only 4 GiB of memory for all servers together; "
                    "choose that or less."),
        ),
        (
            size(cpus=2), Room(99 * GIB, cpus=3),
            Wait("This machine has 1 core left for servers: "
                 "choose at most that, or wait until others have stopped theirs."),
        ),
        (
            size(), Room(99 * GIB, cpus=2),
            Wait("This machine has no CPU cores left for servers: "
                 "you wait until others have stopped theirs."),
        ),
    ],
)  # fmt: skip
def test_the_machine(wanted: Quota, host: Room, expected: Answer) -> None:
    assert answer(wanted, used("bob", cpus=2, memory=16), host=host) == expected


def test_a_persons_own_limit_is_told_before_the_groups_and_the_machines() -> None:
    night = used("ada", "night", "students", memory=16)
    found = answer(size(), night, totals=STUDENTS, host=Room(16 * GIB))
    assert isinstance(found, Refused)
    assert found.sentence.startswith("You may have 16 GiB of memory in all")


def test_the_tightest_pot_is_what_can_be_offered() -> None:
    found = tightest(
        pots(ADA, [used("bob", "", "students", memory=16)], QUOTA, STUDENTS, Room(19 * GIB))
    )
    assert (found[MEMORY].left, found[MEMORY].group) == (3 * GIB, "")


# runs as the store has them

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_open_run_counts_for_what_it_may_use() -> None:
    run = Run("r", ADA, "i", GIB, NOON, cpus=2, pids=64, gpus=1, groups=frozenset({"staff"}))
    assert counted(run, lambda _run: QUOTA) == InUse(ADA, frozenset({"staff"}), 2, GIB, 64, 1)


def test_a_run_that_an_older_labhub_began_counts_for_all_its_person_may_have() -> None:
    assert counted(Run("r", ADA, "i", GIB, NOON), lambda _run: QUOTA) == InUse(
        ADA, frozenset(), 4, GIB, 1000, 2
    )


# the machine's memory

BIG = Facts(memory_bytes=64 * GIB, cpus=16)


@pytest.mark.parametrize(
    ("rules", "facts", "expected"),
    [
        pytest.param({}, BIG, Room(64 * GIB), id="no rules"),
        pytest.param({"reserve": {"memory": "8 GiB"}}, BIG, Room(56 * GIB), id="reserve"),
        pytest.param(
            {"reserve": {"memory": "8 GiB"}}, Facts(64 * GIB, 16, others_bytes=3 * GIB),
            Room(56 * GIB), id="the reserve is for others",
        ),
        pytest.param(
            {"reserve": {"memory": "8 GiB"}}, Facts(64 * GIB, 16, others_bytes=20 * GIB),
            Room(44 * GIB), id="who may not have more, and do",
        ),
        pytest.param(
            {"reserve": {"memory": "8 GiB"}, "overcommit": {"memory": 1.5}}, BIG,
            Room(84 * GIB), id="overcommitted",
        ),
        pytest.param({"reserve": {"memory": "99 GiB"}}, BIG, Room(0), id="all reserved"),
        pytest.param({"reserve": {"cpus": 2}}, BIG, Room(64 * GIB), id="CPUs are shared"),
        pytest.param(
            {"reserve": {"cpus": 2}, "overcommit": {"cpus": 2}}, BIG, Room(64 * GIB, 28),
            id="unless they are promised so often only",
        ),
        pytest.param(
            {"reserve": {"cpus": 99}, "overcommit": {"cpus": 1}}, BIG, Room(64 * GIB, 0),
            id="no CPUs",
        ),
    ],
)  # fmt: skip
def test_capacity(rules: dict[str, object], facts: Facts, expected: Room) -> None:
    assert capacity(Config.model_validate({"host": rules}).host, facts) == expected


# whatever is started in whatever order

sizes = st.builds(
    size,
    cpus=st.sampled_from([0.1, 0.3, 1, 2.5, 4]),
    memory=st.integers(1, 16),
    pids=st.integers(32, 1000),
    gpus=st.integers(0, 2),
)
holders = st.builds(Holder, st.sampled_from(["ada", "bob", "cid"]), st.sampled_from(["", "a", "b"]))
MEMBERS = {"ada": "students", "bob": "students staff", "cid": "staff"}
TOTALS = {"students": Total(cpus=6, memory_bytes=24 * GIB, gpus=2, servers=4)}
HOST = Room(40 * GIB, cpus=9)


@given(st.lists(st.tuples(holders, sizes), max_size=25))
def test_sums_never_exceed(starts: list[tuple[Holder, Quota]]) -> None:
    running: dict[Holder, InUse] = {}
    for holder, wanted in starts:
        mine = frozenset(MEMBERS[holder.user].split())
        totals = {group: total for group, total in TOTALS.items() if group in mine}
        if admit(wanted, pots(holder, list(running.values()), QUOTA, totals, HOST)) == Admitted():
            running[holder] = InUse(
                holder, mine, wanted.cpus, wanted.memory_bytes, wanted.pids, wanted.gpus
            )
    for user in MEMBERS:
        mine = [each for each in running.values() if each.holder.user == user]
        assert within(mine, QUOTA.cpus, QUOTA.memory_bytes, 3)
        assert sum(each.pids for each in mine) <= QUOTA.pids
        assert sum(each.gpus for each in mine) <= QUOTA.gpus
    students = [each for each in running.values() if "students" in each.groups]
    assert within(students, 6, 24 * GIB, 4)
    assert sum(each.gpus for each in students) <= 2
    assert within(list(running.values()), 9, 40 * GIB, 9)


def within(servers: list[InUse], cpus: float, memory_bytes: int, count: int) -> bool:
    """Whether servers are within these together."""
    return (
        sum(Fraction(str(each.cpus)) for each in servers) <= cpus
        and sum(each.memory_bytes for each in servers) <= memory_bytes
        and len(servers) <= count
    )
