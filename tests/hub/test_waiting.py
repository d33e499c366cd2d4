"""Who finds no room waits: in order, over a restart of the hub, and never for nothing."""

import html
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from spawner.runs import Reason, Run
from spawner.store import Ledger
from spawner.waiting import Waiting
from tests.lib import starts
from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab
from tests.lib.node import ROOT
from tests.lib.person import words
from tests.lib.starts import RUNS, WAITS, is_ready

pytestmark = pytest.mark.hub

DEVICES = tuple(f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "abcd")
CONFIG = f"""\
login:
  provider: local
  admins: [u0]
images:
  tensorflow: {{title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}}
quotas:
  default: {{cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 4, servers: 2, session: 12 h}}
  groups: {{crew: {{gpus: 1, total: {{gpus: 1}}}}}}
gpus: {{devices: [{", ".join(DEVICES)}]}}
host: {{reserve: {{memory: 8 GiB}}}}
"""
PEOPLE = tuple(f"u{number}" for number in range(10))
HUB = ROOT / "tests" / "lib" / "impatient_config.py"
# There a start may take so long.
HASTY, HASTY_SECONDS = HUB.with_name("hasty_config.py"), 8
GIB = 1 << 30
NO_CONTENT = 204


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """Ten people and four GPUs."""
    with Lab(fake_engine.url, config=CONFIG, hub_config=HUB) as running:
        for name in PEOPLE:
            running.add_user(name)
            running.login(name)
        yield running


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """Leave no server, nobody who waits, and the file as it was."""
    yield
    if lab.dir.config.read_text() != CONFIG:
        save(lab, CONFIG)
    for name in PEOPLE:
        for server in lab.api("GET", f"users/{name}").json()["servers"]:
            lab.api("DELETE", f"users/{name}/servers/{server}")
    until(lambda: not waiting(lab) and not fake_engine.containers() and not runs(lab))


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def save(lab: Lab, text: str) -> None:
    lab.dir.save(text)
    time.sleep(2)


def runs(lab: Lab) -> dict[str, Run]:
    return {run.holder.user: run for run in lab.transact(Ledger.open_runs)}


def waiting(lab: Lab) -> tuple[Waiting, ...]:
    return lab.transact(Ledger.tickets)


def names(lab: Lab) -> list[str]:
    return [each.holder.user for each in waiting(lab)]


def start(lab: Lab, user: str, **options: Any) -> str:
    """Ask for a server, with one GPU unless the options say something else."""
    return starts.start(lab, user, **{"gpus": 1, **options})


def stop(lab: Lab, user: str) -> None:
    lab.api("DELETE", f"users/{user}/server")


