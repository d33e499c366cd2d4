"""A start that fails after JupyterHub stopped waiting for it, on the event loop alone."""

import asyncio
import gc

import pytest

from hub_config.doors import exception_was_seen


@pytest.mark.parametrize("seen", [True, False])
async def test_a_start_that_fails_when_its_page_is_gone_is_logged_once(seen: bool) -> None:
    heard: list[str] = []

    async def start() -> None:
        if seen:
            exception_was_seen()
        raise ValueError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
    task = asyncio.ensure_future(start())
    await asyncio.wait([task])
    del task
    gc.collect()
    assert heard == ([] if seen else ["Task exception was never retrieved"])
