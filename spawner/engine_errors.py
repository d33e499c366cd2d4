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


class PathMissingError(NotFoundError):
    """The container is there, and has no such file or directory."""


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


class RegistryError(UnavailableError):
    """The engine answered, but could not reach the place where images come from."""


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
        if lowered.strip() == "page not found":  # of the route, not of the object
            return UnknownError(sentence)
        return (ImageMissingError if "no such image" in lowered else NotFoundError)(sentence)
    if status == 409:  # noqa: PLR2004
        return ConflictError(sentence)
    if 400 <= status < 500:  # noqa: PLR2004
        return RefusedError(sentence)
    return UnknownError(sentence)


def translate_listing(status: int, sentence: str) -> EngineError:
    """Return the meaning for a call that is about no one object: nothing of it can be gone."""
    error = translate(status, sentence)
    return UnknownError(sentence) if isinstance(error, NotFoundError) else error


def translate_making(status: int, sentence: str) -> EngineError:
    """Return the meaning for a call that makes or starts a container.

    Gone are the container or its image only; another missing thing, a network say, is a refusal.
    """
    error = translate(status, sentence)
    own = isinstance(error, ImageMissingError) or "no such container" in sentence.lower()
    return RefusedError(sentence) if isinstance(error, NotFoundError) and not own else error


def translate_path(status: int, sentence: str) -> EngineError:
    """Return the meaning for a call that reads a container's files."""
    error, lowered = translate(status, sentence), sentence.lower()
    if not isinstance(error, NotFoundError) or "no such container" in lowered:
        return error
    missing = "could not find the file" in lowered
    return (PathMissingError if missing else UnknownError)(sentence)


# What registries and the way to them say, first match first. Docker Hub answers "denied" also for
# a repository that does not exist, so as not to tell which exist.
PULL_SENTENCES: tuple[tuple[str, type[EngineError]], ...] = (
    ("denied", RefusedError),
    ("unauthorized", RefusedError),
    ("authentication required", RefusedError),
    ("invalid reference", RefusedError),
    ("no matching manifest", RefusedError),
    ("no such host", RegistryError),
    ("no route to host", RegistryError),
    ("network is unreachable", RegistryError),
    ("connection refused", RegistryError),
    ("connection reset", RegistryError),
    ("i/o timeout", RegistryError),
    ("timeout", RegistryError),
    ("deadline exceeded", RegistryError),
    ("request canceled", RegistryError),
    ("tls: ", RegistryError),
    ("x509: ", RegistryError),
    ("unexpected eof", RegistryError),
    ("toomanyrequests", RegistryError),
    ("server misbehaving", RegistryError),
    ("manifest unknown", ImageMissingError),
    ("not found", ImageMissingError),
    ("does not exist", ImageMissingError),
)


def translate_pull(status: int, sentence: str) -> EngineError:
    """Return the meaning of a pull that failed; lines of the stream have no status, so 500."""
    error, lowered = translate(status, sentence), sentence.lower()
    if isinstance(error, NoSpaceError):
        return error
    found = (meaning for mark, meaning in PULL_SENTENCES if mark in lowered)
    meaning = next(found, None)
    if meaning is not None:
        return meaning(sentence)
    return UnknownError(sentence) if isinstance(error, NotFoundError) else error
