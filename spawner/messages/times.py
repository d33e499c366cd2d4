"""What people read about the time of their server: its end, its extension, and idleness. Pure."""

from spawner.runs import Reason, Receipt
from spawner.times import Awaited, Endless, Extension, Later, More, Never

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = (("d", _DAY), ("h", _HOUR), ("min", _MINUTE), ("s", 1))
_AGAIN = "Your files are untouched; start it again to go on."
# Where a page puts the time that is left, in the reader's own seconds.
LEFT = "{left}"


def span(seconds: float) -> str:
    """Return a time for people, in its one or two largest units: ``12 h``, ``1 h 30 min``."""
    rest = max(0, round(seconds))
    for index, (unit, factor) in enumerate(_UNITS[:-1]):
        if rest >= (2 * factor if unit == "d" else factor):
            whole, rest = divmod(rest, factor)
            smaller, size = _UNITS[index + 1]
            return f"{whole} {unit}" + (f" {rest // size} {smaller}" if rest >= size else "")
    return f"{rest} s"


def end(receipt: Receipt) -> str:
    """Say why the hub ended a server whose time was over, or that nobody used."""
    allowed = receipt.allowed_seconds
    if receipt.reason is Reason.IDLE:
        return f"no activity for {span(allowed) if allowed else 'too long'}. {_AGAIN}"
    session = f" of {span(allowed)}" if allowed else ""
    return f"its session{session} was over{_extended(receipt.extensions)}. {_AGAIN}"


def _extended(times: int) -> str:
    words = ("", " (extended once)", " (extended twice)")
    return words[times] if times < len(words) else f" (extended {times} times)"


def button(extension: Extension) -> str:
    """Return what stands on the button that extends; empty when there is none."""
    return f"Extend by {span(extension.seconds)}" if isinstance(extension, More) else ""


def no_extension(extension: Extension) -> str:
    """Say why an extension is not possible now; empty when it is, or when nothing ends."""
    match extension:
        case Later(seconds=seconds, wait_seconds=wait):
            return (
                f"You can extend by {span(seconds)} once in {span(seconds)}: "
                f"again in {span(max(wait, _MINUTE))}."
            )
        case Never():
            return (
                "It cannot be extended. Save your work before; you can start it again right after."
            )
        case Awaited():
            return (
                "It cannot be extended while others wait for its GPU or its memory. Save your work "
                "before it stops and start it again after; once nobody waits, you can extend it."
            )
        case More() | Endless():
            return ""


def session_warning(session_seconds: float) -> str:
    """Say that a server ends soon."""
    return (
        f"Your server stops in {LEFT}: its session of {span(session_seconds)} is over then. "
        "Programs in it end; your files are kept."
    )


def idle_warning(idle_seconds: float) -> str:
    """Say that a server ends soon because nothing happens in it."""
    return (
        f"Your server stops in {LEFT}: it stops when nothing happened in it for "
        f"{span(idle_seconds)}. Use it, or choose Keep, and it goes on."
    )


EXTENDED = f"Extended: your server now stops in {LEFT}."
KEPT = "Your server goes on."
# What can be wished for, and what is said then.
DONE = {"extend": EXTENDED, "keep": KEPT}
NO_END = "This server runs for as long as you like: there is no end to put off."
NO_SUCH_WISH = 'Say what to do: {"do": "extend"} puts the end off, {"do": "keep"} keeps it in use.'
NOT_NOTED = (
    "The hub cannot write its records now, so nothing was changed; try again in a minute, or tell "
    "your administrator."
)
NOT_RUNNING = "There is no such server running."
