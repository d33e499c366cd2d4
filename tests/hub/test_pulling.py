"""How far a pull is, why it failed, and what exactly is pulled."""

import json

import pytest

from spawner.engine_errors import (
    EngineError,
    ImageMissingError,
    NoSpaceError,
    RefusedError,
    RegistryError,
    UnavailableError,
    UnknownError,
    translate_pull,
)
from spawner.pulling import Layers, name_and_tag


def line(**told: object) -> bytes:
    return json.dumps(told).encode() + b"\r"


def test_progress_counts_layers_and_nothing_else() -> None:
    layers = Layers()
    told = [
        (line(status="Pulling from library/x", id="2.9"), ""),
        (line(status="Already exists", id="a"), "1 of 1 layers"),
        (line(status="Pulling fs layer", id="b"), "1 of 2 layers"),
        (line(status="Waiting", id="c"), "1 of 3 layers"),
        (line(status="Downloading", id="b", progress="[==> ]"), "1 of 3 layers"),
        (line(status="Pull complete", id="b"), "2 of 3 layers"),
        (line(status="Pull complete", id="b"), "2 of 3 layers"),
        (line(status="Extracting", id="b"), "2 of 3 layers"),
        (line(status="Digest: sha256:5e"), "2 of 3 layers"),
        (line(status=7, id=["x"]), "2 of 3 layers"),
    ]
    assert [layers.hear(each) for each, _ in told] == [text for _, text in told]


@pytest.mark.parametrize("noise", [b"no json", b"[]", b"7", b"\xff", b"[" * 100_000])
def test_a_line_that_is_no_object_is_unknown(noise: bytes) -> None:
    with pytest.raises(UnknownError):
        Layers().hear(noise)


def test_an_error_in_the_stream_has_the_engines_sentence() -> None:
    sentence = "manifest for a/b:2 not found: manifest unknown: manifest unknown"
    with pytest.raises(ImageMissingError, match=sentence):
        Layers().hear(line(errorDetail={"message": sentence}, error=sentence))


HOST = "dial tcp: lookup registry-1.docker.io on 10.0.0.1:53"
SENTENCES: list[tuple[int, str, type[EngineError]]] = [
    (404, "pull access denied for a/b, repository does not exist or may require 'docker login': "
     "denied: requested access to the resource is denied", RefusedError),
    (404, "manifest for a/b:2 not found: manifest unknown: manifest unknown", ImageMissingError),
    (500, "unauthorized: authentication required", RefusedError),
    (400, "invalid reference format: repository name must be lowercase", RefusedError),
    (404, "no matching manifest for linux/arm64/v8 in the manifest list entries", RefusedError),
    (500, f'Get "https://registry-1.docker.io/v2/": {HOST}: no such host', RegistryError),
    (500, f'Get "https://x/v2/": {HOST}: server misbehaving', RegistryError),
    (500, "dial tcp 127.0.0.1:9: connect: connection refused", RegistryError),
    (500, "net/http: request canceled while waiting for connection", RegistryError),
    (500, "net/http: TLS handshake timeout", RegistryError),
    (500, "x509: certificate signed by unknown authority", RegistryError),
    (500, "toomanyrequests: You have reached your pull rate limit", RegistryError),
    (500, "unexpected EOF", RegistryError),
    (500, "write /var/lib/docker/x: no space left on device", NoSpaceError),
    (404, "something else is not here", UnknownError),
    (500, "server error", UnknownError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "sentence", "meaning"), SENTENCES)
def test_why_a_pull_failed(status: int, sentence: str, meaning: type[EngineError]) -> None:
    error = translate_pull(status, sentence)
    assert (type(error), str(error)) == (meaning, sentence)


def test_a_registry_that_is_away_is_unavailable_too() -> None:
    assert issubclass(RegistryError, UnavailableError)


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("debian", "debian", "latest"),
        ("tensorflow/tensorflow:2.9.0-gpu-jupyter", "tensorflow/tensorflow", "2.9.0-gpu-jupyter"),
        ("localhost:5000/a/b", "localhost:5000/a/b", "latest"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b", "1"),
        ("a/b@sha256:5e", "a/b", "sha256:5e"),
        ("localhost:5000/a/b@sha256:5e", "localhost:5000/a/b", "sha256:5e"),
        ("a/b:1@sha256:5e", "a/b:1", "sha256:5e"),
    ],
)
def test_one_image_is_pulled_and_not_all_of_its_tags(image: str, name: str, tag: str) -> None:
    assert name_and_tag(image) == (name, tag)
