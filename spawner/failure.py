"""A start that failed, in the form in which JupyterHub shows it to people."""

from collections.abc import Collection, Mapping

from jupyterhub.spawner import SpawnException

from spawner import messages
from spawner.engine import Container
from spawner.engine_errors import (
    ConflictError,
    EngineError,
    ImageMissingError,
    NoSpaceError,
    RefusedError,
)
from spawner.entrance import NoAccountError
from spawner.gate import NotAdmittedError
from spawner.machine import MachineUnknownError
from spawner.messages import devices, quotas
from spawner.options import OptionRefusedError
from spawner.ready import GoneError
from spawner.room import LeftError
from spawner.storage import StorageError
from spawner.store import StoreError
from spawner.verify import Difference


class StartFailed(SpawnException):
    """One sentence why, the log's last lines, and a status that fits.

    JupyterHub reads `jupyterhub_message` and `jupyterhub_html_message` in the event stream and on
    the reloaded page; without them the first shows a class name and the second nothing.
    """

    def __init__(
        self, sentence: str, *, reason: str, status: int, tail: Collection[str] = ()
    ) -> None:
        """Hold the text for people; `reason` is a metric's label, one of a small fixed set."""
        page = messages.as_html(sentence, tail)
        super().__init__(sentence, reason=reason, status_code=status, message_html=page)
        self.jupyterhub_message = sentence
        self.jupyterhub_html_message = page


class DiedError(Exception):
    """The container ended before the server answered."""

    def __init__(self, state: Container, memory_bytes: int) -> None:
        """Keep how it ended and the limit it had."""
        super().__init__(state.end)
        self.state = state
        self.memory_bytes = memory_bytes


class NotAsDecidedError(Exception):
    """The engine made another container than was decided."""

    def __init__(self, differences: Collection[Difference]) -> None:
        """Keep what is different; the text is for the log."""
        super().__init__("; ".join(map(str, differences)))
        self.keys = [each.key for each in differences]


class OtherGpusError(Exception):
    """The container has other GPUs than its lease names."""

    def __init__(self, difference: Difference) -> None:
        """Write the text for the log."""
        super().__init__(f"{difference}, {devices.OTHER_GPUS_WHY}")


def explain(error: Exception, missing: str, seconds: float, tail: Collection[str]) -> StartFailed:
    """Return what people are told about a failed start; `missing` is for an image that is."""
    sentence, reason, status = _explain(error, missing, seconds)
    return StartFailed(sentence, reason=reason, status=status, tail=tail)


# Errors whose text is the sentence, and those that need no more than one: reason and HTTP status.
_THEIR_OWN: Mapping[type[Exception], tuple[str, int]] = {
    OptionRefusedError: ("options", 400),
    NotAdmittedError: ("quota", 409),
    LeftError: ("queue", 409),
    StorageError: ("storage", 500),
}
_FIXED: Mapping[type[Exception], tuple[str, str, int]] = {
    NoAccountError: (messages.NO_ACCOUNT, "account", 403),
    MachineUnknownError: (quotas.MACHINE_UNKNOWN, "machine", 500),
    GoneError: (messages.CONTAINER_GONE, "exited", 500),
    NoSpaceError: (messages.NO_SPACE, "storage", 507),
    StoreError: (messages.STORE_UNAVAILABLE, "store", 500),
    OtherGpusError: (devices.OTHER_GPUS, "gpus", 500),
}


def _explain(error: Exception, missing: str, seconds: float) -> tuple[str, str, int]:  # noqa: PLR0911 - a table
    """Return sentence, reason and HTTP status: 4xx is up to the user, 5xx is not."""
    if type(error) in _THEIR_OWN:
        return str(error), *_THEIR_OWN[type(error)]
    if type(error) in _FIXED:
        return _FIXED[type(error)]
    match error:
        case DiedError(state=state, memory_bytes=memory_bytes):
            oom = state.out_of_memory
            sentence = messages.ended(state.exit_code, out_of_memory=oom, memory_bytes=memory_bytes)
            return sentence, "oom" if oom else "exited", 500
        case NotAsDecidedError(keys=keys):
            return messages.not_as_decided(keys), "engine", 500
        case TimeoutError():
            return messages.timed_out(seconds), "timeout", 504
        case ImageMissingError():
            return missing, "image", 500
        case RefusedError() | ConflictError():
            return messages.refused(str(error)), "engine", 500
        case EngineError():
            return messages.ENGINE_UNAVAILABLE, "engine", 503
        case _:
            return messages.UNEXPECTED, "error", 500
