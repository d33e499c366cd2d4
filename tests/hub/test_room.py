"""A machine that is smaller than what people may have, and an engine that makes other servers."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape

import docker
import pytest
import requests

from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.lab import Lab
from tests.lib.person import Person

GIB, MIB = 1 << 30, 1 << 20
CONFIG = f"""\
login:
  provider: local
images:
  tensorflow: {{title: TensorFlow, image: {TENSORFLOW}}}
quotas:
  default: {{cpus: 2, memory: 8 GiB, shm: 64 MiB, pids: 256, gpus: 0}}
host:
  reserve: {{memory: 1 GiB}}
"""
TOO_SMALL = "This machine has only 3 GiB of memory for all servers together; choose that or less."
OTHERWISE = "Docker made this server in another way than decided"


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """Two people with 8 GiB each, on a machine with 4."""
    small = Lab(fake_engine.url, config=CONFIG)
    small.dir.machine(4 * GIB)
    with small:
        for name in ("ada", "bob"):
            small.add_user(name)
        yield small


@pytest.fixture(scope="module")
def people(lab: Lab) -> dict[str, Person]:
    """Both, signed in."""
    return {name: lab.login(name) for name in ("ada", "bob")}


@pytest.fixture(autouse=True)
def stopped(lab: Lab, people: dict[str, Person], fake_engine: FakeEngine) -> Iterator[None]:
    """No test leaves a server."""
    yield
    fake_engine.life.drops_limits = False
    fake_engine.clear_faults()
    for name in people:
        lab.api("DELETE", f"users/{name}/server")
        lab.api("PATCH", f"users/{name}/server", json={"user_options": {}})
    wait_until(lambda: not fake_engine.containers())


def wait_until(true: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def start(lab: Lab, user: str = "ada", **options: object) -> requests.Response:
    return lab.api("POST", f"users/{user}/server", json={"user_options": options})


def read(page: requests.Response) -> str:
    """Return what people read on a page, in one line."""
    main = page.text[page.text.index("<main") :]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())


# the machine


def test_a_start_without_a_choice_gets_what_the_machine_has(
    lab: Lab, fake_engine: FakeEngine
) -> None:
    assert start(lab).status_code == 201
    [container] = fake_engine.servers()
    assert container.host_config["Memory"] == container.host_config["MemorySwap"] == 3 * GIB
    assert container.environment["MEM_LIMIT"] == str(3 * GIB)


def test_and_the_next_one_what_is_left(lab: Lab, fake_engine: FakeEngine) -> None:
    assert start(lab, memory="2432 MiB").status_code == 201
    assert start(lab, "bob").status_code == 201
    assert fake_engine.containers()[1].host_config["Memory"] == 640 * MIB


def test_the_start_page_offers_it(people: dict[str, Person], fake_engine: FakeEngine) -> None:
    page = people["ada"].get("/hub/spawn/ada")
    assert '<option value="">3 GiB</option>' in page.text
    assert TOO_SMALL in read(page)
    assert people["ada"].start("ada", image="tensorflow", memory="").status_code == 302
    people["ada"].wait_until_running("ada")
    assert fake_engine.containers()[0].host_config["Memory"] == 3 * GIB


def test_what_would_be_overcommitted_waits_and_the_page_says_why(
    lab: Lab, people: dict[str, Person], fake_engine: FakeEngine
) -> None:
    assert start(lab).status_code == 201
    page = read(people["bob"].get("/hub/spawn/bob"))
    assert "3 GiB, waits" in page
    assert TOO_SMALL in page
    answer = start(lab, "bob")
    assert answer.status_code == 202
    assert "There is no room now. You are next" in read(people["bob"].get("/hub/home"))
    assert len(fake_engine.containers()) == 1
    lab.api("DELETE", "users/ada/server")
    people["bob"].wait_until_running("bob")


def test_a_choice_is_never_made_smaller(
    lab: Lab, people: dict[str, Person], fake_engine: FakeEngine
) -> None:
    refused = start(lab, memory="4 GiB")
    assert (refused.status_code, refused.json()["message"]) == (409, TOO_SMALL)
    page = people["ada"].start("ada", image="tensorflow", memory="4 GiB")
    assert page.status_code == 409
    assert TOO_SMALL in read(page)
    assert fake_engine.containers() == []


# the engine


def test_limits_that_the_engine_drops_stop_the_start(lab: Lab, fake_engine: FakeEngine) -> None:
    fake_engine.life.drops_limits = True
    before = len(fake_engine.calls_to("POST", "/start$"))
    refused = start(lab)
    assert refused.status_code == 500
    # Swap without a limit is no difference here: the machine has none.
    assert refused.json()["message"].startswith(
        f"{OTHERWISE} (Memory, CpuPeriod, CpuQuota, PidsLimit), so it was removed"
    )
    assert len(fake_engine.calls_to("POST", "/start$")) == before
    assert fake_engine.containers() == []


def test_limits_that_change_while_it_starts_end_it(
    lab: Lab, people: dict[str, Person], fake_engine: FakeEngine
) -> None:
    """Somebody on the machine gives it more, after it was looked at and before it runs."""
    fake_engine.delay("POST", "/start$", 2, times=1)
    answers: list[requests.Response] = []
    starting = threading.Thread(target=lambda: answers.append(start(lab, memory="1 GiB")))
    starting.start()
    wait_until(
        lambda: [call for call in fake_engine.calls_to("POST", "/start$") if not call.status[0]]
    )
    [container] = fake_engine.servers()
    docker.APIClient(base_url=fake_engine.url).update_container(
        container.id, mem_limit=2 * GIB, memswap_limit=2 * GIB
    )
    starting.join()
    assert answers[0].json()["message"].startswith(f"{OTHERWISE} (Memory, MemorySwap), so it was")
    assert fake_engine.containers() == []
    assert OTHERWISE in read(people["ada"].get("/hub/spawn-pending/ada"))
