"""From a container back to its run, for when the store lost it. Pure.

    cpus, memory, pids, shm    what the container has: it follows labhub.yaml while the server runs
    GPUs, groups, times        what its labels say from the beginning, because no engine knows it
    extensions of a session    lost; the session is as long as when it began

What cannot be read is nothing. Admission counts a run without pids for all its person may have.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from spawner.container import RUN_LABEL, holder_of
from spawner.engine_answers import Container
from spawner.resize import Limits, limits_of
from spawner.runs import Run

NONE = Limits(0.0, 0, 0)
CENTURY_SECONDS = 100 * 366 * 86_400
MOST = 1 << 53


def run_of(state: Container, now: datetime) -> Run:
    """Return the run of a container as the container itself tells it."""
    kept, limits = _kept(state.labels), _limits(state.made.host_config)
    began, session = state.started_at or now, _count(kept, "session_seconds", CENTURY_SECONDS)
    return Run(
        name=state.name,
        holder=holder_of(state.labels),
        image=state.labels.get("labhub.image", ""),
        memory_bytes=limits.memory_bytes,
        began=began,
        container=state.id,
        cpus=limits.cpus,
        pids=limits.pids,
        gpus=_count(kept, "gpus") or 0,
        shm_bytes=_count(state.made.host_config, "ShmSize") or 0,
        groups=_words(kept, "groups"),
        devices=tuple(sorted(_words(kept, "devices"))),
        alone=_words(kept, "alone"),
        session_seconds=session,
        idle_seconds=_count(kept, "idle_seconds"),
        extend_seconds=_count(kept, "extend_seconds"),
        ends_at=None if session is None else began + timedelta(seconds=session),
    )


def _kept(labels: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what the label holds; a container of an older labhub has none."""
    try:
        kept = json.loads(labels.get(RUN_LABEL, ""))
    except (ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _limits(host_config: Mapping[str, Any]) -> Limits:
    try:
        return limits_of(host_config)
    except (LookupError, TypeError, ValueError):
        return NONE


def _count(facts: Mapping[str, Any], key: str, most: int = MOST) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and 0 <= value <= most else None


def _words(facts: Mapping[str, Any], key: str) -> frozenset[str]:
    words = facts.get(key)
    return frozenset(map(str, words)) if isinstance(words, list) else frozenset()
