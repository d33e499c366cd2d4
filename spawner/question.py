"""What a server says of itself when asked: whether a kernel computes, when it was last used."""

from datetime import UTC, datetime
from typing import Any

import aiohttp

from spawner.idleness import Answer

ANSWER_SECONDS = 5
# Without it the question itself would be activity.
UNNOTICED = {"no_track_activity": "1"}
QUIET = "idle"


async def ask(url: str, token: str) -> Answer | None:
    """Ask the server at `url` (with its final slash); None when it does not say."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"token {token}"}
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            kernels = await _json(session, f"{url}api/kernels")
            status = await _json(session, f"{url}api/status")
            return answer(kernels, status)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError, LookupError):
        return None


async def _json(session: aiohttp.ClientSession, url: str) -> Any:  # noqa: ANN401 - JSON
    async with session.get(url, params=UNNOTICED, raise_for_status=True) as response:
        return await response.json()


def answer(kernels: list[dict[str, Any]], status: dict[str, Any]) -> Answer:
    """Read what the server said; a kernel that is not quiet computes."""
    said = status.get("last_activity")
    moment = datetime.fromisoformat(said) if said else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Answer(any(each["execution_state"] != QUIET for each in kernels), moment)
