"""One table that turns the engine's answers into a few meanings. Pure.

Only `NotFound` says that something is gone. Everything the table does not know is `Unknown`: the
engine may or may not have done it, and nothing may be concluded from it.
"""


class EngineError(Exception):
    """The engine did not do what was asked; the text is its own sentence."""


class NotFound(EngineError):
    """The engine knows no such object."""


class ImageMissing(NotFound):
    """The engine knows no such image."""


class Conflict(EngineError):
    """The name is taken, or the object is in a state that forbids this."""


class Refused(EngineError):
    """The engine understood and will not do it, now or ever."""


class NoSpace(Refused):
    """The engine's disk is full."""


class Unknown(EngineError):
    """Nobody can say whether it happened."""


class Unavailable(Unknown):
    """The engine did not answer at all."""


# What the engine reports with status 500 although asking again would change nothing.
FINAL_SENTENCES: tuple[tuple[str, type[EngineError]], ...] = (
    ("no space left on device", NoSpace),
    ("disk quota exceeded", NoSpace),
    ("could not select device driver", Refused),
    ("unresolvable CDI devices", Refused),
    ("OCI runtime create failed", Refused),
    ("failed to create shim task", Refused),
    ("cannot allocate memory", Refused),
    ("error while mounting volume", Refused),
    ("failed to mount local volume", Refused),
    ("exec format error", Refused),
)


def translate(status: int, sentence: str) -> EngineError:
    """Return the meaning of an error answer of the engine."""
    lowered = sentence.lower()
    for mark, meaning in FINAL_SENTENCES:
        if mark.lower() in lowered:
            return meaning(sentence)
    if status == 404:  # noqa: PLR2004
        return (ImageMissing if "no such image" in lowered else NotFound)(sentence)
    if status == 409:  # noqa: PLR2004
        return Conflict(sentence)
    if 400 <= status < 500:  # noqa: PLR2004
        return Refused(sentence)
    return Unknown(sentence)
