"""What all tiers share: `run_id` for labels, artefacts, and a rule that nothing is skipped.

Fixtures by purpose:
- run_id, labels: mark what a test creates on the engine; removed by label at the end
- artefacts: a folder for screenshots and logs that is kept (tests/artefacts, not in git)
- engine, instance (tests/lib/engine.py): a Docker engine that answers, a deployed labhub
- fake_engine, lab (tests/hub/conftest.py): the real hub over a fake engine
"""

import os
import secrets
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, so that a change and nothing else turns a test red;
# LABHUB_HYPOTHESIS=random looks for many new ones, as --slow does.
# A busy machine is no reason to fail either.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", unhurried, derandomize=True)
settings.register_profile("random", unhurried, derandomize=False, max_examples=400)
settings.load_profile(os.environ.get("LABHUB_HYPOTHESIS", "steady"))

ARTEFACTS = Path(__file__).parent / "artefacts"


@pytest.fixture(scope="session")
def run_id() -> str:
    """A word that is different in every run; tests/run gives one to all its tiers."""
    return os.environ.get("LABHUB_TEST_RUN") or secrets.token_hex(4)


@pytest.fixture(scope="session")
def labels(run_id: str) -> dict[str, str]:
    """The label that everything a test creates on an engine must carry."""
    return {"labhub.test": run_id}


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots and logs are kept after the run."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Count a skipped test as a failure: what cannot run here must say so, not look green."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(skipped)} skipped: a skip counts as a failure here", red=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures see, while they end, whether their test failed."""
    report = yield
    if report.when == "call" or report.failed:
        item.labhub_report = report  # type: ignore[attr-defined]
    return report
