"""What the hub says of itself, in a file that `labhub status` reads: whole or not at all."""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hub_config.reload import Reading
from spawner.devices import Device
from spawner.runs import Holder

FILE = "status.json"
LOCK = "hub.lock"


def describe(
    reading: Reading,
    trouble: str,
    late: Mapping[Holder, tuple[str, ...]],
    devices: Sequence[Device] = (),
) -> dict[str, Any]:
    """Return the facts as JSON has them; `trouble` is the engine's, empty while it answers."""
    return {
        "config": {
            "valid": not reading.errors,
            "read_at": reading.at.isoformat(timespec="seconds"),
            "errors": [str(each) for each in reading.errors],
            "waits": list(reading.waits),
        },
        "engine": {"answers": not trouble, "trouble": trouble},
        "devices": [{"id": each.id, "places": each.places} for each in devices],
        "late": [
            {"user": holder.user, "server": holder.server, "why": list(sentences)}
            for holder, sentences in sorted(late.items())
        ],
    }


def write_status(state_dir: Path, facts: Mapping[str, Any]) -> None:
    """Put the facts where `read_status` finds them; raises OSError."""
    new = state_dir / f".{FILE}.new"
    new.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    new.chmod(0o600)
    new.replace(state_dir / FILE)


def read_status(state_dir: Path) -> dict[str, Any]:
    """Return what the hub wrote last; nothing where none ever ran. Raises OSError, ValueError."""
    try:
        facts = json.loads((state_dir / FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(facts, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what any damaged file raises
    return facts


def hub_runs(state_dir: Path) -> bool:
    """Whether a hub holds this instance now: it keeps its lock for as long as it lives."""
    try:
        descriptor = os.open(state_dir / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
