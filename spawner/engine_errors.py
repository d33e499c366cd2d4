"""One table that turns the engine's answers into a few meanings. Pure.

Only `NotFoundError` says that something is gone. Everything the table does not know is
`UnknownError`: the engine may or may not have done it, and nothing may be concluded from it.
"""


class EngineError(Exception):
    """The engine did not do what was asked; the text is its own sentence."""


class NotFoundError(EngineError):
    """The engine knows no such object."""


class ImageMissingError(NotFoundError):
    """The engine knows no such image."""


class ConflictError(EngineError):
    """The name is taken, or the object is in a state that forbids this."""


class RefusedError(EngineError):
    """The engine understood and will not do it, now or ever."""


class NoSpaceError(RefusedError):
    """The engine's disk is full."""


class UnknownError(EngineError):
    """Nobody can say whether it happened."""


class UnavailableError(UnknownError):
    """The engine did not answer at all."""


# What the engine reports with status 500 although asking again would change nothing.
FINAL_SENTENCES: tuple[tuple[str, type[EngineError]], ...] = (
    ("no space left on device", NoSpaceError),
    ("disk quota exceeded", NoSpaceError),
    ("could not select device driver", RefusedError),
    ("unresolvable CDI devices", RefusedError),
    ("OCI runtime create failed", RefusedError),
    ("failed to create shim task", RefusedError),
    ("cannot allocate memory", RefusedError),
    ("error while mounting volume", RefusedError),
    ("failed to mount local volume", RefusedError),
    ("exec format error", RefusedError),
)


def translate(status: int, sentence: str) -> EngineError:
    """Return the meaning of an error answer of the engine."""
    lowered = sentence.lower()
    for mark, meaning in FINAL_SENTENCES:
        if mark.lower() in lowered:
            return meaning(sentence)
    if status == 404:  # noqa: PLR2004
        return (ImageMissingError if "no such image" in lowered else NotFoundError)(sentence)
    if status == 409:  # noqa: PLR2004
        return ConflictError(sentence)
    if 400 <= status < 500:  # noqa: PLR2004
        return RefusedError(sentence)
    return UnknownError(sentence)
