"""Every sentence about GPUs that others have, and about waiting for one. Pure.

Each says what is the matter, and how to get a GPU sooner.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub_config.sizes import format_bytes, format_share
from spawner.messages.quotas import gpus, listed
from spawner.messages.text import short
from spawner.messages.times import span

UNKNOWN = "nobody can tell when"
NO_LIMIT = "no limit"
UNCLAIMED = (
    "its turn in the queue came, nobody opened it, and others were waiting for its GPU. Start it "
    "again to queue once more, and keep the page open."
)


def position(place: int, wanted: int, eta_seconds: float | None, why: str = "") -> str:
    """Say where in the queue a start is, and when it begins; people may leave early, or come.

    `why` is the reason when it is another one than that the machine is full.
    """
    mine = "a GPU is" if wanted == 1 else f"{gpus(wanted)} are" if wanted else "memory is"
    known = f"{mine} yours in about {span(eta_seconds or 0)}"
    when = f"{UNKNOWN} {mine} yours" if eta_seconds is None else known
    taken = "There is no room now" if not wanted else "No GPU is free for you now"
    where = "You are next" if place == 1 else f"You are number {place} in the queue"
    return f"{why or taken}. {where}; {when}."


def in_use_by(group: str, most: str, taken: str, who: Sequence[str] | int) -> str:
    """Say by whom what a group may have in all is in use: names for admins, else how many."""
    servers = who if isinstance(who, int) else len(who)
    has = "has" if servers == 1 else "have"
    if isinstance(who, int):
        other = f"{servers} other server{'' if servers == 1 else 's'} of its members"
    else:
        other = listed(who)
    return f"The group {short(group)} may have {most} in all, and {other} {has} {taken}"


def ahead(wanted: int, asked_seconds: float | None, waited_seconds: float) -> str:
    """Say what somebody waits for, without a name."""
    what = gpus(wanted) if wanted else "memory"
    length = "without a limit" if asked_seconds is None else f"for {span(asked_seconds)}"
    return f"{what} {length}, waiting since {span(waited_seconds)}"


def forgotten(ttl_seconds: float) -> str:
    """Say that a place in the queue is gone."""
    return (
        f"Nobody looked at this start for {span(ttl_seconds)}, so it left the queue. "
        "Start again, and keep the page open or come back to it now and then."
    )


NOT_WAITING = "This start does not wait: it has begun, was cancelled, or never was."
NO_SUCH_WISH = 'Say what to do: {"do": "without_gpu"} starts the server without a GPU.'
NOT_READ = "The hub cannot read its records now; try again in a minute."
NO_SUCH_ORDER = "There is no such order; reload the page and use its buttons."
NOBODY_WAITS = "Nobody waits."
DRAINED = "It is drained: nobody new gets it."
MOVED = {
    "first": "{server} is served before all others.",
    "last": "{server} is served behind all others.",
    "back": "{server} is served in its own turn.",
}
HUB_DOWN = "The hub does not run, so nothing would end the server; start it with deploy/up."
REMOVED = "An administrator took your start out of the queue; ask them why, or start again."
STEP_QUEUE = "Waiting for room on this machine"


def trade(wanted: int, choices: Iterable[tuple[float | None, float | None]]) -> str:
    """Say what asking for less time buys: ``4 h: about 20 min from now; 24 h: about 6 h …``."""
    found: dict[str, list[float | None]] = {}
    for asked_seconds, wait_seconds in choices:
        found.setdefault(_from_now(wait_seconds), []).append(asked_seconds)
    if len(found) == 1:
        return f"With {gpus(wanted)}: {next(iter(found))}, however long it may run."
    parts = [f"{_spans(asked)}: {when}" for when, asked in found.items()]
    return f"With {gpus(wanted)}: {'; '.join(parts)}."


def _from_now(wait_seconds: float | None) -> str:
    if wait_seconds is None:
        return UNKNOWN
    return "now" if wait_seconds <= 0 else f"about {span(wait_seconds)} from now"


def _spans(lengths: Sequence[float | None]) -> str:
    first, last = (NO_LIMIT if each is None else span(each) for each in (lengths[0], lengths[-1]))
    return first if first == last else f"{first} to {last}"


def waits_for(count: int, memory_bytes: int) -> str:
    """Return what a start waits for, for admins."""
    return f"{gpus(count)}, {format_bytes(memory_bytes)}" if count else format_bytes(memory_bytes)


def load(told: Mapping[str, Any]) -> str:
    """Return how busy a GPU is and how much of its memory is used, as far as that is known."""
    busy, used, memory = (told.get(key) for key in ("busy_percent", "used_bytes", "memory_bytes"))
    parts = [] if busy is None else [f"{busy} % busy"]
    parts += [] if used is None or not memory else [format_share(used, memory)]
    return ", ".join(parts)


def asks_for(seconds: float | None) -> str:
    """Return for how long a start wants it, for admins."""
    return "no end" if seconds is None else span(seconds)


def does_not_wait(server: str) -> str:
    """Say that there is no such start."""
    return f"{short(server)} does not wait; see `labhub queue list`."


def has_no_gpu(server: str) -> str:
    """Say that there is no such lease."""
    return f"{short(server)} has no GPU; see `labhub lease list`."


def nothing_done(order: str, subject: str) -> str:
    """Say why an order changed nothing: there was nothing to order about."""
    why = {"release": has_no_gpu, "undrain": not_drained}
    return why.get(order, does_not_wait)(subject)


def removed(server: str) -> str:
    """Say that a start does not wait any more."""
    return f"{short(server)} is out of the queue."


def not_drained(device: str) -> str:
    """Say that there is nothing to undo."""
    return f"{short(device)} is not drained; see `labhub device list`."


def released(server: str) -> str:
    """Say that a server ends."""
    return f"{server} is being ended; its files are kept, and its GPUs go on to the next."


def no_such_device(device: str, known: Sequence[str]) -> str:
    """Say that there is no such GPU, and which there are."""
    there = f"there are {', '.join(known)}" if known else "the hub knows none"
    return f"There is no GPU {short(device)}; {there}."


def drained(device: str, *, undo: bool) -> str:
    """Say what holds for a GPU from now on."""
    if undo:
        return f"{device} is given out again."
    return f"{device} goes to nobody new; who has it keeps it until their server ends."
