"""Tables of words, as commands print them. Pure."""

from collections.abc import Sequence
from datetime import datetime


def clock(moment: datetime | None) -> str:
    """Return a moment as tables show it, in this machine's time; nothing for never."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table, columns as wide as they must be; none without rows."""
    if not rows:
        return []
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
