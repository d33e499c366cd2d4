"""The table of planted defects is about the code as it stands."""

import pytest

from tests.lib.node import ROOT
from tests.mutants.table import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name)
def test_the_place_of_a_defect_stands_once_in_its_file(mutant: Mutant) -> None:
    sound = (ROOT / mutant.path).read_text("utf-8")
    assert sound.count(mutant.before) == 1
    assert mutant.after != mutant.before


def test_the_tests_that_must_notice_are_there() -> None:
    files = {word for each in MUTANTS for word in each.tests.split() if word.startswith("tests/")}
    assert [each for each in sorted(files) if not (ROOT / each).is_file()] == []
