"""A session ends when it is over, an unused server when nobody uses it; nobody is surprised."""

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from spawner.messages.times import NO_SUCH_WISH
from spawner.runs import Holder, Reason, Receipt, Run
from spawner.store import Ledger
from tests.lib.fake_engine import FakeEngine
from tests.lib.fake_state import Container
from tests.lib.lab import Lab
from tests.lib.node import ROOT
from tests.lib.person import Person, words

pytestmark = pytest.mark.hub

CONFIG = """\
login:
  provider: local
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
quotas:
  default: {cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, servers: 2%s}
"""
ADA = Holder("ada", "")
TIME = "labhub/time/ada/"
# Half of what the kernel counts in a second: it is well above what an idle server takes.
COMPUTING_SECONDS = 0.5


@pytest.fixture(scope="module")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place where the kernel would tell how much processor time each container took."""
    return tmp_path_factory.mktemp("cgroup")


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, cgroups: Path) -> Iterator[Lab]:
    """A lab whose rules about time differ from test to test."""
    environ = {"LABHUB_CGROUP": str(cgroups)}
    hub = ROOT / "tests" / "lib" / "times_config.py"
    with Lab(fake_engine.url, config=CONFIG % "", env=environ, hub_config=hub) as running:
        for name in ("ada", "bob"):
            running.add_user(name)
            running.login(name)
        yield running


@pytest.fixture(scope="module")
def ada(lab: Lab) -> Person:
    """Whose servers these are."""
    return lab.login("ada")


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, lab: Lab) -> Iterator[None]:
    """Leave no server."""
    yield
    lab.api("DELETE", "users/ada/server")
    until(lambda: not model(lab))


def until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def rules(lab: Lab, text: str) -> None:
    """Save other rules about time, and wait until they hold."""
    before = loads(lab)
    lab.dir.save(CONFIG % (f", {text}" if text else ""))
    until(lambda: loads(lab) > before)


def loads(lab: Lab) -> float:
    """Return how often the hub has read the file."""
    metrics = lab.api("GET", "../metrics").text.splitlines()
    start = 'labhub_config_loads_total{outcome="valid"} '
    return float(next(line for line in metrics if line.startswith(start)).removeprefix(start))


class Processor:
    """The kernel's count of one container's processor time."""

    def __init__(self, cgroups: Path, container: Container) -> None:
        """Begin at nothing."""
        self._file = cgroups / "cpuacct" / "docker" / container.id / "cpuacct.usage"
        self._file.parent.mkdir(parents=True)
        self._seconds = 0.0
        self.take(0)

    def take(self, seconds: float) -> None:
        """Let the container take some."""
        self._seconds += seconds
        new = self._file.with_suffix(".new")
        new.write_text(f"{int(self._seconds * 1e9)}\n")
        os.replace(new, self._file)  # noqa: PTH105 - the reader must never see half of it


@pytest.fixture
def start(lab: Lab, fake_engine: FakeEngine, cgroups: Path) -> Callable[..., Processor]:
    """Start ada's server; return its processor time."""

    def start(text: str, **options: str) -> Processor:
        rules(lab, text)
        answer = lab.api("POST", "users/ada/server", json=options)
        assert answer.status_code == 201, answer.text
        [container] = [each for each in fake_engine.containers() if each.running]
        return Processor(cgroups, container)

    return start


def model(lab: Lab) -> dict[str, Any]:
    return lab.api("GET", "users/ada").json()["servers"].get("") or {}


def receipts(lab: Lab) -> tuple[Receipt, ...]:
    return lab.transact(lambda ledger: ledger.receipts("ada"))


def run_of(lab: Lab) -> Run:
    [run] = lab.transact(Ledger.open_runs)
    return run


def shown(lab: Lab) -> dict[str, Any]:
    """Return what the hub says of the time of ada's server, once it keeps it."""
    until(lambda: lab.api("GET", TIME).status_code == 200)
    facts: dict[str, Any] = lab.api("GET", TIME).json()
    return facts


# sessions


def test_a_session_that_is_over_ends_the_server(lab: Lab, ada: Person, start: Any) -> None:
    start("session: 6 s")
    facts = shown(lab)
    assert 0 < facts["left_seconds"] <= 6.5
    until(lambda: shown(lab)["warning"] or not model(lab))
    page = words(ada.get("/hub/home"))
    assert "Runs until" in page
    until(lambda: not model(lab), seconds=15)
    [receipt, *_] = receipts(lab)
    assert (receipt.reason, receipt.allowed_seconds, receipt.extensions) == (
        Reason.TIME_LIMIT, 6, 0,
    )  # fmt: skip
    assert "its session of 6 s was over" in words(ada.get("/hub/home"))


def test_a_session_without_limit_has_no_end(lab: Lab, ada: Person, start: Any) -> None:
    start("session: unlimited")
    facts = shown(lab)
    assert (facts["ends_at"], facts["warning"], facts["extend"]) == (None, "", "")
    assert "Runs until" not in words(ada.get("/hub/home"))
    answer = lab.api("POST", TIME, json={"do": "extend"})
    assert (answer.status_code, "no end to put off" in answer.text) == (409, True)


