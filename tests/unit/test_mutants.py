"""The table of planted defects is about the code as it stands."""

from pathlib import Path

import pytest

from tests.lib.node import ROOT
from tests.mutants.judging import Outcome, judged, read, run
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_the_place_of_a_defect_stands_once_in_its_file(mutant: Mutant) -> None:
    sound = (ROOT / mutant.path).read_text("utf-8")
    assert sound.count(mutant.before) == 1
    assert mutant.after != mutant.before


def test_the_tests_that_must_notice_are_there() -> None:
    files = {word for each in MUTANTS for word in each.tests.split() if word.startswith("tests/")}
    assert [each for each in sorted(files) if not (ROOT / each).is_file()] == []


# what counts as noticed, shown on a tree of one module and one test

CODE = "def two() -> int:\n    return 2\n"
FIXTURE = (
    "import pytest\nfrom code_of import two\n\n@pytest.fixture\ndef made():\n    return two()\n"
)
RED = "FAILED tests/test_it.py::test_two - assert 3 == 2\n1 failed in 0.01s\n"
BROKEN = "ERROR tests/test_it.py::test_two - OSError\n1 error in 0.01s\n"


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [
        pytest.param(0, "1 passed", Outcome(), id="all pass"),
        pytest.param(1, RED, Outcome(failed="tests/test_it.py::test_two"), id="a failure"),
        pytest.param(
            1, BROKEN, Outcome(trouble="ERROR in tests/test_it.py::test_two"), id="a fixture breaks"
        ),
        pytest.param(
            1,
            RED + BROKEN,
            Outcome(failed="tests/test_it.py::test_two"),
            id="and its fixture breaks",
        ),
        pytest.param(
            5, "no tests ran", Outcome(trouble="pytest's exit status 5: no tests ran"), id="no test"
        ),
    ],
)
def test_only_a_failure_counts(status: int, said: str, outcome: Outcome) -> None:
    assert read(status, said) == outcome


@pytest.mark.parametrize(
    ("wanted", "planted", "noticed", "said"),
    [
        pytest.param(2, "return 3", True, "test_it.py::test_two", id="a failure"),
        pytest.param(2, "raise OSError", False, "ERROR in test_it.py::test_two", id="an error"),
        pytest.param(
            4, "return 3", False, "UNPROVEN: on the sound tree: test_it.py::test_two", id="unsound"
        ),
    ],
)
def test_a_defect_is_noticed_by_a_test_that_fails_by_it(
    tmp_path: Path, wanted: int, planted: str, noticed: bool, said: str
) -> None:
    (tmp_path / "code_of.py").write_text(CODE)
    (tmp_path / "test_it.py").write_text(
        f"{FIXTURE}\ndef test_two(made):\n    assert made == {wanted}\n"
    )
    [verdict] = judged(
        [Mutant("one", "", "code_of.py", "return 2", planted, "test_it.py")], tmp_path
    )
    assert (verdict.noticed, verdict.said) == (noticed, said)
    assert (tmp_path / "code_of.py").read_text() == CODE


def test_tests_that_do_not_end_show_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import time\n\ndef test_two():\n    time.sleep(60)\n")
    assert run(["test_it.py"], tmp_path, seconds_max=1) == Outcome(trouble="no end within 1 s")
