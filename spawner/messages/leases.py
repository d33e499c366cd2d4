"""Every sentence about GPUs that others have, and about waiting for one. Pure.

Each says what is the matter, and how to get a GPU sooner.
"""

from spawner.messages.quotas import gpus
from spawner.messages.times import span

UNKNOWN = "nobody can tell when"


def more_than_here(count: int) -> str:
    """Say that the machine has fewer GPUs."""
    if count == 0:
        return "This machine has no GPU for servers; choose 0."
    return f"This machine has only {gpus(count)}; choose that or less."


def more_than_quota(most: int, had: int) -> str:
    """Say that a person may not have so many; `had` is what their other servers want or have."""
    left = max(0, most - had)
    if had == 0:
        return f"You may have at most {gpus(most)}; choose that or less."
    if left == 0:
        return (
            f"You may have {gpus(most)} in all, and your other servers have or wait for all of it: "
            "stop one first."
        )
    return (
        f"You may have {gpus(most)} in all, and your other servers leave {gpus(left)}: "
        "choose at most that, or stop another server first."
    )


def more_than_total(group: str, most: int) -> str:
    """Say that a whole group may not have so many."""
    return f"The group {group} may have at most {gpus(most)} in all; choose that or less."


def total_in_use(group: str, most: int) -> str:
    """Say that a person waits for others of their group, not for the machine."""
    return (
        f"The group {group} may have {gpus(most)} in all, and its members have all of it: "
        "yours is next when they stop theirs."
    )


def position(place: int, eta_seconds: float | None) -> str:
    """Say where in the queue a start is, and when it begins at the latest."""
    when = f": {UNKNOWN}" if eta_seconds is None else f" in {span(eta_seconds)} at the latest"
    return f"All GPUs are taken. You are number {place} in the queue; a GPU is yours{when}."


def choice(asked_seconds: float, eta_seconds: float | None) -> str:
    """Say what asking for so much time means: ``4 h: about 20 min from now``."""
    asked = span(asked_seconds)
    if eta_seconds is None:
        return f"{asked}: {UNKNOWN}"
    return f"{asked}: now" if eta_seconds <= 0 else f"{asked}: about {span(eta_seconds)} from now"
