"""What a server says when the hub asks whether it is used; anything else is no answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web

from spawner import question
from spawner.idleness import Answer

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STATUS = json.dumps({"last_activity": "2026-03-02T12:00:00Z"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(kernels: Handler) -> AsyncIterator[str]:
    """Serve an answer about kernels, and a good one about the rest; yields the server's URL."""

    async def status(_: web.Request) -> web.Response:
        return web.Response(text=STATUS)

    app = web.Application()
    app.router.add_get("/user/ada/api/kernels", kernels)
    app.router.add_get("/user/ada/api/status", status)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/user/ada/"
    finally:
        await runner.cleanup()


def says(text: str, status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    return handler


async def never(_: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response(text="[]")


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * (1 << 20))


async def elsewhere(request: web.Request) -> web.Response:
    raise web.HTTPFound("/user/ada/api/status")


@pytest.mark.parametrize(
    ("states", "is_busy"),
    [
        ((), False),
        (("idle",), False),
        (("idle", "busy"), True),
        (("starting",), True),
        (("unknown",), True),
        (("dead",), False),
    ],
)
async def test_a_kernel_that_is_not_quiet_computes(states: tuple[str, ...], is_busy: bool) -> None:
    async with server(says(json.dumps([{"execution_state": each} for each in states]))) as url:
        assert await question.ask(url, "token") == Answer(is_busy, NOON)


async def test_the_question_is_no_activity_and_brings_its_token() -> None:
    seen = []

    async def note(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], request.query_string))
        return web.Response(text="[]")

    async with server(note) as url:
        await question.ask(url, "t0")
    assert seen == [("token t0", "no_track_activity=1")]


@pytest.mark.parametrize(
    "handler",
    [
        says("no JSON"),
        says("{}"),
        says("[1]"),
        says('[{"name": "python3"}]'),
        says("[" * 100_000),
        says("[]", status=403),
        says("[]", status=500),
        never,
        endless,
        elsewhere,
    ],
    ids=["text", "dict", "number", "no state", "deep", "403", "500", "never", "endless", "moved"],
)
async def test_anything_else_is_no_answer(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question, "ANSWER_SECONDS", 1)
    async with server(handler) as url:
        assert await question.ask(url, "token") is None


async def test_nobody_there_is_no_answer() -> None:
    assert await question.ask("http://127.0.0.1:1/user/ada/", "token") is None
