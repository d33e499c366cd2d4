"""Starts in a lab whose hub is impatient: the API answers before those that wait are through."""

import time
from typing import Any

import requests

from spawner.runs import Holder
from spawner.store import Ledger
from tests.lib.lab import Lab

RUNS, WAITS = "", "waits"
PATIENCE_SECONDS = 30


def is_ready(lab: Lab, user: str) -> bool:
    """Return whether somebody's server runs."""
    servers = lab.api("GET", f"users/{user}").json()["servers"]
    return bool(servers.get("", {}).get("ready"))


def start(lab: Lab, user: str, **options: Any) -> str:
    """Start a server; return RUNS, WAITS while it is in the queue, or why it does neither.

    The API's answer alone does not tell: on a busy machine a start may just be slow (202), and
    after one that failed the next is 201 also while it waits.
    """
    answer = lab.api("POST", f"users/{user}/server", json=options)
    if answer.status_code not in {requests.codes.created, requests.codes.accepted}:
        return str(answer.json()["message"])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if is_ready(lab, user):
            return RUNS
        if Holder(user, "") in {each.holder for each in lab.transact(Ledger.tickets)}:
            return WAITS
        time.sleep(0.05)
    return f"not within {PATIENCE_SECONDS} s"
