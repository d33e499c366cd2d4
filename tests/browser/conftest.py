"""The tier with a real browser: Chromium, started once, and a hub over a fake or a real engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.lib.browser import chromium, picture, visit
from tests.lib.deployed import Deployed
from tests.lib.engine import engine, instance
from tests.lib.lab import Lab

__all__ = ["engine", "instance"]

LOG_LINES = 200


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, artefacts: Path) -> Iterator[Page]:
    """A page with cookies of its own; when the test fails, a picture of its end is kept."""
    with visit(browser) as opened:
        yield opened
        report = getattr(request.node, "labhub_report", None)
        if report is not None and report.failed:
            picture(opened, f"failed-{request.node.name}", artefacts)
            print(f"at the end the browser was at {opened.url}")
            for name in {"lab", "instance"} & set(request.fixturenames):
                print(logs(request.getfixturevalue(name)))


def logs(hub: Lab | Deployed) -> str:
    """Return the ends of all logs of a hub and its servers."""
    if isinstance(hub, Lab):
        return hub.logs()
    mine = {"label": f"labhub.instance={hub.name}"}
    found = hub.engine.containers.list(all=True, filters=mine)
    ends = [(each.name, each.logs(tail=LOG_LINES).decode(errors="replace")) for each in found]
    return "\n".join(f"--- {name} ---\n{end}" for name, end in ends)
