"""What the engine says and what it means. The sentences are real answers of real engines."""

from collections.abc import Callable

import pytest

from spawner.engine_errors import (
    ConflictError,
    EngineError,
    ImageMissingError,
    NoSpaceError,
    NotFoundError,
    PathMissingError,
    RefusedError,
    UnavailableError,
    UnknownError,
    translate,
    translate_listing,
    translate_making,
    translate_path,
)

OCI = "failed to create shim: OCI runtime create failed: runc create failed: unable to start"
TABLE = [
    (404, "No such container: 3f", NotFoundError),
    (404, "No such image: tensorflow/tensorflow:2.9.0-gpu-jupyter", ImageMissingError),
    (404, "network labhub-users not found", NotFoundError),
    (404, "page not found", UnknownError),
    (409, 'Conflict. The container name "/x" is already in use by container "3f".', ConflictError),
    (409, "removal of container 3f is already in progress", ConflictError),
    (400, "Conflicting options: Nano CPUs and CPU Period cannot both be set.", RefusedError),
    (400, 'invalid mount config for type "bind": bind source path does not exist', RefusedError),
    (403, "authorization denied by plugin", RefusedError),
    (500, 'could not select device driver "" with capabilities: [[gpu]]', RefusedError),
    (500, "unresolvable CDI devices nvidia.com/gpu=9", RefusedError),
    (500, f'{OCI} process: exec: "/x": stat /x: no such file or directory', RefusedError),
    (400, f"{OCI} container process: exec: permission denied", RefusedError),
    (500, "error while mounting volume '/v': failed to mount local volume", RefusedError),
    (500, "write /var/lib/docker/x: no space left on device", NoSpaceError),
    (404, "mkdir /var/lib/docker/x: no space left on device", NoSpaceError),
    (500, "mkdir /x: disk quota exceeded", NoSpaceError),
    (500, "server error", UnknownError),
    (502, "bad gateway", UnknownError),
    (503, "This node is not a swarm manager", UnknownError),
    (500, "", UnknownError),
]


@pytest.mark.parametrize(("status", "sentence", "meaning"), TABLE)
def test_table(status: int, sentence: str, meaning: type[EngineError]) -> None:
    error = translate(status, sentence)
    assert (type(error), str(error)) == (meaning, sentence)


def test_only_not_found_means_gone() -> None:
    assert issubclass(ImageMissingError, NotFoundError)
    assert issubclass(UnavailableError, UnknownError)
    assert not issubclass(UnknownError, NotFoundError)
    gone = [type(translate(status, "x")) for status in range(400, 600)]
    assert gone.count(NotFoundError) == 1


MEANINGS = [
    (translate_listing, 404, "No such container: 3f", UnknownError),
    (translate_listing, 500, "server error", UnknownError),
    (translate_listing, 400, "invalid filter 'x'", RefusedError),
    (translate_making, 404, "No such container: 3f", NotFoundError),
    (translate_making, 404, "No such image: a/b:1", ImageMissingError),
    (translate_making, 404, "network labhub-users not found", RefusedError),
    (translate_making, 404, "page not found", UnknownError),
    (translate_making, 409, "the name is taken", ConflictError),
    (translate_path, 404, "Could not find the file /x in container 3f", PathMissingError),
    (translate_path, 404, "No such container: 3f", NotFoundError),
    (translate_path, 404, "something else", UnknownError),
    (translate_path, 500, "Could not find the file /x in container 3f", UnknownError),
]


@pytest.mark.parametrize(("translated", "status", "sentence", "meaning"), MEANINGS)
def test_what_is_missing_depends_on_what_was_asked(
    translated: Callable[[int, str], EngineError],
    status: int,
    sentence: str,
    meaning: type[EngineError],
) -> None:
    error = translated(status, sentence)
    assert (type(error), str(error)) == (meaning, sentence)
