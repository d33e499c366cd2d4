"""The tier that runs the real hub over an engine that can be told to misbehave."""

from collections.abc import Iterator

import pytest

from tests.lib.behind import make, proxy
from tests.lib.fake_engine import FakeEngine
from tests.lib.lab import Lab

__all__ = ["make", "proxy"]  # fixtures, for pytest to find here


@pytest.fixture(scope="module")
def fake_engine() -> Iterator[FakeEngine]:
    """An engine for all tests of a module."""
    with FakeEngine() as engine:
        yield engine


@pytest.fixture(scope="module")
def lab(fake_engine: FakeEngine) -> Iterator[Lab]:
    """A whole labhub on that engine."""
    with Lab(fake_engine.url) as running:
        yield running


@pytest.fixture(autouse=True)
def behave(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forget faults and plans that a test left behind, so that they cannot hit the next one."""
    yield
    if "fake_engine" in request.fixturenames:
        engine = request.getfixturevalue("fake_engine")
        engine.clear_faults()
        engine.life.plans.clear()


@pytest.fixture(autouse=True)
def logs_on_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """When a test failed, print the ends of the hub's and the proxy's logs."""
    yield
    report = getattr(request.node, "labhub_report", None)
    if report is not None and report.failed and "lab" in request.fixturenames:
        print(request.getfixturevalue("lab").logs())
