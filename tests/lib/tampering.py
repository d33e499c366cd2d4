"""What somebody sends who wants more than their share: bodies, forms and addresses.

Everything is one `Attempt`, whichever door it goes through. `corpus` was written by hand,
`attempts` is a strategy for hypothesis.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from hypothesis import strategies as st

OPTIONS = ("image", "cpus", "memory", "gpus", "session")
# What other spawners and older hubs would take, and what stands in their way.
STRANGE = (
    "mem_limit", "cpu_limit", "extra_host_config", "mounts", "environment", "cmd", "args", "shm",
    "profile", "pids", "servers", "disk", "privileged", "", "__class__", "opt-cpus", "Memory",
    "image_file", "display_name", "user_options", "name", "next", "a" * 300, "m\u0435mory",
)  # fmt: skip
# With these, several servers fit beside each other.
MODEST = {"cpus": "0.5", "memory": "512 MiB"}
MEGABYTE = "9" * (1 << 20)


def nested(depth: int) -> Any:
    """Return lists in lists."""
    inner: Any = "4 GiB"
    for _ in range(depth):
        inner = [inner]
    return inner


VALUES: tuple[Any, ...] = (
    # numbers
    0, 1, 2, 2.5, 3, -1, -0.0, 0.009, 1e-300, 1e308, 10**30, -(10**30), float("nan"), float("inf"),
    float("-inf"), True, False, None,
    # texts
    "", " ", "2", "3", "-1", "1e3", "0x10", "٤", "NaN", "Infinity", "inf", "2,5", "2;3", "2\n3",
    "4 GiB", "5 GiB", "4.001 GiB", "4096 MiB", "4 gib", "4", "-4 GiB", "999999999999 TiB", "٤ GiB",
    "0 B", "64 MiB", "1 h", "9 h", "99999999 d", "unlimited", "all", "none", "null", "max",
    "tensorflow", "TENSORFLOW", "tensorflow/tensorflow:2.9.0-gpu-jupyter", "evil/image:latest",
    "../../etc/passwd", "/etc/passwd", "{username}", "{{7*7}}", "%s%n", "$(id)", "' OR 1=1 --",
    "<script>alert(1)</script>", "\u0000", "\ud800", "\u202e4 GiB", "🌙" * 50, "x" * 5000,
    # containers
    [], {}, [[]], {"": {}}, ["4 GiB"], ["4 GiB", "5 GiB"], [1, 2], {"$gt": 0}, {"memory": "5 GiB"},
    nested(40), nested(900),
)  # fmt: skip
RAW: tuple[bytes, ...] = (
    b"", b" ", b"null", b"[]", b"{}", b"1", b'"x"', b"true", b"NaN", b"{", b"}", b"[1,", b"\xff",
    b"\xff\xfe", b"\x00", b"\xef\xbb\xbf{}", b'{"cpus":1e999}', b'{"cpus":NaN}',
    b'{"memory":"\\ud800"}', b'{"cpus":1,"cpus":99}',
    b'{"user_options":{"cpus":99},"user_options":{"cpus":1}}',
    b'{"user_options":[]}', b'{"user_options":"cpus=99"}', b'{"display_name":5}',
    b'{"display_name":null,"name":"x"}', b'{"display_name":"\\u0000"}', b'{"name":["x"]}',
    b'{"name":"lab"}', b'{"name":"X"}', b'{"name":""}', b'{"remove":true}', b'{"x":1}',
    b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"cpus":' + b"9" * 5000 + b"}",
    json.dumps({"memory": MEGABYTE}).encode(), json.dumps({MEGABYTE: 1}).encode(),
    b"cpus=99&memory=5+GiB", b"<xml/>", b"{'cpus': 99}", b'{"cpus":99}'.decode().encode("utf-16"),
)  # fmt: skip


# Who asks for whose servers: themselves, an admin for others, somebody who must not.
PEOPLE = (
    ("ada", "ada"), ("ada", "ada"), ("bob", "bob"), ("grace", "ada"), ("ada", "ada"),
    ("grace", "bob"), ("bob", "ada"),
)  # fmt: skip
# And for which of them; two names are all that ada may have.
TURNS = (
    ("ada", "ada", ""), ("ada", "ada", "night"), ("bob", "bob", ""), ("ada", "ada", "day"),
    ("grace", "ada", "night"), ("bob", "bob", "night"), ("grace", "bob", ""), ("bob", "ada", "day"),
    ("ada", "ada", "night"),
)  # fmt: skip
DOORS = ("form", "query", "POST", "POST", "PUT", "PATCH", "PATCH")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request: by whom, of whose, through which door, for which server, with what.

    `door` is form, query, POST, PUT or PATCH. `sent` is the body, or the fields of the form or the
    address, urlencoded.
    """

    by: str
    of: str
    door: str
    server: str
    sent: bytes


