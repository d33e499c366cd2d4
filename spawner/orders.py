"""What admins order about GPUs and the queue, on the page and on the command line.

An order is a note in the store; the hub acts on it within seconds. Each says whether there was
anything to order about.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from spawner.runs import Holder, Reason
from spawner.store import Ledger
from spawner.waiting import Drain


def drain(ledger: Ledger, device: str, actor: str) -> bool:
    """Give a device to nobody new."""
    ledger.drain(Drain(device, datetime.now(UTC), actor))
    return True


def undrain(ledger: Ledger, device: str, _actor: str) -> bool:
    """Give a device out again."""
    return ledger.undrain(device)


def first(ledger: Ledger, server: str, _actor: str) -> bool:
    """Serve a start before all others."""
    rank = max([0, *(each.rank for each in ledger.tickets())]) + 1
    return ledger.move(Holder.of(server), rank)


def last(ledger: Ledger, server: str, _actor: str) -> bool:
    """Serve a start behind all others."""
    rank = min([0, *(each.rank for each in ledger.tickets())]) - 1
    return ledger.move(Holder.of(server), rank)


def back(ledger: Ledger, server: str, _actor: str) -> bool:
    """Serve a start in its own turn again."""
    return ledger.move(Holder.of(server), 0)


def remove(ledger: Ledger, server: str, _actor: str) -> bool:
    """Take a start out of the queue."""
    return ledger.leave(Holder.of(server))


def release(ledger: Ledger, server: str, actor: str) -> bool:
    """End a server that has GPUs, so that they go on to the next."""
    holder = Holder.of(server)
    has = any(run.holder == holder and run.devices for run in ledger.open_runs())
    if has:
        ledger.ask_stop(holder, Reason.ADMIN, actor)
    return has


ORDERS: dict[str, Callable[[Ledger, str, str], bool]] = {
    each.__name__: each for each in (drain, undrain, first, last, back, remove, release)
}
