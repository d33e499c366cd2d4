"""Every sentence about GPUs that others have, and about waiting for one. Pure.

Each says what is the matter, and how to get a GPU sooner.
"""

from spawner.messages.times import span

UNKNOWN = "nobody can tell when"


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
