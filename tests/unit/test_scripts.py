"""The pages' scripts and JupyterLab's: a slip in one of them breaks every page at once."""

import subprocess
from pathlib import Path

import pytest

from tests.lib.node import NODE_FOLDER, ROOT

LABEXTENSIONS = ROOT / "deploy/images/server/share/jupyter/labextensions"
SCRIPTS = sorted(
    [*(ROOT / "hub_config" / "templates").glob("*.js"), *LABEXTENSIONS.glob("*/static/*.js")]
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_can_be_read(script: Path) -> None:
    argv = [str(NODE_FOLDER / "bin" / "node"), "--check", str(script)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