def fields(options: dict[str, Any], *, prefix: str = "") -> bytes:
    """Return options as a form or an address has them: texts, some of them several times."""
    pairs = [
        (prefix + key, each)
        for key, value in options.items()
        for each in (value if isinstance(value, list) and value else [value])
    ]
    return b"&".join(map(_field, pairs))


def _field(pair: tuple[str, Any]) -> bytes:
    key, value = (str(each).encode("utf-8", "surrogatepass") for each in pair)
    return f"{quote_plus(key)}={quote_plus(value)}".encode()


def at(door: str, options: dict[str, Any]) -> bytes:
    """Return what options look like at a door."""
    match door:
        case "form":
            return fields(options)
        case "query":
            return fields(options, prefix="opt-")
        case "POST":
            return json.dumps(options).encode()
        case _:
            return json.dumps({"user_options": options}).encode()


def corpus() -> Iterator[Attempt]:
    """Yield what was written by hand: each value, strange key and body, at several doors.

    Forms and addresses know texts only, and their pages take the longest: some of each will do.
    """
    turns = itertools.cycle(TURNS)
    hostile = itertools.cycle([5, "5 GiB", -1, float("nan"), ["x"], None, {"cpus": 99}])
    wishes = [{key: value} for value in VALUES for key in OPTIONS]
    wishes += [{key: next(hostile)} for key in STRANGE for _ in range(2)]
    for number, wish in enumerate(wishes):
        pages = {0: ("form",), 3: ("query",)}.get(number % 6, ())
        for door in ("POST", "PUT", "PATCH", *pages):
            options = {**MODEST, **wish} if (number + len(door)) % 3 else wish
            by, of, server = next(turns)
            # What is there already is refused before anybody reads what was sent.
            yield Attempt(by, of, door, "fresh" if door == "PUT" else server, at(door, options))
    for raw in RAW:
        for door in ("POST", "PUT", "PATCH"):
            by, of, server = next(turns)
            yield Attempt(by, of, door, "fresh" if door == "PUT" else server, raw)


values = st.sampled_from(VALUES) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
keys = st.sampled_from(OPTIONS + STRANGE) | st.text(max_size=9)
wishes = st.dictionaries(keys, values, max_size=4)
extras = st.dictionaries(st.sampled_from(["display_name", "name", "x"]), values, max_size=2)
servers = st.sampled_from(["", "night", "day", "more", "lab", "N", "a--b", "🌙"])


@st.composite
def attempts(draw: st.DrawFn) -> Attempt:
    """Any wish, by anybody, through any door."""
    people, door = draw(st.sampled_from(PEOPLE)), draw(st.sampled_from(DOORS))
    server, wish = draw(servers), {**draw(st.sampled_from([MODEST, {}])), **draw(wishes)}
    if door in {"form", "query"}:
        sent = fields(wish, prefix=draw(st.sampled_from(["", "opt-"])))
    else:
        body = draw(st.sampled_from([wish, {"user_options": wish, **draw(extras)}]))
        sent = json.dumps(body).encode()
    return Attempt(*people, door, server, sent)
