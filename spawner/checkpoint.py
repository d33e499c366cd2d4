"""Named places in the life of a server at which the hub may die without harm. Pure.

Every engine call and every write of the store passes one before and one after (`create:before`,
`create:after`), and so do the steps between them. Nothing happens there, unless a test has set
`hook`: then it is called with the name, and may end the process on the spot.
"""

from collections.abc import Callable


def _nothing(_point: str) -> None:
    """Go on."""


hook: Callable[[str], None] = _nothing


def reached(point: str) -> None:
    """Say that this point is reached. May be called from any thread."""
    hook(point)
