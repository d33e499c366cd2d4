"""The doors by which options for a server come in: form, query, POST, PUT, PATCH.

JupyterHub's handlers store first and ask later, and some shapes of JSON make them fail with 500.
These subclasses look before: what is no option, or more than the server's owner may have, is 400
with a sentence. What counts is still decided at each start, from what holds then.
"""

# ruff: noqa: ANN401 - JupyterHub's classes have no types

import asyncio
import json
import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, NoReturn

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.apihandlers.users import UserAPIHandler, UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.pages import SpawnHandler
from tornado.web import HTTPError

from spawner.messages import quotas as messages
from spawner.options import OptionRefusedError
from spawner.servers import name_problem

# All options together are a few words and numbers.
MOST_BYTES = 16 * 1024
SERVER_ERROR = 500
PATCHED = ("name", "display_name", "user_options")

Route = tuple[Any, ...]


def with_doors(routes: Iterable[Route]) -> list[Route]:
    """Return the hub's routes with our doors in place of JupyterHub's."""
    return [(pattern, DOORS.get(door, door), *rest) for pattern, door, *rest in routes]


class NamedDoor(BaseHandler):
    """Lets a person have as many named servers as their quota says, whoever makes them."""

    async def _check_named_server_request(
        self, user: Any, server_name: Any, display_name: Any, **how: Any
    ) -> None:
        """Look at the name and the owner's quota, then let JupyterHub look."""
        most = user.spawner.entitlement.servers
        _refuse(name_problem(server_name, user.orm_spawners, most))
        await super()._check_named_server_request(user, server_name, display_name, **how)


class StrictBody(APIHandler):
    """Takes a small JSON object, or nothing at all."""

    def get_json_body(self) -> dict[str, Any] | None:
        """Return the body of the request, or answer 400 with a sentence."""
        _refuse(messages.OPTIONS_TOO_LARGE if len(self.request.body) > MOST_BYTES else "")
        if not self.request.body.strip():
            return None
        try:
            body = json.loads(self.request.body, parse_constant=_no_number)
            # A lone surrogate can be written in JSON, and nowhere else.
            json.dumps(body, ensure_ascii=False).encode()
        except UnicodeError:
            _refuse(messages.OPTIONS_NOT_TEXT)
        except (ValueError, RecursionError):
            _refuse(messages.OPTIONS_NOT_JSON)
        if body is not None and not isinstance(body, dict):
            _refuse(messages.OPTIONS_NOT_AN_OBJECT)
        return body


class ServerDoor(NamedDoor, UserServerAPIHandler, StrictBody):
    """POST, PUT and PATCH of a server."""

    def get_server_json_body(self) -> dict[str, Any]:
        """Return the body of POST and PUT, once its options are such that the owner may have.

        Without any, JupyterHub takes those of the last start; they count as none when they are more
        than the owner may have by now, because nobody chooses them today.
        """
        body: dict[str, Any] = super().get_server_json_body()
        _refuse(self._problem(body["user_options"]))
        if body["user_options"] is None and self._problem(self._from_before()):
            body["user_options"] = {}
        return body

    def get_json_body(self) -> dict[str, Any] | None:
        """Return the body; that of PATCH is looked at here, because JupyterHub does not."""
        body = super().get_json_body()
        if self.request.method == "PATCH" and body:
            unknown = sorted(key for key in body if key not in PATCHED)
            _refuse(messages.unknown_field(unknown[0], PATCHED) if unknown else "")
            for key in ("name", "display_name"):
                _refuse("" if isinstance(body.get(key, ""), str) else messages.NAME_NOT_A_WORD)
            if "user_options" in body:
                options = body["user_options"]
                _refuse(self._problem([] if options is None else options))
        return body

    def _problem(self, options: object) -> str:
        """Return why the server's owner may not choose this, empty when they may or it is None."""
        user = self.find_user(self.path_args[0])
        if user is None or options is None:
            return ""
        try:
            user.spawner.check(options)
        except OptionRefusedError as error:
            return str(error)
        return ""

    def _from_before(self) -> object:
        """Return what was chosen for this server the last time, None for nothing."""
        user = self.find_user(self.path_args[0])
        server = user.orm_spawners.get("".join(self.path_args[1:2])) if user is not None else None
        return server.user_options if server is not None else None


class Brief(logging.LoggerAdapter[logging.Logger]):
    """A log that needs no traceback of what is up to the person who asked."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Leave the traceback out where the answer is no error of the hub; the reason was said."""
        error = sys.exception()
        if isinstance(error, HTTPError) and error.status_code < SERVER_ERROR:
            return msg, {**kwargs, "exc_info": None}
        return msg, kwargs


def exception_was_seen() -> None:
    """Let nobody write that the exception of the current task, if it has one, was overlooked."""
    task = asyncio.current_task()
    if task is not None:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


class SpawnDoor(NamedDoor, SpawnHandler):
    """The start page, its form, and options in its address."""

    @property
    def log(self) -> "Brief":
        """The hub's log; JupyterHub writes a traceback there for each choice that is refused."""
        return Brief(super().log)

    async def spawn_single_user(self, *which: Any, **how: Any) -> Any:
        """Start a server; JupyterHub waits for a second, and what fails later was logged."""
        exception_was_seen()
        return await super().spawn_single_user(*which, **how)

    async def prepare(self) -> None:
        """Let nothing in that is no text, or too much of it."""
        await super().prepare()
        _refuse(messages.OPTIONS_TOO_LARGE if len(self.request.body) > MOST_BYTES else "")
        try:
            for values in self.request.arguments.values():
                b"".join(values).decode()
        except UnicodeDecodeError:
            _refuse(messages.OPTIONS_NOT_TEXT)

    def render_template(self, name: str, **facts: Any) -> Any:
        """Draw the page for the server it is about; JupyterHub takes that without a name."""
        if name == "spawn.html":
            facts["spawner"] = facts["for_user"].get_spawner("".join(self.path_args[1:2]))
        return super().render_template(name, **facts)


class UserDoor(UserAPIHandler):
    """A user, whose name stays: accounts, volumes and receipts belong to it."""

    def get_json_body(self) -> Any:
        """Return the body, unless it is a PATCH with another name.

        The same name is left out: JupyterHub 6.1.1 would take the user's name away.
        """
        body, name = super().get_json_body(), self.path_args[0]
        if self.request.method == "PATCH" and isinstance(body, dict):
            _refuse("" if body.pop("name", name) == name else messages.USER_NAMES_STAY)
        return body


DOORS: Mapping[type, type] = {
    SpawnHandler: SpawnDoor,
    UserAPIHandler: UserDoor,
    UserServerAPIHandler: ServerDoor,
}


def _refuse(sentence: str) -> None:
    """Answer 400 with a sentence, if there is one."""
    if sentence:
        raise HTTPError(400, sentence)


def _no_number(name: str) -> NoReturn:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)
