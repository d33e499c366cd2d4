"""What a server says of itself when asked: whether a kernel computes, when it was last used.

Who answers may be any program of the server's user: it may say anything, and any amount of it.
"""

import json
from datetime import UTC, datetime
from typing import Any

import aiohttp

from spawner.idleness import Answer

ANSWER_SECONDS = 5
ANSWER_BYTES = 1 << 20
# Without it the question itself would be activity.
UNNOTICED = {"no_track_activity": "1"}
QUIET = {"idle", "dead", "terminating"}


async def ask(url: str, token: str) -> Answer | None:
    """Ask the server at `url` (with its final slash); None when it does not say."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"token {token}"}
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            kernels = await _json(session, f"{url}api/kernels")
            status = await _json(session, f"{url}api/status")
            return answer(kernels, status)
    except Exception:  # noqa: BLE001 - whatever it says instead, it is no answer
        return None


async def _json(session: aiohttp.ClientSession, url: str) -> Any:  # noqa: ANN401 - JSON
    async with session.get(url, params=UNNOTICED, allow_redirects=False) as response:
        response.raise_for_status()
        said = bytearray()
        async for part in response.content.iter_any():
            said += part
            if len(said) > ANSWER_BYTES:
                raise ValueError("too long for an answer")
        return json.loads(said)


def answer(kernels: object, status: dict[str, Any]) -> Answer:
    """Read what the server said; a kernel that is not quiet computes."""
    if not isinstance(kernels, list):
        raise TypeError("not a list of kernels")
    said = status.get("last_activity")
    moment = datetime.fromisoformat(said) if said else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Answer(any(each["execution_state"] not in QUIET for each in kernels), moment)
