"""A trace of requests for GPUs, as CSV: read strictly, every error with its line. Pure.

The columns are arrival_s, user, group, gpus, duration_s and limit_s, in any order; others are left
alone. Requests may be in any order; those that arrive at the same moment come in that of the file,
or in one that a seed shuffles.
"""

import csv
import io
import math
import random
from collections.abc import Iterator, Mapping, Sequence

from spawner.messages.quotas import gpus as gpus_in_words
from spawner.messages.text import short
from spawner.simulation import Request

# For so many devices a trace can be replayed.
DEVICES_MOST = 1024
# Three centuries: beyond that, moments are told apart by less than any trace needs.
MOST_SECONDS = 1e10
DIGITS = 12
COLUMNS = ("arrival_s", "user", "group", "gpus", "duration_s", "limit_s")


class TraceError(ValueError):
    """The text is no trace; says file, line, what is wrong, and what is right."""


def parse(
    text: str, name: str, devices: int, totals: Mapping[str, int], seed: int | None = None
) -> list[Request]:
    """Return the requests of a file in the order of arrival, or raise TraceError.

    None of them may want more than the devices there are, or than its group may have in all.
    """
    requests = []
    for line, fields in _rows(text, name):
        try:
            request = _request(fields)
            _check(request, devices, totals)
        except ValueError as error:
            raise TraceError(f"{name}:{line}: {error}") from None
        requests.append(request)
    if not requests:
        raise TraceError(f"{name}:1: has no requests; each is one line below the first")
    if seed is not None:
        random.Random(seed).shuffle(requests)  # noqa: S311 - nothing is kept secret by it
    return sorted(requests, key=lambda each: each.arrival)


def _rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the fields of each line."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        head = [field.strip() for field in next(reader, [])]
        _check_head(head, name)
        for row in reader:
            if not any(field.strip() for field in row):
                continue
            if len(row) != len(head):
                raise TraceError(
                    f"{name}:{reader.line_num}: has {len(row)} fields; "
                    f"the first line names {len(head)}"
                )
            yield reader.line_num, dict(zip(head, map(str.strip, row), strict=True))
    except csv.Error as error:
        raise TraceError(f"{name}:{reader.line_num}: is not CSV ({error})") from None


def _check_head(head: Sequence[str], name: str) -> None:
    needed = f"the first line must name {','.join(COLUMNS)}"
    for column in COLUMNS:
        if column not in head:
            raise TraceError(f"{name}:1: has no column {column}; {needed}")
        if head.count(column) > 1:
            raise TraceError(f"{name}:1: has the column {column} twice; {needed}")


def _request(fields: Mapping[str, str]) -> Request:
    if not fields["user"]:
        raise ValueError("user is empty; write a name")
    return Request(
        arrival=_seconds(fields, "arrival_s"),
        user=fields["user"],
        group=fields["group"],
        gpus=_whole(fields, "gpus"),
        duration=_seconds(fields, "duration_s"),
        limit=_seconds(fields, "limit_s"),
    )


def _seconds(fields: Mapping[str, str], column: str) -> float:
    text = fields[column]
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{column} is {_shown(text)}; write a number of seconds")
    if number < 0:
        raise ValueError(f"{column} is {_shown(text)}; it must not be negative")
    if number > MOST_SECONDS:
        raise ValueError(f"{column} is {_shown(text)}; write at most {MOST_SECONDS:.0f}")
    return number


def _whole(fields: Mapping[str, str], column: str) -> int:
    text = fields[column]
    number = int(text[:DIGITS]) if text.isascii() and text.isdigit() else 0
    if not number or len(text) > DIGITS:
        raise ValueError(f"{column} is {_shown(text)}; write a whole number, 1 or more")
    return number


def _check(request: Request, devices: int, totals: Mapping[str, int]) -> None:
    if request.limit == 0:
        raise ValueError("limit_s is 0; it must be more")
    if request.gpus > devices:
        more = f", or give --devices {request.gpus}" if request.gpus <= DEVICES_MOST else ""
        raise ValueError(
            f"gpus is {request.gpus}, and there {'is' if devices == 1 else 'are'} only "
            f"{gpus_in_words(devices)}; write less{more}"
        )
    if request.gpus > totals.get(request.group, devices):
        raise ValueError(
            f"gpus is {request.gpus}, and the group {short(request.group)} may have at most "
            f"{gpus_in_words(totals[request.group])} in all; write less"
        )


def _shown(text: str) -> str:
    return f'"{short(text)}"'
