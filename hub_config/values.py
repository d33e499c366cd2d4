"""The kinds of value in labhub.yaml, each with its check and its sentence. Pure.

A check raises ValueError with "what is wrong; what to write instead"; load.py adds file, line,
column and key.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from hub_config.moments import (
    DAYS,
    NAMES,
    Hours,
    format_days,
    format_moment,
    parse_days,
    parse_hours,
    parse_since,
    parse_until,
)
from hub_config.sizes import format_bytes, format_seconds, parse_bytes, parse_seconds

TITLE_LENGTH_MAX = 80
TEXT_LENGTH_MAX = 500
ECHO_LENGTH = 60

_KEY = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?/)?"  # a registry
    r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_REFERENCE_LENGTH_MAX = 255
# What names one device, as `nvidia-smi -L` does, and never a number or `all`.
_DEVICE = r"(?:GPU|MIG)-[0-9A-Za-z][0-9A-Za-z-]*(?:/\d+/\d+)?"
_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")
_PATH_LENGTH_MAX = 200
# Mounting a volume over one of these would break the image or the server in it.
_TAKEN = (
    "bin",
    "boot",
    "dev",
    "etc",
    "lib",
    "lib64",
    "opt/labserver",
    "proc",
    "run",
    "sbin",
    "sys",
)
_TAKEN_WHOLE = ("home", "opt", "root", "tmp", "usr", "usr/bin", "usr/lib", "usr/local", "var")


def quoted(text: str) -> str:
    """Return a value as it is shown in a sentence: short, in quotes, without control characters."""
    shown = text if len(text) <= ECHO_LENGTH else text[:ECHO_LENGTH] + "…"
    return '"' + "".join(c if c.isprintable() else "�" for c in shown) + '"'


def check_key(text: str) -> str:
    """Check the name that an admin gives to an entry."""
    if _KEY.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(text)} cannot be a name here; write small letters, digits, - and _, "
            "beginning with a letter, at most 31"
        )
    return text


def check_reference(text: str) -> str:
    """Check the name of a container image."""
    if len(text) > _REFERENCE_LENGTH_MAX or _REFERENCE.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(text)} is not an image name; write one like "
            "tensorflow/tensorflow:2.9.0-gpu-jupyter"
        )
    return text


def check_device(text: str) -> str:
    """Check the UUID of one GPU, or of one slice."""
    is_part = "/" in text
    if re.fullmatch(_DEVICE, text) is None or is_part != text.startswith("MIG-GPU-"):
        raise ValueError(
            f"{quoted(text)} does not name one GPU; write a UUID that nvidia-smi -L prints, like "
            "GPU-5a1b… or MIG-7c2d…"
        )
    return text


def check_path(text: str) -> str:
    """Check a directory inside a container."""
    example = "write one like /tf/notebooks"
    if len(text) > _PATH_LENGTH_MAX or _PATH.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(text)} is not an absolute path of letters, digits and . _ -; {example}"
        )
    parts = text.split("/")[1:]
    if "." in parts or ".." in parts:
        raise ValueError(f"{quoted(text)} contains . or ..; {example}")
    inside = "/".join(parts) + "/"
    if inside.startswith(tuple(f"{taken}/" for taken in _TAKEN)) or inside[:-1] in _TAKEN_WHOLE:
        raise ValueError(f"{quoted(text)} belongs to the image's own system; {example}")
    return text


def check_host_path(text: str) -> str:
    """Check a directory of the machine."""
    parts = text.split("/")[1:]
    plain = len(text) <= _PATH_LENGTH_MAX and _PATH.fullmatch(text) is not None
    if not plain or "." in parts or ".." in parts:
        raise ValueError(
            f"{quoted(text)} is not an absolute path of letters, digits and . _ -; "
            "write one like /srv/datasets"
        )
    return text


def check_address(text: str) -> str:
    """Check an IP address to listen on."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(
            f"{quoted(text)} is not an IP address; write 127.0.0.1 for this machine only, or "
            "0.0.0.0 for everybody who can reach it"
        ) from None


