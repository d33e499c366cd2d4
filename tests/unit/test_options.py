"""A person chooses an image and less than they may have, through whichever door; never more."""

import math
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from hub_config.schema import Config
from spawner.admission import CPU_PARTS, Measure, Pot
from spawner.admission import CPUS as CPUS_MEASURE
from spawner.admission import MEMORY as MEMORY_MEASURE
from spawner.options import KNOWN, Choice, OptionRefusedError, choose
from spawner.quota import Quota

MIB, GIB, HOUR = 1024**2, 1024**3, 3600
CONFIG = Config.model_validate(
    {
        "images": {
            "tensorflow": {"title": "TensorFlow", "image": "tensorflow/tensorflow:2.9.0"},
            "plain": {"title": "Plain", "image": "labhub/plain:local"},
        }
    }
)
QUOTA = Quota(
    cpus=2.0, memory_bytes=8 * GIB, shm_bytes=2 * GIB, pids=1024, gpus=2, session_seconds=12 * HOUR
)
GPUS_HERE = 8


def chosen(options: object, quota: Quota = QUOTA, gpus_here: int = GPUS_HERE) -> Choice:
    return choose(CONFIG, quota, options, gpus_here)


def gets(options: object, quota: Quota = QUOTA, gpus_here: int = GPUS_HERE) -> dict[str, object]:
    """What is not the whole quota."""
    found = chosen(options, quota, gpus_here)
    keys = [key for key in Quota.__slots__ if getattr(found.quota, key) != getattr(quota, key)]
    image = {} if found.image_key == "tensorflow" else {"image": found.image_key}
    return {**image, **{key: getattr(found.quota, key) for key in keys}}


@pytest.mark.parametrize(
    ("options", "less"),
    [
        ({}, {}),
        ({"image": "tensorflow"}, {}),
        ({"image": "plain"}, {"image": "plain"}),
        # numbers, and as forms write them
        ({"cpus": 2}, {}),
        ({"cpus": 1}, {"cpus": 1.0}),
        ({"cpus": 0.5}, {"cpus": 0.5}),
        ({"cpus": "0.5"}, {"cpus": 0.5}),
        ({"cpus": "2"}, {}),
        ({"cpus": 0.01}, {"cpus": 0.01}),
        # shared memory is memory, so there is never more of it
        ({"memory": "8 GiB"}, {}),
        ({"memory": "4GiB"}, {"memory_bytes": 4 * GIB}),
        ({"memory": "1.5 GB"}, {"memory_bytes": 1_500_000_000, "shm_bytes": 1_500_000_000}),
        ({"memory": "64 MiB"}, {"memory_bytes": 64 * MIB, "shm_bytes": 64 * MIB}),
        ({"gpus": 2}, {}),
        ({"gpus": 1}, {"gpus": 1}),
        ({"gpus": "0"}, {"gpus": 0}),
        ({"session": "12 h"}, {}),
        ({"session": "30 min"}, {"session_seconds": 1800}),
        (
            {"image": "plain", "cpus": 1, "memory": "2 GiB", "gpus": 0, "session": "1 h"},
            {
                "image": "plain", "cpus": 1.0, "memory_bytes": 2 * GIB, "gpus": 0,
                "session_seconds": HOUR,
            },
        ),
    ],
)  # fmt: skip
def test_choosing_less_gives_less(options: object, less: dict[str, object]) -> None:
    assert gets(options) == less


@pytest.mark.parametrize(
    ("quota", "gpus_here", "options", "less"),
    [
        pytest.param({"gpus": 2}, 1, {}, {"gpus": 1}, id="nobody gets a GPU that is not there"),
        pytest.param({"gpus": 2}, 0, {}, {"gpus": 0}, id="a machine without GPUs"),
        pytest.param({"session_seconds": None}, 0, {"gpus": 0, "session": "99 d"},
                     {"gpus": 0, "session_seconds": 99 * 24 * HOUR}, id="no limit, but one chosen"),
        pytest.param({"servers": 3}, 8, {"memory": "2 GiB"},
                     {"memory_bytes": 2 * GIB, "pids": 264}, id="processes go with the memory"),
        pytest.param({"servers": 3}, 8, {"memory": "64 MiB"},
                     {"memory_bytes": 64 * MIB, "shm_bytes": 64 * MIB, "pids": 39},
                     id="with fewer no server starts"),
        pytest.param({"servers": 3}, 8, {"cpus": 1}, {"cpus": 1.0}, id="and with nothing else"),
    ],
)  # fmt: skip
def test_what_goes_with_what(
    quota: dict[str, Any], gpus_here: int, options: object, less: dict[str, object]
) -> None:
    whole = Quota(**{**{key: getattr(QUOTA, key) for key in Quota.__slots__}, **quota})
    assert gets(options, whole, gpus_here) == less


