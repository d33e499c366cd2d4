"""Threads for calls to the engine: one bounded pool per lane, and a deadline on every call.

A call that outlives its deadline is `UnavailableError` for its caller, and its thread is free at
the same moment, because the deadline is the socket's too. One that still waited is never made.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from spawner.checkpoint import reached
from spawner.engine_calls import CALLS, EVENTS, LANES, PULL, PULL_QUIET_SECONDS, Lane
from spawner.engine_errors import EngineError, UnavailableError, UnknownError
from spawner.engine_health import Health
from spawner.metrics import ENGINE_CALLS, ENGINE_SECONDS, outcome
from spawner.wire import Limit

RETRY_PAUSES_SECONDS = (0.1, 0.4)
QUICK_SECONDS = 1.0
CLOSING = "the hub is closing"
T = TypeVar("T")


class Lanes:
    """Runs blocking work away from the event loop. Everything but the work runs on the loop."""

    def __init__(self, patience: float, health: Health) -> None:
        """Start no thread yet; `patience` multiplies every deadline."""
        self.patience = patience
        self._health = health
        self._open: set[Limit] = set()
        self._pools = {
            lane: ThreadPoolExecutor(lane.threads, thread_name_prefix=f"engine-{lane.name}")
            for lane in LANES
            if lane is not EVENTS  # each stream has a thread of its own
        }

    async def run(self, name: str, work: Callable[[Limit], T]) -> T:
        """Do the work of the call `name` in its lane; raise an `EngineError` if it fails."""
        began = time.monotonic()
        try:
            result = await self._with_retries(name, work, began)
        except EngineError as error:
            self.note(name, began, error)
            raise
        self.note(name, began, None)
        return result

    def note(self, name: str, began: float, error: EngineError | None) -> None:
        """Keep how a call went."""
        lane, now = CALLS[name].lane.name, time.monotonic()
        ENGINE_CALLS.labels(lane, name, outcome(error)).inc()
        ENGINE_SECONDS.labels(lane, outcome(error)).observe(now - began)
        self._health.heard(name, began, now, error)

    def close(self) -> None:
        """End every call now; later ones are refused."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for limit in tuple(self._open):
            limit.cut()

    async def _with_retries(self, name: str, work: Callable[[Limit], T], began: float) -> T:
        """Try, and try again where that cannot harm and the failure came quickly."""
        call = CALLS[name]
        for pause in RETRY_PAUSES_SECONDS if call.idempotent else ():
            tried = time.monotonic()
            try:
                return await self._once(name, work, began)
            except UnknownError:
                now = time.monotonic()
                deadline = began + call.lane.seconds * self.patience
                if now - tried > QUICK_SECONDS or now + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
        return await self._once(name, work, began)

    async def _once(self, name: str, work: Callable[[Limit], T], began: float) -> T:
        """Do the work in a thread, and wait for it until the deadline."""
        lane = CALLS[name].lane
        limit = self._limit(lane, began)
        loop = asyncio.get_running_loop()
        try:
            future = loop.run_in_executor(self._pools[lane], self._run, name, work, limit)
        except RuntimeError:  # the pools are shut down
            raise UnavailableError(CLOSING) from None
        try:
            await asyncio.wait({future}, timeout=began + limit.seconds - time.monotonic())
            if future.cancelled():
                raise UnavailableError(CLOSING)
            if future.done():
                return future.result()
        finally:
            future.cancel()  # one that still waits for a thread is never made
        raise UnavailableError(f"no answer within {limit.seconds:g} seconds")

    def _limit(self, lane: Lane, began: float) -> Limit:
        """Return the limit of a call that began at this moment."""
        quiet_seconds = PULL_QUIET_SECONDS if lane is PULL else math.inf
        return Limit(lane.seconds * self.patience, quiet_seconds * self.patience, began)

    def _run(self, name: str, work: Callable[[Limit], T], limit: Limit) -> T:
        """Do the work in this thread."""
        self._open.add(limit)
        try:
            limit.left()
            limit.news()  # what a call waited for its thread was no silence of the engine's
            reached(f"{name}:before")
            result = work(limit)
            reached(f"{name}:after")
        except TimeoutError:
            raise UnavailableError(limit.broken) from None
        except EngineError:
            raise
        except Exception as error:  # nobody foresaw this answer, so it says nothing
            raise UnknownError(repr(error)) from error
        else:
            return result
        finally:
            self._open.discard(limit)
