"""A run that the store lost is what its container says; what that does not say is nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.container import Server, create_body
from spawner.devices import Device
from spawner.engine_answers import Container, Made
from spawner.quota import Quota
from spawner.recall import run_of
from spawner.runs import Holder, Run

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
GIB = 1 << 30
QUOTA = Quota(1.5, 8 * GIB, GIB, 1024, 2, 3, 3600, None, 600)
SERVER = Server(
    "labhub", "labhub-users", "bundle", "ada", "night", "a" * 16, 200001, "tensorflow",
    "tensorflow/tensorflow:2.9.0-gpu-jupyter", "volume", "/tf/notebooks", "/tf", "/bin/bash",
    "/passwd", "/group", QUOTA, groups=frozenset({"staff", "gpu"}),
)  # fmt: skip
BODY = create_body(SERVER, {})


def container(labels: dict[str, str] | None = None, **changed: Any) -> Container:
    """The engine shows the container that was made of the body, changed since."""
    made = Made(BODY, {**BODY["HostConfig"], **changed}, ())
    labels = BODY["Labels"] if labels is None else labels
    return Container("c1", "name", "running", 0, False, "", labels, {}, NOON, None, made)


RUN = Run(
    name="name", holder=Holder("ada", "night"), image="tensorflow", memory_bytes=8 * GIB,
    began=NOON, container="c1", cpus=1.5, pids=1024, gpus=2, shm_bytes=GIB,
    groups=frozenset({"staff", "gpu"}), session_seconds=3600, extend_seconds=600,
    ends_at=NOON + timedelta(hours=1),
)  # fmt: skip


def test_all_that_was_decided_comes_back() -> None:
    assert run_of(container(), LATER) == RUN


def test_which_gpus_it_has_alone_comes_back() -> None:
    devices = (Device("GPU-a"), Device("GPU-b", 2))
    body = create_body(replace(SERVER, devices=devices), {})
    found = run_of(container(body["Labels"]), LATER)
    assert (found.devices, found.alone) == (("GPU-a", "GPU-b"), frozenset({"GPU-a"}))


def test_what_changed_while_it_ran_is_what_it_has_now() -> None:
    changed = container(Memory=4 * GIB, CpuQuota=50_000, PidsLimit=100)
    now = replace(RUN, memory_bytes=4 * GIB, cpus=0.5, pids=100)
    assert run_of(changed, LATER) == now


def test_one_that_never_started_began_now() -> None:
    assert run_of(replace(container(), started_at=None), LATER).began == LATER


@pytest.mark.parametrize("label", ["", "{", "[]", "null", '{"gpus": "2", "groups": 5}', "[" * 9999])
def test_without_the_label_the_rest_is_known(label: str) -> None:
    run = run_of(container({**BODY["Labels"], "labhub.run": label}), LATER)
    assert (run.gpus, run.groups, run.ends_at) == (0, frozenset(), None)
    assert (run.memory_bytes, run.pids) == (8 * GIB, 1024)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(sorted(json.loads(BODY["Labels"]["labhub.run"])))


@given(st.dictionaries(keys, json_values), st.dictionaries(
    st.sampled_from(["Memory", "CpuQuota", "PidsLimit", "ShmSize"]), json_values))  # fmt: skip
def test_whatever_somebody_wrote_there_is_read(
    label: dict[str, Any], host_config: dict[str, Any]
) -> None:
    run = run_of(container({"labhub.run": json.dumps(label)}, **host_config), LATER)
    assert run.gpus >= 0
    assert run.session_seconds is None or run.session_seconds >= 0