def test_the_user_extends_once_per_step(lab: Lab, ada: Person, start: Any) -> None:
    start("session: 8 s, extend: 1 h")
    facts = shown(lab)
    assert facts["extend"] == "Extend by 1 h"
    assert "Extend by 1 h" in words(ada.get("/hub/home"))
    assert facts["warnings"] == [2, 2 / 3, 8 / 60]
    answer = lab.api("POST", TIME, json={"do": "extend"})
    assert answer.status_code == 200
    assert answer.json()["said"] == "Extended: your server now stops in {left}."
    assert 3600 < answer.json()["left_seconds"] <= 3608
    again = lab.api("POST", TIME, json={"do": "extend"})
    assert again.status_code == 409
    assert "once in 1 h" in again.json()["message"]
    run = run_of(lab)
    assert (run.extensions, run.extended_seconds) == (1, 3600)
    time.sleep(8)
    assert model(lab)["ready"]
    lab.api("DELETE", "users/ada/server")
    assert receipts(lab)[0].extensions == 1


def test_who_chose_less_gets_the_rest_of_it(lab: Lab, start: Any) -> None:
    start("session: 12 h, extend: 2 h", session="1 h")
    assert shown(lab)["left_seconds"] <= 3600
    answer = lab.api("POST", TIME, json={"do": "extend"}).json()
    assert 3600 * 3 - 60 < answer["left_seconds"] <= 3600 * 3
    assert run_of(lab).extensions == 0


def test_a_restart_of_the_hub_changes_no_end(lab: Lab, start: Any) -> None:
    start("session: 12 h")
    before = shown(lab)["ends_at"]
    lab.restart_hub(kill=True)
    assert shown(lab)["ends_at"] == before


def test_a_longer_session_in_the_file_holds_at_once(lab: Lab, start: Any) -> None:
    start("session: 1 h")
    assert shown(lab)["left_seconds"] <= 3600
    rules(lab, "session: 3 h")
    until(lambda: shown(lab)["left_seconds"] > 2 * 3600, seconds=12)


def test_a_shorter_session_in_the_file_ends_nobody_without_a_warning(lab: Lab, start: Any) -> None:
    start("session: 12 h")
    shown(lab)
    time.sleep(5)
    rules(lab, "session: 5 s, extend: 1 h")
    until(lambda: shown(lab)["warning"] or not model(lab), seconds=12)
    assert model(lab)["ready"]


# idleness


def test_a_server_that_nobody_uses_ends(lab: Lab, ada: Person, start: Any) -> None:
    start("idle: 5 s")
    until(lambda: not model(lab), seconds=20)
    [receipt, *_] = receipts(lab)
    assert (receipt.reason, receipt.allowed_seconds) == (Reason.IDLE, 5)
    assert "no activity for 5 s" in words(ada.get("/hub/home"))


def test_a_program_that_says_nothing_and_computes_is_use(lab: Lab, start: Any) -> None:
    processor = start("idle: 5 s")
    end = time.monotonic() + 12
    while time.monotonic() < end:
        processor.take(COMPUTING_SECONDS)
        time.sleep(COMPUTING_SECONDS)
    assert model(lab)["ready"]
    until(lambda: not model(lab), seconds=20)


def test_a_busy_kernel_is_use(lab: Lab, fake_engine: FakeEngine, start: Any) -> None:
    start("idle: 5 s")
    [container] = [each for each in fake_engine.containers() if each.running]
    assert container.server is not None
    container.server.kernels = [{"execution_state": "busy"}]
    time.sleep(12)
    assert model(lab)["ready"]
    container.server.kernels = [{"execution_state": "idle"}]
    until(lambda: not model(lab), seconds=30)


