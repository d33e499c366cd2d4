"""The fake engine refuses what the real one refuses; a fake that never does proves nothing."""

import threading
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import requests
from docker.errors import APIError

from tests.lib.fake_engine import TENSORFLOW, FakeEngine

BODY: dict[str, Any] = {"Image": TENSORFLOW, "Env": ["JUPYTERHUB_SERVICE_PREFIX=/user/ada/"]}
MIB = 1 << 20


@pytest.fixture
def api(fake_engine: FakeEngine) -> Iterator[docker.APIClient]:
    """A client of the fake engine; what the test created is gone afterwards."""
    with docker.APIClient(base_url=fake_engine.url, version="auto", timeout=10) as client:
        yield client
        for container in client.containers(all=True):
            client.remove_container(container["Id"], force=True)


def with_limits(**limits: Any) -> dict[str, Any]:
    """A create body with these entries in its HostConfig."""
    return {**BODY, "HostConfig": limits}


def address(api: docker.APIClient, name: str) -> str:
    """Where the container's server answers."""
    (network,) = api.inspect_container(name)["NetworkSettings"]["Networks"].values()
    return f"http://{network['IPAddress']}:8888/user/ada"


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({**BODY, "Image": "unknown"}, 404, "No such image: unknown:latest"),
        (with_limits(Memory=5 * MIB), 400, "Minimum memory limit allowed is 6MB"),
        (with_limits(Memory="1g"), 400, "cannot unmarshal"),
        (with_limits(Memory=64 * MIB, MemorySwap=32 * MIB), 400, "memoryswap limit should be"),
        (with_limits(NanoCpus=1, CpuPeriod=100_000), 400, "Nano CPUs and CPU Period"),
        (with_limits(Runtime="nvidia"), 400, "Unknown runtime specified nvidia"),
        (
            with_limits(Mounts=[{"Type": "bind", "Source": "/no/such", "Target": "/x"}]),
            400,
            "bind source path does not exist: /no/such",
        ),
    ],
)
def test_a_wrong_container_is_refused(
    api: docker.APIClient, body: dict[str, Any], status: int, sentence: str
) -> None:
    """Create answers with the engine's status and sentence, and nothing is created."""
    with pytest.raises(APIError, match=sentence) as refusal:
        api.create_container_from_config(body, "ada")
    assert refusal.value.status_code == status
    assert api.containers(all=True) == []


def test_a_name_is_taken_once(api: docker.APIClient) -> None:
    """A second container of the same name is a conflict."""
    api.create_container_from_config(BODY, "ada")
    with pytest.raises(APIError, match="already in use") as refusal:
        api.create_container_from_config(BODY, "ada")
    assert refusal.value.status_code == 409


def test_a_running_container_answers_and_is_not_removed(api: docker.APIClient) -> None:
    """Started it serves HTTP; removal needs force; removed it is silent."""
    api.create_container_from_config(BODY, "ada")
    api.start("ada")
    url = address(api, "ada")
    assert requests.get(url + "/api", timeout=5).json() == {"version": "2.21.1"}
    assert "JupyterLab" in requests.get(url + "/lab", timeout=5).text
    with pytest.raises(APIError, match="cannot remove a running container"):
        api.remove_container("ada")
    api.remove_container("ada", force=True)
    with pytest.raises(requests.ConnectionError):
        requests.get(url + "/api", timeout=5)
    with pytest.raises(APIError, match="No such container"):
        api.inspect_container("ada")


def test_a_death_has_a_cause(api: docker.APIClient, fake_engine: FakeEngine) -> None:
    """Waiters learn the exit code at once; inspect and logs tell why."""
    api.create_container_from_config(BODY, "ada")
    api.start("ada")
    codes: list[int] = []
    waiter = threading.Thread(target=lambda: codes.append(api.wait("ada")["StatusCode"]))
    waiter.start()
    fake_engine.die("ada", 137, oom=True, log=("Killed",))
    waiter.join(timeout=5)
    state = api.inspect_container("ada")["State"]
    assert codes == [137]
    assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 137, True)
    assert api.logs("ada") == b"Killed\n"


def test_faults_hit_the_calls_they_are_meant_for(
    api: docker.APIClient, fake_engine: FakeEngine
) -> None:
    """One 500 for one inspect of one container, then the truth again."""
    api.create_container_from_config(BODY, "ada")
    api.create_container_from_config(BODY, "bob")
    fake_engine.fail("GET", "/containers/ada/json")
    assert api.inspect_container("bob")["State"]["Status"] == "created"
    with pytest.raises(APIError, match="told to answer 500"):
        api.inspect_container("ada")
    assert api.inspect_container("ada")["State"]["Status"] == "created"


def test_an_answer_can_get_lost(api: docker.APIClient, fake_engine: FakeEngine) -> None:
    """The engine does what it was asked and the caller never hears of it."""
    fake_engine.drop("POST", "/containers/create")
    with pytest.raises(requests.ConnectionError):
        api.create_container_from_config(BODY, "ada")
    assert [c.name for c in fake_engine.containers()] == ["ada"]


def test_it_can_be_away(api: docker.APIClient, fake_engine: FakeEngine) -> None:
    """Connections are refused while it is away; containers outlive that."""
    api.create_container_from_config(BODY, "ada")
    api.start("ada")
    url = address(api, "ada")
    fake_engine.refuse()
    with pytest.raises(requests.ConnectionError):
        api.ping()
    assert requests.get(url + "/api", timeout=5).ok
    fake_engine.resume()
    assert api.inspect_container("ada")["State"]["Running"]


def test_a_volume_points_where_it_was_told(api: docker.APIClient) -> None:
    """A bind volume whose directory is missing fails at start, as on the real engine."""
    options = {"type": "none", "o": "bind", "device": "/no/such/directory"}
    api.create_volume("ada-home", driver_opts=options)
    body = with_limits(Mounts=[{"Type": "volume", "Source": "ada-home", "Target": "/tf"}])
    api.create_container_from_config(body, "ada")
    with pytest.raises(APIError, match="no such file or directory"):
        api.start("ada")
    with pytest.raises(APIError, match="volume is in use"):
        api.remove_volume("ada-home")


def test_a_client_that_is_too_new_is_refused(fake_engine: FakeEngine) -> None:
    """The engine names the newest API it speaks."""
    newer = docker.APIClient(base_url=fake_engine.url, version="1.99", timeout=5)
    with newer, pytest.raises(APIError, match=r"client version 1.99 is too new"):
        newer.info()


def test_a_gap_in_the_event_stream_can_be_read_again(
    api: docker.APIClient, fake_engine: FakeEngine
) -> None:
    api.create_container_from_config(BODY, "ada")
    created = fake_engine.life.events[-1]["timeNano"]
    api.start("ada")
    for since, actions in ((created, ["create", "start"]), (created + 1, ["start"])):
        stream = api.events(since=f"{since // 10**9}.{since % 10**9:09}", decode=True)
        assert [next(stream)["Action"] for _ in actions] == actions
        stream.close()


def test_a_plan_waits_for_its_user(api: docker.APIClient, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(user="bob", start_error="no space left on device")
    for name in ("ada", "bob"):
        labels = {"labhub.user": name}
        api.create_container_from_config({**BODY, "Labels": labels}, name)
    api.start("ada")
    with pytest.raises(APIError, match="no space left on device"):
        api.start("bob")
    api.start("bob")
