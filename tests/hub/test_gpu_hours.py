"""GPU time that is limited: refused when none is left, told before, and ended after a while."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spawner.runs import Holder, Kind, Reason, Receipt, Run
from spawner.store import Ledger
from spawner.usage import Span, Window
from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab
from tests.lib.person import words

pytestmark = pytest.mark.hub

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-0000-0000-0000-000000000000"
CONFIG = """\
login:
  provider: local
images:
  tensorflow: {title: TensorFlow 2.9, image: "tensorflow/tensorflow:2.9.0-gpu-jupyter"}
gpus: {grace: %s}
quotas:
  default: {cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256, gpus: 2%s}
"""
# Each test has a person of its own, who has used nothing yet.
PEOPLE = ("ada", "bob", "cleo", "dan", "eve", "fay", "gus")
UNUSED = list(PEOPLE)
# A month and a week that both began a moment ago would be no place for what was used before.
BOTH = "gpu_hours: {week: %g, month: %g}"


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """A lab on a machine with two GPUs, whose budgets differ from test to test."""
    fake_engine.life.cdi = [f"nvidia.com/gpu={each}" for each in ("0", A, "1", B, "all")]
    with Lab(fake_engine.url, config=CONFIG % ("30 min", "")) as running:
        for name in PEOPLE:
            running.add_user(name)
            running.login(name)
        yield running
    fake_engine.life.cdi = []


@pytest.fixture
def user(lab: Lab) -> Iterator[str]:
    """Whose GPU time it is, until no server of theirs is left."""
    name = UNUSED.pop()
    yield name
    lab.api("DELETE", f"users/{name}/server")
    until(lambda: not lab.transact(Ledger.open_runs))


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def rules(lab: Lab, hours: float | None, grace: str = "30 min") -> None:
    """Save another budget, and wait until it holds."""
    before = loads(lab)
    lab.dir.save(CONFIG % (grace, "" if hours is None else f", {BOTH % (hours, hours)}"))
    until(lambda: loads(lab) > before)


def loads(lab: Lab) -> float:
    """Return how often the hub has read the file."""
    metrics = lab.api("GET", "../metrics").text.splitlines()
    start = 'labhub_config_loads_total{outcome="valid"} '
    return float(next(line for line in metrics if line.startswith(start)).removeprefix(start))


def start(lab: Lab, user: str, **options: Any) -> str:
    """Start somebody's server; return "" or why it did not start."""
    answer = lab.api("POST", f"users/{user}/server", json=options)
    return "" if answer.status_code == 201 else str(answer.json()["message"])


def runs(lab: Lab, user: str) -> bool:
    return bool(lab.api("GET", f"users/{user}").json()["servers"])


def shown(lab: Lab, user: str) -> dict[str, Any]:
    """Return what the hub says of the time of somebody's server."""
    answer = lab.api("GET", f"labhub/time/{user}/")
    found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    return found


def home(lab: Lab, user: str) -> str:
    return words(lab.login(user).get("/hub/home"))


def use(lab: Lab, user: str, seconds: float) -> None:
    """Let somebody have had a GPU for so long until now."""
    now, name, holder = datetime.now(UTC), f"lab-{user}-0", Holder(user, "")
    run = Run(name, holder, "image", 1 << 30, now - timedelta(seconds=seconds), gpus=1)
    end = Receipt(name, holder, Kind.SERVER, now, Reason.USER, 1 << 30)
    lab.transact(lambda ledger: (ledger.begin(run), ledger.end(end)))


def test_who_has_used_it_up_starts_without_a_gpu(lab: Lab, user: str) -> None:
    rules(lab, 0.001)
    use(lab, user, 5)
    refusal = start(lab, user, gpus=1)
    assert "is used up (5 s of 4 s): start without a GPU until it begins anew on " in refusal
    assert start(lab, user, gpus=0) == ""
    until(lambda: shown(lab, user))
    time.sleep(2)
    assert runs(lab, user)
    assert shown(lab, user)["gpu_warning"] == ""


@pytest.mark.parametrize("page", ["home", "spawn"])
def test_what_was_used_and_is_left_stands_on_the_page(lab: Lab, user: str, page: str) -> None:
    person = lab.login(user)
    rules(lab, None)
    assert "GPU time" not in words(person.get(f"/hub/{page}"))
    rules(lab, 0.01)
    use(lab, user, 20)
    text = words(person.get(f"/hub/{page}"))
    for period in ("week", "month"):
        assert f"GPU time: 20 s of 36 s used this {period}, 16 s left until " in text


def test_a_server_is_told_before_it_runs_out(lab: Lab, user: str) -> None:
    rules(lab, 0.005)
    use(lab, user, 8)
    assert start(lab, user, gpus=1) == ""
    until(lambda: shown(lab, user).get("gpu_step") == 2)
    assert 0 < shown(lab, user)["gpu_left_seconds"] <= 10
    assert "of 18 s are used)" in home(lab, user)
    until(lambda: shown(lab, user).get("gpu_step") == 3)
    assert runs(lab, user)


def test_a_server_is_told_goes_on_for_a_while_and_ends_with_a_receipt(lab: Lab, user: str) -> None:
    rules(lab, 0.001, grace="6 s")
    assert start(lab, user, gpus=1) == ""
    until(lambda: shown(lab, user).get("gpu_step") == 3)
    assert 0 < shown(lab, user)["gpu_left_seconds"] <= 6
    page = home(lab, user)
    assert "Your server stops in" in page
    assert "your GPU time of this" in page
    assert runs(lab, user)
    until(lambda: not runs(lab, user))
    receipt = lab.transact(lambda ledger: ledger.last(Holder(user, "")))
    assert (receipt.reason, receipt.spent.allowed_seconds) == (Reason.GPU_HOURS, 3.6)
    assert receipt.spent.used_seconds >= 9.6
    assert "was used up" in home(lab, user)
    assert 'labhub_server_ends_total{reason="gpu_hours"} 1.0' in lab.api("GET", "../metrics").text
    assert "is used up" in start(lab, user, gpus=1)


def test_more_time_in_the_file_lets_it_go_on(lab: Lab, user: str) -> None:
    rules(lab, 0.001, grace="8 s")
    assert start(lab, user, gpus=1) == ""
    until(lambda: shown(lab, user).get("gpu_step") == 3)
    rules(lab, 100, grace="8 s")
    until(lambda: shown(lab, user).get("gpu_step") == 0)
    time.sleep(9)
    assert runs(lab, user)


def test_the_ledger_follows_a_server_that_gets_another_size(lab: Lab, user: str) -> None:
    rules(lab, None)
    assert start(lab, user, gpus=1) == ""
    lab.dir.save((CONFIG % ("30 min", "")).replace("cpus: 1", "cpus: 2"))

    def used() -> tuple[Span, ...]:
        now = datetime.now(UTC)
        window = Window(now - timedelta(hours=1), now)
        found: tuple[Span, ...] = lab.transact(lambda ledger: ledger.spans(window, user))
        return found

    until(lambda: [each.cpus for each in used()] == [1.0, 2.0])
    lab.api("DELETE", f"users/{user}/server")
    until(lambda: not lab.transact(Ledger.open_runs))
    first, second = used()
    assert (first.gpus, second.gpus) == (1, 1)
    assert first.until == second.since
    assert second.until is not None
