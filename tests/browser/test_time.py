"""JupyterLab tells of the end of its server, and puts it off: the real one, on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from playwright.sync_api import Page, expect

from tests.lib.browser import picture
from tests.lib.images import build
from tests.lib.jupyterlab import Lab as JupyterLab
from tests.lib.real_lab import RealLab, wait_until
from tests.lib.small_servers import debian_with_python

NUMBERS = "cpus: 1, memory: 1 GiB, shm: 64 MiB, pids: 256"
WARNED_SECONDS = 150


@pytest.fixture(scope="module")
def lab(engine: docker.DockerClient, labels: dict[str, str]) -> Iterator[RealLab]:
    """A lab with one small image."""
    with (
        debian_with_python(engine, labels) as image,
        RealLab("unix:///var/run/docker.sock", {"quick": image}, build("bundle")) as running,
    ):
        running.add_person("ada")
        yield running


def rules(lab: RealLab, text: str) -> None:
    """Save other rules about time; they hold within seconds."""
    lab.dir.save_default(f"{NUMBERS}, {text}")


@pytest.mark.usefixtures("engine")
def test_the_end_is_told_and_put_off_in_jupyterlab(
    page: Page, lab: RealLab, artefacts: Path
) -> None:
    rules(lab, "session: 12 h, extend: 1 h")
    lab.start_server("ada")
    # The tests' token instead of a sign-in: nobody can sign in at this lab.
    page.context.set_extra_http_headers({"Authorization": f"token {lab.token}"})
    page.goto(f"{lab.url}/user/ada/lab")
    JupyterLab(page).ready()
    bar = page.locator("#jp-main-statusbar .labhub-time")
    expect(bar).to_contain_text("Runs for 11 h 5")
    rules(lab, "session: 2 min, extend: 1 h")
    more = page.get_by_role("button", name="Extend by 1 h")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(more).to_be_visible(timeout=WARNED_SECONDS * 1000)
    expect(page.get_by_text("Your server stops in")).to_be_visible()
    picture(page, "time-1-warned", artefacts)
    more.click()
    expect(page.get_by_text("Extended: your server now stops in")).to_be_visible()
    expect(page.get_by_text("its session of 2 min is over then")).to_be_hidden()
    expect(bar).to_contain_text("1 h")
    picture(page, "time-2-extended", artefacts)
    lab.stop_server("ada")
    wait_until(lambda: bool(lab.receipts("ada")), "the receipt")
    assert lab.receipts("ada")[0].extensions == 1
