"""`labhub status`: whether all is well, in words and as an exit status. Parses and prints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hub_config.status import hub_runs
from hub_config.stores import instance_of, status_of, transact
from spawner.runs import Holder
from spawner.store import Ledger


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(file: Path, *, as_json: bool) -> None:
    """Say whether hub, engine and labhub.yaml are well; status 1 when something is not."""
    instance = instance_of(file)
    facts = {
        "hub": {"runs": hub_runs(instance.state_dir)},
        "servers": len(transact(instance, Ledger.open_runs, otherwise=())),
        **status_of(instance),
    }
    click.echo(json.dumps(facts, indent=2) if as_json else "\n".join(_lines(facts, file)))
    if not _is_well(facts):
        raise SystemExit(1)


def _is_well(facts: dict[str, Any]) -> bool:
    config, engine = facts.get("config", {}), facts.get("engine", {})
    return bool(facts["hub"]["runs"] and config.get("valid") and engine.get("answers"))


def _lines(facts: dict[str, Any], file: Path) -> Iterator[str]:
    """Yield one line for each part, and more where something is wrong or waits."""
    if not facts["hub"]["runs"]:
        yield "hub       not running: start it with deploy/up"
        return
    yield f"hub       running; servers: {facts['servers']}"
    if "config" not in facts:
        yield "config    not known yet: ask again in a moment"
        return
    engine, config = facts["engine"], facts["config"]
    yield "engine    answers" if engine["answers"] else f"engine    no answer: {engine['trouble']}"
    if config["valid"]:
        yield f"config    {file} holds as it was read at {config['read_at']}"
    else:
        yield f"config    wrong since {config['read_at']}; the settings from before hold"
        yield from (f"          {each}" for each in config["errors"])
    yield from (f"          {each}" for each in config["waits"])
    if trouble := facts.get("gpus", {}).get("trouble"):
        yield f"gpus      {trouble}"
    for each in facts["late"]:
        name = Holder(each["user"], each["server"]).text
        yield from (f"waits     {name}: {sentence}" for sentence in each["why"])
