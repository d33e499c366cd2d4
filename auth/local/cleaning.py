"""Old tokens and sessions are not deleted by themselves: a thread does it once a day."""

import logging
import threading

from django.core.management import call_command
from django.db import close_old_connections

FIRST_SECONDS = 60.0
DAY_SECONDS = 24 * 3600.0

_log = logging.getLogger("labhub.accounts.cleaning")


def clean() -> None:
    """Delete what has expired."""
    call_command("cleartokens", verbosity=0)
    call_command("clearsessions", verbosity=0)


def keep_clean(
    stop: threading.Event | None = None,
    first_seconds: float = FIRST_SECONDS,
    every_seconds: float = DAY_SECONDS,
) -> None:
    """Clean soon after the start and then daily; an error is logged, and the next day comes."""
    stop = stop or threading.Event()
    wait_seconds = first_seconds
    while not stop.wait(wait_seconds):
        wait_seconds = every_seconds
        try:
            clean()
        except Exception:  # noqa: BLE001 - whatever it was, tomorrow is another day
            _log.exception("cleaning failed; the next attempt is in %d s", every_seconds)
        finally:
            close_old_connections()
