"""The labhub command: what it prints, how it refuses, and what it turns into."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import hub_config
from hub_config.cli import main
from hub_config.reference import reference
from hub_config.schema import Config

FOLDER = Path(hub_config.__file__).parent
VALID = "hub: {bind: 0.0.0.0}\n"
TOKEN = "03" * 32


class Ran(Exception):
    """The command became another program; holds which."""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An instance's environment; a command that becomes another program raises Ran instead."""
    for name in [name for name in os.environ if name.startswith("LABHUB_")]:
        monkeypatch.delenv(name)

    def run(program: str, argv: list[str], env: dict[str, str]) -> None:
        raise Ran(program, argv, env)

    monkeypatch.setattr(os, "execvpe", run)
    (tmp_path / "labhub.yaml").write_text(VALID)
    (tmp_path / "proxy_token").write_text(f"{TOKEN}\n")
    folders = ("SECRETS", "STATE", "STATE_ON_HOST", "VOLUMES", "VOLUMES_ON_HOST")
    return {
        **{f"LABHUB_{name}": str(tmp_path) for name in folders},
        "LABHUB_INSTANCE": "labhub",
        "LABHUB_CONFIG": str(tmp_path / "labhub.yaml"),
        "LABHUB_PORT": "8000",
        "LABHUB_API_PORT": "8001",
        "LABHUB_HUB_PORT": "8081",
        "LABHUB_ACCOUNTS_PORT": "10101",
        "LABHUB_NETWORK": "labhub-users",
        "LABHUB_GATEWAY": "172.18.0.1",
        "LABHUB_BUNDLE": "labhub-server-0123456789ab",
    }


def labhub(*words: str, env: dict[str, str] | None = None) -> Result:
    """Run `labhub WORDS…`."""
    return CliRunner().invoke(main, words, env=env or {})


def became(done: Result) -> tuple[Any, ...]:
    """Return the program, arguments and environment that a command turned into."""
    assert isinstance(done.exception, Ran), done.output
    return done.exception.args


def test_check_is_content_with_the_example_and_needs_no_instance(environ: dict[str, str]) -> None:
    path = str(FOLDER / "labhub.example.yaml")
    assert environ
    done = labhub("--config", path, "config", "check")
    assert (done.exit_code, done.stdout, done.stderr) == (0, f"{path} is valid.\n", "")


@pytest.mark.parametrize("how", ["--config", "argument", "environment"])
def test_check_names_every_error(tmp_path: Path, environ: dict[str, str], how: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("hup: {}\nquotas: {default: {memory: -1 GiB}}\n")
    if how == "environment":
        done = labhub("config", "check", env={**environ, "LABHUB_CONFIG": str(path)})
    elif how == "argument":
        done = labhub("config", "check", str(path), env=environ)
    else:
        done = labhub("--config", str(path), "config", "check", env=environ)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f'{path}:1:1: hup: unknown key; did you mean "hub"?',
        f"{path}:2:28: quotas.default.memory: '-1 GiB' is not a size; "
        "write a positive number and a unit, such as 8 GiB",
    ]


def test_check_follows_references_to_secrets(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "labhub.yaml"
    path.write_text(
        "login: {provider: github, client_id: lab, client_secret: {env: GITHUB_SECRET}}\n"
    )
    done = labhub("config", "check", env=environ)
    assert done.stderr == (
        f"{path}:1:58: login.client_secret: the variable GITHUB_SECRET is not set; "
        "write GITHUB_SECRET=… into hub.env\n"
    )
    assert labhub("config", "check", env={**environ, "GITHUB_SECRET": "x"}).exit_code == 0


def test_check_without_a_file(environ: dict[str, str], tmp_path: Path) -> None:
    done = labhub("config", "check", str(tmp_path / "none.yaml"), env=environ)
    assert done.exit_code == 1
    assert done.stderr == (
        f"{tmp_path}/none.yaml: cannot be read (No such file or directory); write one "
        "(`labhub config example` prints it), or name another with --config\n"
    )


def test_check_in_json(tmp_path: Path, environ: dict[str, str]) -> None:
    done = labhub("config", "check", "--json", env=environ)
    assert json.loads(done.stdout)["config"] == Config.model_validate(
        {"hub": {"bind": "0.0.0.0"}}  # noqa: S104 - as written
    ).model_dump(mode="json")
    (tmp_path / "labhub.yaml").write_text("hup: {}\n")
    done = labhub("config", "check", "--json", env=environ)
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "valid": False,
        "errors": [
            {
                "line": 1,
                "column": 1,
                "file": f"{tmp_path}/labhub.yaml",
                "key": "hup",
                "problem": 'unknown key; did you mean "hub"?',
            }
        ],
    }


