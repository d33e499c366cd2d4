"""Every page of the hub in a real browser: it can be read, used by keyboard, and leads on.

The hub is real, the engine is the fake one: it can be told how the next server behaves.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from spawner.machine import LOOK_SECONDS
from tests.lib.browser import complaints, picture, sign_in, tab_to, visit
from tests.lib.fake_engine import TENSORFLOW, FakeEngine
from tests.lib.lab import PASSWORD, Lab

LOCAL = "labhub/tensorflow:2.9.0-jupyter-local"
CONFIG = f"""\
login:
  provider: local
  admins: [ada]
images:
  tensorflow:
    title: TensorFlow 2.9
    image: {TENSORFLOW}
    description: TensorFlow 2.9.0 with its tutorials
  here:
    title: TensorFlow 2.9, CPU
    image: {LOCAL}
    description: The same versions from PyPI
quotas:
  default: {{cpus: 2, memory: 8 GiB, shm: 1 GiB, pids: 256}}
  users:
    ada: {{servers: 2}}
"""
LOG = ("Traceback (most recent call last):", "ImportError: libfoo.so.4: cannot open <shared> file")
LONG_SECONDS = 600.0
SLOW_SECONDS = 12.0
STOP_SECONDS = 60.0
RELOAD_SECONDS = 3
WARNED_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Address:
    """A page that is reached by its path, and the heading it must show there."""

    name: str
    path: str
    heading: str


FOR_EVERYONE = (
    Address("login", "/hub/login", "Welcome to labhub"),
    Address("bad-request", "/hub/oauth_callback?code=x&state=y", "The sign-in did not finish"),
    Address("not-found", "/hub/no-such-page", "This page does not exist"),
    Address("accounts-sign-in", "/hub/oauth_login", "Sign in"),
)
FOR_MEMBERS = (
    Address("home", "/hub/home", "Your server"),
    Address("spawn", "/hub/spawn", "Start your server"),
    Address("tokens", "/hub/token", "Tokens"),
    Address("not-running", "/hub/user/ada/lab", "Your server is not running"),
    Address("account", "/services/accounts/", "ada"),
)


@pytest.fixture(scope="module")
def fake_engine() -> Iterator[FakeEngine]:
    """An engine that has one official image and one that was built here."""
    with FakeEngine() as engine:
        engine.add_image(LOCAL, labels={"labhub.built": "local"})
        yield engine


@pytest.fixture(scope="module")
def cgroups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the hub takes for the machine's cgroups, version 2."""
    root = tmp_path_factory.mktemp("cgroup")
    (root / "cgroup.controllers").write_text("memory\n")
    return root


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine, cgroups: Path) -> Iterator[Lab]:
    """A hub with an admin and two members."""
    with Lab(fake_engine.url, config=CONFIG, env={"LABHUB_CGROUP": str(cgroups)}) as running:
        running.add_user("ada", admin=True)
        running.add_user("bob")
        yield running


@pytest.fixture(autouse=True)
def nothing_runs(lab: Lab, fake_engine: FakeEngine) -> Iterator[None]:
    """Leave no server, fault or plan to the next test."""
    yield
    fake_engine.clear_faults()
    fake_engine.life.plans.clear()
    deadline = time.monotonic() + STOP_SECONDS
    while running := [user["name"] for user in lab.api("GET", "users").json() if user["servers"]]:
        assert time.monotonic() < deadline, f"still running: {running}"
        for name in running:
            lab.api("DELETE", f"users/{name}/server")


@pytest.fixture
def ada(page: Page, lab: Lab) -> Page:
    """The page of an admin who is signed in and at home."""
    sign_in(page, lab.url, "ada", PASSWORD)
    return page


@pytest.fixture
def bob(browser: Browser, lab: Lab) -> Iterator[Page]:
    """The page of a member who is signed in and at home."""
    with visit(browser) as page:
        sign_in(page, lab.url, "bob", PASSWORD)
        yield page


@contextmanager
def small_machine(lab: Lab, gib: int) -> Iterator[None]:
    """The hub's machine has so much memory; the hub has taken notice."""
    lab.dir.machine(gib << 30)
    time.sleep(LOOK_SECONDS + 1)
    try:
        yield
    finally:
        lab.dir.machine(1 << 40)
        time.sleep(LOOK_SECONDS + 1)


