"""What changes for servers that run when labhub.yaml does: read the tables as documentation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_config.schema import Config
from spawner.admission import InUse, Room
from spawner.messages import config as messages
from spawner.quota import Person, effective
from spawner.resize import (
    LEAST,
    MARGIN_BYTES,
    Goal,
    Limits,
    Standing,
    at_least,
    body,
    goals,
    is_hooked,
    limits_of,
    safe,
)
from spawner.runs import Holder, Run

MIB, GIB = 1024**2, 1024**3
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
WHOLE = Limits(2, 8 * GIB, 1024)


def config(**quotas: Any) -> Config:
    return Config.model_validate({"quotas": quotas})


def standing(
    now: Limits = WHOLE, *, user: str = "ada", server: str = "", age: int = 0, **more: Any
) -> Standing:
    person = Person(user, frozenset(more.pop("groups", ())))
    run = Run(
        f"{user}-{server}", Holder(user, server), "image", now.memory_bytes,
        NOON - timedelta(hours=age), container=f"{user}-{server}", cpus=now.cpus, pids=now.pids,
        shm_bytes=more.pop("shm_bytes", 0),
    )  # fmt: skip
    return Standing(run, now, person, more.pop("options", {}))


def using(server: Standing) -> InUse:
    now = server.now
    return InUse(server.run.holder, server.person.groups, now.cpus, now.memory_bytes, now.pids)


def decided(file: Config, *servers: Standing, room: Room | None = None) -> list[Goal]:
    found = goals(file, NOON, servers, [using(each) for each in servers], room or Room())
    return [found[each.run.name] for each in servers]


MORE = {"default": {"cpus": 4, "memory": "16 GiB", "pids": 2048}}
LESS = {"default": {"cpus": 1, "memory": "2 GiB", "pids": 512, "shm": "1 GiB"}}


@pytest.mark.parametrize(
    ("quotas", "options", "limits"),
    [
        ({}, {}, WHOLE),  # nothing changed
        (MORE, {}, Limits(4, 16 * GIB, 2048)),
        (LESS, {}, Limits(1, 2 * GIB, 512)),
        # who chose less keeps it
        (MORE, {"cpus": 0.5, "memory": "1 GiB"}, Limits(0.5, GIB, 2048)),
        # and gets less when even that is more than the quota
        (LESS, {"cpus": "1.5", "memory": "4 GiB"}, Limits(1, 2 * GIB, 512)),
        # what nobody could have chosen counts as nothing
        (LESS, {"cpus": "many"}, Limits(1, 2 * GIB, 512)),
        (LESS, "nonsense", Limits(1, 2 * GIB, 512)),
        ({"groups": {"staff": {"cpus": 6}}}, {}, Limits(6, 8 * GIB, 1024)),
        ({"groups": {"others": {"cpus": 6}}}, {}, WHOLE),
    ],
)
def test_one_server_follows(quotas: dict[str, Any], options: object, limits: Limits) -> None:
    server = standing(options=options, groups={"staff"})
    assert decided(config(**quotas), server) == [Goal(limits)]


def test_of_several_servers_the_last_one_gives_way() -> None:
    file = config(default={"cpus": 3, "memory": "6 GiB", "pids": 1024, "servers": 2})
    half = Limits(2, 4 * GIB, 528)
    chosen = {"cpus": 2, "memory": "4 GiB"}
    first = standing(half, server="a", age=2, options=chosen)
    last = standing(half, server="b", age=1, options=chosen)
    one, other = decided(file, first, last)
    assert (other.limits.cpus, other.limits.memory_bytes) == (1, 2 * GIB)
    assert (one.limits.cpus, one.limits.memory_bytes) == (2, 4 * GIB)


def test_nobody_is_left_with_too_little_to_go_on() -> None:
    file = config(default={"cpus": 2, "memory": "4 GiB", "pids": 1024, "servers": 2})
    first, last = standing(server="a", age=2), standing(server="b", age=1)
    one, other = decided(file, first, last)
    assert other.limits == LEAST
    assert one.limits.memory_bytes == 4 * GIB - LEAST.memory_bytes


def test_growth_waits_for_room_on_the_machine() -> None:
    mine, other = standing(), standing(user="bob")
    file = config(users={"ada": {"memory": "16 GiB"}})
    [goal, bobs] = decided(file, mine, other, room=Room(memory_bytes=20 * GIB))
    assert goal.limits == Limits(2, 12 * GIB, 1024)
    assert goal.late == (messages.others_have_it(2, 16 * GIB, 1024),)
    assert bobs == Goal(WHOLE)


def test_growth_waits_for_the_group_and_nothing_that_runs_is_taken_away() -> None:
    members = [standing(user=name, groups={"staff"}) for name in ("ada", "bob")]
    file = config(groups={"staff": {"cpus": 4, "total": {"cpus": 5, "memory": "8 GiB"}}})
    ada, bob = decided(file, *members)
    assert sorted([ada.limits.cpus, bob.limits.cpus]) == [2, 3]
    assert {ada.limits.memory_bytes, bob.limits.memory_bytes} == {8 * GIB}


def test_a_machine_that_got_small_takes_nothing_away() -> None:
    assert decided(config(), standing(), room=Room(memory_bytes=GIB)) == [Goal(WHOLE)]


def test_shared_memory_waits_for_the_next_start() -> None:
    [goal] = decided(config(default={"shm": "4 GiB"}), standing(shm_bytes=2 * GIB))
    assert goal == Goal(WHOLE, (messages.shm_at_next_start(4 * GIB),))


@pytest.mark.parametrize(
    ("held", "memory_bytes", "sentence"),
    [
        (GIB, 2 * GIB, ""),
        (2 * GIB - MARGIN_BYTES, 2 * GIB, ""),
        (2 * GIB - MARGIN_BYTES + 1, 8 * GIB, "uses"),
        (None, 8 * GIB, "cannot be measured"),
    ],
)
def test_memory_in_use_is_not_taken_away(
    held: int | None, memory_bytes: int, sentence: str
) -> None:
    goal = safe(WHOLE, Goal(Limits(1, 2 * GIB, 512)), held)
    assert goal.limits == Limits(1, memory_bytes, 512)
    assert bool(goal.late) == bool(sentence)
    assert all(sentence in each for each in goal.late)


def test_more_memory_needs_no_look() -> None:
    goal = Goal(Limits(1, 9 * GIB, 512))
    assert safe(WHOLE, goal, None) is goal


@pytest.mark.parametrize(
    ("limits", "changes"),
    [
        (WHOLE, {}),
        (Limits(0.5, 8 * GIB, 1024), {"CpuPeriod": 100_000, "CpuQuota": 50_000}),
        (Limits(2, GIB, 1024), {"Memory": GIB, "MemorySwap": GIB}),
        (Limits(2, 8 * GIB, 64), {"PidsLimit": 64}),
    ],
)
def test_the_engine_is_told_what_is_different(limits: Limits, changes: dict[str, int]) -> None:
    assert body(WHOLE, limits) == changes
    made = {"CpuQuota": 200_000, "Memory": 8 * GIB, "PidsLimit": 1024, **changes}
    assert limits_of(made) == limits


@pytest.mark.parametrize(
    ("host_config", "hooked"),
    [
        ({}, False),
        ({"DeviceRequests": None, "Runtime": "runc"}, False),
        ({"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}]}, False),
        ({"DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ["GPU-1"]}]}, True),
        ({"DeviceRequests": [{"Driver": "", "Count": -1}]}, True),
        ({"Runtime": "nvidia"}, True),
    ],
)
def test_which_containers_lose_their_gpu_by_an_update(
    host_config: dict[str, Any], hooked: bool
) -> None:
    assert is_hooked(host_config) is hooked


LIMITS = st.builds(
    Limits,
    st.integers(1, 64).map(lambda parts: parts / 4),
    st.integers(128, 65536).map(lambda mib: mib * MIB),
    st.integers(64, 4096),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.sampled_from([0.5, 2, 64, "x"]),
        "memory": st.sampled_from(["256 MiB", "4 GiB", "64 GiB", 3]),
    },
)


@given(LIMITS, LIMITS, OPTIONS, st.integers(0, 100))
def test_nobody_gets_more_than_the_quota_or_than_there_is(
    quota: Limits, now: Limits, options: dict[str, object], room_gib: int
) -> None:
    number = {"cpus": quota.cpus, "memory": f"{quota.memory_bytes} B", "pids": quota.pids}
    file, server = config(default=number), standing(now, options=options)
    [goal] = decided(file, server, room=Room(room_gib * GIB))
    limits = goal.limits
    whole = effective(file, server.person, NOON)
    assert limits.cpus <= whole.cpus
    assert limits.pids <= whole.pids
    assert limits.memory_bytes <= whole.memory_bytes
    assert limits.memory_bytes <= max(now.memory_bytes, room_gib * GIB)
    assert at_least(limits, now) == at_least(now, limits)
    [again] = decided(file, standing(limits, options=options), room=Room(room_gib * GIB))
    assert again.limits == limits  # and then it stands still
