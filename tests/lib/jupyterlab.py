"""JupyterLab as a person uses it, by names and roles a person sees.

notebook = Lab(page).ready().new_notebook()
assert notebook.run("print(6 * 7)") == "42"
"""

import re
from typing import Self

from playwright.sync_api import Locator, Page, expect

OPEN_SECONDS = 90
CELL_SECONDS = 240  # importing TensorFlow for the first time on a busy machine, then training


class Lab:
    """The JupyterLab that `page` shows."""

    def __init__(self, page: Page) -> None:
        """Nothing is awaited yet."""
        self.page = page

    def ready(self) -> Self:
        """Wait until the launcher or a document is there."""
        self.page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=OPEN_SECONDS * 1000)
        main = self.page.locator("#jp-main-dock-panel")
        expect(main.locator(".jp-Launcher, .jp-NotebookPanel").first).to_be_visible(
            timeout=OPEN_SECONDS * 1000
        )
        return self

    # the file browser

    def file(self, name: str) -> Locator:
        """Return the entry of a file or folder in the file browser."""
        listing = self.page.locator(".jp-DirListing-content")
        exactly = re.compile(rf"^{re.escape(name)}$")
        return listing.locator(".jp-DirListing-item").filter(
            has=self.page.locator(".jp-DirListing-itemText", has_text=exactly)
        )

    # the launcher

    def launcher(self) -> Locator:
        """Return the launcher on top, opening one where there is none."""
        shown = self.page.locator(".jp-Launcher:visible")
        if shown.count() == 0:
            self.page.get_by_role("button", name="New Launcher").first.click()
        expect(shown.first).to_be_visible()
        return shown.first

    def card(self, title: str) -> Locator:
        """Return a card of the launcher by its label."""
        label = self.page.locator(".jp-LauncherCard-label", has_text=title)
        return self.launcher().locator(".jp-LauncherCard").filter(has=label).first

    def new_notebook(self) -> "Notebook":
        """Create a notebook from the first kernel of the launcher."""
        self.launcher().locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
        return Notebook(self.page).idle()

    def open_notebook(self, path: str) -> "Notebook":
        """Open a notebook by its link, and nothing else of what was open before."""
        begin, _, _ = self.page.url.partition("/lab")
        self.page.goto(f"{begin}/lab/tree/{path}?reset")
        return Notebook(self.ready().page).idle()


class Notebook:
    """The notebook on top."""

    def __init__(self, page: Page) -> None:
        """Nothing is awaited yet."""
        self.page = page
        self.panel = page.locator(".jp-NotebookPanel:visible")

    def idle(self) -> Self:
        """Wait until the kernel is connected and has nothing to do.

        The status bar says so; the notebook's own indicator is idle before there is a kernel.
        """
        bar = self.page.locator("#jp-main-statusbar")
        expect(bar).to_contain_text(re.compile(r"\| Idle"), timeout=OPEN_SECONDS * 1000)
        return self

    def run(self, code: str, seconds: float = CELL_SECONDS) -> str:
        """Type code into the last cell, run it, and return what it printed; fails on an error."""
        cells = self.panel.locator(".jp-CodeCell")
        cell = cells.nth(cells.count() - 1)  # by its place: running it adds another one
        cell.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        prompt = cell.locator(".jp-InputPrompt")
        expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=seconds * 1000)
        failed = cell.locator(".jp-OutputArea-output", has_text="Traceback (most recent call last)")
        assert failed.count() == 0, failed.first.inner_text()
        return self.output(cell)

    def output(self, cell: Locator) -> str:
        """Return what a cell printed, without the kernel's warnings on its error stream."""
        printed = cell.locator('[data-mime-type="application/vnd.jupyter.stdout"]')
        result = cell.locator(".jp-OutputArea-executeResult .jp-OutputArea-output")
        return "\n".join(part.inner_text() for part in [*printed.all(), *result.all()]).strip()

    def first_output(self) -> str:
        """Return what the first cell shows, for instance after the notebook was opened again."""
        return self.output(self.panel.locator(".jp-CodeCell").first)

    def save_as(self, name: str) -> Self:
        """Save; the first time JupyterLab asks for a name."""
        self.page.keyboard.press("Control+s")
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        dialog.get_by_role("textbox").fill(name)
        dialog.get_by_role("button", name="Rename").click()
        expect(dialog).to_be_hidden()
        return self

    def save(self) -> Self:
        """Save under the name it has, and wait until nothing is unsaved."""
        self.page.keyboard.press("Control+s")
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
        return self