def queue(lab: Lab, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(lab.cli("queue", "list", "--json", *words))
    return found


def place(lab: Lab, user: str) -> dict[str, Any]:
    """Return what the person's page is told; it may take a moment."""
    found: dict[str, Any] = {}

    def known() -> bool:
        answer = lab.api("GET", f"labhub/queue/{user}/")
        assert answer.status_code == requests.codes.ok, answer.text
        found.update(answer.json()["queue"] or {})
        return bool(found)

    until(known)
    return found


def test_ten_people_and_four_gpus(lab: Lab) -> None:
    answers = [start(lab, user) for user in PEOPLE]
    assert answers == [RUNS] * 4 + [WAITS] * 6
    assert sorted(d for run in runs(lab).values() for d in run.devices) == sorted(DEVICES)
    until(lambda: [each["position"] for each in queue(lab)] == [1, 2, 3, 4, 5, 6])
    assert [each["user"] for each in queue(lab)] == list(PEOPLE[4:])
    for leaves, comes in zip(PEOPLE[:6], PEOPLE[4:], strict=True):
        stop(lab, leaves)
        until(lambda comes=comes: is_ready(lab, comes))
        held = [d for run in runs(lab).values() for d in run.devices]
        assert len(held) == len(set(held)) == len(DEVICES)
    assert not waiting(lab)


def test_who_waits_for_the_groups_total_reads_that(lab: Lab) -> None:
    members = [word for name in ("u8", "u9") for word in ("--add", name)]
    lab.cli("user", "group", "crew", *members)
    people = {name: lab.login(name) for name in ("u8", "u9")}  # this tells the hub the group
    assert start(lab, "u8") == RUNS
    assert start(lab, "u9") == WAITS
    until(lambda: place(lab, "u9"))
    told = people["u9"].api("GET", "labhub/queue/u9/").json()["queue"]["sentence"]
    assert told.startswith(
        "The group crew may have 1 GPU in all, and 1 other server of its members has 1 GPU. "
        "You are next; a GPU is yours in about "
    )
    assert "and u8 has 1 GPU" in place(lab, "u9")["sentence"]
    stop(lab, "u8")
    until(lambda: is_ready(lab, "u9"))
    lab.cli("user", "group", "crew", *(word.replace("--add", "--remove") for word in members))
    for name in people:
        lab.login(name)


def test_a_place_says_when_and_what_is_ahead(lab: Lab) -> None:
    assert [start(lab, user, session="1 h", gpus=2) for user in PEOPLE[:2]] == [RUNS, RUNS]
    assert start(lab, "u2", gpus=2, session="2 h") == WAITS
    assert start(lab, "u3", session="4 h") == WAITS
    until(lambda: len(queue(lab)) == 2 and queue(lab)[1]["position"] == 2)
    found = place(lab, "u3")
    assert (found["position"], found["waiting"], found["gpus"]) == (2, 2, 1)
    assert 3500 < found["eta_seconds"] <= 3600
    assert found["sentence"].startswith(
        "No GPU is free for you now. You are number 2 in the queue;"
    )
    [ahead] = found["ahead"]
    assert ahead["text"].startswith("2 GPUs for 2 h, waiting since ")
    mine = lab.login("u3").api("GET", "labhub/queue/u3/").json()["queue"]
    assert "name" not in mine["ahead"][0]
    home = words(lab.login("u3").get("/hub/home"))
    assert "You are number 2 in the queue" in home


def test_leaving_makes_room_for_those_behind(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, user) for user in ("u1", "u2")] == [WAITS, WAITS]
    stop(lab, "u1")
    until(lambda: names(lab) == ["u2"])
    assert place(lab, "u2")["position"] == 1
    stop(lab, "u0")
    until(lambda: is_ready(lab, "u2"))
    assert not is_ready(lab, "u1")


def test_home_says_that_a_start_was_cancelled_while_it_waited(lab: Lab) -> None:
    person, left = lab.login("u1"), "the start was cancelled while it waited in the queue."
    assert start(lab, "u1") == RUNS
    stop(lab, "u1")
    assert "stopped by an administrator" in words(person.get("/hub/home"))
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1") == WAITS
    assert person.api("DELETE", "users/u1/server").status_code == NO_CONTENT
    home = words(person.get("/hub/home"))
    assert left in home
    assert "stopped by an administrator" not in home
    stop(lab, "u0")
    assert start(lab, "u1") == RUNS
    stop(lab, "u1")
    assert left not in words(person.get("/hub/home"))


def test_without_a_gpu_it_starts_at_once(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1", cpus=0.5) == WAITS
    person = lab.login("u1")
    assert person.api("POST", "labhub/queue/u1/", json={"do": "dance"}).status_code == 400
    assert lab.login("u2").api("POST", "labhub/queue/u1/", json={}).status_code in {403, 404}
    assert person.api("POST", "labhub/queue/u1/", json={"do": "without_gpu"}).status_code == 200
    until(lambda: is_ready(lab, "u1"))
    run = runs(lab)["u1"]
    assert (run.gpus, run.devices, run.cpus) == (0, (), 0.5)
    assert person.api("POST", "labhub/queue/u1/", json={"do": "without_gpu"}).status_code == 404


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_hub_that_comes_back_goes_on_with_the_queue(lab: Lab, kill: bool) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, user, cpus=0.5) for user in ("u1", "u2")] == [WAITS, WAITS]
    before = {each.holder: each.since for each in waiting(lab)}
    lab.restart_hub(kill=kill)
    assert {each.holder: each.since for each in waiting(lab)} == before
    pending = lambda: lab.api("GET", "users/u2").json()["servers"].get("", {}).get("pending")  # noqa: E731
    until(lambda: pending() == "spawn")
    stop(lab, "u0")
    until(lambda: is_ready(lab, "u1") and is_ready(lab, "u2"))
    assert {run.cpus for run in runs(lab).values()} == {0.5}


