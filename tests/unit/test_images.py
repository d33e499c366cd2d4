"""What tests and benches say when an image cannot be built: the script's sentence, no traceback."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.lib.node import ROOT

SENTENCE = "mmdebstrap is missing; install it (apt-get install mmdebstrap) and run this again"
NEEDED = ("chmod", "cut", "dirname", "flock", "id", "mktemp", "rm")


def test_without_mmdebstrap_the_sentence_is_all(tmp_path: Path) -> None:
    for tool in NEEDED:
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        [sys.executable, "-c", "from tests.lib.images import build; build('base', 'trixie')"],
        # A directory of its own, too: other builds of this host hold a lock in the common one.
        env={
            "PATH": str(tmp_path), "TMPDIR": str(tmp_path), "DOCKER": "false", "LABHUB_PULL": "no",
        },
        cwd=ROOT, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"error: {SENTENCE}\n")
