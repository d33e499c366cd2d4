"""`labhub receipts`: how a user's servers ended. Parses and prints; needs no running hub."""

import json
from pathlib import Path
from typing import Any

import click

from auth.accounts import AccountBook
from hub_config.sizes import format_bytes, format_share
from hub_config.stores import instance_of, transact
from hub_config.tables import clock, table
from spawner import messages
from spawner.ledger import RECEIPTS_PER_USER
from spawner.runs import Kind, Receipt

HEAD = ("ended", "server", "peak of memory", "why")


@click.command()
@click.argument("user")
@click.option("--server", metavar="NAME", help="Only this server of theirs; '' is the default one.")
@click.option(
    "--limit",
    type=click.IntRange(1, RECEIPTS_PER_USER),
    default=20,
    show_default=True,
    help="How many, counted from the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def receipts(file: Path, user: str, *, server: str | None, limit: int, as_json: bool) -> None:
    """Print when and why a user's servers ended, newest first."""
    instance = instance_of(file)
    require_known(instance.state_dir / "identity.sqlite", user)
    found = transact(
        instance, lambda ledger: ledger.receipts(user, RECEIPTS_PER_USER), otherwise=()
    )
    chosen = [each for each in found if server is None or each.holder.server == server][:limit]
    if as_json:
        click.echo(json.dumps([as_json_object(each) for each in chosen], indent=2))
    else:
        lines = table(HEAD, [_row(each) for each in chosen])
        click.echo("\n".join(lines) or f"No server of {user} has ended yet.")


def require_known(path: Path, user: str) -> None:
    """Refuse a name that nobody ever signed in with."""
    if not path.exists() or not _has_signed_in(path, user):  # opening a book would begin one
        raise click.ClickException(
            f"Nobody called {user!r} has signed in here; the admin page lists all users."
        )


def _has_signed_in(path: Path, user: str) -> bool:
    book = AccountBook(path)
    try:
        return book.by_name(user) is not None
    finally:
        book.close()


def as_json_object(end: Receipt) -> dict[str, Any]:
    """Return a receipt for programs; `sentence` is what its owner reads."""
    return {
        "at": end.at.isoformat(),
        "server": end.holder.server,
        "kind": end.kind.value,
        "reason": end.reason.value,
        "sentence": messages.receipt(end),
        "exit_code": end.exit_code,
        "peak_bytes": end.peak_bytes,
        "limit_bytes": end.limit_bytes,
        "actor": end.actor,
        "run": end.run,
        "log": list(end.log),
    }


def _row(end: Receipt) -> tuple[str, str, str, str]:
    """Return a receipt for people who are not the owner, in this machine's time."""
    told = messages.receipt(end, viewer="")
    return (
        clock(end.at),
        end.holder.server or "(default)",
        _memory(end),
        f"a program in it: {told}" if end.kind is Kind.KERNEL else told,
    )


def _memory(end: Receipt) -> str:
    if end.peak_bytes is None:
        return f"? of {format_bytes(end.limit_bytes)}"
    return format_share(end.peak_bytes, end.limit_bytes)