def test_a_hub_that_ends_while_somebody_gets_their_turn_does_not_take_it(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, "u1", gpus=4, cpus=0.5), start(lab, "u2")] == [WAITS, WAITS]
    [since, _] = [each.since for each in waiting(lab)]
    fake_engine.delay("POST", "/containers/create", 6, times=1)
    try:
        stop(lab, "u0")
        until(lambda: "u1" in runs(lab))
        lab.stop_hub()
        assert "u1" in runs(lab)
        assert names(lab) == ["u2"]
    finally:
        fake_engine.clear_faults()
    lab.start_hub()
    until(lambda: is_ready(lab, "u1"), 40)
    assert (runs(lab)["u1"].cpus, names(lab)) == (0.5, ["u2"])
    assert not any(each.since == since for each in waiting(lab))


def test_who_cancels_when_their_turn_has_come_loses_the_place(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1") == WAITS
    fake_engine.delay("POST", "/containers/create", 4, times=1)
    stop(lab, "u0")
    until(lambda: "u1" in runs(lab))
    assert [each.holder.user for each in lab.transact(Ledger.called)] == ["u1"]
    stop(lab, "u1")
    until(lambda: not lab.transact(Ledger.called), 3)
    until(lambda: not runs(lab))
    lab.restart_hub()
    time.sleep(2)
    assert not waiting(lab)
    assert not runs(lab)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param("gpus: 4,", "gpus: 2,", "You may have at most 2 GPUs", id="the quota"),
        pytest.param(
            ", ".join(DEVICES), ", ".join(DEVICES[:2]), "has only 2 GPUs", id="the machine"
        ),
    ],
)
def test_who_waits_for_what_a_changed_file_never_gives_is_told_so_at_once(
    lab: Lab, old: str, new: str, sentence: str
) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, "u1", gpus=3), start(lab, "u2", gpus=2)] == [WAITS, WAITS]
    save(lab, CONFIG.replace(old, new))
    until(lambda: names(lab) == ["u2"])
    assert sentence in words(lab.login("u1").get("/hub/spawn-pending/u1"))
    assert is_ready(lab, "u0")


def test_who_waits_for_a_drained_device_waits_on_when_the_file_changes(lab: Lab) -> None:
    for device in DEVICES[1:]:
        lab.cli("lease", "drain", device)
    try:
        assert start(lab, "u1", gpus=3) == WAITS
        save(lab, CONFIG.replace("session: 12 h", "session: 13 h"))
        assert names(lab) == ["u1"]
    finally:
        for device in DEVICES[1:]:
            lab.cli("lease", "drain", device, "--undo")
    until(lambda: is_ready(lab, "u1"))


def test_who_joins_a_group_of_more_priority_comes_before_others(lab: Lab) -> None:
    save(lab, CONFIG.replace("groups: {", "groups: {staff: {priority: 5}, "))
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, user) for user in ("u1", "u2")] == [WAITS, WAITS]
    until(lambda: [each["user"] for each in queue(lab)] == ["u1", "u2"])
    lab.api("POST", "groups/staff")
    try:
        lab.api("POST", "groups/staff/users", json={"users": ["u2"]})
        until(lambda: [each["user"] for each in queue(lab)] == ["u2", "u1"])
        assert waiting(lab)[1].groups == {"staff"}
        lab.api("DELETE", "groups/staff/users", json={"users": ["u2"]})
        until(lambda: [each["user"] for each in queue(lab)] == ["u1", "u2"])
    finally:
        lab.api("DELETE", "groups/staff")


def test_a_start_may_wait_for_longer_than_it_may_take(fake_engine: FakeEngine) -> None:
    # Of other GPUs: what one lab of an engine has is not free for another.
    config = CONFIG.replace("-0000-0000-", "-0000-0001-")
    with Lab(fake_engine.url, config=config, hub_config=HASTY) as hasty:
        for name in ("u0", "u1"):
            hasty.add_user(name)
            hasty.login(name)
        assert [start(hasty, "u0", gpus=4), start(hasty, "u1")] == [RUNS, WAITS]
        time.sleep(HASTY_SECONDS + 2)
        assert names(hasty) == ["u1"]
        stop(hasty, "u0")
        until(lambda: is_ready(hasty, "u1"))


def test_a_place_that_nobody_looks_at_is_given_up(lab: Lab) -> None:
    save(lab, CONFIG.replace("gpus: {devices", "gpus: {ticket_ttl: 10 s, devices"))
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1") == WAITS
    until(lambda: not waiting(lab), 40)
    page = words(lab.login("u1").get("/hub/spawn-pending/u1"))
    assert "Nobody looked at this start for 10 s, so it left the queue." in page
    start(lab, "u1")
    assert names(lab) == ["u1"]


