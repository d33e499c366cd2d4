"""GPUs handed over by CDI, on an engine that names them itself: whose they are, and whose not.

Only the devices are made up. The kernel says whether a container may use major 195
(tests/lib/gpu_probe.py), the engine is newer than this machine's, and the hub is the real one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from spawner.devices import Device
from spawner.verify import differences
from tests.lib.fake_cdi import RAN, UUIDS, describe, record, without
from tests.lib.gpu_probe import COUNT, FORBIDDEN, Reach, only, probe_inside, probe_once
from tests.lib.gpu_server import our_body, with_host_config
from tests.lib.images import build
from tests.lib.newer_engine import NewerEngine, newer_programs
from tests.lib.real_lab import RealLab, wait_until
from tests.lib.small_servers import quick_bundle

NUMBERS = "cpus: 0.5, memory: 256 MiB, shm: 16 MiB, pids: 64, gpus: 2"
# Who wants how many; together as many as there are.
WISHES = {"ada": 1, "ben": 1, "cleo": 2, "dan": 0}
ALL = range(COUNT)
CROWD = tuple(f"u{number}" for number in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the GPUs are described."""
    return tmp_path_factory.mktemp("cdi")


@pytest.fixture(scope="module")
def newer(
    engine: docker.DockerClient, labels: dict[str, str], folder: Path
) -> Iterator[NewerEngine]:
    """An engine that knows four GPUs, and has an image that wants all of them, and more."""
    with (
        newer_programs(labels) as programs,
        NewerEngine(describe(folder), programs) as own,
        own.client() as client,
    ):
        library = "/usr/lib/x86_64-linux-gnu/libm.so.6"  # any that is there
        wants_all = f"ENV PATH=/usr/bin:/bin NVIDIA_VISIBLE_DEVICES=all LD_PRELOAD={library}"
        client.images.get(own.take_image(engine, build("base", "trixie"), wants_all)).tag("debian")
        yield own


@pytest.fixture(scope="module")
def client(newer: NewerEngine) -> Iterator[docker.DockerClient]:
    """A client of that engine."""
    with newer.client() as own:
        yield own


@pytest.fixture(scope="module")
def lab(newer: NewerEngine, client: docker.DockerClient) -> Iterator[RealLab]:
    """A labhub on that engine, with everybody's server running."""
    with quick_bundle(client, "debian", {}) as bundle:
        running = RealLab(newer.url, {"debian": "debian"}, bundle, address=newer.address)
        running.dir.save_default(NUMBERS)
        with running:
            for name, count in WISHES.items():
                running.add_person(name)
                running.api("POST", f"users/{name}/server", json={"gpus": count})
            assert running.said() == dict.fromkeys(WISHES, "ready"), running.logs()
            yield running
            for name in WISHES:
                running.stop_server(name)


@pytest.fixture(autouse=True)
def stories_on_failure(
    request: pytest.FixtureRequest, newer: NewerEngine, client: docker.DockerClient
) -> Iterator[None]:
    """When a test failed, print what the engine, its containers and the hub wrote."""
    yield
    report = getattr(request.node, "labhub_report", None)
    if report is not None and report.failed:
        print(newer.log()[-3000:])
        for each in client.containers.list(all=True):
            print(f"--- {each.name} {each.status}\n{each.logs(tail=40).decode(errors='replace')}")
        if "lab" in request.fixturenames:
            print(request.getfixturevalue("lab").logs())


@pytest.fixture
def crowd(lab: RealLab) -> Iterator[RealLab]:
    """The same labhub with ten people instead, all GPUs free; afterwards it is as it was."""
    for name in WISHES:
        lab.stop_server(name)
    for name in CROWD:
        lab.add_person(name)
    yield lab
    for name in CROWD:
        lab.stop_server(name)
    for name, count in WISHES.items():
        lab.api("POST", f"users/{name}/server", json={"gpus": count})


def in_line(lab: RealLab) -> list[str]:
    """Return who waits, the next one first."""
    return [each["user"] for each in json.loads(lab.cli("queue", "list", "--json"))]


def leases(lab: RealLab) -> dict[str, list[int]]:
    """Return the numbers of the GPUs that the store says everybody has."""
    runs = lab.store().transact(lambda ledger: ledger.open_runs())
    return {run.holder.user: sorted(map(UUIDS.index, run.devices)) for run in runs}


def reach(lab: RealLab, client: docker.DockerClient, user: str = "") -> dict[str, Reach]:
    """Return what everybody's server can open."""
    return {box.user: probe_inside(client, box.id, user) for box in lab.boxes()}


def assert_everybody_reaches_their_own(
    lab: RealLab, client: docker.DockerClient, user: str = ""
) -> None:
    """All devices are somebody's, and the kernel opens to everybody just their own."""
    mine = leases(lab)
    assert sorted(number for numbers in mine.values() for number in numbers) == list(ALL)
    expected = {name: only(*numbers) for name, numbers in mine.items()}
    assert reach(lab, client, user) == expected


def test_the_hub_learns_from_the_engine_which_there_are(lab: RealLab) -> None:
    listed = json.loads(lab.cli("device", "list", "--json"))
    assert sorted(each["id"] for each in listed) == sorted(UUIDS)


