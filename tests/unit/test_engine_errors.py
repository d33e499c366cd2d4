"""What the engine says and what it means. The sentences are real answers of real engines."""

import pytest

from spawner.engine_errors import (
    Conflict,
    EngineError,
    ImageMissing,
    NoSpace,
    NotFound,
    Refused,
    Unavailable,
    Unknown,
    translate,
)

OCI = "failed to create shim: OCI runtime create failed: runc create failed: unable to start"
TABLE = [
    (404, "No such container: 3f", NotFound),
    (404, "No such image: tensorflow/tensorflow:2.9.0-gpu-jupyter", ImageMissing),
    (404, "network labhub-users not found", NotFound),
    (409, 'Conflict. The container name "/x" is already in use by container "3f".', Conflict),
    (409, "removal of container 3f is already in progress", Conflict),
    (400, "Conflicting options: Nano CPUs and CPU Period cannot both be set.", Refused),
    (400, "invalid mount config for type \"bind\": bind source path does not exist", Refused),
    (403, "authorization denied by plugin", Refused),
    (500, 'could not select device driver "" with capabilities: [[gpu]]', Refused),
    (500, "unresolvable CDI devices nvidia.com/gpu=9", Refused),
    (500, f'{OCI} process: exec: "/x": stat /x: no such file or directory', Refused),
    (400, f"{OCI} container process: exec: permission denied", Refused),
    (500, "error while mounting volume '/v': failed to mount local volume", Refused),
    (500, "write /var/lib/docker/x: no space left on device", NoSpace),
    (404, "mkdir /var/lib/docker/x: no space left on device", NoSpace),
    (500, "mkdir /x: disk quota exceeded", NoSpace),
    (500, "server error", Unknown),
    (502, "bad gateway", Unknown),
    (503, "This node is not a swarm manager", Unknown),
    (500, "", Unknown),
]


@pytest.mark.parametrize(("status", "sentence", "meaning"), TABLE)
def test_table(status: int, sentence: str, meaning: type[EngineError]) -> None:
    error = translate(status, sentence)
    assert (type(error), str(error)) == (meaning, sentence)


def test_only_not_found_means_gone() -> None:
    assert issubclass(ImageMissing, NotFound)
    assert issubclass(Unavailable, Unknown)
    assert not issubclass(Unknown, NotFound)
    gone = [type(translate(status, "x")) for status in range(400, 600)]
    assert gone.count(NotFound) == 1
