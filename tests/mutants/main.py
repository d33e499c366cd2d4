"""Command line of tests/mutants/run: a table on stdout, progress on stderr."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.lib.node import ROOT
from tests.mutants.judging import judged
from tests.mutants.table import MUTANTS

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "artefacts", ".*_cache")


def main() -> None:
    """Judge all mutants, or those that are named; print the table."""
    wanted = [each for each in MUTANTS if not sys.argv[1:] or each.name in sys.argv[1:]]
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="labhub-mutants-") as folder:
        tree = Path(folder) / "labhub"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        (tree / ".venv").symlink_to(ROOT / ".venv")
        for each in judged(wanted, tree):
            verdicts.append(each)
            print(f"{each.mutant.name}: {each.said}", file=sys.stderr, flush=True)
    for each in verdicts:
        said = each.said.removeprefix("tests/")
        print(f"{each.mutant.name:26} {each.seconds:4.0f} s  {each.mutant.what:70}  {said}")
    noticed = sum(each.noticed for each in verdicts)
    print(f"{noticed} of {len(verdicts)} noticed")
    raise SystemExit(noticed < len(verdicts) or not verdicts)


if __name__ == "__main__":
    main()
