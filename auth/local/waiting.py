"""How long a guesser waits, and who the guesser is: pure functions."""

from datetime import timedelta

FIRST_BLOCKING_FAILURE = 5
WAIT_MAX = timedelta(seconds=60)
NO_WAIT = timedelta(0)
ADDRESS_LENGTH_MAX = 64


def wait_after(failures: int) -> timedelta:
    """Return how long to refuse after so many failures: 2, 4, 8 … 60 seconds from the fifth on."""
    exponent = failures - FIRST_BLOCKING_FAILURE + 1
    if exponent < 1:
        return NO_WAIT
    return min(timedelta(seconds=2 ** min(exponent, 6)), WAIT_MAX)


def client_address(forwarded_for: str, peer: str, fronts: int) -> str:
    """Return the address of the browser: the hop just before our own proxies.

    The hub's proxy appends the address it saw; each front of ours before it did the same. What
    stands further left was sent by the browser itself and proves nothing.
    """
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    if not hops:
        return peer[:ADDRESS_LENGTH_MAX]
    return hops[max(len(hops) - 1 - fronts, 0)][:ADDRESS_LENGTH_MAX]
