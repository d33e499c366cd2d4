"""How the engine does: what was heard last, told once per change and not once per call."""

import logging
import math
from collections.abc import Callable
from enum import Enum

from spawner.engine_calls import PROBES
from spawner.engine_errors import EngineError, RegistryError, UnavailableError, UnknownError
from spawner.metrics import ENGINE_UP

DOUBT_SECONDS = 60

log = logging.getLogger("spawner.engine")


class State(Enum):
    """How it does; the value is what the log says when it begins to."""

    WELL = "Docker answers again"
    SILENT = "Docker does not answer: %s"
    NONSENSE = "Docker answers, but nothing of use: %s"


class Health:
    """Follows the outcomes of calls. Times are any clock's that never goes back.

    It is silent from a call without an answer to the next answer, and answers nonsense from a
    probe (a call that is about no one object) that failed to the next one that did not. An answer
    about one object that says nothing may be that object's fault: it is a reason to probe.
    """

    def __init__(self) -> None:
        """Nothing is known: the engine counts as well until a call finds otherwise."""
        # Told that the engine has to be probed, at most once in a while.
        self.doubted: Callable[[], None] = lambda: None
        self._state = State.WELL
        self._silence = ""
        self._nonsense: dict[str, str] = {}
        self._told_of_garbage = False
        self._answered_at, self._doubted_at = -math.inf, -math.inf

    @property
    def trouble(self) -> str:
        """What is the matter with it, empty while all is well."""
        return self._silence or next(iter(self._nonsense.values()), "")

    @property
    def is_silent(self) -> bool:
        """Whether it does not answer at all."""
        return self._state is State.SILENT

    def heard(self, name: str, began: float, now: float, error: EngineError | None) -> None:
        """A call of this name, begun at `began`, has ended."""
        if isinstance(error, UnavailableError) and not isinstance(error, RegistryError):
            # It counts, unless another call had an answer meanwhile.
            if self._answered_at <= began:
                self._silence = _reason(error)
                self._doubt(now)
        else:
            self._silence, self._answered_at = "", now
            self._weigh(name, now, error)
        self._tell()

    def _weigh(self, name: str, now: float, error: EngineError | None) -> None:
        """Take in what an answer says of the engine."""
        if name not in PROBES:
            if isinstance(error, UnknownError):
                self._doubt(now)
        elif error is not None:
            self._nonsense[name] = _reason(error)
        else:
            self._nonsense.pop(name, None)

    def _doubt(self, now: float) -> None:
        """Let it be probed, unless it is already; one odd object causes no end of probes."""
        if self._state is State.WELL and now > self._doubted_at + DOUBT_SECONDS:
            self._doubted_at = now
            self.doubted()

    def _tell(self) -> None:
        """Say how it does, if that is news."""
        before, self._state = self._state, self._now()
        ENGINE_UP.set(self._state is State.WELL)
        if self._state is before:
            return
        if self._state is State.WELL:
            log.info(self._state.value)
            self._doubted_at = -math.inf  # that was well-founded, and the next one may be
        else:
            log.warning(self._state.value, self.trouble)

    def _now(self) -> State:
        if self._silence:
            return State.SILENT
        return State.NONSENSE if self._nonsense else State.WELL

    def garbage(self, line: bytes) -> None:
        """A line of the event stream could not be read."""
        if not self._told_of_garbage:
            log.warning("Docker tells of an event in no words we know: %.200r", line)
        self._told_of_garbage = True


def _reason(error: EngineError) -> str:
    return str(error) or "no reason given"
