"""What was used: spans in which a run had one size, and what they add up to in a window. Pure.

It is what was leased that counts, from before a server's container exists until its end is proven:
an idle server uses its GPU as much as a busy one, because nobody else can have it. A place on a
shared GPU counts as a whole one. A person in two groups counts for each of them, so that the total
is that of all persons, and the sum over groups may be more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from spawner.runs import Holder, Run

GIB = 1024**3
HOUR_SECONDS = 3600
# Who is in no group counts under this name; no group has it.
NO_GROUP = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a run had one size, and its person these groups; None: it goes on."""

    run: str
    holder: Holder
    groups: frozenset[str]
    gpus: int
    devices: tuple[str, ...]
    cpus: float
    memory_bytes: int
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The time that is asked about. It ends now at the latest: nobody knows what comes."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """What was used: each number of things, times the seconds in which they were leased."""

    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    gib_seconds: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        """Return both together."""
        return Amount(
            self.gpu_seconds + other.gpu_seconds,
            self.cpu_seconds + other.cpu_seconds,
            self.gib_seconds + other.gib_seconds,
        )


def span_of(run: Run, since: datetime) -> Span:
    """Return the span that an open run is in from a moment on."""
    return Span(
        run=run.name,
        holder=run.holder,
        groups=run.groups,
        gpus=run.gpus,
        devices=run.devices,
        cpus=run.cpus,
        memory_bytes=run.memory_bytes,
        since=since,
    )


def seconds(span: Span, window: Window) -> float:
    """Return how long a span lasted inside of a window; never less than nothing."""
    begin = max(span.since, window.since)
    end = window.until if span.until is None else min(span.until, window.until)
    return max(0.0, (end - begin).total_seconds())


def amount(span: Span, window: Window) -> Amount:
    """Return what was used in a span, as far as it lies inside of a window."""
    lasted = seconds(span, window)
    return Amount(span.gpus * lasted, span.cpus * lasted, span.memory_bytes / GIB * lasted)


def total(spans: Iterable[Span], window: Window) -> Amount:
    """Return what all spans together used."""
    return sum((amount(span, window) for span in spans), Amount())


def by_user(spans: Iterable[Span], window: Window) -> dict[str, Amount]:
    """Return what each person used, all of their servers together; only who used something."""
    return _grouped(((span.holder.user, span) for span in spans), window)


def by_group(spans: Iterable[Span], window: Window) -> dict[str, Amount]:
    """Return what the members of each group used while they were in it, and those in none."""
    return _grouped(
        ((name, span) for span in spans for name in (span.groups or {NO_GROUP})), window
    )


def _grouped(named: Iterable[tuple[str, Span]], window: Window) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for name, span in named:
        if seconds(span, window):
            found[name] = found.get(name, Amount()) + amount(span, window)
    return found
