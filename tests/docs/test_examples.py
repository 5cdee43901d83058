"""What the pages show in Python is what happens."""

import doctest

import pytest
from tests.docs.conftest import DOCS


@pytest.mark.usefixtures("own_metrics")
@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("cost", 5),
        ("data", 6),
        ("evaluation", 11),
        ("figures", 4),
        ("scikit-learn", 21),
        ("survival", 16),
    ],
)
def test_examples_in_python(page: str, least: int) -> None:
    found = doctest.testfile(str(DOCS / f"{page}.md"), module_relative=False, encoding="utf-8")
    assert found.attempted >= least
    assert found.failed == 0
