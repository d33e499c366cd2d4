"""What counts as noticing a planted defect, shown on a tree of one module and one test."""

from pathlib import Path

import pytest

from tests.mutants.judging import Outcome, judged, run
from tests.mutants.table import Mutant

CODE = "def two() -> int:\n    return 2\n"
FIXTURE = (
    "import pytest\nfrom code_of import two\n\n@pytest.fixture\ndef made():\n    return two()\n"
)


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
