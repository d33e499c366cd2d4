"""``labhub user``: the life of local accounts. Parses and prints; people.py does the work."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from auth.local.errors import AccountsError, RefusedError
from auth.local.offboard import Hub, HubError, Offboarded, offboard
from auth.local.place import Place, read_place

NAME = click.argument("name")


@click.group()
def user() -> None:
    """Local accounts: add people, send them setup links, lock them out."""


@contextmanager
def opened() -> Iterator[Place]:
    """Open the accounts of this instance; whatever is wrong becomes one sentence and status 1."""
    try:
        place = read_place(os.environ, _config_option())
        _require_local(place)
        _open(place)
        yield place
    except (AccountsError, RefusedError) as error:
        raise click.ClickException(str(error)) from None


def _require_local(place: Place) -> None:
    if place.provider != "local":
        raise RefusedError(
            f"Accounts are managed at the login provider {place.provider!r} (login.provider in "
            "labhub.yaml): add, lock and group people there."
        )


def _open(place: Place) -> None:
    # Django is set up only once a command really runs, so that `labhub --help` stays quick.
    from django.conf import settings  # noqa: PLC0415

    from auth.local.start import prepare, start  # noqa: PLC0415

    if not settings.configured:
        start(place, is_service=False)
    prepare(place)


def _config_option() -> Path | None:
    """Return what was given before the verb as --config."""
    given = click.get_current_context().find_root().params.get("config")
    return Path(given) if given else None


def with_accounts(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command the place, and turn refusals into one sentence."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - what click parsed
        with opened() as place:
            command(place, *args, **kwargs)

    return run


@user.command()
@NAME
@click.option("--admin", is_flag=True, help="May administer the lab.")
@click.option("--name", "display_name", default="", help="The person's name, as others read it.")
@click.option("--email", default="", help="E-mail address; nothing is sent to it.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@with_accounts
def add(  # noqa: PLR0913 - one parameter for each option
    place: Place, name: str, *, admin: bool, display_name: str, email: str, password_stdin: bool
) -> None:
    """Add an account and print the link with which the person sets a password."""
    from auth.local import people  # noqa: PLC0415

    password = _read_password() if password_stdin else ""
    account = people.add(name, is_admin=admin, name=display_name, email=email, password=password)
    click.echo(f"Added {account}{' as an admin' if admin else ''}.")
    if not password:
        _print_link(people.make_link(account, place.service_url))


@user.command()
@NAME
@with_accounts
def link(place: Place, name: str) -> None:
    """Print a new setup link: for a lost password, or when the first link is too old."""
    from auth.local import people  # noqa: PLC0415

    _print_link(people.make_link(people.find(name), place.service_url))


@user.command()
@NAME
@with_accounts
def lock(place: Place, name: str) -> None:
    """Lock an account: no sign-in, tokens revoked, servers stopped. Files stay."""
    from auth.local import people  # noqa: PLC0415

    account = people.find(name)
    people.lock(account)
    try:
        closed = offboard(_hub(place), account.username)
    except HubError as error:
        message = (
            f"{name} is locked, but servers and tokens at the hub could not be ended because "
            f"{error}: run labhub user lock {name} again once the hub is up."
        )
        raise RefusedError(message) from None
    click.echo(f"Locked {name}: {_closed(closed)}.")


@user.command()
@NAME
@with_accounts
def unlock(_place: Place, name: str) -> None:
    """Unlock an account: the person signs in with the password they had."""
    from auth.local import people  # noqa: PLC0415

    people.unlock(people.find(name))
    click.echo(f"Unlocked {name}.")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_accounts
def list_(_place: Place, *, as_json: bool) -> None:
    """List all accounts."""
    from auth.local import people  # noqa: PLC0415

    rows = people.overview()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("No accounts yet: labhub user add NAME --admin creates the first.")
    for row in rows:
        click.echo(_line(row))


@user.command()
@NAME
@click.option("--add", "joining", multiple=True, metavar="USER", help="Add this user.")
@click.option("--remove", "leaving", multiple=True, metavar="USER", help="Remove this user.")
@with_accounts
def group(_place: Place, name: str, joining: tuple[str, ...], leaving: tuple[str, ...]) -> None:
    """Change who is in a group, and print its members."""
    from auth.local import people  # noqa: PLC0415

    members = people.change_group(name, add=joining, remove=leaving)
    click.echo(f"{name}: {', '.join(members) if members else 'nobody'}")


def _read_password() -> str:
    """Return the first line of standard input."""
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        message = "No password on standard input: pipe one line into --password-stdin."
        raise RefusedError(message)
    return password


def _print_link(url: str) -> None:
    click.echo("Open this link to set the password (works once, for 48 hours):")
    click.echo(url)


def _hub(place: Place) -> Hub:
    try:
        token = place.cli_token_file.read_text(encoding="utf-8").strip()
    except OSError:
        raise HubError(f"{place.cli_token_file} cannot be read") from None
    return Hub(place.hub_api_url, token)


def _closed(closed: Offboarded) -> str:
    """Say what was closed, in words."""
    return f"{_count(closed.servers, 'server')} stopped, {_count(closed.tokens, 'token')} revoked"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(row: dict[str, Any]) -> str:
    """Return one account in one line."""
    states = [word for word, holds in _states(row) if holds]
    return f"{row['user']:<32}{', '.join(states) or '-':<24}{', '.join(row['groups']) or '-'}"


def _states(row: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    return (
        ("admin", row["admin"]),
        ("locked", row["locked"]),
        ("no password yet", not row["has_password"]),
    )
