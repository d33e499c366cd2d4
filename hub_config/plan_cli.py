"""`labhub quota plan`: what another labhub.yaml would change. Reads, prints, changes nothing."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hub_config.explain import shown
from hub_config.instance import Instance, InstanceError, read_instance
from hub_config.people import PeopleUnknown, choices, people
from hub_config.plan import (
    Change,
    File,
    Followed,
    Sums,
    World,
    by_rule,
    changes,
    followed,
    sums,
)
from hub_config.reading import read_document
from hub_config.reload import waits
from hub_config.sizes import format_bytes
from hub_config.tables import table
from spawner.admission import Room
from spawner.capacity import capacity
from spawner.machine import Machine, MachineUnknownError
from spawner.memory import CgroupMeter
from spawner.quota import Person, at_the_lab
from spawner.resize import Limits, Standing
from spawner.store import Ledger, Store, StoreError


@click.command()
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes and seconds.")
@click.pass_obj
def plan(file: Path, new: Path, *, as_json: bool) -> None:
    """Print what NEW would change: for whom, for which running servers, and whether it fits."""
    old_file = File(*read_document(file), file.name)
    new_file = File(*read_document(new, os.environ), new.name)
    try:
        world = _world(file, old_file, new_file)
    except (PeopleUnknown, StoreError) as error:
        raise click.ClickException(str(error)) from None
    moment = at_the_lab(new_file.config, datetime.now().astimezone())
    found = tuple(changes(old_file, new_file, world.people.values(), moment))
    follow = followed(found, new_file.config, world, moment)
    total = sums(world, follow)
    needs = waits(old_file.config, new_file.config)
    if as_json:
        click.echo(json.dumps(_facts(found, follow, total, needs), indent=2))
    else:
        click.echo("\n".join(_lines(found, follow, total, needs)))


def _world(file: Path, old: File, new: File) -> World:
    """Return all that is known; where no lab runs, the people of the files."""
    names = (*old.config.quotas.users, *new.config.quotas.users)
    named = {name: Person(name) for name in names}
    try:
        instance = read_instance({**os.environ, "LABHUB_CONFIG": str(file)})
    except InstanceError:
        click.echo("No lab runs from here, so only people named in the files are known.", err=True)
        return World(named, (), {}, Room())
    known = {**named, **people(instance.state_dir)}
    servers = tuple(_servers(instance, known))
    meter = CgroupMeter(instance.cgroup_dir)
    held = {each.run.name: meter.held_bytes(each.run.container) for each in servers}
    try:
        facts = Machine(instance.proc_dir, meter).look([each.run.container for each in servers])
    except MachineUnknownError as error:
        raise click.ClickException(f"what this machine has cannot be read ({error})") from None
    return World(known, servers, held, capacity(new.config.host, facts))


def _servers(instance: Instance, known: Mapping[str, Person]) -> Iterator[Standing]:
    """Yield the servers that run."""
    path = instance.state_dir / "labhub.sqlite"
    if not path.exists():
        return
    chosen, store = choices(instance.state_dir), Store(f"sqlite:///{path}")
    try:
        runs = store.transact(Ledger.open_runs)
    finally:
        store.close()
    for run in runs:
        if run.container and run.pids:
            person = known.get(run.holder.user, Person(run.holder.user, run.groups))
            limits = Limits(run.cpus, run.memory_bytes, run.pids)
            yield Standing(run, limits, person, chosen.get(run.holder, {}))


# for programs


def _facts(
    found: tuple[Change, ...], follow: tuple[Followed, ...], total: Sums, needs: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "changes": [
            {
                "user": each.user,
                "number": each.key,
                "before": each.before,
                "after": each.after,
                "rule": each.rule,
            }
            for each in found
        ],
        "servers": [
            {
                **each.standing.run.holder._asdict(),
                "now": {key: list(pair) for key, pair in each.now.items()},
                "next_start": {key: list(pair) for key, pair in each.next_start.items()},
                "waits": list(each.waits),
            }
            for each in follow
        ],
        "memory": {
            "for_servers": total.room_bytes,
            "promised": total.before_bytes,
            "then": total.after_bytes,
            "fits": total.fits,
        },
        "needs_up": list(needs),
    }


# for people


def _lines(
    found: tuple[Change, ...], follow: tuple[Followed, ...], total: Sums, needs: tuple[str, ...]
) -> Iterator[str]:
    if found:
        yield from table(("number", "now", "then", "rule", "who"), by_rule(found))
    else:
        yield "Nobody's numbers change."
    if follow:
        yield ""
        yield "Servers that run:"
        for each in follow:
            yield from _server(each)
    yield from ([""] if needs or total.room_bytes is not None else [])
    yield from needs
    if total.room_bytes is not None:
        yield _machine(total)


def _server(each: Followed) -> Iterator[str]:
    name = each.standing.run.holder.text
    for when, pairs in (("at once", each.now), ("at its next start", each.next_start)):
        told = [
            f"{key} {shown(key, was)} → {shown(key, then)}" for key, (was, then) in pairs.items()
        ]
        if told:
            yield f"  {name}: {', '.join(told)}, {when}"
    yield from (f"  {name}: {sentence}" for sentence in each.waits)


def _machine(total: Sums) -> str:
    """Say whether what is promised can be had."""
    room, then = format_bytes(total.room_bytes or 0), format_bytes(total.after_bytes)
    before = format_bytes(total.before_bytes)
    if total.fits:
        return f"Memory: {then} of {room} for servers are promised then, {before} are now."
    return (
        f"Memory: {then} are promised then, {before} are now, and this machine has {room} for "
        "servers: no further server can start until some stop."
    )