@contextmanager
def rules_for_ada(lab: Lab, text: str) -> Iterator[None]:
    """The file says this of ada, and the hub has taken notice."""
    before = lab.dir.config.read_text()
    lab.dir.save(before.replace("ada: {servers: 2}", f"ada: {{servers: 2, {text}}}"))
    time.sleep(RELOAD_SECONDS)
    try:
        yield
    finally:
        lab.dir.save(before)
        time.sleep(RELOAD_SECONDS)


def began_earlier(lab: Lab, minutes: int) -> None:
    """Let the servers that run have begun so much earlier."""
    with closing(sqlite3.connect(lab.dir.state / "labhub.sqlite")) as store, store:
        store.execute("UPDATE runs SET began = datetime(began, ?)", (f"-{minutes} minutes",))


def press_start(page: Page, lab: Lab, image: str = "TensorFlow 2.9") -> None:
    """Choose an image on the spawn page and start it."""
    page.goto(f"{lab.url}/hub/spawn")
    page.get_by_role("radio", name=image).first.check()
    page.get_by_role("button", name="Start").click()


def start(page: Page, lab: Lab) -> None:
    """Start a server and wait until JupyterLab is there."""
    press_start(page, lab)
    expect(page.get_by_role("heading", name="JupyterLab")).to_be_visible()


def state(page: Page, text: str) -> None:
    """Wait until the home page says what the server does."""
    expect(page.get_by_role("status").get_by_role("heading")).to_have_text(text)


# pages that anybody reaches by their address


@pytest.mark.parametrize("address", FOR_EVERYONE, ids=lambda address: address.name)
def test_page_for_everyone(page: Page, lab: Lab, artefacts: Path, address: Address) -> None:
    page.goto(lab.url + address.path)
    expect(page.get_by_role("heading", level=1)).to_have_text(address.heading)
    assert complaints(page, address.name, artefacts) == []


@pytest.mark.parametrize("address", FOR_MEMBERS, ids=lambda address: address.name)
def test_page_for_members(ada: Page, lab: Lab, artefacts: Path, address: Address) -> None:
    ada.goto(lab.url + address.path)
    expect(ada.get_by_role("heading", level=1)).to_contain_text(address.heading)
    assert complaints(ada, address.name, artefacts) == []


@pytest.mark.parametrize("part", ["", "#/groups"])
def test_admin_page(ada: Page, lab: Lab, artefacts: Path, part: str) -> None:
    ada.goto(f"{lab.url}/hub/admin{part}")
    shown = ada.get_by_role("button", name="Manage Groups" if not part else "Back")
    expect(shown).to_be_visible()
    assert complaints(ada, "admin" + part.replace("#/", "-"), artefacts) == []


def test_admin_page_does_not_offer_what_would_not_work(ada: Page, lab: Lab) -> None:
    ada.goto(f"{lab.url}/hub/admin")
    expect(ada.get_by_role("button", name="Stop All")).to_be_visible()
    for name in ("Start All", "Shutdown Hub", "Add Users"):
        expect(ada.get_by_role("button", name=name)).to_be_hidden()
    ada.get_by_role("button", name="Manage Groups").click()
    expect(ada.get_by_role("button", name="Back")).to_be_visible()
    expect(ada.get_by_role("button", name="New Group")).to_be_hidden()


def test_admin_page_is_refused_to_members(bob: Page, lab: Lab, artefacts: Path) -> None:
    bob.goto(f"{lab.url}/hub/admin")
    expect(bob.get_by_role("heading", level=1)).to_have_text("This is not open to your account")
    expect(bob.get_by_role("main").get_by_role("link", name="Home")).to_be_visible()
    expect(bob.get_by_role("main").get_by_role("link", name="Sign out")).to_be_visible()
    assert complaints(bob, "forbidden", artefacts) == []


def test_a_broken_sign_in_leads_back_to_a_new_one(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}/hub/oauth_callback?code=x&state=y")
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("labhub")


# the life of a server


