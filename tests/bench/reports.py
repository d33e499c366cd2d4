"""What running servers tell the hub by themselves: each, every five minutes, when it was last used.

A fake server sends nothing. This sends it for them, each report with its server's own token.
"""

import itertools
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import requests

INTERVAL_SECONDS = 300
ANSWER_SECONDS = 30


@contextmanager
def reporting(environments: Sequence[Mapping[str, str]]) -> Iterator[None]:
    """Inside, reports arrive as often as from so many servers; fails when one is refused."""
    over = threading.Event()
    refused: list[str] = []
    work = threading.Thread(target=_send, args=(environments, over, refused))
    work.start()
    try:
        yield
    finally:
        over.set()
        work.join()
    if refused:
        message = f"{len(refused)} reports were refused: {refused[0]}"
        raise RuntimeError(message)


def _send(
    environments: Sequence[Mapping[str, str]], over: threading.Event, refused: list[str]
) -> None:
    """Send one report after the other, evenly spread."""
    web = requests.Session()
    web.trust_env = False
    due = time.monotonic()
    for environment in itertools.cycle(environments):
        due += INTERVAL_SECONDS / len(environments)
        if over.wait(max(0.0, due - time.monotonic())):
            return
        answer = web.post(
            environment["JUPYTERHUB_ACTIVITY_URL"],
            headers={"Authorization": f"token {environment['JUPYTERHUB_API_TOKEN']}"},
            json=_report(environment["JUPYTERHUB_SERVER_NAME"]),
            timeout=ANSWER_SECONDS,
        )
        if not answer.ok:
            refused.append(f"{answer.status_code} {answer.text[:200]}")


def _report(server: str) -> dict[str, object]:
    """Return a report as jupyterhub-singleuser sends it."""
    now = datetime.now(UTC).isoformat()
    return {"servers": {server: {"last_activity": now}}, "last_activity": now}
