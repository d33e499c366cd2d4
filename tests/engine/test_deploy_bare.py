"""deploy/up on a Debian with nothing on it: no Docker, no systemd, no sudo, no compose.

Slow (minutes for each release): the packages are really installed. The images come from the first
engine, because building them again would show nothing new.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.bare_machine import BareMachine
from tests.lib.deploy import ROOT, call

pytestmark = [pytest.mark.engine, pytest.mark.slow]

UP = ("/labhub/deploy/up",)
CONFIGURATION = """\
images:
  debian:
    title: Debian
    image: {image}
"""


@pytest.fixture(params=["bookworm", "trixie"])
def base(request: pytest.FixtureRequest) -> str:
    """A Debian release as an image: 12 has Compose 1 and Docker 20.10, 13 Compose 2 and 26.1."""
    return build("base", request.param)


@pytest.fixture
def machine(base: str, tmp_path: Path) -> Iterator[BareMachine]:
    """A Debian with nothing on it."""
    with BareMachine(tmp_path / "machine", base) as bare:
        yield bare


def build(*words: str) -> str:
    done = call(str(ROOT / "deploy/images/build.sh"), *words, seconds=1200)
    assert done.status == 0, done
    return done.stdout.splitlines()[-1]


def test_from_nothing_to_a_hub_that_answers_and_back(machine: BareMachine, base: str) -> None:
    first = machine.run_until("[3/", *UP, seconds=400)
    assert "install Docker Engine with apt" in first
    assert "found    Docker Engine" in first
    assert "Interrupted" in first

    machine.load(build("hub"), build("server"), base)
    configuration = machine.root / "srv/labhub/labhub.yaml"
    configuration.write_text(CONFIGURATION.format(image=base))
    done = machine.run(*UP, seconds=400)
    assert done.status == 0, done
    assert "labhub is running at  http://127.0.0.1:8000/" in done.stdout
    assert "/services/accounts/" in done.stdout

    again = machine.run(*UP, seconds=120)
    assert "run already and are up to date" in again.stdout, again

    gone = machine.run("/labhub/deploy/down", "--purge", "--yes", seconds=120)
    assert gone.status == 0, gone
    assert "the engine that deploy/up started was stopped" in gone.stdout, gone
    assert not Path(configuration.parent).exists()
