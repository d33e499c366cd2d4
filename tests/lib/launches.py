"""A launch of a start that is in, as the spawner makes one."""

from spawner.desk import Desk
from spawner.entrance import Entrance, Request
from spawner.launch import Launch
from spawner.progress import Steps


async def launch(desk: Desk, request: Request) -> Launch:
    """Let a start in, and return what launches it; raises what Entrance.enter does."""
    steps = Steps()
    return Launch(desk, await Entrance(desk, lambda: request, steps).enter(), steps)