def test_spawn_page_says_what_one_gets(ada: Page, lab: Lab) -> None:
    ada.goto(f"{lab.url}/hub/spawn")
    rows = ada.get_by_role("table", name="Limits").get_by_role("row")
    expect(rows).to_have_text(["Shared memory1 GiB", "Processes256"])
    for label, steps in (("CPU", ["2 cores", "1 core", "0.5 cores"]),
                         ("Memory", ["8 GiB", "4 GiB", "2 GiB", "1 GiB", "512 MiB"])):  # fmt: skip
        expect(ada.get_by_label(label).get_by_role("option")).to_have_text(steps)
    expect(ada.get_by_label("Runs for at most")).to_have_value("")
    cards = ada.get_by_role("group", name="Image").locator("label")
    expect(cards).to_have_count(2)
    expect(cards.nth(0)).to_contain_text(TENSORFLOW)
    expect(cards.nth(0)).not_to_contain_text("built on this machine")
    expect(cards.nth(1)).to_contain_text(LOCAL)
    expect(cards.nth(1)).to_contain_text("built on this machine")
    expect(ada.get_by_role("radio").first).to_be_checked()


def test_less_can_be_chosen_and_is_chosen_again_the_next_time(
    ada: Page, lab: Lab, fake_engine: FakeEngine
) -> None:
    ada.goto(f"{lab.url}/hub/spawn")
    ada.get_by_label("Memory").select_option(label="2 GiB")
    ada.get_by_role("button", name="Start").click()
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()
    (container,) = fake_engine.containers()
    assert container.host_config["Memory"] == 2 << 30
    assert lab.api("DELETE", "users/ada/server").status_code == 204
    ada.goto(f"{lab.url}/hub/spawn")
    expect(ada.get_by_label("Memory")).to_have_value("2048 MiB")


def test_what_others_leave_is_offered_and_it_is_said_why(
    ada: Page, bob: Page, lab: Lab, artefacts: Path
) -> None:
    assert lab.api("POST", "users/bob/server", json={"cpus": 0.5}).status_code == 201
    with small_machine(lab, 10):
        ada.goto(f"{lab.url}/hub/spawn")
        memory = ada.get_by_label("Memory")
        expect(memory).to_have_accessible_description(
            "This machine has 2 GiB of memory left for servers: "
            "choose at most that, or wait until others have stopped theirs."
        )
        assert complaints(ada, "spawn-less", artefacts) == []
        ada.get_by_role("button", name="Start").click()
        expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()


def test_where_nothing_is_left_it_is_said_why_and_one_waits(
    ada: Page, bob: Page, lab: Lab, artefacts: Path
) -> None:
    assert lab.api("POST", "users/bob/server", json={"cpus": 0.5}).status_code == 201
    with small_machine(lab, 8):
        ada.goto(f"{lab.url}/hub/spawn")
        expect(ada.get_by_role("main")).to_contain_text(
            "This machine has no memory left for servers: "
            "you wait until others have stopped theirs."
        )
        assert complaints(ada, "spawn-none", artefacts) == []
        ada.get_by_role("button", name="Start").click()
        expect(ada.get_by_role("heading", name="1 of 1 in the queue")).to_be_visible()
        assert complaints(ada, "waiting-for-memory", artefacts) == []
        assert lab.api("DELETE", "users/bob/server").status_code == 204
        expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()


def test_named_servers_from_the_first_to_the_last_day(ada: Page, lab: Lab, artefacts: Path) -> None:
    ada.goto(f"{lab.url}/hub/home")
    add = ada.get_by_role("button", name="Add")
    ada.get_by_label("Name of a new server").fill("lab")
    add.click()
    expect(ada.get_by_role("alert")).to_contain_text("The name lab is a page of your other server")
    ada.get_by_label("Name of a new server").fill("night-run")
    add.click()
    expect(ada.get_by_role("heading", level=1)).to_have_text('Start your server "night-run"')
    ada.get_by_label("Memory").select_option(label="2 GiB")
    ada.get_by_role("button", name="Start").click()
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()
    ada.goto(f"{lab.url}/hub/home")
    assert complaints(ada, "home-named-running", artefacts) == []
    ada.get_by_role("button", name="Stop night-run").click()
    remove = ada.get_by_role("button", name="Delete night-run")
    expect(remove).to_be_visible()
    end(ada, ": stopped by you.", ada.locator("[data-server=night-run]"))
    assert complaints(ada, "home-named", artefacts) == []
    remove.click()
    expect(remove).to_have_count(0)
    state(ada, "Not running")


