"""Several things at once, of which none goes on by itself."""

import asyncio
from typing import Any


async def all_or_none(*tasks: asyncio.Future[Any]) -> None:
    """Wait for all; when one fails, end the others first.

    What goes on by itself would meet the next start: a clearing that is late removes the container
    that was made meanwhile.
    """
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        raise
