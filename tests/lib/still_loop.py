"""An event loop in which time stands still, until a test lets some pass.

    loop = StillLoop()
    loop.settle()         # whatever can go on without waiting has gone on
    loop.let_pass(30)     # and half a minute later; takes no time

Work for other threads is done at once, by this one, or held back while `held` is a list. So the
same steps always have the same end.
"""

import asyncio
import math
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Impatient(selectors.SelectSelector):
    """Says when a loop would wait, instead of waiting."""

    def __init__(self) -> None:
        """Wait for nothing."""
        super().__init__()
        self.idle: Callable[[float], None] = lambda _seconds: None

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return no news: no file is ever ready."""
        if timeout is None or timeout > 0:
            self.idle(math.inf if timeout is None else timeout)
        return []


class StillLoop(asyncio.SelectorEventLoop):
    """The loop; it is never run but by `settle` and `let_pass`."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._now = self._until = 0.0
        self._meanwhile: Callable[[], bool] = lambda: False
        self.held: list[Callable[[], None]] | None = None
        selector = _Impatient()
        super().__init__(selector)
        selector.idle = self._idle

    def time(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    def settle(self) -> None:
        """Go on until everybody waits."""
        self.let_pass(0)

    def let_pass(self, seconds: float, meanwhile: Callable[[], bool] = lambda: False) -> None:
        """Let time pass; `meanwhile` may act whenever everybody waits, and says whether it did."""
        self._until, self._meanwhile = self._now + seconds, meanwhile
        self.run_forever()

    def _idle(self, seconds: float) -> None:
        """Jump to the next moment in which something is to happen, or end."""
        if self._meanwhile():
            return
        if self._now + seconds > self._until:
            self._now = self._until
            self.stop()
        else:
            self._now += seconds

    def run_in_executor(  # type: ignore[override]
        self, _executor: object, function: Callable[..., T], *arguments: Any
    ) -> asyncio.Future[T]:
        """Do it here and now, or later."""
        future = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(function(*arguments))
            except Exception as error:  # noqa: BLE001 - it is whoever awaits it that knows
                future.set_exception(error)

        if self.held is None:
            work()
        else:
            self.held.append(work)
        return future
