"""Sizes and durations, as people write them. The only place that reads or writes one. Pure.

Sizes have a unit, always: ``8 GiB`` is 8 x 2^30 bytes, ``8 GB`` is 8 x 10^9. Docker's ``8g`` and a
bare ``8`` are refused, because people mean different things by them.
"""

import re

_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_BINARY = ("TiB", "GiB", "MiB", "KiB")
_LONGEST = ("d", "h", "min")
# What people write when they mean the binary unit; used for the advice in the refusal only.
_MEANT = {"k": "KiB", "m": "MiB", "g": "GiB", "t": "TiB"}
_QUANTITY = re.compile(r"\s*(?P<number>\d{1,15}(?:\.\d{1,6})?)\s*(?P<unit>[A-Za-z]*)\s*", re.ASCII)


def parse_bytes(text: object) -> int:
    """Return the number of bytes that a text such as ``8 GiB`` names, or raise ValueError."""
    number, unit = _parts(text, "a size", "8 GiB")
    known = {name.lower(): factor for name, factor in _BYTES.items()}
    if unit.lower() in known and (unit[-1] == "B" or "i" in unit.lower()):
        return _whole(number, known[unit.lower()], "bytes")
    meant = _MEANT.get(unit[:1].lower(), "GiB")
    problem = f"{unit!r} is not a unit" if unit else "a size needs a unit"
    msg = f"{problem}; write {number} {meant} (units: {', '.join(_BYTES)})"
    raise ValueError(msg)


def format_bytes(count: int) -> str:
    """Return a size in the largest binary unit that keeps it short: ``8 GiB``, ``1.5 GiB``."""
    for unit in _BINARY:
        factor = _BYTES[unit]
        if count >= factor:
            return f"{_short(count * 100 // factor)} {unit}"
    return f"{count} B"


def format_share(part: int, whole: int) -> str:
    """Return how much of a size is in use, in the unit of the whole: ``7.9 of 8 GiB``."""
    number, unit = format_bytes(whole).split()
    return f"{part / _BYTES[unit]:.1f} of {number} {unit}"


def parse_seconds(text: object) -> int:
    """Return the number of seconds that a text such as ``30 min`` names, or raise ValueError."""
    number, unit = _parts(text, "a duration", "30 min")
    if unit in _SECONDS:
        return _whole(number, _SECONDS[unit], "seconds")
    problem = f"{unit!r} is not a unit" if unit else "a duration needs a unit"
    msg = f"{problem}; write {number} min (units: {', '.join(_SECONDS)})"
    raise ValueError(msg)


def format_seconds(seconds: int) -> str:
    """Return a duration in the largest unit that keeps it whole: ``90 s``, ``2 h``."""
    for unit in _LONGEST:
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]} {unit}"
    return f"{seconds} s"


def _parts(text: object, what: str, example: str) -> tuple[str, str]:
    """Split a quantity into its number and its unit."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        msg = f"{what} is a number and a unit; write {example}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns a ValueError into a sentence
    found = _QUANTITY.fullmatch(str(text))
    if found is None:
        shown = repr(str(text)[:40])[:50]
        msg = f"{shown} is not {what}; write a positive number and a unit, such as {example}"
        raise ValueError(msg)
    return found["number"], found["unit"]


def _whole(number: str, factor: int, what: str) -> int:
    """Return number x factor, rounded down; less than one is refused."""
    whole, _, fraction = number.partition(".")
    scaled = int(whole + fraction) * factor
    divisor: int = 10 ** len(fraction)
    result, rest = divmod(scaled, divisor)
    if rest and factor == 1:
        msg = f"{number} is not a whole number of {what}; round it"
        raise ValueError(msg)
    return result


def _short(hundredths: int) -> str:
    """Return a number with at most two decimals, and none that say nothing."""
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".")
