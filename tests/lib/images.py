"""Images for tests: what deploy/images/build.sh makes, and small ones from a recipe."""

import io
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import docker

BUILD = Path(__file__).parents[2] / "deploy/images/build.sh"


@cache
def build(*command: str) -> str:
    """Run build.sh and give the name it prints; what exists already is not built again.

    Where it cannot, a test fails and a bench ends with status 1, both with what the script says.
    """
    result = subprocess.run([BUILD, *command], check=False, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr.strip())
    return result.stdout.splitlines()[-1]


@contextmanager
def built_image(engine: docker.DockerClient, recipe: str, labels: dict[str, str]) -> Iterator[str]:
    """Build a Dockerfile without files and give the image's id; the image is removed afterwards.

    The image is nobody else's: tests that run at the same time build the same, and who is done
    first could not remove an image from which others have made theirs.
    """
    own = labels | {"labhub.test.image": uuid.uuid4().hex}
    image, _ = engine.images.build(
        fileobj=io.BytesIO(recipe.encode()), labels=own, rm=True, forcerm=True
    )
    try:
        yield image.id
    finally:
        with suppress(docker.errors.ImageNotFound):  # gone with the last image made from it
            engine.images.remove(image.id, force=True)
