"""The pages of local accounts in a real browser: the way in by a setup link, and every screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.lib.browser import complaints, sign_in
from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import PASSWORD, Lab

OTHER = "a much better password"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A hub with one member."""
    with FakeEngine() as engine, Lab(engine.url) as running:
        running.add_user("bob")
        yield running


def link(lab: Lab, *words: str) -> str:
    """Run a command that prints a setup link last."""
    return lab.cli("user", *words).splitlines()[-1]


def heading(page: Page, text: str) -> None:
    """Wait until the page says what it is."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def test_setup_link_is_three_clicks_from_the_hub(page: Page, lab: Lab, artefacts: Path) -> None:
    page.goto(link(lab, "add", "ada", "--admin", "--name", "Ada Lovelace"))
    heading(page, "Choose a password")
    expect(page.get_by_label("New password", exact=True)).to_be_focused()
    assert complaints(page, "accounts-setup", artefacts) == []
    page.get_by_label("New password", exact=True).fill("short")
    page.get_by_label("New password again").fill("shorter")
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_role("alert")).to_contain_text("match")
    assert complaints(page, "accounts-setup-refused", artefacts) == []
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/home")


def test_link_that_is_over(page: Page, lab: Lab, artefacts: Path) -> None:
    first = link(lab, "add", "cleo")
    link(lab, "link", "cleo")
    page.goto(first)
    heading(page, "Link used or too old")
    assert complaints(page, "accounts-link-over", artefacts) == []


def test_guessing(page: Page, lab: Lab, artefacts: Path) -> None:
    page.goto(f"{lab.url}/services/accounts/sign-in/")
    expect(page.get_by_label("Name")).to_be_focused()
    for _ in range(7):
        page.get_by_label("Name").fill("nobodyknows")
        page.get_by_label("Password").fill("wrong")
        with page.expect_navigation():  # else the next guess is typed into the page that leaves
            page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_count(1)
    assert complaints(page, "accounts-refused", artefacts) == []


def test_account_and_password(page: Page, lab: Lab, artefacts: Path) -> None:
    sign_in(page, lab.url, "bob", PASSWORD)
    page.goto(f"{lab.url}/services/accounts/")
    heading(page, "bob")
    page.get_by_role("link", name="Change password").click()
    heading(page, "Change password")
    assert complaints(page, "accounts-password", artefacts) == []
    page.get_by_label("Your password now").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(OTHER)
    page.get_by_label("New password again").fill(OTHER)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    assert complaints(page, "accounts-account", artefacts) == []
    page.goto(f"{lab.url}/services/accounts/o/logout/?client_id=labhub")
    heading(page, "Sign out?")
    assert complaints(page, "accounts-sign-out", artefacts) == []
    page.goto(f"{lab.url}/services/accounts/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/hub/login")


DEAD_ENDS = {
    "accounts-not-found": ("nothing/here", "There is nothing here"),
    "accounts-bad-logout": ("o/logout/?client_id=somebody", "Sign out not possible this way"),
}


@pytest.mark.parametrize("name", DEAD_ENDS)
def test_dead_ends_lead_on(page: Page, lab: Lab, artefacts: Path, name: str) -> None:
    path, text = DEAD_ENDS[name]
    page.goto(f"{lab.url}/services/accounts/{path}")
    heading(page, text)
    assert complaints(page, name, artefacts) == []
