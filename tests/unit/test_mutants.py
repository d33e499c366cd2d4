"""The table of planted defects is about the code as it stands."""

import pytest

from tests.lib.node import ROOT
from tests.mutants.judging import Outcome, read
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_the_place_of_a_defect_stands_once_in_its_file(mutant: Mutant) -> None:
    sound = (ROOT / mutant.path).read_text("utf-8")
    assert sound.count(mutant.before) == 1
    assert mutant.after != mutant.before


def test_the_tests_that_must_notice_are_there() -> None:
    files = {word for each in MUTANTS for word in each.tests.split() if word.startswith("tests/")}
    assert [each for each in sorted(files) if not (ROOT / each).is_file()] == []


# what counts as noticed

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
