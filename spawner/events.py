"""What the engine tells unasked: one event of one container. Pure.

Events are hints. They may come twice, late, or never; only inspect and list decide.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DIGITS_MAX = 20  # nobody's time or exit code is longer
REMEMBERED = 256  # as many events does an engine keep, of all that it has to do with


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a container.

    `labels` are the container's, among a few facts that the engine adds (`name`, `image`).
    `exit_code` comes with `die`, `signal` with `kill`.
    """

    action: str
    container: str
    labels: Mapping[str, str]
    time_ns: int
    exit_code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """What an engine remembers of its containers; whether it forgot nothing since it began."""

    events: tuple[Event, ...]
    is_whole: bool


def past(lines: Iterable[bytes]) -> Past:
    """Return what all lines tell that an engine has to tell. Raises ValueError where one does not.

    An engine that has begun anew remembers nothing of before.
    """
    told = [json.loads(line) for line in lines if line]
    events = tuple(event for event in map(parse, told) if event is not None)
    return Past(events, len(told) < REMEMBERED)


def parse(raw: object) -> Event | None:
    """Return the event that a line of the stream tells of; None when it is none of a container.

    Never raises, whatever JSON the line was.
    """
    if not isinstance(raw, dict) or raw.get("Type") != "container":
        return None
    actor = raw.get("Actor")
    action, container = raw.get("Action"), actor.get("ID") if isinstance(actor, dict) else None
    time_ns = _time_ns(raw)
    if not isinstance(actor, dict) or not _is_word(action) or not _is_word(container):
        return None
    if time_ns is None:
        return None
    labels = _texts(actor.get("Attributes"))
    return Event(
        action=str(action),
        container=str(container),
        labels=labels,
        time_ns=time_ns,
        exit_code=_number(labels.get("exitCode")),
        signal=_number(labels.get("signal")),
    )


def _is_word(value: object) -> bool:
    """Whether this is a text with something in it."""
    return isinstance(value, str) and bool(value)


def _time_ns(raw: Mapping[str, object]) -> int | None:
    """Return when it happened; engines tell nanoseconds, and for very old clients seconds too."""
    for key, factor in (("timeNano", 1), ("time", 10**9)):
        value = raw.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value * factor
    return None


def _texts(attributes: object) -> dict[str, str]:
    """Return the attributes that are texts."""
    if not isinstance(attributes, dict):
        return {}
    return {
        key: value
        for key, value in attributes.items()
        if isinstance(key, str) and isinstance(value, str)
    }


def _number(text: str | None) -> int | None:
    """Return the number that an attribute spells."""
    if text is None or len(text) > DIGITS_MAX or not text.isascii() or not text.isdigit():
        return None
    return int(text)
