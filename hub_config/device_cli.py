"""`labhub device` and `labhub lease`: the machine's GPUs, and who has which. Parses and prints."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hub_config.instance import Instance
from hub_config.sizes import format_bytes
from hub_config.stores import instance_of, status_of, transact
from hub_config.tables import clock, table
from spawner.devices import Device
from spawner.gpu_view import Seen, Sight
from spawner.messages import devices
from spawner.messages import leases as messages
from spawner.runs import Run
from spawner.scene import Records, standing
from spawner.store import Ledger


@click.group()
def device() -> None:
    """Look at the machine's GPUs."""


@click.group()
def lease() -> None:
    """Look at who has which GPU."""


@device.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_devices(file: Path, *, as_json: bool) -> None:
    """Print every GPU, and which servers have it."""
    instance = instance_of(file)
    runs, status = _runs(instance), status_of(instance)
    drained = {each.device for each in transact(instance, Ledger.drains, otherwise=())}
    known = status.get("devices", ())
    told = status.get("gpus", {})
    facts = [
        {
            **each,
            **_held(each, device),
            "draining": each["id"] in drained,
            "held_by": [run.holder.text for run in runs if each["id"] in run.devices],
        }
        for each, device in zip(known, _standing(known, runs, told), strict=True)
    ]
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    rows = [(*_row(each), ", ".join(each["held_by"]) or "nobody") for each in facts]
    seen = any("model" in each for each in known)
    columns = ("device", "free", *(("model", "memory", "busy") if seen else ()), "held by")
    lines = table(columns, rows)
    click.echo("\n".join(lines) or "Docker names no GPU here, and labhub.yaml lists none.")
    for each in facts:
        if each.get("why"):
            click.echo(f"{each['id']}: {each['why']}")
        if each["draining"]:
            click.echo(f"{each['id']}: {messages.DRAINED}")
    for each in told.get("unshared", ()):
        click.echo(devices.unshared(each))
    if trouble := told.get("trouble"):
        click.echo(trouble)


def _standing(
    known: Sequence[dict[str, Any]], runs: tuple[Run, ...], told: dict[str, Any]
) -> tuple[Device, ...]:
    """Return the devices as open runs leave them for others."""
    found = [Device(each["id"], each["places"]) for each in known]
    seen = tuple(Seen(each) for each in told.get("seen", ()))
    return standing(found, Records(runs), Sight(seen, parts=told.get("parts", {})))


def _held(facts: dict[str, Any], device: Device) -> dict[str, Any]:
    """Return what is another than the hub says, because of who has it or a part of it."""
    why = facts.get("why") or devices.overlapped(device.overlaps)
    overlaps = {"overlaps": sorted(device.overlaps)} if device.overlaps else {}
    return {"places": device.places, **overlaps, **({"why": why} if why else {})}


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    """Return what stands in the table for one device, but for who has it."""
    is_well = facts.get("healthy", True) and not facts.get("used_by_others", False)
    is_kept_back = facts["draining"] or not is_well or facts.get("overlaps")
    left = 0 if is_kept_back else facts["places"] - len(facts["held_by"])
    row = (facts["id"], f"{left} of {facts['places']}")
    if "model" not in facts:
        return row
    memory, busy = facts["memory_bytes"], facts["busy_percent"]
    return (
        *row,
        facts["model"] or "unknown",
        "unknown" if memory is None else format_bytes(memory),
        "unknown" if busy is None else f"{busy} %",
    )


@lease.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_leases(file: Path, *, as_json: bool) -> None:
    """Print every server that has GPUs: since when, until when, and which."""
    leases = [run for run in _runs(instance_of(file)) if run.devices]
    if as_json:
        click.echo(json.dumps([_facts(run) for run in leases], indent=2))
        return
    rows = [
        (run.holder.text, clock(run.began), clock(run.ends_at), ", ".join(run.devices))
        for run in leases
    ]
    lines = table(("server", "since", "until", "devices"), rows)
    click.echo("\n".join(lines) or "No server has a GPU.")


def _runs(instance: Instance) -> tuple[Run, ...]:
    """Return what was begun and has not ended: until then its devices are its own."""
    return transact(instance, Ledger.open_runs, otherwise=())


def _facts(run: Run) -> dict[str, Any]:
    return {
        **run.holder._asdict(),
        "devices": list(run.devices),
        "since": run.began.isoformat(),
        "until": None if run.ends_at is None else run.ends_at.isoformat(),
    }
