"""The HTTP face of the fake engine: Engine-API paths onto the state machine."""

import asyncio
import base64
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import PurePosixPath

from aiohttp import web

from tests.lib.fake_life import Life
from tests.lib.fake_rules import Body, EngineError
from tests.lib.fake_state import Container
from tests.lib.fake_views import (
    details,
    event_matches,
    labels_match,
    matches,
    summary,
    tar_of,
)

LIFE: web.AppKey[Life] = web.AppKey("life", Life)
routes = web.RouteTableDef()


def _life(request: web.Request) -> Life:
    return request.app[LIFE]


def _container(request: web.Request) -> Container:
    return _life(request).container(request.match_info["id"])


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in {"1", "true"}


async def _body(request: web.Request) -> Body:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise EngineError(400, f"invalid JSON: {error}") from None
    if not isinstance(body, dict):
        raise EngineError(400, "json: cannot unmarshal body into an object")
    return body


def _filters(request: web.Request) -> dict[str, list[str]]:
    given = json.loads(request.query.get("filters") or "{}")
    return {key: list(wanted) for key, wanted in given.items()}


def _empty() -> web.Response:
    return web.Response(status=204)


# containers


@routes.post("/containers/create")
async def create(request: web.Request) -> web.Response:
    name = request.query.get("name", "")
    made, warnings = _life(request).create(name, await _body(request))
    return web.json_response({"Id": made.id, "Warnings": warnings}, status=201)


@routes.get("/containers/json")
async def list_containers(request: web.Request) -> web.Response:
    wanted = _filters(request)
    everything = _flag(request, "all") or "status" in wanted
    found = [
        summary(container)
        for container in _life(request).containers.values()
        if (everything or container.running) and matches(container, wanted)
    ]
    return web.json_response(found)


@routes.get("/containers/{id}/json")
async def inspect(request: web.Request) -> web.Response:
    return web.json_response(details(_container(request), _life(request)))


@routes.post("/containers/{id}/start")
async def start(request: web.Request) -> web.Response:
    started = await _life(request).start(_container(request))
    return _empty() if started else web.Response(status=304)


@routes.post("/containers/{id}/stop")
async def stop(request: web.Request) -> web.Response:
    grace_seconds = float(request.query.get("t", "10"))
    stopped = await _life(request).stop(_container(request), grace_seconds)
    return _empty() if stopped else web.Response(status=304)


@routes.post("/containers/{id}/kill")
async def kill(request: web.Request) -> web.Response:
    container = _container(request)
    if not container.running:
        message = f"Cannot kill container: {container.id}: Container {container.id} is not running"
        raise EngineError(409, message)
    await _life(request).kill(container)
    return _empty()


@routes.post("/containers/{id}/restart")
async def restart(request: web.Request) -> web.Response:
    life, container = _life(request), _container(request)
    await life.stop(container, float(request.query.get("t", "10")))
    await life.start(container)
    return _empty()


@routes.post("/containers/{id}/update")
async def update(request: web.Request) -> web.Response:
    _life(request).update(_container(request), await _body(request))
    return web.json_response({"Warnings": []})


@routes.delete("/containers/{id}")
async def remove(request: web.Request) -> web.Response:
    await _life(request).remove(_container(request), force=_flag(request, "force"))
    return _empty()


@routes.post("/containers/{id}/wait")
async def wait(request: web.Request) -> web.StreamResponse:
    container, condition = (
        _container(request),
        request.query.get("condition") or "not-running",
    )
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    if condition == "next-exit" and not container.running:
        await _until(container, "running")
    await _until(container, *(["removed"] if condition == "removed" else ["exited", "removed"]))
    body = {"StatusCode": container.exit_code, "Error": None}
    await answer.write(json.dumps(body).encode() + b"\n")
    return answer


async def _until(container: Container, *statuses: str) -> None:
    already = {*statuses, "created"} if "exited" in statuses else set(statuses)
    while container.status not in already:
        await container.changed.wait()


@routes.get("/containers/{id}/logs")
async def logs(request: web.Request) -> web.StreamResponse:
    container = _container(request)
    tail = request.query.get("tail", "all")
    begin = max(0, len(container.log) - int(tail)) if tail.isdigit() else 0
    answer = web.StreamResponse(headers={"Content-Type": "application/vnd.docker.raw-stream"})
    await answer.prepare(request)
    async for line in _lines(container, begin, follow=_flag(request, "follow")):
        data = line.encode() + b"\n"
        await answer.write(struct.pack(">BxxxL", 2, len(data)) + data)
    return answer


