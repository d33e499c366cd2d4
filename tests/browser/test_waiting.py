"""Two people and one GPU, in a real browser: a place in the queue, and what one can do with it."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.lib.browser import complaints, sign_in, visit
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.lab import PASSWORD, Lab

pytestmark = pytest.mark.browser

DEVICE = "GPU-aaaaaaaa-0000-0000-0000-000000000000"
CONFIG = f"""\
login:
  provider: local
  admins: [ada]
images:
  tensorflow: {{title: TensorFlow 2.9, image: {TENSORFLOW}}}
quotas:
  default: {{cpus: 2, memory: 4 GiB, shm: 1 GiB, pids: 256, gpus: 1, session: 8 h}}
gpus: {{devices: [{DEVICE}]}}
"""
STOP_SECONDS = 60
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A hub with one GPU, an admin and a member."""
    with FakeEngine() as engine, Lab(engine.url, config=CONFIG) as running:
        running.add_user("ada", admin=True)
        running.add_user("bob")
        yield running


@pytest.fixture(autouse=True)
def nothing_runs(lab: Lab) -> Iterator[None]:
    """Leave no server, and nobody who waits."""
    yield
    deadline = time.monotonic() + STOP_SECONDS
    while running := [each["name"] for each in lab.api("GET", "users").json() if each["servers"]]:
        assert time.monotonic() < deadline, f"still running: {running}"
        for name in running:
            lab.api("DELETE", f"users/{name}/server")


@pytest.fixture
def ada(page: Page, lab: Lab) -> Page:
    """The page of an admin, whose server has the GPU."""
    sign_in(page, lab.url, "ada", PASSWORD)
    assert lab.api("POST", "users/ada/server", json={"gpus": 1}).status_code == 201
    return page


@pytest.fixture
def bob(browser: Browser, lab: Lab, ada: Page) -> Iterator[Page]:
    """The page of a member who pressed Start, and finds no GPU."""
    with visit(browser) as page:
        sign_in(page, lab.url, "bob", PASSWORD)
        page.goto(f"{lab.url}/hub/spawn")
        page.get_by_label("GPU", exact=True).select_option(label="1 GPU, waits")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("heading", name="1 of 1 in the queue")).to_be_visible(
            timeout=WAIT_MS
        )
        yield page


def test_the_start_page_says_what_less_time_buys(
    lab: Lab,
    ada: Page,
    browser: Browser,
    artefacts: Path,
) -> None:
    with visit(browser) as page:
        sign_in(page, lab.url, "bob", PASSWORD)
        page.goto(f"{lab.url}/hub/spawn")
        gpus = page.get_by_label("GPU", exact=True)
        expect(gpus).to_contain_text("1 GPU, waits")
        gpus.select_option(label="None")
        told = page.get_by_text(re.compile(r"With 1 GPU: about \d+ h"))
        expect(told).to_be_hidden()
        gpus.select_option(label="1 GPU, waits")
        expect(told).to_be_visible()
        assert complaints(page, "spawn-without-a-free-gpu", artefacts) == []


def test_one_waits_until_the_other_stops(lab: Lab, bob: Page, artefacts: Path) -> None:
    expect(bob).to_have_title(re.compile(r"^1 of 1 in the queue"))
    expect(
        bob.get_by_text("No GPU is free for you now. You are next; a GPU is yours")
    ).to_be_visible()
    assert complaints(bob, "waiting", artefacts) == []
    lab.api("DELETE", "users/ada/server")
    expect(bob).to_have_url(re.compile(r"/user/bob/"), timeout=WAIT_MS)


def test_who_asked_for_it_is_told_by_the_browser(lab: Lab, bob: Page) -> None:
    told: list[str] = []
    bob.expose_function("told", lambda text: told.append(text))  # noqa: PLW0108 - no built-in
    bob.evaluate(
        """() => {
            window.Notification = class extends Notification {
                constructor(title, options) {
                    super(title, options);
                    told(`${title}: ${options.body}`);
                }
            };
        }"""
    )
    ask = bob.get_by_role("button", name="Tell me when it starts")
    expect(ask).to_be_visible()
    bob.context.grant_permissions(["notifications"])
    ask.click()
    expect(ask).to_be_hidden()
    lab.api("DELETE", "users/ada/server")
    expect(bob).to_have_url(re.compile(r"/user/bob/"), timeout=WAIT_MS)
    assert told == [
        "Your server starts now: It is your turn: come back to the page, or others get your GPU."
    ]


def test_one_leaves_the_queue(lab: Lab, bob: Page) -> None:
    bob.get_by_role("button", name="Leave the queue").click()
    expect(bob.get_by_role("heading", name="Your server")).to_be_visible(timeout=WAIT_MS)
    expect(bob.get_by_role("heading", name="Not running")).to_be_visible()
    expect(bob.locator(".lab-end")).to_contain_text("cancelled while it waited in the queue.")
    assert lab.cli("queue", "list") == "Nobody waits.\n"


def test_one_starts_without_a_gpu(lab: Lab, bob: Page) -> None:
    bob.get_by_role("button", name="Start without a GPU instead").click()
    expect(bob).to_have_url(re.compile(r"/user/bob/"), timeout=WAIT_MS)
    assert "bob" not in lab.cli("lease", "list")


def test_a_closed_page_keeps_its_place_and_home_says_it(
    lab: Lab, bob: Page, artefacts: Path
) -> None:
    bob.goto(f"{lab.url}/hub/home")
    expect(bob.get_by_role("heading", name="Waiting")).to_be_visible()
    expect(bob.get_by_text("You are next; a GPU is yours in")).to_be_visible()
    assert complaints(bob, "home-waiting", artefacts) == []
    bob.get_by_role("link", name="See the queue").click()
    expect(bob.get_by_role("heading", name="1 of 1 in the queue")).to_be_visible(timeout=WAIT_MS)


def test_a_restart_of_the_hub_keeps_it_too(lab: Lab, bob: Page) -> None:
    lab.restart_hub()
    expect(bob.get_by_role("heading", name="1 of 1 in the queue")).to_be_visible(timeout=30_000)
    lab.api("DELETE", "users/ada/server")
    expect(bob).to_have_url(re.compile(r"/user/bob/"), timeout=30_000)


def test_the_page_for_admins(lab: Lab, ada: Page, bob: Page, artefacts: Path) -> None:
    ada.goto(f"{lab.url}/hub/gpus")
    expect(ada.get_by_role("row", name=re.compile(DEVICE))).to_contain_text("ada")
    expect(ada.get_by_role("row", name=re.compile("bob"))).to_contain_text("1 GPU, 4 GiB")
    assert complaints(ada, "gpus", artefacts) == []
    ada.get_by_role("button", name=f"Drain {DEVICE}").click()
    expect(ada.get_by_text("drained by ada")).to_be_visible()
    ada.get_by_role("button", name=f"Give out again {DEVICE}").click()
    expect(ada.get_by_text("drained by ada")).to_be_hidden()
    ada.get_by_role("button", name="Remove bob").click()
    expect(ada.get_by_text("Nobody waits.")).to_be_visible()
    expect(bob.get_by_text("An administrator took your start out of the queue")).to_be_visible(
        timeout=WAIT_MS
    )
