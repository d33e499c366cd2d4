"""Slow down guessing: after a few wrong passwords each further one costs a growing wait.

Attempts are counted *before* the password is checked and forgotten on success, so many at once
cannot slip through between a check and its count. The counts live in the database: neither a restart
nor a flood of other names clears them.
"""

from datetime import datetime, timedelta

from django.db import transaction

from auth.local.models import FailedSignIn

NAME_LENGTH_MAX = 64
FIRST_BLOCKING_FAILURE = 5
WAIT_MAX = timedelta(seconds=60)
MEMORY = timedelta(minutes=15)
NO_WAIT = timedelta(0)


def wait_after(failures: int) -> timedelta:
    """Return how long to refuse after so many failures: 2, 4, 8 … 60 seconds from the fifth on."""
    exponent = failures - FIRST_BLOCKING_FAILURE + 1
    if exponent < 1:
        return NO_WAIT
    return min(timedelta(seconds=2 ** min(exponent, 6)), WAIT_MAX)


def attempt(name: str, address: str, now: datetime) -> timedelta:
    """Count an attempt and return zero, or return how long to wait before the next may be made."""
    with transaction.atomic():
        FailedSignIn.objects.filter(last_failed_at__lt=now - MEMORY).delete()
        row, _ = FailedSignIn.objects.get_or_create(
            name=name[:NAME_LENGTH_MAX], address=address, defaults={"last_failed_at": now}
        )
        if row.blocked_until and row.blocked_until > now:
            return row.blocked_until - now
        row.failures += 1
        row.last_failed_at = now
        row.blocked_until = now + wait_after(row.failures)
        row.save()
    return NO_WAIT


def forget(name: str, address: str) -> None:
    """Start from zero again: the password was right."""
    FailedSignIn.objects.filter(name=name[:NAME_LENGTH_MAX], address=address).delete()


def client_address(forwarded_for: str, peer: str, fronts: int) -> str:
    """Return the address of the browser: the hop just before our own proxies.

    The hub's proxy appends the address it saw; each front of ours before it did the same. What
    stands further left was sent by the browser itself and proves nothing.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    if not hops:
        return peer[:NAME_LENGTH_MAX]
    return hops[max(len(hops) - 1 - fronts, 0)][:NAME_LENGTH_MAX]
