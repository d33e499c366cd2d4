"""What is read from an engine's answers, and that anything unexpected is "unknown"."""

import io
import struct
import tarfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner import engine_answers as answers
from spawner.engine_answers import Container, Image, Listed, Made, read
from spawner.engine_errors import UnknownError

ENTRY: dict[str, Any] = {
    "Id": "3f", "Names": ["/x"], "Image": "a/b:1", "ImageID": "sha256:5e", "State": "running",
    "Labels": {"labhub.user": "ada"}, "Status": "Up 2 minutes",
}  # fmt: skip
INSPECT: dict[str, Any] = {
    "Id": "3f", "Name": "/x", "Config": {"Labels": {"labhub.user": "ada"}},
    "State": {
        "Status": "exited", "ExitCode": 137, "OOMKilled": True, "Error": "",
        "StartedAt": "2026-11-24T19:10:29.747945123Z",
        "FinishedAt": "2026-11-24T20:10:29.5+01:00",
    },
    "HostConfig": {"Memory": 1 << 30}, "Mounts": [{"Type": "bind"}],
    "NetworkSettings": {"Networks": {"n": {"IPAddress": "172.18.0.2"}}},
}  # fmt: skip
AT = datetime(2026, 11, 24, 19, 10, 29, tzinfo=UTC)


def state(**changes: object) -> dict[str, Any]:
    return {**INSPECT, "State": {**INSPECT["State"], **changes}}


def test_a_container() -> None:
    assert read(answers.container, INSPECT) == Container(
        id="3f",
        name="x",
        status="exited",
        exit_code=137,
        out_of_memory=True,
        error="",
        labels={"labhub.user": "ada"},
        addresses={"n": "172.18.0.2"},
        started_at=AT.replace(microsecond=747945),
        finished_at=AT.replace(microsecond=500000),
        made=Made(INSPECT["Config"], {"Memory": 1 << 30}, ({"Type": "bind"},)),
    )


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "", "yesterday", None, 7, "9999"])
def test_a_time_that_never_was_is_none(never: object) -> None:
    found = read(answers.container, state(StartedAt=never, FinishedAt=never))
    assert (found.started_at, found.finished_at) == (None, None)


@pytest.mark.parametrize(
    ("word", "ended"),
    [
        ("created", True), ("exited", True), ("dead", True), ("removing", True),
        ("running", False), ("paused", False), ("restarting", False), ("levitating", False),
    ],
)  # fmt: skip
def test_only_certain_states_are_an_end(word: str, ended: bool) -> None:
    assert read(answers.container, state(Status=word)).ended is ended
    [listed] = read(answers.listed, [{**ENTRY, "State": word}])
    assert listed.ended is ended


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Listed("3f", "x", "running", {"labhub.user": "ada"}, "a/b:1")),
        ({"Labels": None}, Listed("3f", "x", "running", {}, "a/b:1")),
        ({"Names": None, "State": "removing"},
         Listed("3f", "", "removing", {"labhub.user": "ada"}, "a/b:1")),
    ],
)  # fmt: skip
def test_an_entry_of_the_list(changes: dict[str, Any], expected: Listed) -> None:
    assert read(answers.listed, [{**ENTRY, **changes}]) == [expected]


@pytest.mark.parametrize("missing", ["Id", "Names", "Image", "State", "Labels"])
def test_an_entry_without_a_field_makes_the_list_unknown(missing: str) -> None:
    entry = {key: value for key, value in ENTRY.items() if key != missing}
    with pytest.raises(UnknownError):
        read(answers.listed, [ENTRY, entry])


@pytest.mark.parametrize("answer", [None, {}, "[]", 7, [None], [{}], [{**ENTRY, "Id": 7}]])
def test_another_answer_than_a_list_is_unknown(answer: object) -> None:
    with pytest.raises(UnknownError):
        read(answers.listed, answer)


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ({"Id": "5e", "Config": {"Labels": {"a": "b"}}}, {"a": "b"}),
        ({"Id": "5e", "Config": {"Labels": None}}, {}),
        ({"Id": "5e", "Config": {}}, {}),
        ({"Id": "5e", "Config": None}, {}),
        ({"Id": "5e"}, {}),
    ],
)
def test_an_image(answer: dict[str, Any], labels: dict[str, str]) -> None:
    assert read(answers.image, answer) == Image("5e", labels)


READERS = [answers.container, answers.listed, answers.image, answers.identity, answers.device]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*INSPECT, *ENTRY]), inner),
    max_leaves=10,
)


@given(JSON, st.sampled_from(READERS), st.sampled_from(["State", "Config", "NetworkSettings"]))
def test_no_answer_raises_anything_but_unknown(answer: object, reader: Any, part: str) -> None:
    for each in (answer, [answer], {**INSPECT, part: answer}, {**ENTRY, "Labels": answer}):
        try:
            read(reader, each)
        except UnknownError:
            continue


def frame(stream: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(text)) + text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (frame(1, b"one\n") + frame(2, b"two\n"), "one\ntwo\n"),
        (frame(2, "grün".encode()[:3]) + frame(2, "grün".encode()[3:]), "grün"),
        (b"a terminal writes no frames\n", "a terminal writes no frames\n"),
        (frame(1, b"cut off")[:-3], "cut "),
        (frame(1, b"x") + b"\xff", "x\ufffd"),
    ],
)
def test_a_log(data: bytes, text: str) -> None:
    assert answers.log(data) == text


def archive(kind: bytes, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("passwd")
        entry.type, entry.size, entry.linkname = kind, len(content), "/elsewhere"
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_file_of_an_archive() -> None:
    assert read(answers.only_member, archive(tarfile.REGTYPE, b"root:x")) == "root:x"
    assert read(answers.only_member, archive(tarfile.SYMTYPE, b"")) is None


@pytest.mark.parametrize("data", [b"", b"no archive", archive(tarfile.REGTYPE, b"x" * 600)[:700]])
def test_a_broken_archive_is_unknown(data: bytes) -> None:
    with pytest.raises(UnknownError):
        read(answers.only_member, data)
