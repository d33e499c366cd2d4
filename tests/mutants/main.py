"""Command line of tests/mutants/run: a table on stdout, progress on stderr."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lib.node import ROOT
from tests.mutants.table import MUTANTS, Mutant

SECONDS_MAX = 300
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "artefacts", ".*_cache")
_RED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant. `killer` is the first red test, empty when none was."""

    mutant: Mutant
    killer: str
    seconds: float


def judge(mutant: Mutant, tree: Path) -> Verdict:
    """Plant one defect in the tree, run its tests, take it out again."""
    file, began = tree / mutant.path, time.monotonic()
    sound = file.read_text("utf-8")
    if (times := sound.count(mutant.before)) != 1:
        message = f"{mutant.name}: its place stands {times} times in {mutant.path}, not once"
        raise SystemExit(message)
    file.write_text(sound.replace(mutant.before, mutant.after), "utf-8")
    try:
        killer = red_test(mutant.tests.split(), tree)
    finally:
        file.write_text(sound, "utf-8")
    return Verdict(mutant, killer, time.monotonic() - began)


def red_test(arguments: list[str], tree: Path) -> str:
    """Return the first test that fails there. Tests that did not run prove nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environ, text=True, capture_output=True, check=False,
            timeout=SECONDS_MAX,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no end within {SECONDS_MAX} s"
    if done.returncode not in {0, 1}:
        raise SystemExit(f"pytest {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
    found = _RED.search(done.stdout)
    return found[1] if found and done.returncode else ""


def main() -> None:
    """Judge all mutants, or those that are named; print the table."""
    wanted = [each for each in MUTANTS if not sys.argv[1:] or each.name in sys.argv[1:]]
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="labhub-mutants-") as folder:
        tree = Path(folder) / "labhub"
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        (tree / ".venv").symlink_to(ROOT / ".venv")
        for mutant in wanted:
            verdicts.append(judge(mutant, tree))
            print(verdicts[-1].mutant.name, verdicts[-1].killer or "SURVIVED", file=sys.stderr)
    for each in verdicts:
        killer = each.killer.removeprefix("tests/") or "SURVIVED"
        print(f"{each.mutant.name:26} {each.seconds:4.0f} s  {each.mutant.what:70}  {killer}")
    survivors = [each for each in verdicts if not each.killer]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} noticed")
    raise SystemExit(bool(survivors) or not verdicts)


if __name__ == "__main__":
    main()
