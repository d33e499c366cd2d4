"""`labhub queue`, `labhub lease release` and `lease drain`: who waits, and what admins do about it.

Parses and prints. What is written here into the store, the hub finds within seconds and acts on.
"""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hub_config.device_cli import lease
from hub_config.instance import Instance
from hub_config.status import hub_runs
from hub_config.stores import instance_of, status_of, transact
from hub_config.tables import clock, table
from spawner import board, orders
from spawner.messages import leases as messages
from spawner.store import Ledger

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def queue() -> None:
    """Look at who waits for GPUs or memory, and change the order."""


@queue.command("list")
@AS_JSON
@click.pass_obj
def list_queue(file: Path, *, as_json: bool) -> None:
    """Print every start that waits, in the order in which they are served."""
    instance = instance_of(file)
    tickets = transact(instance, Ledger.tickets, otherwise=())
    facts = sorted(map(board.ticket, tickets), key=_told(instance))
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    lines = table(
        ("place", "server", "waits for", "asks for", "waits since", "starts about"),
        [_row(each) for each in facts],
    )
    click.echo("\n".join(lines) or messages.NOBODY_WAITS)


@queue.command("move")
@click.argument("server")
@click.argument("place", type=click.Choice(["first", "last", "back"]))
@AS_JSON
@click.pass_obj
def move(file: Path, server: str, place: str, *, as_json: bool) -> None:
    """Serve SERVER (USER or USER/NAME) before all others, behind all, or in its own turn again."""
    _order(file, place, server)
    _say(as_json, {"moved": server, "to": place}, messages.MOVED[place].format(server=server))


@queue.command("remove")
@click.argument("server")
@AS_JSON
@click.pass_obj
def remove(file: Path, server: str, *, as_json: bool) -> None:
    """Take SERVER (USER or USER/NAME) out of the queue; its start ends with a sentence."""
    _order(file, "remove", server)
    _say(as_json, {"removed": server}, messages.removed(server))


@lease.command("release")
@click.argument("server")
@AS_JSON
@click.pass_obj
def release(file: Path, server: str, *, as_json: bool) -> None:
    """End the server of a lease (USER or USER/NAME), so that its GPUs go on to the next."""
    if not hub_runs(instance_of(file).state_dir):
        raise click.ClickException(messages.HUB_DOWN)
    _order(file, "release", server)
    _say(as_json, {"released": server}, messages.released(server))


@lease.command("drain")
@click.argument("device")
@click.option("--undo", is_flag=True, help="Give it out again.")
@AS_JSON
@click.pass_obj
def drain(file: Path, device: str, *, undo: bool, as_json: bool) -> None:
    """Give DEVICE (its UUID) to nobody new, before maintenance; who has it keeps it."""
    known = [str(each["id"]) for each in status_of(instance_of(file)).get("devices", ())]
    if device not in known and not undo:
        raise click.ClickException(messages.no_such_device(device, known))
    _order(file, "undrain" if undo else "drain", device)
    _say(as_json, {"device": device, "draining": not undo}, messages.drained(device, undo=undo))


def _order(file: Path, order: str, subject: str) -> None:
    """Note an order, or end with a sentence where there is nothing to order about."""

    def work(ledger: Ledger) -> bool:
        return orders.ORDERS[order](ledger, subject, "")

    if not transact(instance_of(file), work, otherwise=False):
        raise click.ClickException(messages.nothing_done(order, subject))


def _told(instance: Instance) -> Callable[[dict[str, Any]], int]:
    """Return what puts starts in order: the place that the hub told, which is noted in each."""
    facts = status_of(instance).get("queue", ()) if hub_runs(instance.state_dir) else ()
    told = {(each["user"], each["server"]): each for each in facts}

    def place(each: dict[str, Any]) -> int:
        found = told.get((each["user"], each["server"]))
        if found is None:
            return len(told) + 1
        each.update(position=found["position"], eta=found["eta"])
        return int(found["position"])

    return place


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        "?" if each["position"] is None else str(each["position"]),
        each["name"],
        each["waits_for"],
        each["asks_for"],
        clock(datetime.fromisoformat(each["since"])),
        clock(None if each["eta"] is None else datetime.fromisoformat(each["eta"])),
    )


def _say(as_json: bool, facts: dict[str, Any], sentence: str) -> None:  # noqa: FBT001
    click.echo(json.dumps(facts, indent=2) if as_json else sentence)