def test_a_server_that_does_not_answer_or_cannot_be_measured_is_never_idle(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    rules(lab, "idle: 5 s")
    assert lab.api("POST", "users/ada/server").status_code == 201  # and no count of its time
    [container] = [each for each in fake_engine.containers() if each.running]
    time.sleep(10)
    assert model(lab)["ready"]
    assert container.running


def test_the_user_keeps_it(lab: Lab, start: Any) -> None:
    start("idle: 6 s")
    end = time.monotonic() + 14
    while time.monotonic() < end:
        assert lab.api("POST", TIME, json={"do": "keep"}).status_code in {200, 404}
        time.sleep(1)
    assert model(lab)["ready"]


def test_a_server_of_a_hub_that_was_restarted_ends_too(lab: Lab, start: Any) -> None:
    """The new hub does not know the server's own token, and asks all the same."""
    start("idle: 5 s")
    lab.restart_hub(kill=True)
    until(lambda: not model(lab), seconds=30)
    assert receipts(lab)[0].reason is Reason.IDLE


def test_an_open_tab_is_no_use(lab: Lab, ada: Person, start: Any) -> None:
    start("idle: 5 s")

    def asked_until_it_ended() -> bool:
        ada.get("/user/ada/api", allow_redirects=False)  # as JupyterLab does all the time
        return not model(lab)

    until(asked_until_it_ended, seconds=30)
    assert receipts(lab)[0].reason is Reason.IDLE


# the home page


def test_the_buttons_need_no_script(lab: Lab, ada: Person, start: Any) -> None:
    start("session: 1 h, extend: 1 h")
    shown(lab)
    home = ada.get("/hub/home")
    assert re.search(r"Runs until \S+ \S+ UTC \(in (1 h|59 min)", words(home))
    page = ada.submit(home, {})
    assert (page.status_code, page.url) == (200, f"{lab.url}/hub/home")
    assert run_of(lab).extensions == 1
    assert "Extend by" not in words(page)
    again = ada.web.post(f"{lab.url}/hub/time/ada/", data={"_xsrf": ada.xsrf, "do": "extend"})
    assert (again.status_code, "once in 1 h" in words(again)) == (409, True)
    assert ada.get("/hub/time/ada/").url == f"{lab.url}/hub/home"


def test_what_does_not_come_from_the_page_changes_nothing(
    lab: Lab, ada: Person, start: Any
) -> None:
    start("session: 1 h, extend: 1 h")
    shown(lab)
    url, bob = f"{lab.url}/hub/time/ada/", lab.login("bob")
    assert ada.web.post(url, data={"do": "extend"}).status_code == 403
    assert lab.visitor().web.post(url, data={"do": "extend"}).status_code == 403
    assert bob.web.post(url, data={"_xsrf": bob.xsrf, "do": "extend"}).status_code == 404
    for nonsense in ({}, {"do": "stop"}, {"do": ["extend", "no"]}):
        answer = ada.web.post(url, data={"_xsrf": ada.xsrf, **nonsense})
        assert answer.status_code == 400, words(answer)
    assert run_of(lab).extensions == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"keep"', b"\xff", b"NaN", b"[" * 100_000, b'{"do": ["keep"]}'],
    ids=lambda body: repr(body[:9]),
)
def test_what_is_no_wish_is_refused_with_one_sentence(lab: Lab, body: bytes) -> None:
    before = lab.hub.log.stat().st_size
    answer = lab.api("POST", TIME, data=body)
    assert (answer.status_code, answer.json()["message"]) == (400, NO_SUCH_WISH)
    assert "Traceback" not in lab.hub.log.read_text()[before:]


def test_a_named_server_has_a_time_of_its_own(lab: Lab, ada: Person) -> None:
    rules(lab, "session: 1 h, extend: 1 h")
    half = {"cpus": 0.5, "memory": "256 MiB"}
    assert lab.api("POST", "users/ada/servers/second", json=half).status_code == 201
    second = "labhub/time/ada/second"
    try:
        until(lambda: lab.api("GET", second).status_code == 200)
        assert lab.api("GET", TIME).status_code == 404
        home = ada.get("/hub/home")
        assert "Extend by 1 h second" in words(home)
        page = ada.submit(home, {})
        assert page.status_code == 200
        assert 3600 < lab.api("GET", second).json()["left_seconds"] <= 7200
        assert run_of(lab).holder == Holder("ada", "second")
    finally:
        lab.api("DELETE", "users/ada/servers/second")


# who may ask


def test_only_who_may_use_the_server_sees_and_changes_its_time(
    lab: Lab, ada: Person, fake_engine: FakeEngine, start: Any
) -> None:
    start("session: 1 h, extend: 1 h")
    shown(lab)
    own = {"Authorization": f"token {server_token(fake_engine)}"}
    url = f"{lab.url}/hub/api/{TIME}"
    assert requests.get(url, headers=own, timeout=10).status_code == 200
    assert requests.post(url, headers=own, json={"do": "keep"}, timeout=10).status_code == 200
    other = f"{lab.url}/hub/api/labhub/time/bob/"
    assert requests.get(other, headers=own, timeout=10).status_code == 404
    assert requests.get(url, timeout=10).status_code == 403
    assert lab.login("bob").get(f"/hub/api/{TIME}").status_code == 404
    assert ada.get(f"/hub/api/{TIME}").status_code == 200


def server_token(fake_engine: FakeEngine) -> str:
    [container] = [each for each in fake_engine.containers() if each.running]
    return container.environment["JUPYTERHUB_API_TOKEN"]


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '"extend"', '{"do": "stop"}', '{"do": ["extend"]}', '{"do": null}']
)
def test_nonsense_is_refused_with_a_sentence(lab: Lab, start: Any, body: str) -> None:
    start("session: 1 h")
    shown(lab)
    answer = lab.api("POST", TIME, data=body)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_server_that_does_not_run_has_no_time(lab: Lab) -> None:
    assert lab.api("GET", TIME).status_code == 404
    assert lab.api("POST", TIME, json={"do": "keep"}).status_code == 404


def test_times_are_kept_in_utc(lab: Lab, start: Any) -> None:
    start("session: 1 h")
    ends_at = datetime.fromisoformat(shown(lab)["ends_at"])
    assert 3500 < (ends_at - datetime.now(UTC)).total_seconds() <= 3600
