"""Everybody gets a different GPU, and nobody gets one that somebody has."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from hub_config.status import read_status
from spawner.queueing import LOOK_SECONDS
from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Ledger
from tests.lib.fake_engine import FakeEngine
from tests.lib.fake_state import Container
from tests.lib.lab import Lab
from tests.lib.node import ROOT
from tests.lib.person import words
from tests.lib.starts import RUNS, WAITS, start

pytestmark = pytest.mark.hub

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"
CONFIG = """\
login:
  provider: local
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
quotas:
  default: {cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 2, session: 12 h}
"""
PEOPLE = ("ada", "bob", "cleo", "dan")
ONE = {"gpus": 1}
IMPATIENT = ROOT / "tests" / "lib" / "impatient_config.py"


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """A lab on a machine with two GPUs."""
    fake_engine.life.cdi = [f"nvidia.com/gpu={each}" for each in ("0", A, "1", B, "all")]
    with Lab(fake_engine.url, config=CONFIG, hub_config=IMPATIENT) as running:
        for name in PEOPLE:
            running.add_user(name)
            running.login(name)
        yield running
    fake_engine.life.cdi = []


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """Leave no server."""
    yield
    for name in PEOPLE:
        lab.api("DELETE", f"users/{name}/server")
    until(lambda: not fake_engine.containers() and not open_runs(lab))


def until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def open_runs(lab: Lab) -> tuple[Run, ...]:
    return lab.transact(Ledger.open_runs)


def box(engine: FakeEngine, user: str) -> Container:
    [found] = [c for c in engine.containers() if c.labels.get("labhub.user") == user and c.running]
    return found


def gpus(engine: FakeEngine, user: str) -> list[str]:
    """Return the GPUs that the engine was asked to give to somebody's container."""
    requests = box(engine, user).host_config.get("DeviceRequests") or []
    return [name.partition("=")[2] for each in requests for name in each["DeviceIDs"]]


def gpus_of(engine: FakeEngine, user: str) -> list[str]:
    """Return the same, or nothing where no server runs."""
    mine = [each for each in engine.containers() if each.labels.get("labhub.user") == user]
    return gpus(engine, user) if any(each.running for each in mine) else []


