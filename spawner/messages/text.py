"""Text from outside, as sentences may hold it. Pure."""


def short(text: str, length: int = 60) -> str:
    """Return text that came from outside, printable and not longer than a line."""
    printable = "".join(c if c.isprintable() else " " for c in text[: length + 1])
    return printable if len(printable) <= length else printable[: length - 1] + "…"