def test_who_follows_the_start_is_there(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1") == WAITS
    assert waiting(lab)[0].lost_at is not None
    person = lab.login("u1")
    with person.get("/hub/api/users/u1/server/progress", stream=True) as events:
        lines = events.iter_lines()
        told: list[dict[str, Any]] = []
        while not (told and told[-1].get("queue")):
            line = next(lines).decode()
            told += [json.loads(line.removeprefix("data: "))] if line.startswith("data: ") else []
        assert told[-1]["queue"]["position"] == 1
        until(lambda: waiting(lab)[0].lost_at is None)
    until(lambda: waiting(lab)[0].lost_at is not None)


def test_who_does_not_come_when_others_wait_loses_the_gpu(lab: Lab) -> None:
    save(lab, CONFIG.replace("gpus: {devices", "gpus: {claim: 10 s, devices"))
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, user, gpus=4) for user in ("u1", "u2")] == [WAITS, WAITS]
    stop(lab, "u0")
    until(lambda: is_ready(lab, "u1"))
    assert runs(lab)["u1"].offered is not None
    until(lambda: is_ready(lab, "u2"), 40)
    [end, *_] = lab.transact(lambda ledger: ledger.receipts("u1"))
    assert end.reason is Reason.UNCLAIMED
    page = words(lab.login("u1").get("/hub/home"))
    assert "nobody opened it, and others were waiting for its GPU" in page


