"""Whether tests notice a planted defect: only where they pass on the sound tree, and fail by it.

A fixture that breaks, or tests that do not come to their end, show nothing about the defect.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.table import Mutant

SECONDS_MAX = 300
# For fixtures to take down what they set up.
LEAVE_SECONDS = 30
_FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
_ERROR = re.compile(r"^ERROR (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How tests went: the first that failed, or why they say nothing; neither when all passed."""

    failed: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    outcome: Outcome
    seconds: float

    @property
    def noticed(self) -> bool:
        """Whether a test failed because of it."""
        return bool(self.outcome.failed) and not self.outcome.trouble

    @property
    def said(self) -> str:
        """The test that noticed it, or why none did, for people."""
        return self.outcome.trouble or self.outcome.failed or "SURVIVED"


def judged(mutants: Iterable[Mutant], tree: Path) -> Iterator[Verdict]:
    """Judge each, in its turn. Tests are tried once on the sound tree before they judge."""
    sound: dict[str, str] = {}
    for mutant in mutants:
        if mutant.tests not in sound:
            sound[mutant.tests] = unsound(run(mutant.tests.split(), tree, SECONDS_MAX))
        if trouble := sound[mutant.tests]:
            yield Verdict(mutant, Outcome(trouble=trouble), 0)
        else:
            yield judge(mutant, tree)


def unsound(outcome: Outcome) -> str:
    """Say what keeps these tests from judging anything, empty when they pass."""
    why = outcome.trouble or outcome.failed
    return f"UNPROVEN: on the sound tree: {why}" if why else ""


def judge(mutant: Mutant, tree: Path) -> Verdict:
    """Plant one defect in the tree, run its tests, take it out again."""
    file, began = tree / mutant.path, time.monotonic()
    sound = file.read_text("utf-8")
    if (times := sound.count(mutant.before)) != 1:
        message = f"{mutant.name}: its place stands {times} times in {mutant.path}, not once"
        raise SystemExit(message)
    file.write_text(sound.replace(mutant.before, mutant.after), "utf-8")
    try:
        outcome = run(mutant.tests.split(), tree, SECONDS_MAX)
    finally:
        file.write_text(sound, "utf-8")
    return Verdict(mutant, outcome, time.monotonic() - began)


def run(arguments: list[str], tree: Path, seconds_max: float) -> Outcome:
    """Run tests there until the first that fails; tell a failure from all else."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=tree, env=environ, text=True, stdout=pipe, stderr=subprocess.STDOUT
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            _end(process)
            return Outcome(trouble=f"no end within {seconds_max:g} s")
    return read(process.returncode, said)


def read(status: int, said: str) -> Outcome:
    """Return what an exit status and words of pytest's come to: errors and no tests say nothing."""
    if status == 0:
        return Outcome()
    if status == 1 and (found := _FAILED.search(said)):
        return Outcome(failed=found[1])
    if found := _ERROR.search(said):
        return Outcome(trouble=f"ERROR in {found[1]}")
    return Outcome(trouble=f"pytest's exit status {status}: {said.strip()[-300:]}")


def _end(process: subprocess.Popen[str]) -> None:
    """End pytest as Ctrl+C does, so that no hub of its fixtures is left."""
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