def test_by_keyboard_alone_from_sign_in_to_stop(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}/hub/login?next=/hub/home")
    tab_to(page, page.get_by_role("link", name="Sign in"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/services/accounts/**")
    tab_to(page, page.locator("input[name=username]"))
    page.keyboard.type("ada")
    tab_to(page, page.locator("input[type=password]"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Start", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("radio", name="TensorFlow 2.9").first)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    tab_to(page, page.get_by_role("button", name="Start"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="JupyterLab")).to_be_visible()
    page.goto(f"{lab.url}/hub/home")
    state(page, "Running")
    tab_to(page, page.get_by_role("button", name="Stop"))
    page.keyboard.press("Space")
    state(page, "Not running")


def test_skip_link_is_the_first_stop_and_moves_the_focus(ada: Page) -> None:
    ada.keyboard.press("Tab")
    skip = ada.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    ada.keyboard.press("Enter")
    expect(ada.get_by_role("main")).to_be_focused()


def test_home_of_a_running_server(ada: Page, lab: Lab, artefacts: Path) -> None:
    press_start(ada, lab, "TensorFlow 2.9, CPU")
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()
    lab.restart_hub()
    ada.goto(f"{lab.url}/hub/home")
    state(ada, "Running")
    facts = ada.locator("dl")
    expect(facts).to_contain_text(LOCAL)
    expect(facts).to_contain_text("built on this machine")
    expect(facts.locator("time")).to_contain_text("today at")
    assert complaints(ada, "home-running", artefacts) == []
    ada.get_by_role("link", name="Open").click()
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()


def test_home_tells_when_a_server_ends_and_puts_it_off(
    ada: Page, lab: Lab, artefacts: Path
) -> None:
    with rules_for_ada(lab, "session: 20 min, extend: 2 h"):
        start(ada, lab)
        ada.goto(f"{lab.url}/hub/home")
        facts, warning = ada.locator("dl"), ada.get_by_text("Your server stops in")
        expect(facts).to_contain_text(re.compile(r"Runs until\s*\d+:\d+.* \(in 19 min\)"))
        expect(warning).to_have_count(0)
        began_earlier(lab, minutes=16)
        deadline = time.monotonic() + WARNED_SECONDS
        while not warning.count():
            assert time.monotonic() < deadline
            time.sleep(1)
            ada.reload()
        expect(warning).to_contain_text("its session of 20 min is over then")
        assert complaints(ada, "home-warned", artefacts) == []
        ada.get_by_role("button", name="Extend by 2 h").click()
        expect(facts).to_contain_text("(in 2 h ")
        expect(warning).to_have_count(0)
        expect(ada.get_by_role("button", name="Extend by 2 h")).to_have_count(0)


def test_waiting_room_tells_its_steps_and_opens_by_itself(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path
) -> None:
    fake_engine.next_server(boot_seconds=8)
    press_start(ada, lab)
    steps = ada.locator("[aria-live=polite]").get_by_role("listitem")
    expect(steps.last).to_contain_text("JupyterLab")
    assert steps.count() > 1
    expect(ada.get_by_text("Elapsed: ")).to_contain_text(" s")
    assert complaints(ada, "starting", artefacts) == []
    expect(ada.get_by_role("heading", name="JupyterLab", exact=True)).to_be_visible()


def test_a_start_can_be_cancelled(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path
) -> None:
    fake_engine.next_server(boot_seconds=LONG_SECONDS)
    press_start(ada, lab)
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server is starting")
    ada.goto(f"{lab.url}/hub/home")
    state(ada, "Starting")
    assert complaints(ada, "home-starting", artefacts) == []
    ada.get_by_role("link", name="Watch it start").click()
    ada.get_by_role("button", name="Cancel the start").click()
    ada.wait_for_url("**/hub/home")
    state(ada, "Not running")


def test_a_slow_stop_is_shown_until_it_is_done(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path
) -> None:
    start(ada, lab)
    ada.goto(f"{lab.url}/hub/home")
    fake_engine.delay("POST", r"/stop", 15, times=1)
    ada.get_by_role("button", name="Stop").click()
    expect(ada.get_by_role("button", name="Stopping…")).to_be_disabled()
    state(ada, "Stopping")
    assert complaints(ada, "home-stopping", artefacts) == []
    ada.goto(f"{lab.url}/hub/spawn-pending/ada")
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server is stopping")
    assert complaints(ada, "stopping", artefacts) == []
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server is not running")


def failing(ada: Page, lab: Lab, fake_engine: FakeEngine, after_seconds: float) -> None:
    """Start a server that ends with an error after so many seconds."""
    fake_engine.next_server(boot_seconds=after_seconds, exit_code=1, log=LOG)
    press_start(ada, lab)


@pytest.mark.parametrize("after_seconds", [0.0, 3.0], ids=["at once", "later"])
def test_a_failed_start_says_why_and_leads_on(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path, after_seconds: float
) -> None:
    failing(ada, lab, fake_engine, after_seconds)
    expect(ada.get_by_role("main")).to_contain_text("with exit code 1")
    for line in LOG:
        expect(ada.locator("pre")).to_contain_text(line)
    assert complaints(ada, f"failed-{after_seconds:.0f}", artefacts) == []
    ada.goto(f"{lab.url}/hub/home")
    state(ada, "The last start failed")
    assert complaints(ada, "home-failed", artefacts) == []
    ada.get_by_role("link", name="Read why it failed").click()
    expect(ada.locator("pre")).to_contain_text(LOG[-1])
    ada.get_by_role("link", name="Try again").click()
    ada.get_by_role("button", name="Start").click()
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()


def test_a_start_goes_on_over_a_restart_of_the_hub(
    ada: Page, lab: Lab, fake_engine: FakeEngine
) -> None:
    fake_engine.next_server(boot_seconds=SLOW_SECONDS)
    press_start(ada, lab)
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server is starting")
    lab.restart_hub()
    expect(ada.get_by_role("heading", name="JupyterLab")).to_be_visible()


def test_a_server_that_does_not_answer_a_hub_that_came_back_can_be_stopped(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path
) -> None:
    fake_engine.next_server(boot_seconds=LONG_SECONDS)
    press_start(ada, lab)
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server is starting")
    lab.restart_hub()
    expect(ada.get_by_role("heading", level=1)).to_have_text("Not answering yet")
    assert complaints(ada, "not-answering", artefacts) == []
    ada.get_by_role("button", name="Stop").click()
    state(ada, "Not running")
    assert not fake_engine.containers()


def test_while_the_hub_is_away_a_page_waits_for_it(ada: Page, lab: Lab, artefacts: Path) -> None:
    lab.stop_hub()
    ada.goto(f"{lab.url}/hub/home")
    expect(ada.get_by_role("heading", level=1)).to_have_text("One moment")
    picture(ada, "hub-away", artefacts)
    lab.start_hub()
    expect(ada.get_by_role("heading", level=1)).to_have_text("Your server")


def test_home_notices_a_server_that_died(ada: Page, lab: Lab, fake_engine: FakeEngine) -> None:
    start(ada, lab)
    ada.goto(f"{lab.url}/hub/home")
    state(ada, "Running")
    (container,) = fake_engine.containers()
    fake_engine.die(container.name, exit_code=137, oom=True)
    ada.reload()
    state(ada, "Not running")


# how a server ended


def end(page: Page, sentence: str, of: Locator | None = None) -> Locator:
    """Wait until the home page tells one end, just now, in this sentence; return it.

    Where there are several servers, `of` is the part of the page that is about this one.
    """
    told = (of or page).locator(".lab-end")
    expect(told).to_have_count(1)
    expect(told).to_contain_text(sentence)
    expect(told.locator("time")).to_contain_text("today at")
    return told


def test_home_says_that_one_stopped_it_oneself(ada: Page, lab: Lab, artefacts: Path) -> None:
    start(ada, lab)
    ada.goto(f"{lab.url}/hub/home")
    expect(ada.locator(".lab-end")).to_have_count(0)
    ada.get_by_role("button", name="Stop").click()
    state(ada, "Not running")
    told = end(ada, ": stopped by you.")
    expect(told).to_contain_text("Ended today at")
    expect(told.locator("details")).to_have_count(0)
    assert complaints(ada, "home-stopped", artefacts) == []


def test_home_says_that_a_start_was_cancelled(ada: Page, lab: Lab, fake_engine: FakeEngine) -> None:
    fake_engine.next_server(boot_seconds=LONG_SECONDS)
    press_start(ada, lab)
    ada.goto(f"{lab.url}/hub/home")
    ada.get_by_role("button", name="Cancel the start").click()
    state(ada, "Not running")
    end(ada, ": the start was cancelled.")


def test_home_says_that_memory_ran_out_and_shows_the_log(
    ada: Page, lab: Lab, fake_engine: FakeEngine, artefacts: Path
) -> None:
    start(ada, lab)
    (container,) = fake_engine.containers()
    fake_engine.die(container.name, exit_code=137, oom=True, log=LOG)
    ada.goto(f"{lab.url}/hub/home")
    state(ada, "Not running")
    told = end(ada, "out of memory, 8.0 of 8 GiB. Ask for more or use smaller batches.")
    expect(told).to_contain_text("Stopped today at")
    log = told.locator("pre")
    expect(log).to_be_hidden()
    tab_to(ada, told.locator("summary"))
    ada.keyboard.press("Enter")
    for line in LOG:
        expect(log).to_contain_text(line)
    assert complaints(ada, "home-out-of-memory", artefacts) == []


def test_home_of_a_running_server_tells_of_a_program_that_was_killed_in_it(
    ada: Page, lab: Lab, fake_engine: FakeEngine, cgroups: Path, artefacts: Path
) -> None:
    start(ada, lab)
    (container,) = fake_engine.containers()
    usage = cgroups / "docker" / container.id
    usage.mkdir(parents=True)
    (usage / "memory.peak").write_text(f"{8 * 1024**3}\n")
    (usage / "memory.events").write_text("oom 1\noom_kill 1\n")
    fake_engine.tell("oom", container.name)
    told = ada.locator(".lab-end")
    deadline = time.monotonic() + STOP_SECONDS
    while not told.count():
        assert time.monotonic() < deadline, "nothing is told"
        ada.goto(f"{lab.url}/hub/home")
    state(ada, "Running")
    expect(told).to_contain_text("A program in your server was stopped today at")
    expect(told).to_contain_text("out of memory, 8.0 of 8 GiB; the server itself goes on.")
    assert complaints(ada, "home-program-killed", artefacts) == []


@pytest.fixture
def engine_away(fake_engine: FakeEngine) -> Iterator[None]:
    """No engine answers during the test."""
    fake_engine.refuse()
    yield
    fake_engine.resume()


@pytest.mark.usefixtures("engine_away")
def test_while_docker_is_away_every_page_says_so_and_admins_read_why(
    ada: Page, bob: Page, lab: Lab, artefacts: Path
) -> None:
    banner = ada.get_by_role("status").filter(has_text="Docker does not answer at the moment.")
    deadline = time.monotonic() + STOP_SECONDS
    while not banner.count():
        assert time.monotonic() < deadline, "nobody says so"
        ada.goto(f"{lab.url}/hub/home")
    expect(banner).to_contain_text("(Docker: ")
    assert complaints(ada, "docker-away", artefacts) == []
    bob.goto(f"{lab.url}/hub/token")
    said = bob.get_by_role("status").filter(has_text="Docker does not answer at the moment.")
    expect(said).to_have_count(1)
    expect(said).not_to_contain_text("(Docker: ")


# tokens and leaving


def test_a_token_is_made_and_revoked(ada: Page, lab: Lab, artefacts: Path) -> None:
    ada.goto(f"{lab.url}/hub/token")
    ada.get_by_label("Note").fill("my script")
    ada.get_by_role("button", name="Make a token").click()
    expect(ada.get_by_role("heading", name="Your new token")).to_be_visible()
    ada.reload()
    revoke = ada.get_by_role("button", name="Revoke my script")
    expect(revoke).to_be_visible()
    assert complaints(ada, "tokens-some", artefacts) == []
    revoke.click()
    expect(revoke).to_be_hidden()


def test_signing_out_asks_for_the_password_again(ada: Page, lab: Lab) -> None:
    ada.get_by_role("banner").get_by_role("link", name="Sign out").click()
    expect(ada.get_by_role("heading", level=1)).to_have_text("Welcome to labhub")
    ada.goto(f"{lab.url}/hub/home")
    ada.get_by_role("link", name="Sign in").click()
    expect(ada.locator("input[type=password]")).to_be_visible()
