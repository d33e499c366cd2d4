"""Why a server ended: from what was seen to one reason. Pure.

The first line that fits decides:

    seen                                                            reason
    --------------------------------------------------------------  ----------------
    somebody asked the hub for the end                              what they asked for
    a signal or a removal from outside the hub, engine not away     ADMIN
    memory ran out, and it was killed (137) or has no exit code     OUT_OF_MEMORY
    the engine was away and it was ended by others, or code 255     ENGINE_RESTARTED
    it never answered                                               START_FAILED
    no container                                                    LOST
    killed (137) or told to end (143), or no exit code              UNKNOWN
    any other exit code                                             EXITED

An engine remembers of a whole container that memory ran out in it once: a kernel's end an hour
ago still stands there. The kernel of the machine kills, and the first program of a container is
ours, with only an init above that passes its end on (container.py): so any other exit code has
another cause, and so has an end that a signal through the engine came before.
An engine that shuts down signals its containers, like an admin does, and is told apart by having
been away; a program that failed meanwhile has an exit code of its own. It says 255 when it came
back and could not learn how a container ended.
"""

from dataclasses import dataclass

from spawner.runs import Reason

CLEAN = 0
KILLED = 137  # 128 + SIGKILL
TOLD_TO_END = 143  # 128 + SIGTERM
NOT_LEARNED = 255


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about an end.

    `found`: the engine still has the container; `exit_code` and `out_of_memory` are what it says
    of it, None and False where it has none. `oom_event`: the event stream told of memory running
    out. `asked`: for what reason somebody asked the hub to end it. `outside_signal`: a signal, a
    stop or a removal through the engine that this hub did not order. `engine_was_away`: the engine
    restarted between the last sign of life and the end. `answered`: the server was ready once.
    """

    found: bool
    exit_code: int | None = None
    out_of_memory: bool = False
    oom_event: bool = False
    asked: Reason | None = None
    outside_signal: bool = False
    engine_was_away: bool = False
    answered: bool = True


def why(facts: Facts) -> Reason:
    """Return the one reason; the table above is this function."""
    if facts.asked is not None:
        return facts.asked
    if facts.outside_signal and not (facts.engine_was_away or _engine_restarted(facts)):
        return Reason.ADMIN
    if _killed_for_memory(facts):
        return Reason.OUT_OF_MEMORY
    if _engine_restarted(facts):
        return Reason.ENGINE_RESTARTED
    if not facts.answered:
        return Reason.START_FAILED
    return _by_itself(facts)


def _by_itself(facts: Facts) -> Reason:
    """Return the reason when nobody was seen to end it."""
    if not facts.found:
        return Reason.LOST
    if facts.exit_code in {KILLED, TOLD_TO_END, None}:
        return Reason.UNKNOWN
    return Reason.EXITED


def _killed_for_memory(facts: Facts) -> bool:
    ran_out = facts.out_of_memory or facts.oom_event
    return ran_out and facts.exit_code in {KILLED, None}


def _engine_restarted(facts: Facts) -> bool:
    ended_by_others = facts.exit_code in {CLEAN, KILLED, TOLD_TO_END, None}
    return (facts.engine_was_away and ended_by_others) or facts.exit_code == NOT_LEARNED
