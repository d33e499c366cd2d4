"""What all servers of one instance share: the engine, the images, the book of accounts."""

import asyncio
import functools
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from auth.accounts import AccountBook
from hub_config.instance import Instance
from spawner.engine import Container, Engine
from spawner.engine_errors import EngineError, NotFoundError
from spawner.images import Images

REMOVE_PAUSES_SECONDS = (0, 1, 5, 15, 30, 60, 120)

log = logging.getLogger(__name__)


class Desk:
    """Reaches for the engine and the accounts only when they are first needed."""

    def __init__(self, lab: Instance) -> None:
        """Open nothing yet."""
        self.lab = lab
        self.engine = Engine()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.images = Images(self.engine, {"labhub.instance": lab.name, "labhub.role": "look"})

    @functools.cached_property
    def accounts(self) -> AccountBook:
        """Return the book of accounts."""
        return AccountBook(self.lab.state_dir / "identity.sqlite")

    async def find(self, identifier: str, labels: Mapping[str, str]) -> Container | None:
        """Return a server's container, by id or else by labels; None is proof that there is none.

        Of several the one that runs counts. Any other answer of the engine is an error.
        """
        if identifier:
            try:
                return await self.engine.container(identifier)
            except NotFoundError:
                log.info("No container %s any more", identifier[:12])
        found = None
        for other in await self.engine.labelled(labels):
            try:
                state = await self.engine.container(other)
            except NotFoundError:
                continue
            found = state if found is None or not state.ended else found
        return found

    async def end(
        self, identifier: str, labels: Mapping[str, str], grace_seconds: int
    ) -> Container | None:
        """Stop and remove a server's container; return how it ended, if the engine told."""
        ended = None
        try:
            found = await self.find(identifier, labels)
            identifier = found.id if found is not None else ""
            if found is not None:
                await self.engine.stop(identifier, grace_seconds)
                ended = await self.engine.container(identifier)
        except EngineError as error:
            log.warning("Stopping the server of %s: %s", labels["labhub.user"], error)
        if identifier:
            await self.remove_surely(identifier)
        return ended

    async def remove_surely(self, identifier: str) -> None:
        """Kill and remove a container by name or id, however often the engine has to be asked."""
        for pause_seconds in REMOVE_PAUSES_SECONDS:
            await asyncio.sleep(pause_seconds)
            try:
                await self.engine.remove(identifier)
            except EngineError as error:
                log.warning("Removing container %s: %s", identifier, error)
            else:
                return
        log.error("Container %s is still there; the next start removes it", identifier)

    def detach(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work to its end, whatever becomes of the request that began it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


@functools.cache
def desk(lab: Instance) -> Desk:
    """Return the one desk of an instance."""
    return Desk(lab)