def room(cpus: float = 99, memory: int = 99 * GIB) -> dict[Measure, Pot]:
    """So much is left of a machine."""
    return {CPUS_MEASURE: Pot(CPUS_MEASURE, round(cpus * CPU_PARTS), 0, ""),
            MEMORY_MEASURE: Pot(MEMORY_MEASURE, memory, 0, "")}  # fmt: skip


@pytest.mark.parametrize(
    ("left", "options", "less"),
    [
        pytest.param(room(), {}, {}, id="where there is enough, the whole quota"),
        pytest.param(room(memory=4 * GIB), {}, {"memory_bytes": 4 * GIB}, id="else what is left"),
        pytest.param(room(cpus=0.5), {}, {"cpus": 0.5}, id="of each thing"),
        pytest.param(room(memory=GIB), {}, {"memory_bytes": GIB, "shm_bytes": GIB},
                     id="shared memory is memory"),
        pytest.param(room(memory=512 * MIB), {}, {"memory_bytes": 512 * MIB,
                     "shm_bytes": 512 * MIB}, id="down to what one can work with"),
        pytest.param(room(memory=511 * MIB, cpus=0.4), {}, {"memory_bytes": 512 * MIB,
                     "shm_bytes": 512 * MIB, "cpus": 0.5}, id="and not below: that is refused"),
        pytest.param(room(memory=4 * GIB), {"memory": "6 GiB"}, {"memory_bytes": 6 * GIB},
                     id="a choice is never made smaller, and is refused later"),
        pytest.param(room(memory=4 * GIB), {"memory": "2 GiB"}, {"memory_bytes": 2 * GIB},
                     id="nor larger"),
    ],
)  # fmt: skip
def test_what_is_not_chosen_is_as_much_as_there_is(
    left: dict[Measure, Pot], options: object, less: dict[str, object]
) -> None:
    found = choose(CONFIG, QUOTA, options, GPUS_HERE, left).quota
    keys = [key for key in Quota.__slots__ if getattr(found, key) != getattr(QUOTA, key)]
    assert {key: getattr(found, key) for key in keys} == less