@pytest.mark.parametrize("user", ["", "0"], ids=["as themselves", "as root"])
def test_everybody_reaches_their_own_and_no_other(
    lab: RealLab, client: docker.DockerClient, user: str
) -> None:
    assert {name: len(numbers) for name, numbers in leases(lab).items()} == WISHES
    assert_everybody_reaches_their_own(lab, client, user)


def test_no_hook_runs_with_what_the_image_says(
    lab: RealLab, client: docker.DockerClient, folder: Path
) -> None:
    """On an older runc a hook without variables of its own has those of the image."""
    [image] = {client.api.inspect_container(box.id)["Image"] for box in lab.boxes()}
    says = client.api.inspect_image(image)["Config"]["Env"]
    assert [each for each in says if each.startswith("LD_PRELOAD=")]
    written = record(folder).read_text()
    assert written.count(RAN) == sum(count > 0 for count in WISHES.values())
    assert "LD_PRELOAD" not in written


def test_new_limits_of_a_server_that_runs_leave_it_its_gpus(
    lab: RealLab, client: docker.DockerClient
) -> None:
    def quotas() -> set[int]:
        found = (client.api.inspect_container(box.id) for box in lab.boxes())
        return {each["HostConfig"]["CpuQuota"] for each in found}

    before = reach(lab, client)
    assert quotas() == {50_000}
    lab.dir.save_default(NUMBERS.replace("cpus: 0.5", "cpus: 0.4"))
    wait_until(lambda: quotas() == {40_000}, "new limits everywhere")
    assert reach(lab, client) == before


def test_a_gpu_that_is_gone_when_its_server_starts_is_said_and_given_back(
    lab: RealLab, folder: Path
) -> None:
    [mine] = leases(lab)["ada"]
    lab.stop_server("ada")
    with without(folder, UUIDS[mine]):
        answer = lab.api("POST", "users/ada/server", json={"gpus": 1})
        assert answer.status_code >= 400
        assert UUIDS[mine] in answer.json()["message"]
        assert "ada" not in leases(lab)
    assert lab.api("POST", "users/ada/server", json={"gpus": 1}).status_code == 201
    assert leases(lab)["ada"] == [mine]


def test_ten_people_and_four_gpus(crowd: RealLab, client: docker.DockerClient) -> None:
    answers = [crowd.api("POST", f"users/{name}/server", json={"gpus": 1}) for name in CROWD]
    assert [each.status_code for each in answers] == [201] * COUNT + [202] * 6
    wait_until(lambda: in_line(crowd) == list(CROWD[COUNT:]), "six in line, as they came")
    assert_everybody_reaches_their_own(crowd, client)
    for leaves, comes in zip(CROWD[:6], CROWD[COUNT:], strict=True):
        [freed] = leases(crowd)[leaves]
        crowd.stop_server(leaves)
        wait_until(lambda comes=comes: crowd.said().get(comes) == "ready", f"the turn of {comes}")
        assert leases(crowd)[comes] == [freed]
    assert in_line(crowd) == []
    assert_everybody_reaches_their_own(crowd, client)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, only(2), id="as it is"),
        pytest.param(
            {"CapDrop": [], "CapAdd": ["MKNOD"]},
            only(2, others=FORBIDDEN),
            id="where root may make nodes, the kernel still forbids to open them",
        ),
        pytest.param(
            {"CapDrop": [], "DeviceCgroupRules": ["c 195:* rwm"]},
            only(*ALL),
            id="where it is not told to, all are open",
        ),
        pytest.param(
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]},
            only(*ALL),
            id="where all were asked for, all are open",
        ),
        pytest.param(
            {"Privileged": True},
            only(*ALL),
            id="where all rights were given away, all are open",
        ),
    ],
)
def test_what_keeps_the_others_away(
    client: docker.DockerClient, tmp_path: Path, changes: dict[str, Any], expected: Reach
) -> None:
    body = our_body("debian", tmp_path, {}, Device(UUIDS[2], by_cdi=True))
    body["User"] = "0:0"
    assert probe_once(client, with_host_config(body, **changes)) == expected


ANNOTATED = {"Annotations": {"cdi.k8s.io/more": "nvidia.com/gpu=1"}}


def test_an_annotation_opens_a_gpu_the_stock_way_and_is_noticed_on_ours(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    host_config = {"Runtime": "nvidia", **ANNOTATED}
    stock = {"Image": "debian", "NetworkDisabled": True, "HostConfig": host_config}
    assert probe_once(client, stock) == only(1, others=FORBIDDEN)
    mine = with_host_config(our_body("debian", tmp_path, {}), **ANNOTATED)
    assert probe_once(client, mine) == only()  # the runtime of ours obeys none
    assert probe_once(client, with_host_config(mine, Runtime="nvidia")) == only(1)
    container = client.api.create_container_from_config(mine)["Id"]
    try:
        made = client.api.inspect_container(container)
    finally:
        client.api.remove_container(container, force=True, v=True)
    decided = our_body("debian", tmp_path, {})
    found = differences(decided, made["Config"], made["HostConfig"], made["Mounts"])
    assert [each.key for each in found] == ["Annotations"]
