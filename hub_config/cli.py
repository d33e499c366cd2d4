"""The `labhub` command. Parses and prints; what it does stands elsewhere."""

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from importlib import import_module, resources
from pathlib import Path

import click

from hub_config.apply import SecretMissingError, read_instance_secret
from hub_config.instance import Instance, InstanceError, read_instance
from hub_config.json_schema import json_schema
from hub_config.load import ConfigErrors, load
from hub_config.proxy import proxy_command
from hub_config.reading import InvalidFile, read_document
from hub_config.reference import reference
from hub_config.schema import Config

DEFAULT_FILE = "/etc/labhub/labhub.yaml"
HUB_FILE = Path(__file__).with_name("jupyterhub_config.py")


# Commands whose code is loaded only when they are asked for, and the module of each.
ELSEWHERE = {
    "device": "hub_config.device_cli",
    "lease": "hub_config.queue_cli",
    "queue": "hub_config.queue_cli",
    "quota": "hub_config.quota_cli",
    "receipts": "hub_config.receipts_cli",
    "simulate": "hub_config.simulate_cli",
    "status": "hub_config.status_cli",
    "usage": "hub_config.usage_cli",
    "user": "auth.local.cli",
}


class Commands(click.Group):
    """The commands of this file, and those that stand elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted([*super().list_commands(ctx), *ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command."""
        if cmd_name in ELSEWHERE:
            command: click.Command = getattr(import_module(ELSEWHERE[cmd_name]), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="LABHUB_CONFIG",
    default=DEFAULT_FILE,
    show_default=True,
    help="The configuration.",
)
@click.version_option(package_name="labhub", prog_name="labhub")
@click.pass_context
def main(ctx: click.Context, config: Path) -> None:
    """Run a lab, and look after it."""
    ctx.obj = config.absolute()


@main.command()
@click.pass_obj
def hub(file: Path) -> None:
    """Run the hub (its container does this)."""
    _read(file, os.environ)
    _instance(file)
    command = [sys.executable, "-m", "hub_config.hub", "-f", str(HUB_FILE)]
    _run(command, {"LABHUB_CONFIG": str(file)})


@main.command()
@click.pass_obj
def proxy(file: Path) -> None:
    """Run the proxy (its container does this)."""
    config, instance = _read(file), _instance(file)
    try:
        token = read_instance_secret(instance, "proxy_token")
    except SecretMissingError as error:
        raise click.ClickException(str(error)) from None
    _run(proxy_command(config, instance), {"CONFIGPROXY_AUTH_TOKEN": token})


@main.command()
@click.pass_obj
def url(file: Path) -> None:
    """Print the address that people open."""
    click.echo(_read(file).hub.url or _instance(file).local_url)


@main.command("callback-url")
@click.pass_obj
def callback_url(file: Path) -> None:
    """Print the callback URL to register at a login provider."""
    from auth.providers import callback_url as callback  # noqa: PLC0415 - the only command with it

    public_url = _read(file).hub.url
    click.echo(callback(public_url, 0 if public_url else _instance(file).port))


@main.group()
def config() -> None:
    """Check labhub.yaml, or see what may stand in it."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(default: Path, file: Path | None, *, as_json: bool) -> None:
    """Name every error in labhub.yaml by line and column; silence would be no answer."""
    path = file or default
    try:
        found = load(path, os.environ)
    except ConfigErrors as error:
        if as_json:
            errors = [dataclasses.asdict(each) for each in error.errors]
            click.echo(json.dumps({"valid": False, "errors": errors}, indent=2))
            raise SystemExit(1) from None
        raise InvalidFile(str(error)) from None
    if as_json:
        answer = {"valid": True, "config": found.model_dump(mode="json")}
        click.echo(json.dumps(answer, indent=2))
    else:
        click.echo(f"{path} is valid.")


@config.command()
def example() -> None:
    """Print a commented labhub.yaml to start from."""
    click.echo(
        resources.files("hub_config").joinpath("labhub.example.yaml").read_text("utf-8"), nl=False
    )


@config.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of labhub.yaml, for editors."""
    click.echo(json_schema(), nl=False)


@config.command("reference")
def print_reference() -> None:
    """Print every key of labhub.yaml, its meaning and its default, as Markdown."""
    click.echo(reference(), nl=False)


def _read(file: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration; with an environment, its secrets must be there too."""
    return read_document(file, environ)[0]


def _instance(file: Path) -> Instance:
    try:
        return read_instance({**os.environ, "LABHUB_CONFIG": str(file)})
    except InstanceError as error:
        raise click.ClickException(str(error)) from None


def _run(argv: list[str], variables: Mapping[str, str]) -> None:
    """Become another program."""
    try:
        os.execvpe(argv[0], argv, {**os.environ, **variables})  # noqa: S606 - no shell is meant
    except OSError as error:
        message = f"{argv[0]} cannot be run ({error.strerror}): is it installed and on PATH?"
        raise click.ClickException(message) from None


if __name__ == "__main__":
    main()
