"""The end of servers that nobody uses: jupyterhub-idle-culler, with the hub's own judgement.

What JupyterHub calls activity is messages of kernels, so a kernel that computes for hours without
a word would count as idle (jupyterhub#1498). Here the timekeeper is the culler's arbiter. It also
calls the culler, when there is something to do: a hub whose servers are all used asks nothing.
"""

import logging
from collections.abc import Callable
from typing import Any

from jupyterhub_idle_culler import cull_idle

from spawner.runs import Holder

NAME = "idle-culler"
# What the culler may do: see which servers there are, and end them.
SCOPES = ["list:users", "read:users:name", "read:users:activity", "read:servers", "delete:servers"]

log = logging.getLogger(__name__)


async def cull(api_url: str, token: str, is_idle: Callable[[Holder], bool]) -> None:
    """End every server of which `is_idle` says so, through the hub's API at `api_url`."""

    def arbiter(*, server: dict[str, Any], **_by_messages: object) -> bool:
        return is_idle(_holder(server))

    await cull_idle(
        url=api_url, api_token=token, inactive_limit=0, logger=log, cull_arbiter=arbiter
    )


def _holder(server: dict[str, Any]) -> Holder:
    """Return whose server a model of the API is about."""
    user, _, name = str(server["full_name"]).partition("/")
    return Holder(user, name)
