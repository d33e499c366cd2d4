"""An image that the engine lacks is fetched once, and people read how that goes."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from spawner import images, messages
from spawner.engine import Engine
from spawner.engine_errors import EngineError, RefusedError, RegistryError
from spawner.images import Images

NAME = "tensorflow/tensorflow:2.9.0-gpu-jupyter"


class Puller:
    """An engine that pulls until it is told how that ended."""

    def __init__(self) -> None:
        self.pulls: list[str] = []
        self.tell: Callable[[str], None] = str
        self._end: asyncio.Queue[EngineError | None] = asyncio.Queue()

    async def pull(self, image: str, on_progress: Callable[[str], None]) -> None:
        self.pulls.append(image)
        self.tell = on_progress
        error = await self._end.get()
        if error is not None:
            raise error

    async def end(self, error: EngineError | None = None) -> None:
        """Let the pull end, and what waits for it go on."""
        await self._end.put(error)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def puller() -> Puller:
    return Puller()


@pytest.fixture
def looked(puller: Puller) -> Images:
    return Images(cast("Engine", puller), {"labhub.instance": "lab"})


async def test_people_read_how_far_it_is(puller: Puller, looked: Images) -> None:
    assert looked.missing(NAME) == messages.image_fetching(NAME, "")
    await asyncio.sleep(0)
    puller.tell("3 of 9 layers")
    assert looked.fetching(NAME) == "3 of 9 layers"
    assert looked.missing(NAME) == messages.image_fetching(NAME, "3 of 9 layers")
    await puller.end()
    puller.tell("9 of 9 layers")  # the last word may come late
    assert looked.fetching(NAME) is None
    assert puller.pulls == [NAME]


async def test_one_fetch_at_a_time_for_each_image(puller: Puller, looked: Images) -> None:
    for name in (NAME, NAME, "debian", NAME):
        looked.fetch(name)
        await asyncio.sleep(0)
    assert puller.pulls == [NAME, "debian"]
    await puller.end()
    assert looked.fetching(NAME) is None
    assert looked.fetching("debian") == ""
    looked.fetch(NAME)  # it may have been removed since
    await asyncio.sleep(0)
    assert puller.pulls == [NAME, "debian", NAME]
    await puller.end()
    await puller.end()


async def test_a_failure_is_told_and_not_tried_again_for_a_while(
    puller: Puller, looked: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked.fetch(NAME)
    await puller.end(RefusedError("access denied"))
    assert looked.failure(NAME) == "access denied"
    assert looked.missing(NAME) == messages.image_not_fetched(NAME, "access denied")
    assert puller.pulls == [NAME]
    assert images.FETCH_AGAIN_SECONDS == 600
    monkeypatch.setattr(images, "FETCH_AGAIN_SECONDS", 0)
    assert looked.missing(NAME) == messages.image_fetching(NAME, "")
    await puller.end(RegistryError("no such host"))
    assert puller.pulls == [NAME, NAME]
    assert looked.fetching(NAME) is None


@pytest.mark.parametrize(
    "name", ["labhub/tensorflow:2.9.0-jupyter-local", "sha256:" + "5e" * 32, "5e" * 32, "5e" * 6]
)
async def test_what_no_registry_has_is_not_fetched(
    puller: Puller, looked: Images, name: str
) -> None:
    assert looked.missing(name) == messages.image_missing(name)
    await asyncio.sleep(0)
    assert (puller.pulls, looked.fetching(name)) == ([], None)
