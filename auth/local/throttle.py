"""Slow down guessing: after a few wrong passwords each further one costs a growing wait.

Attempts are counted *before* the password is checked and forgotten on success, so many at once
cannot slip through between a check and its count. The counts live in the database: neither a
restart nor a flood of other names clears them.
"""

from datetime import datetime, timedelta

from django.db import transaction

from auth.local.models import FailedSignIn
from auth.local.waiting import NO_WAIT, wait_after

NAME_LENGTH_MAX = 64
MEMORY = timedelta(minutes=15)


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
