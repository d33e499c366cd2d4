"""YAML text → plain data, and where each key and value stands.

Only what labhub.yaml needs: mappings, lists and scalars of YAML 1.2. Everything that lets a small
file mean a big one, or a text something else (aliases, tags, merges), is refused at its place, and
so is a key that stands twice.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

DEPTH_MAX = 20
Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_KINDS = frozenset({"null", "bool", "int", "float", "str", "timestamp", "map", "seq"})
_TAB_INDENT = re.compile(r"[ ]*\t")
# What the parser says (a piece of it) → what a person can do about it.
_ADVICE = (
    (
        "mapping values are not allowed",
        "a colon where none can be; put the text in quotes, or indent",
    ),
    ("could not find expected ':'", "a line without a colon; write KEY: VALUE"),
    ("expected <block end>", "this line is indented unlike the others of its list; line them up"),
    ("unexpected end of stream", "a quote is never closed; close it"),
    ("'<stream end>'", "a bracket is never closed; close it"),
    ("expected ',' or", "a bracket is never closed, or a comma is missing; write it"),
    ("expected a single document", "a second document; keep one, and no --- below it"),
    ("cannot start any token", "a text that begins with a special character; put it in quotes"),
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, under which keys, and what to write instead."""

    place: Place
    path: Path
    text: str


class NotReadableError(Exception):
    """The text is no YAML; holds the one problem that is known."""

    def __init__(self, line: int, column: int, text: str) -> None:
        """Hold the problem."""
        self.problem = Problem(Place(line, column), (), text)
        super().__init__(text)


@dataclass(slots=True)
class Document:
    """The data of a file, and the places of its parts."""

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    unread: set[Path] = field(default_factory=set)
    _keys: dict[Path, Place] = field(default_factory=dict)
    _values: dict[Path, Place] = field(default_factory=dict)

    def has(self, path: Path) -> bool:
        """Say whether a key stands in the file."""
        return path in self._keys

    def key_at(self, path: Path) -> Place:
        """Return where a key stands, or the nearest one above it that is in the file."""
        while path and path not in self._keys:
            path = path[:-1]
        return self._keys.get(path, Place(1, 1))

    def value_at(self, path: Path) -> Place:
        """Return where a value stands; where there is none, its key or the one above."""
        return self._values.get(path) or self.key_at(path)

    def note_key(self, path: Path, place: Place) -> None:
        """Remember where a key stands."""
        self._keys[path] = place

    def note_value(self, path: Path, place: Place) -> None:
        """Remember where a value stands."""
        self._values[path] = place


def parse(text: str) -> Document:
    """Return what a YAML text says, or raise NotReadableError."""
    try:
        for _ in _checked_events(text):
            pass
        node = YAML(typ="safe", pure=True).compose(text)
    except ReaderError as error:
        raise _unprintable(text, error) from None
    except MarkedYAMLError as error:
        raise _not_yaml(text, error) from None
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, AssertionError):
        # The parser itself fails on some directives and numbers.
        raise NotReadableError(1, 1, "not YAML at all; see `labhub config example`") from None
    document = Document()
    if node is not None:
        document.data = _value(document, node, ())
    return document


def _checked_events(text: str) -> Iterator[None]:
    """Go through the text before anything is built from it."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            raise _refused(
                event.start_mark, "anchors and aliases are not read; write the value out"
            )
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEPTH_MAX:
            raise _refused(event.start_mark, "too many levels; no key lies so deep")
        yield


def _refused(mark: StringMark, text: str) -> NotReadableError:
    return NotReadableError(mark.line + 1, mark.column + 1, text)


def _not_yaml(text: str, error: MarkedYAMLError) -> NotReadableError:
    """Return where and why a text is no YAML. The parser's own words never quote the file."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return NotReadableError(1, 1, "not YAML; see `labhub config example`")
    lines = text.splitlines()
    if mark.line < len(lines) and (tab := _TAB_INDENT.match(lines[mark.line])):
        return NotReadableError(mark.line + 1, tab.end(), "a tab; indent with spaces")
    said = f"{error.context} {error.problem}"
    advice = next((words for piece, words in _ADVICE if piece in said), None)
    advice = advice or "not YAML here; check indentation, colons, quotes and brackets"
    end = len(text.rstrip())
    if mark.index >= end and error.context_mark is not None:
        mark = error.context_mark
    if mark.index >= end:
        return NotReadableError(*_line_and_column(text, max(end - 1, 0)), advice)
    return _refused(mark, advice)


def _unprintable(text: str, error: ReaderError) -> NotReadableError:
    position = error.position if isinstance(error.position, int) else 0
    place = _line_and_column(text, position)
    return NotReadableError(*place, "an invisible control character; remove it")


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - before.rfind("\n")


def _value(document: Document, node: Node, path: Path) -> Any:  # noqa: ANN401 - any data
    """Return the plain data of a node, noting where everything stands."""
    if node.end_mark.index > node.start_mark.index:
        document.note_value(path, _place(node))
    tag = str(node.tag)
    if not tag.startswith(_TAG) or tag.removeprefix(_TAG) not in _KINDS:
        document.unread.add(path)
        _report(document, node, path, "tags (!…) are not read; write the value without")
        return None
    if isinstance(node, MappingNode):
        return _mapping(document, node, path)
    if isinstance(node, SequenceNode):
        return [_item(document, item, (*path, i)) for i, item in enumerate(node.value)]
    return _scalar(tag.removeprefix(_TAG), str(node.value))


def _item(document: Document, node: Node, path: Path) -> Any:  # noqa: ANN401 - any data
    document.note_key(path, _place(node))
    return _value(document, node, path)


def _mapping(document: Document, node: MappingNode, path: Path) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _key(key_node)
        if key is None:
            _report(document, key_node, path, "this is no name of a key; write a word, or quote it")
        elif key in data:
            first = document.key_at((*path, key)).line
            _report(document, key_node, (*path, key), f"stands in line {first} already; keep one")
        else:
            document.note_key((*path, key), _place(key_node))
            data[key] = _value(document, value_node, (*path, key))
    return data


def _key(node: Node) -> str | None:
    if not isinstance(node, ScalarNode) or node.tag != f"{_TAG}str":
        return None
    return str(node.value)


def _scalar(kind: str, text: str) -> bool | float | str | None:
    """Return a scalar as YAML 1.2 reads it."""
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in {"int", "float"}:
        return _number(kind, text.replace("_", ""))
    return text


def _number(kind: str, text: str) -> float | str:
    try:
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return int(text, 0) if text.lstrip("+-")[1:2].isalpha() else int(text)
    except ValueError:
        return text


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _report(document: Document, node: Node, path: Path, text: str) -> None:
    document.problems.append(Problem(_place(node), path, text))