def test_who_opens_the_server_keeps_it(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1", gpus=4) == WAITS
    person = lab.login("u1")
    with person.get("/hub/api/users/u1/server/progress", stream=True):
        until(lambda: waiting(lab)[0].lost_at is None)
        stop(lab, "u0")
        until(lambda: is_ready(lab, "u1"))
    assert runs(lab)["u1"].offered is None


def test_a_session_goes_on_until_somebody_waits_and_is_warned_first(lab: Lab) -> None:
    # A minute is the shortest session; a quarter of it before the end one is warned.
    assert start(lab, "u0", gpus=4, session="60 s") == RUNS
    lab.transact(began_earlier("u0", 300))
    lab.restart_hub()
    time.sleep(3)
    assert is_ready(lab, "u0")
    assert runs(lab)["u0"].warned_at is None
    assert start(lab, "u1") == WAITS
    until(lambda: runs(lab)["u0"].warned_at is not None)
    assert "its session of 1 min is over then" in words(lab.login("u0").get("/hub/home"))
    until(lambda: is_ready(lab, "u1"), 40)
    [end, *_] = lab.transact(lambda ledger: ledger.receipts("u0"))
    assert end.reason is Reason.TIME_LIMIT


def began_earlier(user: str, seconds: float) -> Callable[[Ledger], None]:
    """Let a server have begun so much earlier."""

    def work(ledger: Ledger) -> None:
        ledger._connection.exec_driver_sql(
            "UPDATE runs SET began = datetime(began, ?) WHERE user = ?",
            (f"-{seconds} seconds", user),
        )

    return work


def test_memory_is_waited_for_like_a_gpu(lab: Lab) -> None:
    lab.dir.machine(10 * GIB)  # of which 8 are never given out
    try:
        lab.restart_hub()
        assert [start(lab, user, gpus=0) for user in ("u0", "u1")] == [RUNS, RUNS]
        assert start(lab, "u2", gpus=0) == WAITS
        assert place(lab, "u2")["sentence"].startswith("There is no room now. You are next; memory")
        stop(lab, "u0")
        until(lambda: is_ready(lab, "u2"))
    finally:
        lab.dir.machine(1 << 40)


def test_what_waiting_cannot_give_is_refused(lab: Lab) -> None:
    small = {"cpus": 0.4, "memory": "256 MiB"}
    assert start(lab, "u0", gpus=3, **small) == RUNS
    answer = lab.api("POST", "users/u0/servers/two", json={"gpus": 2, **small})
    assert (answer.status_code, answer.json()["message"]) == (
        409,
        "You may have 4 GPUs in all, and your other servers leave 1 GPU: choose at most that, or "
        "stop another server first.",
    )


# admins


def test_an_admin_changes_the_order(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert [start(lab, user) for user in ("u1", "u2", "u3")] == [WAITS, WAITS, WAITS]
    assert lab.cli("queue", "move", "u3", "first") == "u3 is served before all others.\n"
    assert lab.cli("queue", "move", "u1", "last") == "u1 is served behind all others.\n"
    until(lambda: [each["user"] for each in queue(lab)] == ["u3", "u2", "u1"])
    assert lab.cli("queue", "remove", "u2") == "u2 is out of the queue.\n"
    until(lambda: [each["user"] for each in queue(lab)] == ["u3", "u1"])
    person, sentence = lab.login("u2"), "An administrator took your start out of the queue"
    until(lambda: sentence in words(person.get("/hub/spawn-pending/u2")))
    for wrong in (("move", "nobody", "first"), ("remove", "u0")):
        said = lab.cli("queue", *wrong, check=False)
        assert "does not wait; see `labhub queue list`." in said


def test_an_admin_releases_a_lease(lab: Lab) -> None:
    assert start(lab, "u0", gpus=4) == RUNS
    assert start(lab, "u1") == WAITS
    assert lab.cli("lease", "release", "u0").startswith("u0 is being ended")
    until(lambda: is_ready(lab, "u1"))
    [end, *_] = lab.transact(lambda ledger: ledger.receipts("u0"))
    assert end.reason is Reason.ADMIN
    assert "has no GPU; see `labhub lease list`" in lab.cli("lease", "release", "u9", check=False)


def test_a_drained_device_goes_to_nobody_new(lab: Lab) -> None:
    assert start(lab, "u0", gpus=3) == RUNS
    [free] = set(DEVICES) - set(runs(lab)["u0"].devices)
    assert lab.cli("lease", "drain", free).endswith("goes to nobody new; who has it keeps it until "
                                                    "their server ends.\n")  # fmt: skip
    assert start(lab, "u1") == WAITS
    lab.cli("lease", "drain", free, "--undo")
    until(lambda: is_ready(lab, "u1"))
    assert runs(lab)["u1"].devices == (free,)
    assert "There is no GPU GPU-x; there are" in lab.cli("lease", "drain", "GPU-x", check=False)


def test_the_page_for_admins(lab: Lab) -> None:
    assert start(lab, "u5", gpus=4) == RUNS
    assert [start(lab, user) for user in ("u6", "u7")] == [WAITS, WAITS]
    admin, member = lab.login("u0"), lab.login("u8")
    assert member.get("/hub/gpus").status_code == 403
    assert member.api("GET", "labhub/gpus").status_code == 403
    until(lambda: len(queue(lab)) == 2 and queue(lab)[1]["position"] == 2)
    page = admin.get("/hub/gpus")
    assert all(device in words(page) for device in DEVICES)
    facts = admin.api("GET", "labhub/gpus").json()
    [lease] = facts["devices"][0]["leases"]
    ends = runs(lab)["u5"].ends_at
    assert ends is not None
    assert (lease["name"], lease["until"]) == ("u5", ends.isoformat())
    assert all(f'datetime="{lease[moment]}"' in page.text for moment in ("since", "until"))
    assert words(page).index("u6") < words(page).index("u7")

    def order(wish: str, subject: str) -> requests.Response:
        return admin.submit(admin.get("/hub/gpus"), {"do": wish, "of": subject})

    order("first", "u7")
    until(lambda: [each["user"] for each in queue(lab)] == ["u7", "u6"])
    order("drain", DEVICES[0])
    assert "drained by u0" in words(admin.get("/hub/gpus"))
    facts = admin.api("GET", "labhub/gpus").json()
    assert [each["draining"] for each in facts["devices"]] == [True, False, False, False]
    assert [each["name"] for each in facts["queue"]] == ["u7", "u6"]
    order("undrain", DEVICES[0])
    assert "drained by" not in words(admin.get("/hub/gpus"))
    assert order("dance", "u7").status_code == 400
    for wish, subject, sentence in (
        ("drain", "GPU-<x>", "There is no GPU GPU-<x>; there are " + ", ".join(DEVICES)),
        ("undrain", DEVICES[0], f"{DEVICES[0]} is not drained"),
        ("release", "u7", "u7 has no GPU"),
        ("last", "u9", "u9 does not wait"),
    ):
        answer = order(wish, subject)
        assert (answer.status_code, sentence in html.unescape(answer.text)) == (409, True)
    assert not lab.transact(Ledger.drains)