CPUS = "The option cpus must be a number of cores, like 2 or 0.5."
MEMORY = "The option memory must be a size with its unit, like 4 GiB."
GPUS = "The option gpus must be a whole number of GPUs, like 0 or 1."
SESSION = "The option session must be a time with its unit, like 4 h."
IMAGE = "The option image must be one word: the name of an image on the start page."
OBJECT = "The options for a server must be a JSON object."
KNOWN_ONES = "there are image, cpus, memory, gpus and session."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (None, OBJECT),
        ([], OBJECT),
        ("tensorflow", OBJECT),
        ({"mem_limit": "1 TiB"}, f"There is no option mem_limit; {KNOWN_ONES}"),
        ({"image": "plain", "a\nb": 1}, f"There is no option a b; {KNOWN_ONES}"),
        ({1: 2}, f"There is no option 1; {KNOWN_ONES}"),
        ({"x" * 10**6: 2}, f"There is no option {'x' * 59}…; {KNOWN_ONES}"),
        ({"image": "pytorch"}, "There is no image pytorch; choose one of: tensorflow, plain."),
        (
            {"image": "tensorflow/tensorflow:2.9.0"},
            "There is no image tensorflow/tensorflow:2.9.0; choose one of: tensorflow, plain.",
        ),
        *(
            ({"image": wrong}, IMAGE)
            for wrong in (["plain"], None, True, 1, 1.5, {"plain": 1}, [[["plain"]]])
        ),
        # more
        ({"cpus": 2.001}, "You may have at most 2 cores; choose that or less."),
        ({"cpus": "4"}, "You may have at most 2 cores; choose that or less."),
        ({"cpus": 10**400}, "You may have at most 2 cores; choose that or less."),
        ({"memory": "8193 MiB"}, "You may have at most 8 GiB of memory; choose that or less."),
        ({"memory": "999999999999999 TiB"},
         "You may have at most 8 GiB of memory; choose that or less."),
        ({"gpus": 3}, "You may have at most 2 GPUs; choose that or less."),
        ({"gpus": 10**400}, "You may have at most 2 GPUs; choose that or less."),
        ({"session": "13 h"}, "Your server may run for at most 12 h; choose that or less."),
        # too little
        ({"cpus": 0}, "A server needs at least 0.01 cores; choose that or more."),
        ({"cpus": -1}, "A server needs at least 0.01 cores; choose that or more."),
        ({"memory": "1 B"}, "A server needs at least 64 MiB of memory; choose that or more."),
        ({"session": "0 s"}, "A server runs for at least 1 min; choose that or more."),
        # nothing at all
        *(({"cpus": wrong}, CPUS) for wrong in (
            True, None, "", "two", "1e9", "-1", "NaN", "٢", " 2", "2;3", [2], {"n": 2},
            math.nan, math.inf, -math.inf,
        )),
        *(({"memory": wrong}, MEMORY) for wrong in (
            True, None, "", "8", "8g", 8, 8.0, 1 << 30, "-1 GiB", "NaN GiB", "٨ GiB", ["8 GiB"], {},
            math.nan, "8 GiB; rm", "1" * 10**6, "0x8 GiB",
        )),
        *(({"gpus": wrong}, GPUS) for wrong in (
            True, None, "", "all", -1, "-1", 1.0, 0.5, "1.0", [0], {"count": 1}, math.nan, math.inf,
        )),
        *(({"session": wrong}, SESSION) for wrong in (
            True, None, "", "4", 4, 4.0, "-4 h", "forever", ["4 h"], {}, math.inf, "4 weeks",
        )),
    ],
)  # fmt: skip
def test_what_is_not_on_offer(options: object, sentence: str) -> None:
    with pytest.raises(OptionRefusedError) as refusal:
        chosen(options)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("here", "sentence"),
    [
        (0, "This machine has no GPU for servers; choose 0."),
        (1, "This machine has only 1 GPU; choose that or less."),
    ],
)
def test_a_gpu_that_is_not_there(here: int, sentence: str) -> None:
    with pytest.raises(OptionRefusedError) as refusal:
        chosen({"gpus": 2}, gpus_here=here)
    assert str(refusal.value) == sentence


def test_no_session_is_longer_than_a_year() -> None:
    whole = Quota(cpus=1, memory_bytes=GIB, shm_bytes=GIB, pids=64)
    with pytest.raises(OptionRefusedError, match="at most 366 d"):
        chosen({"session": "999999999999999 d"}, whole)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
near = st.sampled_from(["1", "2.0", "3", "4 GiB", "9 GiB", "1 h", "13 h", "plain"]) | st.floats(
    min_value=-1, max_value=3
)
quotas = st.builds(
    Quota,
    cpus=st.floats(min_value=0.01, max_value=512),
    memory_bytes=st.integers(64 * MIB, 1 << 45),
    shm_bytes=st.integers(MIB, 1 << 45),
    pids=st.integers(32, 1 << 20),
    gpus=st.integers(0, 16),
    servers=st.integers(1, 5),
    session_seconds=st.none() | st.integers(60, 10**6),
)


@given(json | st.dictionaries(st.sampled_from(KNOWN), json | near), quotas, st.integers(0, 16))
def test_anything_is_at_most_the_quota_or_a_sentence(
    options: Any, quota: Quota, gpus_here: int
) -> None:
    try:
        found = chosen(options, quota, gpus_here)
    except OptionRefusedError as refusal:
        event("refused")
        assert str(refusal).isprintable()
        assert len(str(refusal)) < 300
        return
    got = found.quota
    assert found.image_key in CONFIG.images
    assert 0.01 <= got.cpus <= quota.cpus
    assert 64 * MIB <= got.memory_bytes <= quota.memory_bytes
    assert got.shm_bytes <= min(quota.shm_bytes, got.memory_bytes)
    assert 32 <= got.pids <= quota.pids
    assert 0 <= got.gpus <= min(quota.gpus, gpus_here)
    if quota.session_seconds is not None:
        assert got.session_seconds is not None
        assert 60 <= got.session_seconds <= quota.session_seconds
