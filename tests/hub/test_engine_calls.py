"""The table of calls names all that Engine does; an event is read or ignored, whatever it is."""

import inspect
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.engine import Engine
from spawner.engine_calls import CALLS, LANES, STOP
from spawner.events import Event, parse

EXAMPLES = {
    "container": ("GET", "/containers/3f/json"),
    "listed": ("GET", "/containers/json"),
    "image": ("GET", "/images/tensorflow/tensorflow:2.9.0-gpu-jupyter/json"),
    "discovered": ("GET", "/info"),
    "log_tail": ("GET", "/containers/3f/logs"),
    "has_path": ("GET", "/containers/3f/archive"),
    "file": ("GET", "/containers/3f/archive"),
    "volume": ("POST", "/volumes/create"),
    "create": ("POST", "/containers/create"),
    "start": ("POST", "/containers/3f/start"),
    "update": ("POST", "/containers/3f/update"),
    "stop": ("POST", "/containers/3f/stop"),
    "remove": ("DELETE", "/containers/3f"),
    "pull": ("POST", "/images/create"),
    "events": ("GET", "/events"),
    "past": ("GET", "/events"),
}
FOREIGN = [
    ("GET", "/version"),
    ("GET", "/_ping"),
    ("POST", "/containers/3f/kill"),
    ("POST", "/containers/3f/json"),
    ("GET", "/containers/3f/json/more"),
    ("GET", "/images/json"),
    ("DELETE", "/volumes/3f"),
    ("GET", "/x/containers/json"),
]


def asynchronous(member: object) -> bool:
    return inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)


def test_the_table_has_every_call_of_engine_and_no_other() -> None:
    methods = {name for name, member in vars(Engine).items() if asynchronous(member)}
    assert {name for name in methods if not name.startswith("_")} == set(CALLS)


@pytest.mark.parametrize("prefix", ["", "/v1.41", "/v1.120"])
@pytest.mark.parametrize("name", CALLS)
def test_a_request_belongs_to_its_calls_only(name: str, prefix: str) -> None:
    method, path = EXAMPLES[name]
    takers = {each for each, call in CALLS.items() if call.takes(method, prefix + path)}
    assert takers == {each for each, example in EXAMPLES.items() if example == (method, path)}


@pytest.mark.parametrize(("method", "path"), FOREIGN)
def test_what_engine_never_asks_belongs_to_no_call(method: str, path: str) -> None:
    assert [name for name, call in CALLS.items() if call.takes(method, path)] == []


def test_only_what_changes_nothing_may_be_asked_again() -> None:
    again = {name for name, call in CALLS.items() if call.idempotent}
    assert {CALLS[name].method for name in again} == {"GET"}
    assert again == {
        "container", "listed", "image", "discovered", "past", "log_tail", "has_path", "file",
    }  # fmt: skip


def test_every_lane_has_a_name_of_its_own_and_room() -> None:
    assert len({lane.name for lane in LANES}) == len(LANES)
    assert {call.lane for call in CALLS.values()} == set(LANES)
    assert all(re.fullmatch("[a-z]+", lane.name) and lane.threads > 0 for lane in LANES)
    assert STOP.seconds > 10, "a stop waits for the container's grace"


# events

LABELS = {"labhub.user": "ada", "name": "x", "image": "i"}


def raw(action: str = "die", **changes: Any) -> dict[str, Any]:
    """Return an event as an engine of 20.10 tells it."""
    event = {
        "status": action, "id": "3f", "from": "i", "Type": "container", "Action": action,
        "Actor": {"ID": "3f", "Attributes": dict(LABELS)},
        "scope": "local", "time": 1795547430, "timeNano": 1795547430570651575,
    }  # fmt: skip
    return {**event, **changes}


def actor(**attributes: object) -> dict[str, object]:
    return {"ID": "3f", "Attributes": {**LABELS, **attributes}}


NOW = 1795547430570651575
EVENTS = [
    (raw("start"), Event("start", "3f", LABELS, NOW)),
    (
        raw(Actor=actor(exitCode="137")),
        Event("die", "3f", {**LABELS, "exitCode": "137"}, NOW, exit_code=137),
    ),
    (
        raw("kill", Actor=actor(signal="15")),
        Event("kill", "3f", {**LABELS, "signal": "15"}, NOW, signal=15),
    ),
    (raw(Actor=actor(exitCode="-1")), Event("die", "3f", {**LABELS, "exitCode": "-1"}, NOW)),
    (raw(Actor=actor(exitCode="१")), Event("die", "3f", {**LABELS, "exitCode": "१"}, NOW)),
    (raw(Actor=actor(exitCode=137)), Event("die", "3f", LABELS, NOW)),
    (raw(Actor={"ID": "3f"}), Event("die", "3f", {}, NOW)),
    (raw(Actor={"ID": "3f", "Attributes": None}), Event("die", "3f", {}, NOW)),
    (raw(timeNano=None), Event("die", "3f", LABELS, 1795547430 * 10**9)),
    (raw(timeNano=None, time=None), None),
    (raw(timeNano=True, time=0), None),
    (raw(timeNano="1", time=1.5), None),
    (raw(Type="image"), None),
    (raw(Action=""), None),
    (raw(Action=7), None),
    (raw(Actor=None), None),
    (raw(Actor={"ID": ""}), None),
    (raw(Actor=["3f"]), None),
    ([raw()], None),
    (None, None),
]


@pytest.mark.parametrize(("line", "event"), EVENTS)
def test_an_event_is_read_as_far_as_it_can_be_trusted(line: object, event: Event | None) -> None:
    assert parse(line) == event


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(["Type", "Action", "Actor", "time", "timeNano", "id"])
INNER_KEYS = st.sampled_from(["ID", "Attributes"])
ATTRIBUTES = st.dictionaries(st.sampled_from(["exitCode", "signal", "name"]), JSON | st.text())


@given(JSON)
def test_any_json_is_an_event_or_none(line: object) -> None:
    assert parse(line) is None or isinstance(parse(line), Event)


@given(
    st.dictionaries(KEYS, JSON),
    st.dictionaries(INNER_KEYS, JSON | ATTRIBUTES),
    st.booleans(),
)
def test_anything_like_an_event_is_an_event_or_none(
    outer: dict[str, object], inner: dict[str, object], whole: bool
) -> None:
    line = {**(raw() if whole else {"Type": "container"}), "Actor": inner, **outer}
    event = parse(line)
    assert event is None or (event.container, event.action) == (
        line["Actor"]["ID"],  # type: ignore[index]
        line["Action"],
    )
    if event is not None:
        assert event.time_ns > 0
        assert all(isinstance(text, str) for pair in event.labels.items() for text in pair)