async def _lines(container: Container, begin: int, *, follow: bool) -> AsyncIterator[str]:
    while True:
        change = container.changed
        for line in container.log[begin:]:
            begin += 1
            yield line
        if not follow or not container.running:
            return
        await change.wait()


@routes.get("/containers/{id}/archive")
async def archive(request: web.Request) -> web.Response:
    container, path = _container(request), request.query.get("path", "")
    content = _life(request).files[container.image].get(path)
    if content is None:
        message = f"Could not find the file {path} in container {container.id}"
        raise EngineError(404, message)
    stat = {
        "name": PurePosixPath(path).name,
        "size": len(content),
        "mode": 0o644,
        "linkTarget": "",
    }
    encoded = base64.b64encode(json.dumps(stat).encode()).decode()
    headers = {
        "Content-Type": "application/x-tar",
        "X-Docker-Container-Path-Stat": encoded,
    }
    return web.Response(body=tar_of(PurePosixPath(path).name, content), headers=headers)


# images, volumes, networks, the engine itself


@routes.get("/images/json")
async def list_images(request: web.Request) -> web.Response:
    wanted = _filters(request).get("label", [])
    images = _life(request).images.values()
    found = [
        {**image, "Labels": image["Config"].get("Labels")}
        for image in images
        if labels_match(image["Config"].get("Labels") or {}, wanted)
    ]
    return web.json_response(found)


@routes.get("/images/{name:.+}/json")
async def inspect_image(request: web.Request) -> web.Response:
    return web.json_response(_life(request).image(request.match_info["name"]))


@routes.post("/volumes/create")
async def create_volume(request: web.Request) -> web.Response:
    return web.json_response(_life(request).add_volume(await _body(request)), status=201)


@routes.get("/volumes")
async def list_volumes(request: web.Request) -> web.Response:
    wanted = _filters(request).get("label", [])
    found = [v for v in _life(request).volumes.values() if labels_match(v["Labels"], wanted)]
    return web.json_response({"Volumes": found, "Warnings": None})


@routes.get("/volumes/{name}")
async def inspect_volume(request: web.Request) -> web.Response:
    return web.json_response(_life(request).volume(request.match_info["name"]))


@routes.delete("/volumes/{name}")
async def remove_volume(request: web.Request) -> web.Response:
    _life(request).remove_volume(request.match_info["name"])
    return _empty()


@routes.post("/networks/create")
async def create_network(request: web.Request) -> web.Response:
    made = _life(request).add_network(await _body(request))
    return web.json_response({"Id": made["Id"], "Warning": ""}, status=201)


@routes.get("/networks")
async def list_networks(request: web.Request) -> web.Response:
    wanted = _filters(request)
    found = [
        network
        for network in _life(request).networks.values()
        if labels_match(network["Labels"], wanted.get("label", []))
        and network["Name"] in wanted.get("name", [network["Name"]])
    ]
    return web.json_response(found)


@routes.get("/networks/{id}")
async def inspect_network(request: web.Request) -> web.Response:
    return web.json_response(_life(request).network(request.match_info["id"]))


@routes.delete("/networks/{id}")
async def remove_network(request: web.Request) -> web.Response:
    life = _life(request)
    del life.networks[life.network(request.match_info["id"])["Id"]]
    return _empty()


@asynccontextmanager
async def _listening(life: Life, since: str) -> AsyncIterator[asyncio.Queue[Body]]:
    queue: asyncio.Queue[Body] = asyncio.Queue()
    for event in life.events_since(since):
        queue.put_nowait(event)
    life.listeners.add(queue)
    try:
        yield queue
    finally:
        life.listeners.discard(queue)


@routes.get("/events")
async def events(request: web.Request) -> web.StreamResponse:
    wanted = _filters(request)
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    since, only_past = request.query.get("since", ""), "until" in request.query
    async with _listening(_life(request), since) as queue:
        with suppress(ConnectionError):  # nobody listens any more
            while not (only_past and queue.empty()):
                event = await queue.get()
                if event_matches(event, wanted):
                    await answer.write(json.dumps(event).encode() + b"\n")
    return answer
