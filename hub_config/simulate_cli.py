"""`labhub simulate`: what the queue would have made of a trace. Parses and prints."""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import click

from hub_config.reading import read_document
from hub_config.schema import Config
from hub_config.tables import table
from spawner.lease import rules
from spawner.messages.times import span
from spawner.quota import priority, totals
from spawner.simulation import Lab, Request, Start, fifo, ours, static
from spawner.simulation_figures import Figures, figures
from spawner.trace import DEVICES_MOST, TraceError, parse


@click.command()
@click.argument("trace", type=click.Path(path_type=Path, allow_dash=True), metavar="TRACE.csv")
@click.option(
    "--devices",
    type=click.IntRange(1, DEVICES_MOST),
    required=True,
    metavar="N",
    help="How many GPUs there are.",
)
@click.option(
    "--config",
    "own",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration whose gpus rules, priorities and totals of groups hold; without it "
    "the lab's own, or the defaults where there is no lab.",
)
@click.option(
    "--policy",
    type=click.Choice(["ours", "fifo", "static"]),
    default="ours",
    show_default=True,
    help="The queue of this lab, a strict line, or devices of one's own.",
)
@click.option("--seed", type=int, help="Shuffle requests that arrive at the same moment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def simulate(  # noqa: PLR0913 - one for each option
    file: Path,
    trace: Path,
    devices: int,
    own: Path | None,
    policy: str,
    *,
    seed: int | None,
    as_json: bool,
) -> None:
    """Replay a trace through the queue, and print how long people would have waited.

    TRACE.csv may be - for what comes in. Its columns are arrival_s, user, group, gpus, duration_s
    and limit_s. A run ends after its duration or at its limit; the queue knows the limits only.
    """
    config = _config(file, own)
    requests = _requests(trace, devices, _totals(config), seed)
    found = _figures(policy, requests, _lab(config, requests, devices))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found), indent=2))
    else:
        click.echo("\n".join(table(("figure", "value"), shown(found))))


def _requests(
    trace: Path, devices: int, totals: Mapping[str, int], seed: int | None
) -> list[Request]:
    """Return what the trace asks for. Raises ClickException, with file and line."""
    name = "standard input" if str(trace) == "-" else str(trace)
    try:
        with click.open_file(str(trace), "rb") as file:
            text = file.read().decode("utf-8")
        return parse(text, name, devices, totals, seed)
    except OSError as error:
        raise click.ClickException(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise click.ClickException(f"{name}:{line}: is not text in UTF-8") from None
    except TraceError as error:
        raise click.ClickException(str(error)) from None


def _config(file: Path, own: Path | None) -> Config:
    """Return what holds: the file that is meant, or else the lab's, or else the defaults."""
    if own is None and not file.exists():
        return Config()
    return read_document(own or file)[0]


def _totals(config: Config) -> dict[str, int]:
    now = datetime.now().astimezone()
    found = totals(config, config.quotas.groups, now)
    return {name: each.gpus for name, each in found.items() if each.gpus is not None}


def _lab(config: Config, requests: list[Request], devices: int) -> Lab:
    now = datetime.now().astimezone()
    groups = {each.group for each in requests}
    priorities = {group: priority(config, [group], now) for group in groups}
    return Lab(devices, rules(config.gpus), priorities, _totals(config))


def _figures(policy: str, requests: list[Request], lab: Lab) -> Figures:
    line = fifo(requests, lab.devices, lab.totals)
    starts: list[Start] = line
    if policy == "ours":
        starts = ours(requests, lab)
    elif policy == "static":
        starts = static(requests, lab.devices, lab.totals)
    return figures(policy, requests, starts, line, lab.devices)


def shown(found: Figures) -> list[tuple[str, str]]:
    """Return the figures for people."""
    return [
        ("policy", found.policy),
        ("requests", str(found.requests)),
        ("mean wait", span(found.mean_wait_s)),
        ("median wait", span(found.median_wait_s)),
        ("95 % waited at most", span(found.p95_wait_s)),
        ("longest wait", span(found.max_wait_s)),
        ("utilisation", f"{found.utilisation:.1%}"),
        ("mean bounded slowdown", f"{found.mean_bounded_slowdown:.2f}"),
        ("fairness (Jain)", f"{found.jain:.2f}"),
        ("starved", str(found.starved)),
        ("double leases", str(found.double_leases)),
    ]
