"""Every GPU, who has it until when, and who waits, as pages and commands show it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from spawner.devices import Device
from spawner.messages import leases as messages
from spawner.place import Place
from spawner.runs import Holder, Run
from spawner.scene import Records, due_at
from spawner.waiting import Waiting


def devices(
    found: Sequence[Device], records: Records, told: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return each GPU with the servers that have it, also one that is not seen any more.

    `told` is what the driver says of the devices, each with its `id`.
    """
    said = {each["id"]: each for each in told}
    drains = {each.device: each for each in records.drains}
    known = {each.id: each for each in found}
    held = {device for run in records.runs for device in run.devices}
    unseen = [Device(each, healthy=False) for each in sorted(held - known.keys())]
    return [
        {
            **said.get(each.id, {}),
            "load": messages.load(said.get(each.id, {})),
            "id": each.id,
            "places": each.places,
            "healthy": each.healthy,
            "seen": each.id in known,
            "used_by_others": each.used_by_others,
            "overlaps": sorted(each.overlaps),
            "draining": each.draining or each.id in drains,
            "drained_by": drains[each.id].actor if each.id in drains else "",
            "leases": [lease(run) for run in records.runs if each.id in run.devices],
        }
        for each in (*found, *unseen)
    ]


def lease(run: Run) -> dict[str, Any]:
    """Return who has GPUs, since when, and until when at the least (None: as long as they like)."""
    until = run.ends_at if run.warned_at is not None else due_at(run)
    return {
        **run.holder._asdict(),
        "name": run.holder.text,
        "devices": list(run.devices),
        "since": run.began.isoformat(),
        "until": _text(until),
        "unclaimed": run.offered is not None,
    }


def queue(tickets: Sequence[Waiting], places: Mapping[Holder, Place]) -> list[dict[str, Any]]:
    """Return who waits, the next one first, and last those whose place is not known yet."""
    far = len(tickets) + 1

    def position(waiting: Waiting) -> int:
        place = places.get(waiting.holder)
        return far if place is None else place.position

    return [ticket(each, places.get(each.holder)) for each in sorted(tickets, key=position)]


def ticket(waiting: Waiting, place: Place | None = None) -> dict[str, Any]:
    """Return a start that waits: for what, since when, and when it starts if that is known."""
    return {
        **waiting.holder._asdict(),
        "name": waiting.holder.text,
        "position": None if place is None else place.position,
        "gpus": waiting.gpus,
        "memory_bytes": waiting.memory_bytes,
        "cpus": waiting.cpus,
        "asked_seconds": waiting.asked_seconds,
        "waits_for": messages.waits_for(waiting.gpus, waiting.memory_bytes),
        "asks_for": messages.asks_for(waiting.asked_seconds),
        "since": waiting.since.isoformat(),
        "eta": None if place is None else place.moment,
        "rank": waiting.rank,
        "lost_at": _text(waiting.lost_at),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
