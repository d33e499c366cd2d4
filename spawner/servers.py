"""Which named servers a person may make. Pure.

`servers` of a quota counts the one without a name, too: 1 means no named ones. What was made while
a quota was larger stays, and may be started and deleted; how many run at a time is decided at each
start (spawner/admission.py).
"""

import re
from collections.abc import Collection

from spawner.messages import quotas as messages

# JupyterHub's own rule since version 6.
_NAME = re.compile(r"[a-z](?:-?[a-z0-9]){0,29}", re.ASCII)
NAME_LENGTH = 30
# The first words of what the server without a name answers at /user/NAME/: a server of this name
# would stand in its way.
RESERVED = frozenset({
    "api", "consoles", "custom", "doc", "edit", "extensions", "files", "kernelspecs", "lab", "lsp",
    "metrics", "nbclassic", "nbconvert", "nbextensions", "notebooks", "proxy", "retro", "services",
    "static", "terminals", "tree", "view", "voila", "workspaces",
})  # fmt: skip


def name_problem(name: object, owned: Collection[str], most: int) -> str:
    """Return why a person may not have a server of this name, empty when they may.

    `owned` are the names of those they have, "" among them or not; `most` is their quota's number.
    """
    if isinstance(name, str) and name in owned:
        return ""
    if not isinstance(name, str) or len(name) > NAME_LENGTH or _NAME.fullmatch(name) is None:
        return messages.NAME_NOT_A_WORD
    if name in RESERVED:
        return messages.name_reserved(name)
    return "" if left(owned, most) else messages.named_servers_full(most)


def left(owned: Collection[str], most: int) -> int:
    """Return how many named servers a person may still make."""
    return max(0, most - 1 - len(set(owned) - {""}))
