"""What the start page offers fits: every step of it can be chosen, and the first is the most."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hub_config.schema import Config
from spawner.admission import GPUS, Admitted, InUse, Pot, Room, admit, in_time, pots, tightest
from spawner.offer import (
    ImageCard,
    Offer,
    Shares,
    Size,
    Step,
    form,
    from_form,
    offer,
    told_counts,
    told_lengths,
)
from spawner.options import choose
from spawner.quota import Quota
from spawner.runs import Holder

MIB, GIB, HOUR = 1024**2, 1024**3, 3600
CONFIG = Config.model_validate(
    {
        "images": {
            "tensorflow": {
                "title": "TensorFlow 2.9", "image": "tensorflow/tensorflow:2.9.0-gpu-jupyter",
                "description": "Keras",
            },
            "plain": {"title": "Plain <Python>", "image": "labhub/plain:local"},
        }
    }
)  # fmt: skip
CARDS = (
    ImageCard(
        "tensorflow", "TensorFlow 2.9", "tensorflow/tensorflow:2.9.0-gpu-jupyter", "Keras", False
    ),
    ImageCard("plain", "Plain <Python>", "labhub/plain:local", "", True),
)
QUOTA = Quota(
    cpus=2.0, memory_bytes=8 * GIB, shm_bytes=GIB, pids=512, gpus=1, session_seconds=3 * HOUR
)
ADA = Holder("ada", "")


def offered(quota: Quota, *in_use: InUse, host: Room | None = None, gpus_here: int = 0) -> Offer:
    found = list(pots(ADA, in_use, quota, {}, host or Room()))
    shares = Shares(tightest(found), tightest(in_time(found)))
    return offer(CONFIG.images, {"labhub/plain:local"}, quota, shares, gpus_here)


def steps(*pairs: tuple[str, str]) -> tuple[Step, ...]:
    return tuple(Step(*pair) for pair in pairs)


def test_the_whole_quota_is_the_first_step_of_everything() -> None:
    assert offered(QUOTA) == Offer(
        images=CARDS,
        sizes=(
            Size("cpus", "CPU", steps(("2", "2 cores"), ("1", "1 core"), ("0.5", "0.5 cores"))),
            Size("memory", "Memory", steps(
                ("8192 MiB", "8 GiB"), ("4096 MiB", "4 GiB"), ("2048 MiB", "2 GiB"),
                ("1024 MiB", "1 GiB"), ("512 MiB", "512 MiB"),
            )),
            Size("session", "Runs for at most", steps(
                ("10800 s", "3 h"), ("7200 s", "2 h"), ("3600 s", "1 h")
            )),
        ),
        limits=(
            ("CPU", "2 cores"), ("Memory", "8 GiB"), ("Session", "3 h"),
            ("Shared memory", "1 GiB"), ("Processes", "512"),
        ),
    )  # fmt: skip


def test_gpus_are_offered_where_there_are_some() -> None:
    [_, _, gpus, _] = offered(QUOTA, gpus_here=4).sizes
    assert gpus == Size("gpus", "GPU", steps(("1", "1 GPU"), ("0", "None")))
    assert ("GPU", "1 GPU") in offered(QUOTA, gpus_here=4).limits


def test_what_cannot_be_chosen_is_told_apart() -> None:
    assert offered(QUOTA).fixed == (("Shared memory", "1 GiB"), ("Processes", "512"))


def test_no_limit_is_a_choice_and_so_is_any() -> None:
    session = offered(Quota(1, GIB, GIB, 64)).sizes[-1]
    assert session.steps[0] == Step("", "No limit")
    assert session.steps[1:3] == steps(("604800 s", "7 d"), ("259200 s", "3 d"))


OTHER = InUse(Holder("ada", "night"), frozenset(), 1.5, 5 * GIB, 64)


def test_less_is_offered_when_the_rest_is_taken_and_it_is_said_why() -> None:
    several = Quota(2.0, 8 * GIB, GIB, 512, servers=2)
    cpus, memory, _ = offered(several, OTHER).sizes
    assert cpus == Size(
        "cpus", "CPU", steps(("", "0.5 cores")),
        "You may have 2 cores in all, and your other servers leave 0.5 cores: "
        "choose at most that, or stop another server first.",
    )  # fmt: skip
    assert memory.steps[:2] == steps(("", "3 GiB"), ("2048 MiB", "2 GiB"))
    assert [step.text for step in memory.steps[2:]] == ["1 GiB", "512 MiB"]
    assert memory.hint.startswith("You may have 8 GiB of memory in all, and your other servers lea")


def test_a_machine_smaller_than_the_quota_offers_what_it_can_give() -> None:
    _, memory, _ = offered(QUOTA, host=Room(4 * GIB)).sizes
    assert memory.steps[0] == Step("", "4 GiB")
    assert memory.hint == (
        "This machine has only 4 GiB of memory for all servers together; choose that or less."
    )


def test_what_is_less_than_a_server_needs_is_offered_and_must_be_chosen() -> None:
    bob = InUse(Holder("bob", ""), frozenset(), 1, 4 * GIB - 100 * MIB, 64)
    _, memory, _ = offered(QUOTA, bob, host=Room(4 * GIB)).sizes
    assert memory.steps[:2] == steps(("100 MiB", "100 MiB"), ("4096 MiB", "4 GiB, waits"))


@pytest.mark.parametrize(
    ("servers", "other", "host", "problem"),
    [
        (1, OTHER, Room(),
         "You may run one server at a time, and another one of yours runs: stop it first."),
        (2, InUse(Holder("ada", "x"), frozenset(), 2.0, GIB, 64), Room(),
         "You may have 2 cores in all, and your other servers have all of it: stop one first."),
        (1, OTHER, Room(32 * MIB),
         "You may run one server at a time, and another one of yours runs: stop it first."),
        (2, OTHER, Room(32 * MIB),
         "This machine has only 32 MiB of memory for all servers together; "
         "choose that or less."),
    ],
)  # fmt: skip
def test_where_nothing_is_left_nothing_is_offered(
    servers: int, other: InUse, host: Room, problem: str
) -> None:
    found = offered(Quota(2.0, 8 * GIB, GIB, 512, servers=servers), other, host=host)
    assert (found.problem, found.sizes) == (problem, ())


@pytest.mark.parametrize(
    ("taken", "hint"),
    [
        (16 * GIB,
         "This machine has no memory left for servers: you wait until others have stopped theirs."),
        (16 * GIB - 32 * MIB,
         "This machine has 32 MiB of memory left for servers: "
         "choose at most that, or wait until others have stopped theirs."),
    ],
)  # fmt: skip
def test_where_nothing_is_left_one_can_wait(taken: int, hint: str) -> None:
    bob = InUse(Holder("bob", ""), frozenset(), 1, taken, 64)
    found = offered(Quota(2.0, 2 * GIB, GIB, 512), bob, host=Room(16 * GIB))
    assert found.problem == ""
    assert found.sizes[1] == Size("memory", "Memory", steps(
        ("2048 MiB", "2 GiB, waits"), ("1024 MiB", "1 GiB, waits"),
        ("512 MiB", "512 MiB, waits"),
    ), hint)  # fmt: skip


def test_a_gpu_that_somebody_has_is_waited_for_and_less_time_is_less_of_a_wait() -> None:
    bob = InUse(Holder("bob", ""), frozenset(), 1, GIB, 64, gpus=1)
    found = [*pots(ADA, [bob], QUOTA, {}, Room()), Pot(GPUS, 1, 1, "")]
    waits = ((3600.0, 1200.0), (14400.0, None), (86400.0, 0.0))
    shares = Shares(tightest(found), tightest(in_time(found)), {1: waits})
    [_, _, gpus, session] = offer(CONFIG.images, (), QUOTA, shares, 1).sizes
    assert gpus == Size(
        "gpus", "GPU", steps(("1", "1 GPU, waits"), ("0", "None")),
        "This machine has no GPUs left for servers: you wait until others have stopped theirs.",
    )  # fmt: skip
    assert (session.hint, session.told) == ("", (
        ("1", "With 1 GPU: 1 h: about 20 min from now; 4 h: nobody can tell when; 24 h: now."),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("session", "hours"),
    [
        (3 * HOUR, [1, 2, 3]),
        (12 * HOUR, [1, 2, 4, 8, 12]),
        (24 * HOUR, [1, 2, 4, 12, 24]),
        (30 * HOUR, [1, 4, 8, 12, 30]),
        (168 * HOUR, [1, 4, 12, 48, 168]),
        (HOUR // 2, [0.5]),
        (None, [1, 4, 12, 72, None]),
    ],
)
def test_for_which_times_it_is_said_how_long_one_waits(
    session: int | None, hours: list[float | None]
) -> None:
    quota = replace(QUOTA, session_seconds=session)
    assert told_lengths(quota) == [None if each is None else each * HOUR for each in hours]


@pytest.mark.parametrize(
    ("most", "now", "counts"),
    [
        (0, 0, []),
        (2, 2, []),
        (1, 3, []),
        (1, 0, [1]),
        (3, 1, [2, 3]),
        (4, 0, [1, 2, 3, 4]),
        (8, 0, [1, 3, 6, 8]),
    ],
)
def test_for_how_many_gpus_it_is_said(most: int, now: int, counts: list[int]) -> None:
    assert told_counts(most, now) == counts


@given(
    st.builds(
        Quota,
        cpus=st.floats(min_value=0.01, max_value=300),
        memory_bytes=st.integers(1 << 30, 1 << 49),
        shm_bytes=st.just(MIB),
        pids=st.integers(2048, 4096),
        gpus=st.integers(0, 3),
        servers=st.just(2),
        session_seconds=st.none() | st.integers(60, 10**7),
    ),
    st.floats(min_value=0, max_value=1),
    st.integers(0, 4),
)
def test_every_step_is_a_choice_that_fits(quota: Quota, share: float, gpus_here: int) -> None:
    memory = f"{max(64 * MIB, int(quota.memory_bytes * share))} B"
    other = choose(CONFIG, quota, {"cpus": max(0.01, quota.cpus * share), "memory": memory}, 0)
    size = other.quota
    taken = InUse(Holder("ada", "x"), frozenset(), size.cpus, size.memory_bytes, size.pids)
    left = tightest(pots(ADA, [taken], quota, {}, Room()))
    found = offered(quota, taken, gpus_here=gpus_here)
    assume(not found.problem)
    for step in (0, -1):
        fields = {size.key: [size.steps[step].value] for size in found.sizes}
        choice = choose(CONFIG, quota, from_form(fields), gpus_here, left)
        assert admit(choice.quota, pots(ADA, [taken], quota, {}, Room())) == Admitted()


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"image": ["plain"]}, {"image": "plain"}),
        ({"image": ["plain"], "_xsrf": ["t"]}, {"image": "plain"}),
        ({"image": ["plain", "tensorflow"]}, {"image": ["plain", "tensorflow"]}),
        ({"image": []}, {"image": []}),
        ({"image": [""]}, {"image": ""}),
        ({"gpus": ["8"]}, {"gpus": "8"}),
        ({"session": [""], "cpus": ["", ""]}, {"cpus": ["", ""]}),
    ],
)
def test_form_fields(fields: dict[str, list[str]], options: dict[str, object]) -> None:
    assert from_form(fields) == options


def test_the_bare_form_is_labelled_and_escaped() -> None:
    bare = Offer(CARDS, (Size("cpus", "CPU", steps(("1", "1 <core>"))),), ())
    assert form(bare) == (
        "<fieldset><legend>Image</legend>"
        '<label><input type="radio" name="image" value="tensorflow" checked> '
        "TensorFlow 2.9</label>"
        '<label><input type="radio" name="image" value="plain"> Plain &lt;Python&gt;</label>'
        "</fieldset>"
        '<label>CPU <select name="cpus"><option value="1">1 &lt;core&gt;</option></select></label>'
    )
