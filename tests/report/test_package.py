"""The package of a study."""

from pathlib import Path


def test_it(package: Path) -> None:
    assert package.exists()