def test_two_people_get_different_ones_and_a_third_waits(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", **ONE) == RUNS
    assert start(lab, "bob", **ONE) == RUNS
    assert sorted(gpus(fake_engine, "ada") + gpus(fake_engine, "bob")) == [A, B]
    assert start(lab, "cleo", **ONE) == WAITS
    assert start(lab, "dan", gpus=0) == RUNS
    assert gpus(fake_engine, "dan") == []


def test_on_the_same_click(lab: Lab, fake_engine: FakeEngine) -> None:
    for _ in range(5):
        with ThreadPoolExecutor(len(PEOPLE)) as pool:
            answers = list(pool.map(lambda name: start(lab, name, **ONE), PEOPLE))
        assert set(answers) <= {RUNS, WAITS}
        until(lambda: sum(bool(gpus_of(fake_engine, name)) for name in PEOPLE) == len((A, B)))
        lucky = [name for name in PEOPLE if gpus_of(fake_engine, name)]
        assert sorted(each for name in lucky for each in gpus(fake_engine, name)) == [A, B]
        for name in sorted(PEOPLE, key=lambda each: each in lucky):
            answer = lab.api("DELETE", f"users/{name}/server")
            assert answer.ok, (name, answer.text)
        until(lambda: not open_runs(lab))


def test_whose_server_runs_does_not_stand_in_the_queue(lab: Lab) -> None:
    assert start(lab, "ada", gpus=2) == RUNS
    assert start(lab, "bob", **ONE) == WAITS
    [bobs] = lab.transact(Ledger.tickets)
    lab.transact(lambda ledger: ledger.wait(replace(bobs, holder=Holder("ada", ""))))
    until(lambda: lab.transact(Ledger.tickets) == (bobs,))
    assert [each.holder for each in open_runs(lab)] == [Holder("ada", "")]


def test_an_end_that_was_asked_of_an_earlier_server_is_none_of_the_present_one(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    assert start(lab, "ada", gpus=2) == RUNS
    present = box(fake_engine, "ada").id
    [run] = open_runs(lab)
    earlier = replace(run, name="earlier", container="e" * 64, devices=(), gpus=0)

    def ask(ledger: Ledger) -> None:
        ledger.begin(earlier)
        ledger.ask_stop(run.holder, Reason.ADMIN, "eve", run="earlier")

    lab.transact(ask)
    time.sleep(2 * LOOK_SECONDS + 1)  # the queue looks at the store that often
    assert box(fake_engine, "ada").id == present
    assert lab.transact(lambda ledger: ledger.run(run.name)).stop is None
    end = Receipt("earlier", run.holder, Kind.SERVER, run.began, Reason.ADMIN, run.memory_bytes)
    lab.transact(lambda ledger: ledger.end(end))


def test_one_that_was_given_back_goes_to_the_next(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", gpus=2) == RUNS
    assert sorted(gpus(fake_engine, "ada")) == [A, B]
    assert start(lab, "bob", **ONE) == WAITS
    lab.api("DELETE", "users/ada/server")
    until(lambda: gpus_of(fake_engine, "bob"))


def test_a_server_that_died_gives_its_gpu_back(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", gpus=2) == RUNS
    fake_engine.die(box(fake_engine, "ada").id, 1)
    until(lambda: not open_runs(lab))
    assert start(lab, "bob", gpus=2) == RUNS


def test_a_hub_that_was_killed_forgets_no_gpu(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", **ONE) == RUNS
    mine = gpus(fake_engine, "ada")
    lab.restart_hub(kill=True)
    assert start(lab, "bob", **ONE) == RUNS
    assert gpus(fake_engine, "bob") != mine
    assert start(lab, "cleo", **ONE) == WAITS


def test_an_engine_that_does_not_answer_frees_none(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", gpus=2) == RUNS
    mine = gpus(fake_engine, "ada")
    fake_engine.fail("*", "/containers", status=500, times=10**6)
    lab.api("DELETE", "users/ada/server")  # nobody knows whether it ended
    assert [list(run.devices) for run in open_runs(lab)] == [mine]
    assert start(lab, "bob", gpus=2) == WAITS
    assert box(fake_engine, "ada").running
    fake_engine.clear_faults()
    until(lambda: len(gpus_of(fake_engine, "bob")) == len(mine))  # once it was proven to have ended
    assert not gpus_of(fake_engine, "ada")


def test_a_store_that_was_lost_is_filled_again_with_who_has_which(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    assert start(lab, "ada", **ONE) == RUNS
    lab.stop_hub(kill=True)
    for path in lab.dir.state.glob("labhub.sqlite*"):
        path.unlink()
    lab.start_hub()
    until(lambda: open_runs(lab), seconds=40)
    [run] = open_runs(lab)
    assert list(run.devices) == gpus(fake_engine, "ada")
    assert start(lab, "bob", **ONE) == RUNS
    assert gpus(fake_engine, "bob") != gpus(fake_engine, "ada")


def test_no_image_and_no_user_gets_around_it(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, "ada", gpus=0) == RUNS
    mine = box(fake_engine, "ada")
    assert mine.environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert mine.host_config["Runtime"] == "runc"
    assert "DeviceRequests" not in mine.host_config
    for wish in (-1, 3, "all", "2.5", A, [A], None, True):
        assert start(lab, "bob", gpus=wish) != ""


def test_the_start_page_offers_what_is_free(lab: Lab) -> None:
    person = lab.login("bob")
    assert "2 GPUs" in words(person.get("/hub/spawn/bob"))
    assert start(lab, "ada", **ONE) == RUNS
    page = words(person.get("/hub/spawn/bob"))
    assert "2 GPUs, waits" in page
    assert "1 GPU, after" not in page
    assert "With 2 GPUs: about " in page


def test_several_share_a_device_that_the_file_says_so_of(lab: Lab, fake_engine: FakeEngine) -> None:
    lab.dir.config.write_text(f"{CONFIG}gpus: {{devices: [{A}], share: {{{A}: 2}}}}\n")
    try:
        until(lambda: "1 GPU" in words(lab.login("ada").get("/hub/spawn/ada")))
        time.sleep(1)
        assert start(lab, "ada", **ONE) == RUNS
        assert start(lab, "bob", **ONE) == RUNS
        assert gpus(fake_engine, "ada") == gpus(fake_engine, "bob") == [A]
        assert start(lab, "cleo", **ONE) == WAITS
        assert box(fake_engine, "ada").environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    finally:
        lab.dir.config.write_text(CONFIG)
        time.sleep(1)


def test_who_has_a_device_alone_keeps_it_alone_when_it_is_to_be_shared(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    lab.dir.save(f"{CONFIG}gpus: {{devices: [{A}]}}\n")
    try:
        until(lambda: read_status(lab.dir.state)["devices"] == [{"id": A, "places": 1}])
        assert start(lab, "ada", **ONE) == RUNS
        lab.dir.save(f"{CONFIG}gpus: {{devices: [{A}], share: {{{A}: 2}}}}\n")
        until(lambda: read_status(lab.dir.state)["devices"] == [{"id": A, "places": 2}])
        assert f"{A}  0 of 1" in lab.cli("device", "list")
        for _ in range(2):
            assert start(lab, "bob", **ONE) == WAITS
            lab.api("DELETE", "users/bob/server")
            lab.restart_hub()
        lab.api("DELETE", "users/ada/server")
        assert start(lab, "bob", **ONE) == RUNS
        assert start(lab, "ada", **ONE) == RUNS
    finally:
        lab.dir.save(CONFIG)
        until(lambda: len(read_status(lab.dir.state)["devices"]) == len((A, B)))


def test_limits_of_a_server_whose_gpu_came_in_by_a_hook_wait(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    by_hook = f"{CONFIG}gpus: {{devices: [{A}, {B}]}}\n"
    lab.dir.config.write_text(by_hook)
    fake_engine.life.cdi = []  # as an engine of before 28.2
    lab.restart_hub()
    try:
        assert start(lab, "ada", **ONE) == RUNS
        mine = box(fake_engine, "ada").host_config
        [request] = mine["DeviceRequests"]
        assert (request["Driver"], request["DeviceIDs"]) == ("nvidia", [A])
        lab.dir.config.write_text(by_hook.replace("cpus: 1", "cpus: 2"))
        person = lab.login("ada")
        until(lambda: "cut your server off from its GPU" in words(person.get("/hub/home")))
        assert mine["CpuQuota"] == 100_000
    finally:
        fake_engine.life.cdi = [f"nvidia.com/gpu={each}" for each in ("0", A, "1", B, "all")]
        lab.dir.config.write_text(CONFIG)
