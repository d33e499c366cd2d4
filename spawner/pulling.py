"""How far a pull has come, read from the lines that the engine sends meanwhile. Pure."""

import json

from spawner.engine_errors import EngineError, UnknownError, translate_pull

DONE = frozenset({"Pull complete", "Already exists"})
# What the engine says of a layer, and of nothing else; tags and digests have lines of their own.
ON_ITS_WAY = frozenset(
    {
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        *DONE,
    }
)
TAG = "latest"


class Layers:
    """The layers of one image that have been heard of."""

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._is_done: dict[str, bool] = {}

    def hear(self, line: bytes) -> str:
        """Take a line of the stream in; return how far it is now, empty before the first layer.

        Raises an EngineError for a line that says that the pull failed, and when it is no JSON.
        """
        told = _told(line)
        if "error" in told:
            raise _failure(told)
        layer, status = told.get("id"), told.get("status")
        if isinstance(layer, str) and status in ON_ITS_WAY:
            self._is_done[layer] = status in DONE or self._is_done.get(layer, False)
        return self.text

    @property
    def text(self) -> str:
        """How far it is, for people."""
        done, count = sum(self._is_done.values()), len(self._is_done)
        return f"{done} of {count} layers" if count else ""


def name_and_tag(image: str) -> tuple[str, str]:
    """Return the two parts of an image's name; without a tag the engine would pull all tags."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:  # a colon before the last slash belongs to a port
        return image, TAG
    return name, tag


def _told(line: bytes) -> dict[str, object]:
    """Return what a line says."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise UnknownError("the engine tells of the pull in no words we know")
    return told


def _failure(told: dict[str, object]) -> EngineError:
    """Return what went wrong, in the engine's own sentence."""
    return translate_pull(500, str(told["error"]))
