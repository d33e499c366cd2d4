"""Waiting for a server's first answer, raced against its container's death."""

import asyncio
import contextlib

import aiohttp

from spawner.desk import Desk
from spawner.engine import Container
from spawner.engine_errors import EngineError

FIRST_PAUSE_SECONDS = 0.025
LATER_PAUSE_SECONDS = 0.05
EAGER_SECONDS = 5
PATIENT_SECONDS = 60
PATIENT_PAUSE_SECONDS = 1
ALIVE_PAUSE_SECONDS = 1  # an event says it sooner
ANSWER_SECONDS = 5
SERVER_ERROR = 500


class GoneError(Exception):
    """The container was removed by somebody else."""


async def first_answer_or_death(
    desk: Desk, container: str, labels: dict[str, str], url: str
) -> Container | None:
    """Return None once `url` answers, or the container's state once it has ended.

    Raises GoneError when there is no such container any more. An engine that does not answer says
    nothing about the server: the wait goes on.
    """
    answer = asyncio.ensure_future(_first_answer(url))
    death = asyncio.ensure_future(_death(desk, container, labels))
    try:
        await asyncio.wait({answer, death}, return_when=asyncio.FIRST_COMPLETED)
        return None if answer.done() else death.result()
    finally:
        for task in (answer, death):
            task.cancel()
        await asyncio.gather(answer, death, return_exceptions=True)


async def answers_or_died(desk: Desk, container: str, labels: dict[str, str], url: str) -> bool:
    """Wait until a server answers (True) or is proven dead (False), however long that takes."""
    try:
        return await first_answer_or_death(desk, container, labels, url) is None
    except GoneError:
        return False


async def _first_answer(url: str) -> None:
    """Ask until there is an answer that is not a server error."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not await _answers(session, url):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(_pause_seconds(loop.time() - began))


def _pause_seconds(waited_seconds: float) -> float:
    """Return how long to wait before asking again: a server adopted while hung may need hours."""
    if waited_seconds < EAGER_SECONDS:
        return FIRST_PAUSE_SECONDS
    return LATER_PAUSE_SECONDS if waited_seconds < PATIENT_SECONDS else PATIENT_PAUSE_SECONDS


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether the server answers this once."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.get(url, allow_redirects=False) as response:
            return response.status < SERVER_ERROR
    return False


async def _death(desk: Desk, container: str, labels: dict[str, str]) -> Container:
    """Return the state of a container once it has ended; events make this quick."""
    while True:
        await desk.word(container, ALIVE_PAUSE_SECONDS)
        try:
            state = await desk.find(container, labels)
        except EngineError:
            continue
        if state is None:
            raise GoneError
        if state.ended:
            return state
