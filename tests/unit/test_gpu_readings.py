"""A report about the GPUs survives the file, and nothing else passes for one."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.gpu_readings import (
    Cause,
    Gpu,
    Health,
    Process,
    Reading,
    Report,
    Slice,
    UnreadableError,
    decode,
    encode,
)

REPORT = Report(
    at=1_790_000_000.5,
    interval_seconds=5.0,
    reading=Reading(
        gpus=(
            Gpu(
                "GPU-a", "NVIDIA H100", 0, 80 << 30, 1 << 30, 37, 0, xids=(31, 79),
                processes=(Process(4711, 1 << 29, 36, "c" * 64), Process(4712)),
                health=Health(Cause.XID, 79, 2), former_slices=("MIG-0",),
            ),
            Gpu("GPU-b", is_mig=True, slices=(Slice("MIG-1", "1g.10gb", processes=(Process(1),)),)),
        ),
        driver="550.54.15",
        trouble="",
    ),
)  # fmt: skip

COUNTS = st.none() | st.integers(0, (1 << 64) - 1)
SURE = st.integers(0, (1 << 64) - 1)
PROCESSES = st.lists(
    st.builds(Process, SURE, COUNTS, COUNTS, st.none() | st.text()), max_size=2
).map(tuple)
SLICES = st.lists(
    st.builds(Slice, st.text(), st.text(), COUNTS, COUNTS, PROCESSES), max_size=2
).map(tuple)
GPUS = st.builds(
    Gpu, st.text(), st.text(), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans(), st.booleans(),
    st.lists(SURE, max_size=2).map(tuple), SLICES, PROCESSES,
    st.builds(Health, st.none() | st.sampled_from(Cause), SURE, SURE),
    st.lists(st.text(), max_size=2).map(tuple),
)  # fmt: skip
REPORTS = st.builds(
    Report,
    st.floats(0, 1 << 36, exclude_max=True),
    st.floats(0.01, 3600),
    st.builds(Reading, st.lists(GPUS, max_size=2).map(tuple), st.text(), st.text()),
)


@given(REPORTS)
def test_what_was_written_is_what_is_read(report: Report) -> None:
    assert decode(encode(report)) == report


def changed(path: tuple[Any, ...], value: object) -> str:
    """Return the report's text with another value somewhere."""
    facts = json.loads(encode(REPORT))
    place = facts
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(facts)


A, B = ("reading", "gpus", 0), ("reading", "gpus", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        encode(REPORT)[:-10],
        changed(("version",), 2),
        changed(("version",), "1"),
        changed(("at",), -1),
        changed(("at",), True),
        changed(("at",), 1 << 36),
        changed(("at",), float("nan")),
        changed(("interval_seconds",), "5"),
        changed(("more",), 1),
        changed(("reading",), []),
        changed(("reading", "driver"), None),
        changed(("reading", "gpus"), {}),
        changed((*A, "uuid"), 0),
        changed((*A, "memory_bytes"), -1),
        changed((*A, "memory_bytes"), 1.5),
        changed((*A, "busy_percent"), False),
        changed((*A, "busy_percent"), "37"),
        changed((*A, "is_lost"), 0),
        changed((*A, "xids"), [None]),
        changed((*A, "new"), 0),
        changed((*A, "health", "cause"), "bored"),
        changed((*A, "health", "good_probes"), None),
        changed((*A, "processes", 0, "pid"), None),
        changed((*A, "processes", 0, "container"), 7),
        changed((*A, "former_slices"), [7]),
        changed((*B, "slices", 0), "MIG-1"),
        changed((*B, "slices", 0, "processes"), None),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        decode(text)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_nothing_but_a_refusal_is_raised(text: str) -> None:
    with pytest.raises(UnreadableError):
        decode(text)


def test_a_report_of_before_slices_were_remembered_is_read() -> None:
    facts = json.loads(encode(REPORT))
    for each in facts["reading"]["gpus"]:
        del each["former_slices"]
    first = replace(REPORT.reading.gpus[0], former_slices=())
    gpus = (first, *REPORT.reading.gpus[1:])
    reading = replace(REPORT.reading, gpus=gpus)
    assert decode(json.dumps(facts)) == replace(REPORT, reading=reading)