def test_the_example_and_the_reference_are_printed_as_they_are() -> None:
    assert labhub("config", "example").stdout == (FOLDER / "labhub.example.yaml").read_text("utf-8")
    assert labhub("config", "reference").stdout == reference()


@pytest.mark.parametrize(
    ("text", "url", "callback"),
    [
        (VALID, "http://127.0.0.1:8000", "http://127.0.0.1:8000/hub/oauth_callback"),
        (
            "hub: {url: 'https://gpu.example.org'}\n",
            "https://gpu.example.org",
            "https://gpu.example.org/hub/oauth_callback",
        ),
    ],
)
def test_addresses(environ: dict[str, str], text: str, url: str, callback: str) -> None:
    Path(environ["LABHUB_CONFIG"]).write_text(text)
    assert labhub("url", env=environ).stdout == f"{url}\n"
    assert labhub("callback-url", env=environ).stdout == f"{callback}\n"


def test_the_hub_is_ours_with_our_file(environ: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(VALID)
    program, argv, env = became(labhub("--config", str(other), "hub", env=environ))
    assert (program, argv) == (
        sys.executable,
        [sys.executable, "-m", "hub_config.hub", "-f", str(FOLDER / "jupyterhub_config.py")],
    )
    assert env["LABHUB_CONFIG"] == str(other)


def test_the_proxy_gets_its_token_by_the_environment(environ: dict[str, str]) -> None:
    program, argv, env = became(labhub("proxy", env=environ))
    assert program == "configurable-http-proxy"
    assert "--ip=0.0.0.0" in argv
    assert env["CONFIGPROXY_AUTH_TOKEN"] == TOKEN
    assert TOKEN not in " ".join(argv)


def test_the_proxy_needs_no_secret_of_the_login(environ: dict[str, str]) -> None:
    Path(environ["LABHUB_CONFIG"]).write_text(
        "login: {provider: github, client_id: lab, client_secret: {env: GITHUB_SECRET}}\n"
    )
    assert became(labhub("proxy", env=environ))[0] == "configurable-http-proxy"
    assert "GITHUB_SECRET is not set" in labhub("hub", env=environ).stderr


@pytest.mark.parametrize("command", ["hub", "proxy", "url", "callback-url"])
def test_outside_of_an_instance(environ: dict[str, str], command: str) -> None:
    done = labhub(command, env={"LABHUB_CONFIG": environ["LABHUB_CONFIG"]})
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: LABHUB_INSTANCE is not set: this command runs inside an instance; start it with "
        "deploy/labhub\n"
    )


@pytest.mark.parametrize("command", ["hub", "proxy", "url", "callback-url"])
def test_with_a_wrong_file(environ: dict[str, str], command: str) -> None:
    path = environ["LABHUB_CONFIG"]
    Path(path).write_text("hup: {}\n")
    done = labhub(command, env=environ)
    assert (done.exit_code, done.stderr) == (
        1,
        f'{path}:1:1: hup: unknown key; did you mean "hub"?\n',
    )


def test_without_the_proxy_s_token(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "proxy_token").unlink()
    done = labhub("proxy", env=environ)
    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {tmp_path}/proxy_token cannot be read (No such file or directory); "
        "run deploy/up, which makes what is missing\n"
    )


def test_a_program_that_is_not_installed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(program: str, *_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", program)

    monkeypatch.setattr(os, "execvpe", fail)
    done = labhub("proxy", env=environ)
    assert (done.exit_code, done.stderr) == (
        1,
        "Error: configurable-http-proxy cannot be run (No such file or directory): is it installed "
        "and on PATH?\n",
    )


@pytest.mark.parametrize("words", [["--prot"], ["hup"], ["config", "check", "a", "b"]])
def test_a_wrong_command_line_is_a_usage_error(words: list[str]) -> None:
    assert labhub(*words).exit_code == 2


def test_every_command_says_what_it_is_for() -> None:
    context = click.Context(main)
    names = main.list_commands(context)
    assert names == [
        "callback-url", "config", "device", "hub", "lease", "proxy", "queue", "quota", "receipts",
        "simulate", "status", "url", "usage", "user",
    ]  # fmt: skip
    for name in names:
        command = main.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str()


def test_the_version_is_that_of_the_package() -> None:
    assert labhub("--version").stdout == "labhub, version 0.1.0\n"
