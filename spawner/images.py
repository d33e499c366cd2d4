"""What an image looks like inside, read once per image id, and how a missing one is fetched."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from spawner import messages
from spawner.engine import Engine, Image
from spawner.engine_errors import EngineError

BUILT_HERE = ("labhub.built", "local")
BASH, PLAIN_SHELL = "/bin/bash", "/bin/sh"
OUR_OWN = "labhub/"  # built on the machine; no registry has them
FETCH_AGAIN_SECONDS = 600

_ID = re.compile(r"(sha256:)?[0-9a-f]{12,64}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts of an image that decide how its servers are made."""

    digest: str
    passwd: str | None
    group: str | None
    has_root_dir: bool
    shell: str


class Images:
    """A cache of image contents. Ids are digests, so an entry never becomes wrong.

    Images that the engine lacks are fetched in the background, one fetch at a time for each.
    """

    def __init__(self, engine: Engine, labels: Mapping[str, str]) -> None:
        """Read through this engine; `labels` mark the containers made for reading."""
        self._engine = engine
        self._labels = dict(labels)
        self._contents: dict[tuple[str, str], asyncio.Future[Contents]] = {}
        self._reading: set[str] = set()
        self._removals: set[asyncio.Task[None]] = set()
        self._tidying = asyncio.Lock()
        self._staying: set[str] = set()
        self._local: dict[str, bool] = {}
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, str] = {}
        self._failures: dict[str, tuple[float, str]] = {}

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
        """Read an image in a container of its own, which is known to be in use meanwhile."""
        name = f"{self._labels['labhub.instance']}-look-{uuid.uuid4().hex[:16]}"
        self._reading.add(name)
        try:
            container = await self._create(name, image_id)
        except BaseException:
            self._reading.discard(name)  # whatever was made of it, nobody reads it
            raise
        try:
            return await self._read_in(container, image_id, root_dir)
        finally:
            self._leave(name, container)

    async def _create(self, name: str, image_id: str) -> str:
        """Create a container that is never started."""
        body = {
            "Image": image_id,
            "Entrypoint": ["/never-started"],
            "NetworkDisabled": True,
            "Labels": self._labels,
            "HostConfig": {"Runtime": "runc", "NetworkMode": "none"},
        }
        return await self._engine.create(name, body)

    async def _read_in(self, container: str, image_id: str, root_dir: str) -> Contents:
        """Read the files of a container."""
        passwd, group, has_root_dir, has_bash = await asyncio.gather(
            self._engine.file(container, "/etc/passwd"),
            self._engine.file(container, "/etc/group"),
            self._engine.has_path(container, root_dir),
            self._engine.has_path(container, BASH),
        )
        digest = image_id.rpartition(":")[2][:12]
        return Contents(digest, passwd, group, has_root_dir, BASH if has_bash else PLAIN_SHELL)

    def _leave(self, name: str, container: str) -> None:
        """Let it be removed. No start waits for that: removals stand in line behind slow stops."""
        task = asyncio.ensure_future(self._remove(name, container))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)
        task.add_done_callback(lambda _done: self._reading.discard(name))

    async def _remove(self, name: str, container: str) -> None:
        """Remove a container made for reading. One that stays is told once, and tried again."""
        try:
            await self._engine.remove(container)
        except EngineError as error:
            if name not in self._staying:
                log.warning("Removing container %s, made for reading an image: %s", name, error)
            self._staying.add(name)

    async def tidy(self) -> None:
        """Remove containers made for reading that nobody reads any more: left by a crash, say.

        Whatever the engine does then is no trouble of anybody's: the next call tries again. While
        one call is at it, others do nothing.
        """
        if self._tidying.locked():
            return
        async with self._tidying:
            try:
                listed = await self._engine.listed(self._labels)
            except EngineError as error:
                log.debug("Docker does not tell what was left of reading images: %s", error)
                return
            self._staying &= {left.name for left in listed}
            for left in listed:
                if left.name not in self._reading:
                    await self._remove(left.name, left.id)

    def missing(self, name: str) -> str:
        """Return what people are told about an image that the engine lacks; begin to fetch it."""
        self.fetch(name)
        progress, failure = self.fetching(name), self.failure(name)
        if progress is not None:
            return messages.image_fetching(name, progress)
        if failure is not None:
            return messages.image_not_fetched(name, failure)
        return messages.image_missing(name)

    def fetch(self, name: str) -> None:
        """Begin to fetch an image, unless it is being fetched, or that failed a moment ago.

        Images that were built here and ids are in no registry: nothing happens.
        """
        is_fetchable = not name.startswith(OUR_OWN) and _ID.fullmatch(name) is None
        if is_fetchable and name not in self._fetches and self.failure(name) is None:
            self._progress[name] = ""
            self._fetches[name] = asyncio.ensure_future(self._fetch(name))

    def fetching(self, name: str) -> str | None:
        """Return how far the fetch of an image is ("3 of 9 layers", or nothing yet), if it runs."""
        return self._progress.get(name)

    def failure(self, name: str) -> str | None:
        """Return why an image could not be fetched, as long as no new attempt is due."""
        at, sentence = self._failures.get(name, (0.0, ""))
        is_fresh = sentence and time.monotonic() < at + FETCH_AGAIN_SECONDS
        return sentence if is_fresh else None

    async def _fetch(self, name: str) -> None:
        """Fetch an image to the end, and keep how that went."""
        log.info("Fetching image %s", name)
        try:
            await self._engine.pull(name, lambda progress: self._note_progress(name, progress))
        except EngineError as error:
            log.warning("Fetching image %s: %s", name, error)
            self._failures[name] = (time.monotonic(), str(error) or type(error).__name__)
        else:
            log.info("Fetched image %s", name)
        finally:
            del self._fetches[name], self._progress[name]

    def _note_progress(self, name: str, progress: str) -> None:
        """Keep how far it is; the last word may come when the fetch has been given up."""
        if name in self._progress:
            self._progress[name] = progress
