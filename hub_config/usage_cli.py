"""`labhub usage`: what was used, by whom. Parses and prints; needs no running hub."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from hub_config.instance import InstanceError, read_instance
from hub_config.moments import parse_since, parse_until
from hub_config.reading import read_document
from hub_config.receipts_cli import require_known
from hub_config.schema import Config
from hub_config.sizes import parse_seconds
from hub_config.tables import table
from spawner import usage as uses
from spawner.quota import at_the_lab
from spawner.store import Store, StoreError
from spawner.usage import HOUR_SECONDS, NO_GROUP, Amount, Span, Window

DEFAULT_SINCE = "30 d"
COLUMNS = ("gpu_seconds", "cpu_seconds", "gib_hours")
HEAD = ("GPU hours", "CPU hours", "GiB hours")
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@click.command()
@click.argument("user", required=False)
@click.option(
    "--by",
    type=click.Choice(("user", "group")),
    default="user",
    show_default=True,
    help="A row for each. Who is in two groups counts for both; the total is that of users.",
)
@click.option(
    "--since",
    metavar="WHEN",
    default=DEFAULT_SINCE,
    show_default=True,
    help="A day like 2026-12-04, a time like '2026-12-04 18:00', or a span like '7 d' before now.",
)
@click.option("--until", metavar="WHEN", help="The same; a day counts to its end. [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: seconds, and GiB-hours.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, in the same units.")
@click.pass_obj
def usage(  # noqa: PLR0913 - one for each option
    file: Path,
    user: str | None,
    *,
    by: str,
    since: str,
    until: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print what was leased to everybody, or to USER: GPUs, CPU cores and memory, times how long.

    What counts is what a server could have used, from its start to its proven end. A place on a
    shared GPU counts as a whole GPU.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other; choose one.")
    config = read_document(file)[0]
    window = _window(config, since, until, datetime.now(UTC))
    spans = _spans(file, user, window)
    found = (uses.by_user if by == "user" else uses.by_group)(spans, window)
    if as_json:
        click.echo(json.dumps(_facts(by, window, found, uses.total(spans, window)), indent=2))
    elif as_csv:
        click.echo(_csv(by, found), nl=False)
    else:
        click.echo(_text(config, by, window, found, uses.total(spans, window)))


def _window(config: Config, since: str, until: str | None, now: datetime) -> Window:
    """Return the time that is meant; it ends now at the latest."""
    begin = _moment(config, since, now, "--since")
    end = now if until is None else min(now, _moment(config, until, now, "--until"))
    if begin >= now:
        raise click.BadParameter("it lies ahead, where nothing was used yet", param_hint="--since")
    if begin >= end:
        raise click.BadParameter("it must be later than --since", param_hint="--until")
    return Window(begin, end)


def _moment(config: Config, text: str, now: datetime, option: str) -> datetime:
    """Return the moment that a text names, in the lab's time zone."""
    try:
        try:
            return now - timedelta(seconds=parse_seconds(text))
        except ValueError:
            moment = parse_until(text) if option == "--until" else parse_since(text)
        if moment.tzinfo is None:
            zone = at_the_lab(config, now).tzinfo
            moment = moment.replace(tzinfo=zone) if config.hub.timezone else moment.astimezone()
        return moment.astimezone(UTC)
    except ValueError as error:
        raise click.BadParameter(f"{error}, or a span like 7 d", param_hint=option) from None
    except OverflowError:
        raise click.BadParameter("no calendar reaches so far", param_hint=option) from None


def _spans(file: Path, user: str | None, window: Window) -> tuple[Span, ...]:
    """Return what reaches into the window. A user who used nothing must be one who signed in."""
    try:
        state_dir = read_instance({**os.environ, "LABHUB_CONFIG": str(file)}).state_dir
        found = _read(state_dir / "labhub.sqlite", user, window)
        if user is not None and not found:
            require_known(state_dir / "identity.sqlite", user)
    except (InstanceError, StoreError) as error:
        raise click.ClickException(str(error)) from None
    return found


def _read(path: Path, user: str | None, window: Window) -> tuple[Span, ...]:
    if not path.exists():
        return ()
    store = Store(f"sqlite:///{path}")
    try:
        return store.transact(lambda ledger: ledger.spans(window, user))
    finally:
        store.close()


def _facts(by: str, window: Window, found: Mapping[str, Amount], total: Amount) -> dict[str, Any]:
    """Return all of it for programs; the group of those in none is null."""
    return {
        "since": window.since.isoformat(),
        "until": window.until.isoformat(),
        "by": by,
        "usage": [
            {by: name if name != NO_GROUP else None, **_numbers(each)}
            for name, each in _sorted(found)
        ],
        "total": _numbers(total),
    }


def _csv(by: str, found: Mapping[str, Amount]) -> str:
    """Return the rows for spreadsheets; those in no group have an empty name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((by, *COLUMNS))
    for name, each in _sorted(found):
        writer.writerow((_harmless(name), *_numbers(each).values()))
    return text.getvalue()


def _harmless(name: str) -> str:
    """Return a name as a text that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name


def _text(
    config: Config, by: str, window: Window, found: Mapping[str, Amount], total: Amount
) -> str:
    """Return the table for people, in the lab's time, with a total where that says more."""
    begin, end = (
        f"{at_the_lab(config, each.astimezone()):%Y-%m-%d %H:%M %Z}"
        for each in (window.since, window.until)
    )
    if not found:
        return f"Nothing was used from {begin} to {end}."
    rows = [(_printable(name), *_hours(each)) for name, each in _sorted(found)]
    if len(rows) > 1:
        rows.append(("total", *_hours(total)))
    return "\n".join((f"From {begin} to {end}:", *table((by, *HEAD), rows)))


def _printable(name: str) -> str:
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return shown or "(no group)"


def _sorted(found: Mapping[str, Amount]) -> Sequence[tuple[str, Amount]]:
    """Return who used most first: GPUs, then CPU cores, then memory."""
    return sorted(
        found.items(),
        key=lambda each: (
            -each[1].gpu_seconds, -each[1].cpu_seconds, -each[1].gib_seconds, each[0],
        ),
    )  # fmt: skip


def _numbers(amount: Amount) -> dict[str, float]:
    values = (amount.gpu_seconds, amount.cpu_seconds, amount.gib_seconds / HOUR_SECONDS)
    return {key: round(value, 3) for key, value in zip(COLUMNS, values, strict=True)}


def _hours(amount: Amount) -> tuple[str, ...]:
    values = (amount.gpu_seconds, amount.cpu_seconds, amount.gib_seconds)
    return tuple(f"{value / HOUR_SECONDS:.2f}" for value in values)
