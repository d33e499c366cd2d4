"""`labhub usage`: what was used, by whom. Parses and prints; needs no running hub."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from hub_config.moments import parse_since, parse_until
from hub_config.people import PeopleUnknown, people
from hub_config.reading import read_document
from hub_config.receipts_cli import require_known
from hub_config.schema import Config
from hub_config.sizes import parse_seconds
from hub_config.stores import instance_of, transact
from hub_config.usage_report import Report, as_text, facts
from hub_config.usage_report import as_csv as csv_of
from spawner import usage as uses
from spawner.budget import Account, accounts, budgets, earliest
from spawner.quota import Person, Quotas, at_the_lab
from spawner.usage import Span, Window

DEFAULT_SINCE = "30 d"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: of whom, a row for each what, when; `local` is now in the lab's zone."""

    user: str | None
    by: str
    window: Window
    local: datetime

    @property
    def whole(self) -> Window:
        """The window and the periods of budgets: all that has to be read."""
        since = min(self.window.since, earliest(self.local).since)
        return Window(since, self.local.astimezone(UTC))


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
    config, now = read_document(file)[0], datetime.now(UTC)
    window = _window(config, since, until, now)
    question = Question(user, by, window, at_the_lab(config, now.astimezone()))
    report = _report(file, config, question)
    if as_json:
        click.echo(json.dumps(facts(report), indent=2))
    elif as_csv:
        click.echo(csv_of(report), nl=False)
    else:
        begin, end = (each.astimezone() for each in (window.since, window.until))
        click.echo(as_text(report, at_the_lab(config, begin), at_the_lab(config, end)))


def _report(file: Path, config: Config, question: Question) -> Report:
    """Read what was used in the window, and of budgets in their own periods around now."""
    instance = instance_of(file)
    state_dir = instance.state_dir
    spans = transact(
        instance, lambda ledger: ledger.spans(question.whole, question.user), otherwise=()
    )
    if question.user is not None and not spans:
        require_known(state_dir / "identity.sqlite", question.user)
    window, by_user = question.window, question.by == "user"
    found = (uses.by_user if by_user else uses.by_group)(spans, window)
    kept = _accounts(state_dir, config, spans, question.local) if by_user else {}
    return Report(question.by, window, found, uses.total(spans, window), kept)


def _accounts(
    state_dir: Path, config: Config, spans: tuple[Span, ...], local: datetime
) -> dict[str, tuple[Account, ...]]:
    """Return what each user has used of their budgets, of those who have any."""
    try:
        known = people(state_dir)
    except PeopleUnknown:
        click.echo("Who is in which group cannot be read, so no budgets are shown.", err=True)
        return {}
    quotas = Quotas(config, local)
    mine: dict[str, list[Span]] = {}
    for span in spans:
        mine.setdefault(span.holder.user, []).append(span)
    allowed = {name: quotas.of(known.get(name, Person(name))) for name in mine}
    return {
        name: accounts(each, mine[name], local)
        for name, each in allowed.items()
        if budgets(each, local)
    }


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
