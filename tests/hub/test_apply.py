"""The hub's settings, whole section by whole section: only set, never appended or mutated."""

import copy
import dataclasses
import os
import sys
from pathlib import Path

import pytest
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.metrics import PeriodicMetricsCollector
from traitlets.config import Config as Traits

import hub_config
from hub_config.apply import (
    SecretMissingError,
    apply,
    own_token,
    update_addresses,
    update_metrics,
    update_pages,
    update_proxy,
    update_services,
    update_spawner,
    update_state,
)
from hub_config.configure import configure
from hub_config.instance import Instance, read_instance
from hub_config.proxy import ERROR_PAGES, proxy_command
from hub_config.schema import Config

FOLDER = Path(hub_config.__file__).parent
SECRETS = {
    "crypt_key": "01" * 32,
    "cookie_secret": "02" * 32,
    "proxy_token": "03" * 32,
    "cli_token": "04" * 32,
    "accounts_client_secret": "05" * 32,
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of an instance whose directories exist."""
    for name in ("secrets", "state", "volumes"):
        (tmp_path / name).mkdir()
    for name, secret in SECRETS.items():
        (tmp_path / "secrets" / name).write_text(f"{secret}\n")
    (tmp_path / "labhub.yaml").write_text("hub: {}\n")
    return {
        "LABHUB_INSTANCE": "labhub",
        "LABHUB_CONFIG": str(tmp_path / "labhub.yaml"),
        "LABHUB_SECRETS": str(tmp_path / "secrets"),
        "LABHUB_STATE": str(tmp_path / "state"),
        "LABHUB_STATE_ON_HOST": "/srv/labhub/state",
        "LABHUB_VOLUMES": str(tmp_path / "volumes"),
        "LABHUB_VOLUMES_ON_HOST": "/srv/labhub/volumes",
        "LABHUB_PORT": "8000",
        "LABHUB_API_PORT": "8001",
        "LABHUB_HUB_PORT": "8081",
        "LABHUB_ACCOUNTS_PORT": "10101",
        "LABHUB_NETWORK": "labhub-users",
        "LABHUB_GATEWAY": "172.18.0.1",
        "LABHUB_BUNDLE": "labhub-server-0123456789ab",
        "LABHUB_CGROUP": "/sys/fs/cgroup",
        "LABHUB_ENGINE_PATIENCE": "1",
        "LABHUB_PROC": "/proc",
    }


@pytest.fixture
def instance(environ: dict[str, str]) -> Instance:
    """The same, read."""
    return read_instance(environ)


def config(**sections: object) -> Config:
    """Return a configuration as the file would give it."""
    return Config.model_validate(sections)


LOCAL = config()
GITHUB = config(
    login={"provider": "github", "client_id": "lab", "client_secret": {"env": "GITHUB"}}
)
ADDRESSES: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"bind_url": "http://127.0.0.1:8000"}),
    ({"bind": "0.0.0.0"}, {"bind_url": "http://0.0.0.0:8000"}),  # noqa: S104 - as an admin writes
    ({"bind": "::"}, {"bind_url": "http://[::]:8000"}),
    (
        {"url": "https://gpu.example.org"},
        {"bind_url": "http://127.0.0.1:8000", "public_url": "https://gpu.example.org/"},
    ),
]


@pytest.mark.parametrize(("hub", "traits"), ADDRESSES)
def test_addresses(instance: Instance, hub: dict[str, str], traits: dict[str, str]) -> None:
    c = Traits()
    update_addresses(config(hub=hub), instance, c)
    assert c == {"JupyterHub": {"hub_bind_url": "http://172.18.0.1:8081", **traits}}


def test_the_proxy_is_another_process(instance: Instance) -> None:
    c = Traits()
    update_proxy(instance, c)
    assert c == {
        "ConfigurableHTTPProxy": {
            "should_start": False,
            "api_url": "http://127.0.0.1:8001",
            "auth_token": SECRETS["proxy_token"],
        },
        "JupyterHub": {"cleanup_proxy": False, "cleanup_servers": False},
    }


def test_what_survives_a_restart(instance: Instance) -> None:
    c = Traits()
    update_state(instance, c)
    assert c == {
        "JupyterHub": {
            "db_url": f"sqlite:///{instance.state_dir}/hub.sqlite",
            "upgrade_db": True,
            "cookie_secret": bytes.fromhex(SECRETS["cookie_secret"]),
        },
        "CryptKeeper": {"keys": [bytes.fromhex(SECRETS["crypt_key"])]},
    }


def test_the_pages_are_ours() -> None:
    c = Traits()
    update_pages(c)
    assert c == {"JupyterHub": {"template_paths": [str(FOLDER / "templates")]}}
    assert (FOLDER / "templates" / "page.html").exists()


CLI_SERVICE = {"name": "labhub-cli", "api_token": SECRETS["cli_token"], "display": False}
CLI_ROLE = {
    "name": "labhub-cli",
    "services": ["labhub-cli"],
    "scopes": ["read:users", "list:users", "read:servers", "delete:servers", "tokens"],
}


CULLER_ROLE = {
    "name": "idle-culler",
    "services": ["idle-culler"],
    "scopes": [
        "list:users", "read:users:name", "read:users:activity", "read:servers", "delete:servers",
    ],
}  # fmt: skip


QUEUE_ROLE = {
    "name": "queue",
    "services": ["queue"],
    "scopes": ["start:servers", "read:servers", "read:users:name"],
}


def own_services(instance: Instance) -> list[dict[str, object]]:
    return [
        {"name": name, "api_token": own_token(instance, name), "display": False}
        for name in ("idle-culler", "queue")
    ]


def test_the_hubs_own_tokens_are_no_secrets_of_the_instance_and_stay(instance: Instance) -> None:
    token, other = own_token(instance, "idle-culler"), own_token(instance, "queue")
    assert token == own_token(instance, "idle-culler")
    assert len(token) == 64
    assert token not in SECRETS.values()
    assert token != other


def test_services_with_local_accounts(instance: Instance, environ: dict[str, str]) -> None:
    c = Traits()
    update_services(LOCAL, instance, c)
    accounts = {
        "name": "accounts",
        "url": "http://127.0.0.1:10101",
        "command": [sys.executable, "-m", "auth.local.serve"],
        "environment": environ,
    }
    user = {"name": "user", "scopes": ["self", "access:services!service=accounts"]}
    assert c == {
        "JupyterHub": {
            "services": [CLI_SERVICE, *own_services(instance), accounts],
            "load_roles": [CLI_ROLE, CULLER_ROLE, QUEUE_ROLE, user],
        }
    }


def test_services_with_accounts_elsewhere(instance: Instance) -> None:
    c = Traits()
    update_services(GITHUB, instance, c)
    assert c == {
        "JupyterHub": {
            "services": [CLI_SERVICE, *own_services(instance)],
            "load_roles": [CLI_ROLE, CULLER_ROLE, QUEUE_ROLE],
        }
    }


def test_servers(instance: Instance) -> None:
    c = Traits()
    update_spawner(instance, c)
    assert c == {
        "JupyterHub": {
            "spawner_class": "labhub",
            "concurrent_spawn_limit": 0,
            "allow_named_servers": True,
            "shutdown_on_logout": False,
        },
        "QuotaDockerSpawner": {
            "lab": instance,
            "poll_interval": 0,
            "server_token_scopes": ["users:activity!user", "access:servers!server"],
        },
    }


def test_the_event_loop_is_looked_at_less_often() -> None:
    c = Traits()
    update_metrics(c)
    assert c == {"PeriodicMetricsCollector": {"event_loop_interval_resolution": 0.2}}
    known = PeriodicMetricsCollector.class_trait_names(config=True)
    assert set(c.PeriodicMetricsCollector) <= set(known)


def test_applying_twice_is_applying_once(instance: Instance) -> None:
    once, twice = Traits(), Traits()
    apply(LOCAL, instance, once)
    apply(LOCAL, instance, twice)
    apply(LOCAL, instance, twice)
    for c in (once, twice):
        c.JupyterHub.authenticator_class = c.JupyterHub.authenticator_class.__name__
    assert once == twice


def test_nothing_is_changed_but_the_settings(instance: Instance) -> None:
    before = copy.deepcopy(LOCAL)
    apply(LOCAL, instance, Traits())
    assert before == LOCAL


WRONG_SECRETS = [
    (
        None,
        "cannot be read (No such file or directory); run deploy/up, which makes what is missing",
    ),
    ("", "is not one of labhub's secrets; bring it back from a backup, or remove it and run"),
    ("0g" * 32, "is not one of labhub's secrets; bring it back from a backup, or remove it and"),
    ("01" * 31, "is not one of labhub's secrets; bring it back from a backup, or remove it and"),
]


@pytest.mark.parametrize("name", ["crypt_key", "cookie_secret", "proxy_token", "cli_token"])
@pytest.mark.parametrize(("content", "problem"), WRONG_SECRETS)
def test_a_wrong_secret_is_one_sentence(
    instance: Instance, name: str, content: str | None, problem: str
) -> None:
    path = instance.secrets_dir / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(SecretMissingError) as refused:
        apply(LOCAL, instance, Traits())
    assert str(refused.value).startswith(f"{path} {problem}")


def test_a_secret_that_is_no_text_is_one_sentence(instance: Instance) -> None:
    (instance.secrets_dir / "crypt_key").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretMissingError, match="is not one of labhub's secrets"):
        apply(LOCAL, instance, Traits())


def test_the_proxy_s_command_line(instance: Instance) -> None:
    assert proxy_command(config(hub={"bind": "0.0.0.0"}), instance) == [  # noqa: S104 - as written
        "configurable-http-proxy",
        "--ip=0.0.0.0",
        "--port=8000",
        "--api-ip=127.0.0.1",
        "--api-port=8001",
        "--default-target=http://172.18.0.1:8081",
        f"--error-path={ERROR_PAGES}",
    ]


def test_no_secret_is_on_the_proxy_s_command_line(instance: Instance) -> None:
    assert SECRETS["proxy_token"] not in " ".join(proxy_command(LOCAL, instance))


def test_the_hub_is_configured_from_its_environment(environ: dict[str, str]) -> None:
    c = Traits()
    configure(c, environ)
    assert c.JupyterHub.spawner_class == "labhub"
    assert BaseHandler._token_authenticated is False


def break_nothing_but(environ: dict[str, str], what: str) -> None:
    """Make one thing wrong."""
    if what == "the environment":
        del environ["LABHUB_NETWORK"]
    elif what == "the file":
        Path(environ["LABHUB_CONFIG"]).write_text("hup: {}\nlogn: {}\n")
    else:
        Path(environ["LABHUB_SECRETS"], "crypt_key").unlink()


@pytest.mark.parametrize(
    ("what", "sentences"),
    [
        ("the environment", ["LABHUB_NETWORK is not set"]),
        ("a secret", ["crypt_key cannot be read"]),
        ("the file", ["labhub.yaml:1:1: hup: unknown key", "labhub.yaml:2:1: logn: unknown key"]),
    ],
)
def test_what_is_wrong_ends_the_hub_with_one_sentence_each(
    environ: dict[str, str], what: str, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    break_nothing_but(environ, what)
    with pytest.raises(SystemExit) as ended:
        configure(Traits(), environ)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1
    assert len(lines) == len(sentences)
    assert all(sentence in line for sentence, line in zip(sentences, lines, strict=True))


def test_the_file_that_jupyterhub_loads_decides_nothing() -> None:
    text = (FOLDER / "jupyterhub_config.py").read_text()
    assert len(text.splitlines()) < 60
    assert not any(f"\n{word} " in text for word in ("if", "for", "while", "try:", "match"))


def test_an_instance_is_the_same_after_a_round_trip(environ: dict[str, str]) -> None:
    instance = read_instance(environ)
    assert read_instance({**os.environ, **environ}) == dataclasses.replace(instance)
