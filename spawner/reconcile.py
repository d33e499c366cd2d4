"""What to do where the hub, the store and the engine do not agree. Pure.

The engine says what runs, the store what was begun, the hub what it believes in. A view is one
look at all three. An answer of the engine may be old when it comes, so the order of the looks
matters: the store, who is busy, the engine, the hub, and once more who is busy.

    container            hub                     store       action
    -------------------  ----------------------  ----------  -----------------------------------
    any                  start or stop under way             none: those who act will finish
    runs                 believes in it          open run    none
    runs                 believes in it          no run      Record: the store was lost or is old
    any                  any                     unknown     as above, but no Record and no Close
    ended                believes in it                      Notify: let the hub ask, and end it
    any                  believes in another one             Finish: left by an earlier attempt
    any                  believes in none                    Finish: left by a crash or a failure
    none                 believes in it                      Notify
    none                 not busy                open run    Close: it ended and nobody wrote it
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from spawner.runs import Holder, Run


@dataclass(frozen=True, slots=True)
class Seen:
    """A server's container, as the engine lists it."""

    container: str
    name: str
    holder: Holder
    ended: bool


@dataclass(frozen=True, slots=True)
class View:
    """One look at all three. `active` maps a holder to its container, "" when none is known.

    `runs` are None when the store did not answer: that is no proof that it lost one.
    """

    seen: tuple[Seen, ...]
    active: Mapping[Holder, str]
    busy: Collection[Holder]
    runs: tuple[Run, ...] | None


@dataclass(frozen=True, slots=True)
class Notify:
    """Let the hub ask after its server: it may have ended."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Finish:
    """Write the receipt of this container, and remove it."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class Record:
    """Note a server that runs and is not in the store."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class Close:
    """Write the receipt of a run whose container is gone."""

    run: Run


Action = Notify | Finish | Record | Close


def reconcile(view: View) -> tuple[Action, ...]:
    """Return what has to be done. On a world that agrees with itself: nothing."""
    current = _current(view)
    return (*_for_containers(view, current), *_for_holders(view, current), *_for_runs(view))


def _current(view: View) -> dict[Holder, Seen]:
    """Return the container that the hub means by each server: the one it knows, else one that runs.

    Several that run are two attempts, of which the later one counts: names grow with time.
    """
    found: dict[Holder, Seen] = {}
    for seen in sorted(view.seen, key=lambda each: (not each.ended, each.name)):
        if seen.holder in view.active:
            known = view.active[seen.holder]
            if seen.holder not in found or found[seen.holder].container != known:
                found[seen.holder] = seen
    return found


def _for_containers(view: View, current: Mapping[Holder, Seen]) -> Iterator[Action]:
    """Yield what each container needs."""
    recorded = {run.name for run in view.runs or ()}
    for seen in view.seen:
        if seen.holder in view.busy:
            continue
        if seen != current.get(seen.holder):
            yield Finish(seen)
        elif seen.ended:
            yield Notify(seen.holder)
        elif view.runs is not None and seen.name not in recorded:
            yield Record(seen)


def _for_holders(view: View, current: Mapping[Holder, Seen]) -> Iterator[Action]:
    """Yield the servers without any container."""
    for holder in view.active:
        if holder not in current and holder not in view.busy:
            yield Notify(holder)


def _for_runs(view: View) -> Iterator[Action]:
    """Yield the runs that ended while nobody looked."""
    there = {seen.name for seen in view.seen}
    for run in view.runs or ():
        if run.name not in there and run.holder not in view.busy:
            yield Close(run)
