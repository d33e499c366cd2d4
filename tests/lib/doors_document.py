"""The hub's doors as an OpenAPI document: what may come in by each, for tools that make requests.

It says what is right about each option, so that a tool knows what is wrong, too. It says nothing of
answers: which one is right depends on what runs at that moment.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

TEXT, ANSWERS = {"type": "string"}, {"default": {"description": "see spawner/messages"}}
SIZE = {"type": "string", "pattern": r"^[1-4] GiB$|^(64|512|4096) MiB$", "examples": ["512 MiB"]}
SPAN = {"type": "string", "pattern": r"^[1-8] h$|^[1-9][0-9] min$", "examples": ["4 h"]}
IMAGE = {"type": "string", "enum": ["tensorflow"]}
NUMBER = {"type": "number", "minimum": 0.01, "maximum": 2, "examples": [0.5]}
WRITTEN = {"type": "string", "pattern": r"^(1|2|0\.5|1\.25)$", "examples": ["0.5"]}
NO_GPU = {"type": "integer", "minimum": 0, "maximum": 0}

# A hub has a few names only; most requests must meet a server that is there, or just was.
PARTS = {
    "user": {"type": "string", "enum": ["ada", "bob"]},
    "server": {"type": "string", "enum": ["day", "night"]},
}
KINDS = {"form": "application/x-www-form-urlencoded", "json": "application/json"}


def closed(properties: Json, *required: str) -> Json:
    """Return an object that may have these keys and no others."""
    shape: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return shape | ({"required": list(required)} if required else {})


OPTIONS = closed({
    "image": IMAGE, "cpus": {"anyOf": [NUMBER, WRITTEN]}, "memory": SIZE, "gpus": NO_GPU,
    "session": SPAN,
})  # fmt: skip
FORM = {"image": IMAGE, "cpus": WRITTEN, "memory": SIZE, "gpus": {"enum": ["0"]}, "session": SPAN}
STORED = {"display_name": {"type": "string", "maxLength": 40}, "user_options": OPTIONS}
WISH = closed({"do": {"type": "string", "enum": ["extend", "keep"]}}, "do")


def document() -> Json:
    """Return it: two pages and four calls that start and change servers, and those of their time.

    `operationId` is the name of the door.
    """
    asked = [{"name": f"opt-{key}", "in": "query", "schema": FORM[key]} for key in FORM]
    server, time = "/hub/api/users/{user}/server", "/time/{user}/{server}"
    paths = {
        "/hub/spawn/{user}": {"post": _call("form", form=closed(FORM))},
        "/hub/spawn/{user}/{server}": {"get": _call("query", asked)},
        server: {"post": _call("POST one", json=OPTIONS)},
        f"{server}s/{{server}}": {
            "post": _call("POST", json=OPTIONS),
            "put": _call("PUT", json=closed(STORED)),
            "patch": _call("PATCH", json=closed(STORED)),
        },
        f"/hub/api/labhub{time}": {
            "get": _call("see time"),
            "post": _call("change time", json=WISH),
        },
        f"/hub{time}": {"post": _call("time form", form=WISH)},
    }
    for path, operations in paths.items():
        operations["parameters"] = [_part(key) for key in PARTS if f"{{{key}}}" in path]
    return {"openapi": "3.0.3", "info": {"title": "labhub's doors", "version": "1"}, "paths": paths}


def _call(door: str, asked: Sequence[Json] = (), **sent: Json) -> Json:
    """Return one operation; `sent` is the shape of its body, as a form or as JSON."""
    content = {KINDS[kind]: {"schema": shape} for kind, shape in sent.items()}
    body = {"requestBody": {"content": content}} if content else {}
    return {"operationId": door, "parameters": list(asked), "responses": ANSWERS, **body}


def _part(key: str) -> Json:
    """Return a part of the path."""
    return {"name": key, "in": "path", "required": True, "schema": PARTS[key]}
