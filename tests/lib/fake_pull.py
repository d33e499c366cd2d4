"""What a pull from the fake engine meets: a registry that offers what a test put there.

fake_engine.life.registry["a/b:1"] = Offer(layers=9, pause_seconds=0.1)
"""

import asyncio
import json
from collections.abc import Iterator

from aiohttp import web

from tests.lib.fake_routes import LIFE, routes
from tests.lib.fake_rules import Body, EngineError
from tests.lib.fake_state import Offer

__all__ = ["LIFE", "routes"]  # with this one among them


@routes.post("/images/create")
async def pull(request: web.Request) -> web.StreamResponse:
    """Pull what is on offer; other names fail as they do behind a firewall."""
    life, name = request.app[LIFE], f"{request.query['fromImage']}:{request.query['tag']}"
    offer = life.registry.get(name)
    if offer is None:
        raise EngineError(500, f'Get "https://registry.invalid/v2/": no route to host ({name})')
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    for line in told(name, offer):
        await answer.write(json.dumps(line).encode() + b"\r\n")
        await asyncio.sleep(offer.pause_seconds)
    if not offer.error:
        life.add_image(name, {"Labels": {}}, {})
    return answer


def told(name: str, offer: Offer) -> Iterator[Body]:
    """Yield what the engine tells of a pull, line by line."""
    repository, _, tag = name.rpartition(":")
    layers = [f"{number:012x}" for number in range(offer.layers)]
    yield {"status": f"Pulling from {repository}", "id": tag}
    for layer in layers:
        yield {"status": "Pulling fs layer", "progressDetail": {}, "id": layer}
    for layer in layers:
        detail = {"current": 1, "total": 2}
        yield {"status": "Downloading", "progressDetail": detail, "id": layer}
        yield {"status": "Pull complete", "progressDetail": {}, "id": layer}
    if offer.error:
        yield {"errorDetail": {"message": offer.error}, "error": offer.error}
    else:
        yield {"status": f"Status: Downloaded newer image for {name}"}
