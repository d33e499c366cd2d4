"""`labhub quota`: who may use how much, and why. Parses and prints; needs no running hub."""

import json
import os
from datetime import datetime
from pathlib import Path

import click

from hub_config.explain import explanation, rule, shown
from hub_config.instance import InstanceError, read_instance
from hub_config.moments import parse_since
from hub_config.people import PeopleUnknown, people
from hub_config.plan_cli import plan
from hub_config.reading import read_document
from hub_config.schema import Config
from hub_config.tables import table
from spawner.quota import Person, at_the_lab


@click.group()
def quota() -> None:
    """Show who may use how much, and what a new file would change."""


@quota.command()
@click.argument("user")
@click.option("--groups", metavar="A,B", help="The user's groups, instead of those the hub knows.")
@click.option("--at", metavar="TIME", help="Then instead of now, like 2026-12-04 18:00.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes and seconds.")
@click.pass_obj
def show(file: Path, user: str, groups: str | None, at: str | None, *, as_json: bool) -> None:
    """Print each number of a user, and the rule that gives it."""
    config, document = read_document(file)
    person = Person(user, _given(groups)) if groups is not None else _known(file, user)
    moment = _moment(config, at)
    found = explanation(config, document, person, moment)
    if as_json:
        facts = {"user": user, "groups": sorted(person.groups), "at": moment.isoformat()}
        click.echo(json.dumps({**facts, "quota": found}, indent=2))
        return
    rows = [(key, shown(key, each["value"]), rule(each, file.name)) for key, each in found.items()]
    members = f"member of {', '.join(sorted(person.groups))}" if person.groups else "in no group"
    click.echo(f"{user}, {members}, on {moment:%A, %Y-%m-%d %H:%M %Z}:")
    click.echo("\n".join(table(("number", "value", "rule"), rows)))


def _given(groups: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip() for name in groups.split(","))))


def _known(file: Path, user: str) -> Person:
    """Return the user as the hub knows them; in no group, and told so, where no hub is."""
    try:
        state_dir = read_instance({**os.environ, "LABHUB_CONFIG": str(file)}).state_dir
    except InstanceError:
        click.echo("No lab runs from here, so no groups are known; --groups names some.", err=True)
        return Person(user)
    try:
        return people(state_dir).get(user) or _stranger(user)
    except PeopleUnknown as error:
        raise click.ClickException(str(error)) from None


def _stranger(user: str) -> Person:
    click.echo(f"{user} has not signed in here yet, so no groups are known.", err=True)
    return Person(user)


def _moment(config: Config, at: str | None) -> datetime:
    """Return the moment that is meant, in the lab's time zone."""
    now = at_the_lab(config, datetime.now().astimezone())
    if at is None:
        return now
    try:
        moment = parse_since(at)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    if moment.tzinfo is not None:
        return at_the_lab(config, moment)
    return moment.replace(tzinfo=now.tzinfo) if config.hub.timezone else moment.astimezone()


quota.add_command(plan)
