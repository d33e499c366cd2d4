"""What an instance is, read from the environment: complete and right, or one sentence."""

from pathlib import Path

import pytest

from hub_config.instance import Instance, InstanceError, read_instance

ENVIRONMENT = {
    "LABHUB_INSTANCE": "labhub-0a1b2c",
    "LABHUB_CONFIG": "/etc/labhub/labhub.yaml",
    "LABHUB_SECRETS": "/etc/labhub/secrets",
    "LABHUB_STATE": "/var/lib/labhub",
    "LABHUB_STATE_ON_HOST": "/srv/labhub/state",
    "LABHUB_VOLUMES": "/var/lib/labhub-volumes",
    "LABHUB_VOLUMES_ON_HOST": "/srv/labhub/volumes",
    "LABHUB_PORT": "8000",
    "LABHUB_API_PORT": "8001",
    "LABHUB_HUB_PORT": "8081",
    "LABHUB_ACCOUNTS_PORT": "10101",
    "LABHUB_NETWORK": "labhub-0a1b2c-users",
    "LABHUB_GATEWAY": "172.18.0.1",
    "LABHUB_BUNDLE": "labhub-server-0123456789ab",
}
INSTANCE = Instance(
    name="labhub-0a1b2c",
    config_path=Path("/etc/labhub/labhub.yaml"),
    secrets_dir=Path("/etc/labhub/secrets"),
    state_dir=Path("/var/lib/labhub"),
    state_dir_on_host=Path("/srv/labhub/state"),
    volumes_dir=Path("/var/lib/labhub-volumes"),
    volumes_dir_on_host=Path("/srv/labhub/volumes"),
    port=8000,
    api_port=8001,
    hub_port=8081,
    accounts_port=10101,
    network="labhub-0a1b2c-users",
    gateway="172.18.0.1",
    bundle="labhub-server-0123456789ab",
)


def test_the_whole_environment_is_the_instance() -> None:
    assert read_instance(ENVIRONMENT) == INSTANCE
    assert INSTANCE.local_url == "http://127.0.0.1:8000"
    assert INSTANCE.hub_url == "http://172.18.0.1:8081"


def test_a_gateway_of_ipv6_stands_in_brackets_in_urls() -> None:
    assert read_instance({**ENVIRONMENT, "LABHUB_GATEWAY": "fd00::1"}).hub_url == (
        "http://[fd00::1]:8081"
    )


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("value", [None, ""])
def test_every_variable_is_needed(name: str, value: str | None) -> None:
    environ = {key: text for key, text in ENVIRONMENT.items() if key != name}
    if value is not None:
        environ[name] = value
    with pytest.raises(InstanceError) as refused:
        read_instance(environ)
    assert str(refused.value) == (
        f"{name} is not set: this command runs inside an instance; start it with deploy/labhub"
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LABHUB_INSTANCE", "Lab", "is not a name of at most 14 small letters, digits and hyphens"),
        ("LABHUB_INSTANCE", "a" * 15, "is not a name of at most 14 small letters, digits and"),
        ("LABHUB_INSTANCE", "lab\n", "is not a name of at most 14 small letters, digits and"),
        ("LABHUB_PORT", "0", "is not a port"),
        ("LABHUB_PORT", "65536", "is not a port"),
        ("LABHUB_API_PORT", "-1", "is not a port"),
        ("LABHUB_HUB_PORT", "٨٠", "is not a port"),
        ("LABHUB_ACCOUNTS_PORT", "9" * 5000, "is not a port"),
        ("LABHUB_STATE", "state", "is not an absolute path"),
        ("LABHUB_GATEWAY", "gateway", "is not an IP address"),
        ("LABHUB_CGROUP", "cgroup", "is not an absolute path"),
        ("LABHUB_ENGINE_PATIENCE", "long", "is not a number between 0.01 and 100"),
        ("LABHUB_ENGINE_PATIENCE", "nan", "is not a number between 0.01 and 100"),
        ("LABHUB_ENGINE_PATIENCE", "0", "is not a number between 0.01 and 100"),
    ],
)
def test_a_wrong_value_is_one_sentence(name: str, value: str, problem: str) -> None:
    with pytest.raises(InstanceError) as refused:
        read_instance({**ENVIRONMENT, name: value})
    assert str(refused.value).startswith(f"{name}=")
    assert problem in str(refused.value)
    assert len(str(refused.value)) < 200
