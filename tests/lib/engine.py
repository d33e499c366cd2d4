"""Fixtures of the tiers that need a real engine: `engine`, `instance` and logs on failure.

A conftest.py takes them by `from tests.lib.engine import *  # noqa: F403`.
"""

from collections.abc import Iterator

import docker
import pytest
from docker.errors import DockerException

from tests.lib.deployed import Deployed, deploy

__all__ = ["engine", "instance", "logs_on_failure", "remove_labelled"]

NO_ENGINE = (
    "No Docker engine answers ({why}): start one, or run `tests/run engine`, which installs and "
    "starts it. A different one is chosen by DOCKER_HOST."
)
LOG_LINES = 80


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine that DOCKER_HOST names; without one the test fails with the fix."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException as error:
        pytest.fail(NO_ENGINE.format(why=str(error)[:150]), pytrace=False)
    yield client
    client.close()


@pytest.fixture(scope="session", autouse=True)
def remove_labelled(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[None]:
    """Remove everything that carries this run's label once the tests are over."""
    yield
    mine = {"label": [f"{key}={value}" for key, value in labels.items()]}
    for container in engine.api.containers(all=True, filters=mine):
        engine.api.remove_container(container["Id"], force=True, v=True)
    for network in engine.networks.list(filters=mine):
        network.remove()
    for volume in engine.api.volumes(filters=mine)["Volumes"] or []:
        engine.api.remove_volume(volume["Name"], force=True)


@pytest.fixture(scope="session")
def instance(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """A labhub of its own, deployed by deploy/up once per session and purged afterwards."""
    with deploy(engine, tmp_path_factory.mktemp("labhub") / "instance") as deployed:
        yield deployed


@pytest.fixture(autouse=True)
def logs_on_failure(request: pytest.FixtureRequest, engine: docker.DockerClient) -> Iterator[None]:
    """When a test failed, print the state and the last lines of the containers it could see."""
    yield
    report = getattr(request.node, "labhub_report", None)
    if report is not None and report.failed:
        for container in engine.api.containers(all=True, filters=_labels_of(request)):
            print(_story(engine, container["Id"]))


def _labels_of(request: pytest.FixtureRequest) -> dict[str, str]:
    if "instance" in request.fixturenames:
        return {"label": f"labhub.instance={request.getfixturevalue('instance').name}"}
    key, value = next(iter(request.getfixturevalue("labels").items()))
    return {"label": f"{key}={value}"}


def _story(engine: docker.DockerClient, container: str) -> str:
    details = engine.api.inspect_container(container)
    log = engine.api.logs(container, tail=LOG_LINES).decode(errors="replace")
    return f"--- {details['Name']} {details['State']}\n{log}"
