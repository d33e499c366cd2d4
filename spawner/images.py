"""What an image looks like inside, read once per image id from a container that never runs."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from spawner.engine import Engine, Image
from spawner.engine_errors import EngineError

BUILT_HERE = ("labhub.built", "local")
BASH, PLAIN_SHELL = "/bin/bash", "/bin/sh"


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts of an image that decide how its servers are made."""

    digest: str
    passwd: str | None
    group: str | None
    has_root_dir: bool
    shell: str


class Images:
    """A cache of image contents. Ids are digests, so an entry never becomes wrong."""

    def __init__(self, engine: Engine, labels: Mapping[str, str]) -> None:
        """Read through this engine; `labels` mark the containers made for reading."""
        self._engine = engine
        self._labels = dict(labels)
        self._contents: dict[tuple[str, str], asyncio.Future[Contents]] = {}
        self._local: dict[str, bool] = {}

    @property
    def built_here(self) -> frozenset[str]:
        """The names of the images, among those looked at, that were built on this machine."""
        return frozenset(name for name, local in self._local.items() if local)

    async def look(self, name: str) -> Image:
        """Return what the engine says about an image by this name now."""
        image = await self._engine.image(name)
        key, value = BUILT_HERE
        self._local[name] = image.labels.get(key) == value
        return image

    async def look_at_all(self, names: tuple[str, ...]) -> None:
        """Learn where images come from. An image or engine that is missing is no error here."""
        await asyncio.gather(*map(self.look, names), return_exceptions=True)

    async def contents(self, image: Image, root_dir: str) -> Contents:
        """Return the contents of an image; concurrent first callers wait for one reading."""
        key = (image.id, root_dir)
        if key not in self._contents:
            self._contents[key] = asyncio.ensure_future(self._read(image.id, root_dir))
        reading = self._contents[key]
        try:
            return await asyncio.shield(reading)
        except EngineError:
            self._contents.pop(key, None)
            raise

    async def _read(self, image_id: str, root_dir: str) -> Contents:
        """Create a container, read its files, remove it."""
        body = {
            "Image": image_id,
            "Entrypoint": ["/never-started"],
            "NetworkDisabled": True,
            "Labels": self._labels,
            "HostConfig": {"Runtime": "runc", "NetworkMode": "none"},
        }
        name = f"{self._labels['labhub.instance']}-look-{uuid.uuid4().hex[:16]}"
        container = await self._engine.create(name, body)
        try:
            passwd, group, has_root_dir, has_bash = await asyncio.gather(
                self._engine.file(container, "/etc/passwd"),
                self._engine.file(container, "/etc/group"),
                self._engine.has_path(container, root_dir),
                self._engine.has_path(container, BASH),
            )
        finally:
            await self._engine.remove(container)
        digest = image_id.rpartition(":")[2][:12]
        return Contents(digest, passwd, group, has_root_dir, BASH if has_bash else PLAIN_SHELL)
