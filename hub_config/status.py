"""What the hub says of itself, in a file that `labhub status` reads: whole or not at all."""

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub_config.reload import Reading
from spawner.devices import Device
from spawner.gpu_view import Sight
from spawner.messages import devices as messages
from spawner.place import Place
from spawner.runs import Holder

FILE = "status.json"
LOCK = "hub.lock"
NOTHING = Sight()


@dataclass(frozen=True, slots=True)
class Known:
    """What the hub knows beside labhub.yaml; `trouble` is the engine's, empty while it answers."""

    trouble: str = ""
    late: Mapping[Holder, tuple[str, ...]] = field(default_factory=dict)
    devices: Sequence[Device] = ()
    sight: Sight = NOTHING
    places: Mapping[Holder, Place] = field(default_factory=dict)
    unshared: Sequence[str] = ()


def describe(reading: Reading, known: Known) -> dict[str, Any]:
    """Return the facts as JSON has them."""
    trouble, sight = known.trouble, known.sight
    return {
        "config": {
            "valid": not reading.errors,
            "read_at": reading.at.isoformat(timespec="seconds"),
            "errors": [str(each) for each in reading.errors],
            "waits": list(reading.waits),
        },
        "engine": {"answers": not trouble, "trouble": trouble},
        "gpus": {
            "driver": sight.driver,
            "trouble": sight.trouble,
            "unshared": list(known.unshared),
            "seen": [each.id for each in sight.seen],
            "parts": dict(sight.parts),
        },
        "devices": [device_facts(each, sight) for each in known.devices],
        "queue": [
            {**holder._asdict(), "position": place.position, "eta": place.moment}
            for holder, place in known.places.items()
        ],
        "late": [
            {"user": holder.user, "server": holder.server, "why": list(sentences)}
            for holder, sentences in sorted(known.late.items())
        ],
    }


def device_facts(device: Device, sight: Sight) -> dict[str, Any]:
    """Return what is known of a device; more than its name only where the driver is asked."""
    facts = {"id": device.id, "places": device.places}
    used = {"used_by_others": True, "why": messages.CLAIMED} if device.used_by_others else {}
    if not sight.seen:
        return {**facts, **used}
    seen = next((each for each in sight.seen if each.id == device.id), None)
    why = messages.UNSEEN if seen is None else messages.quarantined(seen.health)
    numbers = ("model", "memory_bytes", "used_bytes", "busy_percent")
    return {
        **facts,
        **{name: getattr(seen, name, None) for name in numbers},
        "driver": sight.driver,
        "healthy": device.healthy,
        "used_by_others": device.used_by_others,
        "why": why
        or (messages.USED_BY_OTHERS if seen is not None and seen.used_by_others else "")
        or used.get("why", "")
        or messages.overlapped(device.overlaps),
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
