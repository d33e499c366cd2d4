"""Whether the engine answers: what was heard last, told once per change and not once per call."""

import logging

from spawner.metrics import ENGINE_UP

log = logging.getLogger("spawner.engine")


class Health:
    """Follows the outcomes of calls. Times are any clock's that never goes back."""

    def __init__(self) -> None:
        """Nothing is known: the engine counts as well until a call finds otherwise."""
        self.trouble = ""
        self._told_of_garbage = False
        self._answered_at: float | None = None

    def answered(self, now: float) -> None:
        """The engine said something, be it no."""
        if self.trouble:
            log.info("Docker answers again")
        self.trouble, self._answered_at = "", now
        ENGINE_UP.set(1)

    def silent(self, since: float, why: str) -> None:
        """A call begun at `since` had no answer. It counts, unless another had one meanwhile."""
        if self._answered_at is not None and self._answered_at > since:
            return
        if not self.trouble:
            log.warning("Docker does not answer: %s", why)
        self.trouble = why or "no answer"
        ENGINE_UP.set(0)

    def garbage(self, line: bytes) -> None:
        """A line of the event stream could not be read."""
        if not self._told_of_garbage:
            log.warning("Docker tells of an event in no words we know: %.200r", line)
        self._told_of_garbage = True
