"""What admins and users read about a labhub.yaml that changed while the lab runs. Pure."""

from hub_config.sizes import format_bytes
from spawner.messages.quotas import cores, processes

WAITS_FOR_ROOM = "It changes by itself as soon as there is room."
NEXT_START = "It applies at the next start."


def needs_up(key: str) -> str:
    """Say that a change is noted, and what makes it true."""
    return f"{key} was changed: run deploy/up, which starts the hub with it; nobody's server stops."


def trouble(problems: int, first: str) -> str:
    """Say to admins that the file is wrong, and that nothing has changed because of it."""
    more = f" ({problems - 1} more: run `labhub config check`)" if problems > 1 else ""
    return f"labhub.yaml has an error, so the settings from before still hold. {first}{more}"


def memory_in_use(wanted: int, held: int) -> str:
    """Say why a server keeps more memory than its new limit."""
    return (
        f"Your memory limit is now {format_bytes(wanted)}, but your server uses "
        f"{format_bytes(held)}, so it keeps its old limit. Free some memory and the new limit "
        "applies within seconds, or at the next start."
    )


def memory_unknown(wanted: int) -> str:
    """Say that nobody can tell whether a smaller limit would end programs."""
    return (
        f"Your memory limit is now {format_bytes(wanted)}. How much your server uses cannot be "
        "measured, so it keeps its old limit until its next start."
    )


def gpu_would_be_lost() -> str:
    """Say why the limits of a server with a GPU stay as they are."""
    return (
        "Your limits have changed. They apply at the next start: changing them now would cut "
        "your server off from its GPU."
    )


def engine_refused(problem: str) -> str:
    """Say that the engine did not change a limit, in its own words."""
    return f"Your limits have changed, but Docker could not apply them yet: {problem}."


def others_have_it(cpus: float, memory_bytes: int, pids: int) -> str:
    """Say that a larger limit has to wait for others."""
    return (
        f"Your server may use {cores(cpus)}, {format_bytes(memory_bytes)} of memory and "
        f"{processes(pids)} by now, but others use what it would take. {WAITS_FOR_ROOM}"
    )


def shm_at_next_start(wanted: int) -> str:
    """Say that shared memory cannot be changed while a server runs."""
    return f"Your shared memory is now {format_bytes(wanted)}. {NEXT_START}"
