"""Waiting for a server's first answer, raced against its container's death."""

import asyncio
import contextlib

import aiohttp

from spawner.engine import Container, Engine
from spawner.engine_errors import EngineError, NotFoundError

FIRST_PAUSE_SECONDS = 0.025
LATER_PAUSE_SECONDS = 0.05
EAGER_SECONDS = 5
ALIVE_PAUSE_SECONDS = 0.2
ANSWER_SECONDS = 5
SERVER_ERROR = 500


class GoneError(Exception):
    """The container was removed by somebody else."""


async def first_answer_or_death(engine: Engine, container: str, url: str) -> Container | None:
    """Return None once `url` answers, or the container's state once it has ended.

    Raises GoneError when there is no such container any more. An engine that does not answer says
    nothing about the server: the wait goes on.
    """
    answer = asyncio.ensure_future(_first_answer(url))
    death = asyncio.ensure_future(_death(engine, container))
    try:
        await asyncio.wait({answer, death}, return_when=asyncio.FIRST_COMPLETED)
        return None if answer.done() else death.result()
    finally:
        for task in (answer, death):
            task.cancel()
        await asyncio.gather(answer, death, return_exceptions=True)


async def _first_answer(url: str) -> None:
    """Ask until there is an answer that is not a server error."""
    loop = asyncio.get_running_loop()
    eager_until = loop.time() + EAGER_SECONDS
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not await _answers(session, url):
            eager = loop.time() < eager_until
            await asyncio.sleep(FIRST_PAUSE_SECONDS if eager else LATER_PAUSE_SECONDS)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether the server answers this once."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with session.get(url, allow_redirects=False) as response:
            return response.status < SERVER_ERROR
    return False


async def _death(engine: Engine, container: str) -> Container:
    """Return the state of a container once it has ended."""
    while True:
        await asyncio.sleep(ALIVE_PAUSE_SECONDS)
        try:
            state = await engine.container(container)
        except NotFoundError as error:
            raise GoneError from error
        except EngineError:
            continue
        if state.ended:
            return state