def check_origin(text: str) -> str:
    """Check the address under which browsers find the lab: scheme, host, perhaps a port."""
    parts = _http_parts(text, "https://gpu.example.org")
    if parts.path or parts.query or parts.fragment or text.endswith(("/", "?", "#")):
        plain = f"{parts.scheme}://{parts.netloc.lower()}"
        raise ValueError(f"{quoted(text)} has more than scheme, host and port; write {plain}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _http_parts(text: str, example: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in ("http", "https") or not text.isascii() or " " in text:
        raise ValueError(f"{quoted(text)} is not a web address; write one like {example}")
    if "@" in parts.netloc:
        raise ValueError(f"the address holds a user name or password; write one like {example}")
    if _HOST.fullmatch(host) is None or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{quoted(text)} is not a web address; write one like {example}")
    return parts


def _check_text(most: int) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not text.isprintable() or text != text.strip():
            raise ValueError("has spaces at its ends or a line break; write one line of text")
        if len(text) > most:
            raise ValueError(f"has {len(text)} characters; write at most {most}")
        return text

    return check


def _check_not_empty(text: str) -> str:
    if not text:
        raise ValueError("is empty; write a text, or remove the key")
    return text


def _size(least_bytes: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:  # noqa: ANN401 - whatever stands in the file
        size_bytes = parse_bytes(value)
        if size_bytes < least_bytes:
            raise ValueError(
                f"{format_bytes(size_bytes)} is too little for a server to start; "
                f"write at least {format_bytes(least_bytes)}"
            )
        if size_bytes > SIZE_MOST_BYTES:
            raise ValueError(
                f"{format_bytes(size_bytes)} is more than any machine has; "
                f"write at most {format_bytes(SIZE_MOST_BYTES)}"
            )
        return size_bytes

    return check


def _check_duration(value: Any) -> int:  # noqa: ANN401 - whatever stands in the file
    if value == UNLIMITED_WORD:
        return UNLIMITED
    seconds = parse_seconds(value)
    if seconds < DURATION_LEAST_SECONDS:
        raise ValueError(
            f"{format_seconds(seconds)} is too short for anybody to work; "
            f"write at least {format_seconds(DURATION_LEAST_SECONDS)}, or {UNLIMITED_WORD}"
        )
    if seconds > DURATION_MOST_SECONDS:
        raise ValueError(f"more than ten years; write {UNLIMITED_WORD}")
    return seconds


def _check_wait(value: Any) -> int:  # noqa: ANN401 - whatever stands in the file
    seconds = parse_seconds(value)
    if not DURATION_LEAST_SECONDS <= seconds <= WAIT_MOST_SECONDS:
        least, most = format_seconds(DURATION_LEAST_SECONDS), format_seconds(WAIT_MOST_SECONDS)
        raise ValueError(f"{format_seconds(seconds)} is not from {least} to {most}; write 30 min")
    return seconds


def _show_duration(seconds: int) -> str:
    return UNLIMITED_WORD if seconds == UNLIMITED else format_seconds(seconds)


def check_zone(name: str) -> str:
    """Check the name of a time zone."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{quoted(name)} is not a time zone; write one like Europe/Berlin"
        ) from None


def _text_like(pattern: str) -> WithJsonSchema:
    """Return what editors are told of a text; the check itself is stricter, and says more."""
    return WithJsonSchema({"type": "string", "pattern": pattern})


_NAMES = "|".join((*DAYS, *NAMES))
_DAY = {"type": "string", "pattern": f"^({_NAMES})(-({_NAMES}))?$"}
SIZE_MOST_BYTES = 1024**5
UNLIMITED, UNLIMITED_WORD = 0, "unlimited"
DURATION_LEAST_SECONDS, DURATION_MOST_SECONDS = 5, 10 * 365 * 86400
WAIT_MOST_SECONDS = 365 * 86400
MEMORY_LEAST_BYTES = 64 * 1024**2
SHM_LEAST_BYTES = 1024**2

Key = Annotated[str, AfterValidator(check_key)]
Line = Annotated[str, AfterValidator(_check_text(TEXT_LENGTH_MAX))]
Word = Annotated[Line, AfterValidator(_check_not_empty)]
Title = Annotated[
    str, AfterValidator(_check_not_empty), AfterValidator(_check_text(TITLE_LENGTH_MAX))
]
Words = Annotated[tuple[Word, ...], Field(strict=False)]
Device = Annotated[str, AfterValidator(check_device), _text_like(f"^{_DEVICE}$")]
Devices = Annotated[tuple[Device, ...], Field(strict=False)]
Reference = Annotated[str, AfterValidator(check_reference)]
ContainerPath = Annotated[str, AfterValidator(check_path)]
HostPath = Annotated[str, AfterValidator(check_host_path)]
Address = Annotated[str, AfterValidator(check_address)]
Origin = Annotated[str, AfterValidator(check_origin)]
_SIZE_SHOWN = PlainSerializer(format_bytes, when_used="json")
_SIZE = _text_like(r"^\d+(\.\d+)? *[kKmMgGtT]?[iI]?[bB]$")
Bytes = Annotated[int, BeforeValidator(_size(0)), _SIZE_SHOWN, _SIZE]
Memory = Annotated[int, BeforeValidator(_size(MEMORY_LEAST_BYTES)), _SIZE_SHOWN, _SIZE]
Disk = Annotated[int, BeforeValidator(_size(SHM_LEAST_BYTES)), _SIZE_SHOWN, _SIZE]
Shm = Annotated[int, BeforeValidator(_size(SHM_LEAST_BYTES)), _SIZE_SHOWN, _SIZE]
Zone = Annotated[str, AfterValidator(check_zone)]
Duration = Annotated[
    int,
    BeforeValidator(_check_duration),
    PlainSerializer(_show_duration, when_used="json"),
    _text_like(r"^\d+(\.\d+)? *(s|min|h|d)$|^unlimited$"),
]
Wait = Annotated[
    int,
    BeforeValidator(_check_wait),
    PlainSerializer(format_seconds, when_used="json"),
    _text_like(r"^\d+(\.\d+)? *(s|min|h|d)$"),
]
Days = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_days),
    PlainSerializer(format_days, when_used="json"),
    WithJsonSchema({"anyOf": [_DAY, {"type": "array", "items": _DAY, "minItems": 1}]}),
]
Period = Annotated[
    Hours,
    BeforeValidator(parse_hours),
    PlainSerializer(str, when_used="json"),
    _text_like(r"^\d\d?:\d\d *- *\d\d?:\d\d$"),
]
_MOMENT = _text_like(r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d.*)?$")
_SHOWN = PlainSerializer(format_moment, when_used="json")
Since = Annotated[datetime, BeforeValidator(parse_since), _SHOWN, _MOMENT]
Until = Annotated[datetime, BeforeValidator(parse_until), _SHOWN, _MOMENT]
