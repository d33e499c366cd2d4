"""A real Chromium for tests, pictures that are kept, and what every page must hold.

with chromium() as browser, visit(browser) as page:
    page.goto(url)
    assert complaints(page, "home", artefacts) == []
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.lib.node import ROOT, installed

CHROMIUM = os.environ.get("LABHUB_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",  # the engine's machines run tests as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS = (("desk", DESK, "light"), ("phone", PHONE, "light"), ("phone-dark", PHONE, "dark"))
TIMEOUT_SECONDS = 30
MOST_TABS = 60

_FOCUSED = "node => node === document.activeElement"
_TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
# Colours are compared while they fade from one theme to the other unless nothing fades.
_NO_FADING = "*, *::before, *::after { transition: none !important; animation: none !important }"
_ADD_STYLE = """css => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
}"""
_AXE = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
    found => `${found.id} (${found.impact}): ${found.help}: ` +
             found.nodes.map(node => node.target.join(" ")).join(", "))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser; it is ended with the block."""
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser) -> Iterator[Page]:
    """Open a page with cookies of its own; errors of its scripts fail the block."""
    context = browser.new_context(viewport=DESK)  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT_SECONDS * 1000)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    yield page
    context.close()
    assert errors == []


def picture(page: Page, name: str, folder: Path) -> Path:
    """Keep what the page shows now as FOLDER/NAME.png."""
    path = folder / f"{name}.png"
    page.screenshot(path=str(path), full_page=True)
    return path


def complaints(page: Page, name: str, folder: Path) -> list[str]:
    """Return what is wrong with a page of ours on a desk, on a phone and in the dark.

    Nothing is wrong when axe finds no violation, the title names page and product, there is one
    level-1 heading, and nothing scrolls sideways. Pictures of each look are kept.
    """
    found = _outline(page)
    page.evaluate(_ADD_STYLE, _NO_FADING)
    _load_axe(page)
    for look, size, scheme in LOOKS:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        picture(page, f"{name}-{look}", folder)
        found += [f"{look}: {violation}" for violation in page.evaluate(_AXE)]
        found += [f"{look}: scrolls sideways"] if page.evaluate(_TOO_WIDE) else []
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")
    return found


def _outline(page: Page) -> list[str]:
    """Return what is wrong with title and headings."""
    found = []
    if not page.title().endswith("labhub") or page.title() == "labhub":
        found.append(f"the title is {page.title()!r}")
    headings = page.get_by_role("heading", level=1).count()
    if headings != 1:
        found.append(f"there are {headings} headings of level 1")
    return found


def _load_axe(page: Page) -> None:
    """Make `axe` known to the page; evaluated, so that no content policy forbids it."""
    if not page.evaluate("typeof axe === 'object'"):
        script = installed(ROOT / "tests" / "browser") / "axe-core" / "axe.min.js"
        page.evaluate(script.read_text())


def tab_to(page: Page, target: Locator) -> None:
    """Move the keyboard's focus to `target` with the Tab key alone."""
    target.wait_for()
    for _ in range(MOST_TABS):
        if target.evaluate(_FOCUSED):
            return
        page.keyboard.press("Tab")
    message = f"{MOST_TABS} times Tab did not reach {target}"
    raise AssertionError(message)


def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Sign in through the hub's login page and the accounts service, ending at the hub's home."""
    page.goto(f"{url}/hub/login?next=/hub/home")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name", exact=False).first.fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/hub/home")
