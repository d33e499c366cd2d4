"""The end of a server: stop it, see how it went, write its receipt, remove what is left."""

import asyncio
import logging
from collections.abc import Sequence

from spawner import messages
from spawner.checkpoint import reached
from spawner.engine import Container, Engine
from spawner.engine_errors import EngineError
from spawner.memory import Meter, Usage
from spawner.receipts import ORDINARY, Receipts, Story
from spawner.runs import Receipt
from spawner.sightings import Sightings
from spawner.store import StoreError

REMOVE_PAUSES_SECONDS = (0, 0.5, 2, 5)

log = logging.getLogger(__name__)


class Ends:
    """Ends containers. Any order of callers and any number of calls come to the same."""

    def __init__(
        self, engine: Engine, receipts: Receipts, meter: Meter, sightings: Sightings
    ) -> None:
        """Do nothing yet."""
        self._engine, self._receipts, self._meter = engine, receipts, meter
        self._sightings = sightings
        self._finishing: dict[str, asyncio.Task[Receipt | None]] = {}

    async def end(
        self, container: Container, grace_seconds: int, story: Story = ORDINARY
    ) -> Container:
        """End a container if it runs, and its run; return how it ended.

        Why is noted before, for a hub to come that sees the end and not who ordered it. Raises
        EngineError when the engine does not: then it may still run, and no receipt is written.
        """
        if container.ended:
            story = Story(answered=story.answered)  # by itself, so it has a reason of its own
        else:
            await self.measure((container.id,))
            if story.asked is None:
                await self._receipts.end_ours(container.name, story.of_the_hub)
            self._sightings.end_ours(container.id)
            await self._engine.stop(container.id, grace_seconds)
            container = await self._engine.container(container.id)
        reached("end.ended")
        await self.finish(container, story)
        return container

    async def finish(self, state: Container, story: Story = ORDINARY) -> Receipt | None:
        """Write the receipt of an ended container, once, and remove it."""
        if state.id not in self._finishing:
            task = asyncio.ensure_future(self._finish(state, story))
            self._finishing[state.id] = task
            task.add_done_callback(lambda _done: self._finishing.pop(state.id, None))
        return await asyncio.shield(self._finishing[state.id])

    async def _finish(self, state: Container, story: Story) -> Receipt | None:
        """Do it: the receipt first, because the log and the exit code go with the container.

        What never ran has neither, but a start of it may still be on its way to the engine: only
        once it is gone can nothing of it run on its GPUs any more, and its run end.
        """
        ran = state.started_at is not None
        if not ran and not await self.remove_surely(state.id):
            return None
        log_text = await self._log_text(state.id) if ran else ""
        try:
            receipt = await self._receipts.write(state, log_text, story)
        except StoreError as error:
            log.error("%s; the run of %s stays open until then", error, state.name)  # noqa: TRY400
            return None
        reached("end.written")
        if ran:
            await self.remove_surely(state.id)
        self._sightings.forget(state.id)
        return receipt

    async def _log_text(self, container: str) -> str:
        """Return the end of the log, as far as there is one and the engine gives it."""
        try:
            return await self._engine.log_tail(container, 2 * messages.LOG_LINES)
        except EngineError:
            return ""

    async def remove_surely(self, identifier: str) -> bool:
        """Kill and remove a container; say whether it is gone. Else the next round removes it."""
        for pause_seconds in REMOVE_PAUSES_SECONDS:
            await asyncio.sleep(pause_seconds)
            try:
                await self._engine.remove(identifier)
            except EngineError as error:
                log.warning("Removing container %s: %s", identifier, error)
            else:
                return True
        log.error("Container %s is still there; the next round removes it", identifier)
        return False

    async def measure(self, containers: Sequence[str]) -> dict[str, int]:
        """Remember what containers use; return those in which more was killed, and how much ever.

        A container that is looked at for the first time counts from nothing.
        """
        usages = await asyncio.to_thread(self._read_all, containers)
        return {
            container: usage.oom_kills
            for container, usage in usages.items()
            if self._sightings.measure(container, usage) > 0
        }

    def _read_all(self, containers: Sequence[str]) -> dict[str, Usage]:
        """Read all meters, in a thread."""
        read = ((container, self._meter.read(container)) for container in containers)
        return {container: usage for container, usage in read if usage is not None}
