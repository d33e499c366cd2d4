"""What the engine's answers say, as far as we care. Pure.

An answer of another shape than documented is `UnknownError`: it says nothing about the world.
"""

import io
import struct
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from spawner.engine_errors import UnknownError

# States of a container that certainly does not run. Paused and unheard-of ones count as running.
ENDED = frozenset({"created", "exited", "dead", "removing"})
FRAME = struct.Struct(">BxxxL")
STREAMS = (0, 1, 2)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made:
    """How a container was made, in the engine's own words: three parts of inspect."""

    config: Mapping[str, Any]
    host_config: Mapping[str, Any]
    mounted: tuple[Mapping[str, Any], ...]


UNMADE = Made({}, {}, ())


@dataclass(frozen=True, slots=True)
class Container:
    """What inspect says about a container. Times are UTC, None where it never came to that.

    `pid` is its first process on the machine, 0 while none runs.
    """

    id: str
    name: str
    status: str
    exit_code: int
    out_of_memory: bool
    error: str
    labels: Mapping[str, str]
    addresses: Mapping[str, str]
    started_at: datetime | None = None
    finished_at: datetime | None = None
    made: Made = UNMADE
    pid: int = 0

    @property
    def ended(self) -> bool:
        """Whether it certainly does not run."""
        return self.status in ENDED

    @property
    def end(self) -> str:
        """How it ended, for the log."""
        return f"exit code {self.exit_code}" + (", out of memory" if self.out_of_memory else "")


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list says about a container. `state` is the engine's word."""

    id: str
    name: str
    state: str
    labels: Mapping[str, str]
    image: str

    @property
    def ended(self) -> bool:
        """Whether it certainly does not run."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Image:
    """What inspect says about an image."""

    id: str
    labels: Mapping[str, str]


def read(reader: Callable[[Any], T], answer: object) -> T:
    """Read an answer with one of the readers below, or raise UnknownError."""
    try:
        return reader(answer)
    except (LookupError, TypeError, AttributeError, ValueError, tarfile.TarError) as error:
        raise UnknownError(f"unreadable answer: {error!r}") from error


def container(answer: dict[str, Any]) -> Container:
    """Read an inspect answer."""
    state, networks = answer["State"], answer["NetworkSettings"]["Networks"] or {}
    return Container(
        id=_text(answer["Id"]),
        name=_text(answer["Name"]).lstrip("/"),
        status=_text(state["Status"]),
        exit_code=int(state["ExitCode"]),
        out_of_memory=bool(state["OOMKilled"]),
        error=_text(state["Error"]),
        labels=_labels(answer["Config"]),
        addresses={name: _text(network["IPAddress"]) for name, network in networks.items()},
        started_at=_time(state.get("StartedAt")),
        finished_at=_time(state.get("FinishedAt")),
        made=Made(
            dict(answer["Config"]),
            dict(answer.get("HostConfig") or {}),
            tuple(dict(each) for each in answer.get("Mounts") or ()),
        ),
        pid=int(state.get("Pid") or 0),
    )


def listed(answer: list[dict[str, Any]]) -> list[Listed]:
    """Read the list of containers."""
    if not isinstance(answer, list):
        raise TypeError("no list")
    return [
        Listed(
            id=_text(entry["Id"]),
            # one that is just being removed has no names any more
            name=_text((entry["Names"] or [""])[0]).lstrip("/"),
            state=_text(entry["State"]),
            labels=_labels(entry),
            image=_text(entry["Image"]),
        )
        for entry in answer
    ]


def image(answer: dict[str, Any]) -> Image:
    """Read an image's inspect answer."""
    config = {"Labels": None, **(answer.get("Config") or {})}  # engines leave empty ones out
    return Image(id=_text(answer["Id"]), labels=_labels(config))


def discovered(answer: dict[str, Any]) -> tuple[str, ...]:
    """Read which devices the engine knows by their CDI names."""
    _text(answer["ServerVersion"])
    return tuple(_text(each["ID"]) for each in answer.get("DiscoveredDevices") or ())


def identity(answer: dict[str, Any]) -> str:
    """Read the id of what was made."""
    return _text(answer["Id"])


def device(answer: dict[str, Any]) -> str:
    """Read what a volume points to."""
    return _text((answer["Options"] or {}).get("device", ""))


def log(data: bytes) -> str:
    """Read a log. Without a terminal each write is a frame: which stream, and how long."""
    text, at = b"", 0
    while _is_frame(data[at : at + FRAME.size]):
        stream_length = FRAME.unpack_from(data, at)[1]
        at += FRAME.size
        text += data[at : at + stream_length]
        at += stream_length
    return (text + data[at:]).decode("utf-8", "replace")


def only_member(data: bytes) -> str | None:
    """Return the text of the one regular file of an archive, None for a link or a directory."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.next()
        content = tar.extractfile(member) if member is not None and member.isreg() else None
        return content.read().decode("utf-8", "replace") if content is not None else None


def _is_frame(head: bytes) -> bool:
    """Whether a frame begins here: no text that people write has three zeros in it."""
    return len(head) == FRAME.size and head[0] in STREAMS and not any(head[1:4])


def _text(value: object) -> str:
    """Return a value that must be a text."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _labels(owner: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a container or an image; the engine writes null for none."""
    return {_text(key): _text(value) for key, value in (owner["Labels"] or {}).items()}


def _time(value: object) -> datetime | None:
    """Return a time in UTC; the engine's "never" is the year one, with a zone or without."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return time.astimezone(UTC) if time is not None and time.year > 1 else None
    except (ValueError, OverflowError):
        return None
