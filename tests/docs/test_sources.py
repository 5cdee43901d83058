"""The tables of facts on the page are those of the declarations."""

from scripts.document_sources import OMOP_PAGE, PAGE, types_written, written

from sequela.tables.hospitals import hospitals


def test_the_tables_are_as_declared() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page, "run scripts/document_sources.py"


def test_the_types_of_omop_are_as_listed() -> None:
    page = OMOP_PAGE.read_text("utf-8")
    assert types_written(page) == page, "run scripts/document_sources.py"


def test_each_source_has_its_table() -> None:
    page = PAGE.read_text("utf-8")
    assert all(f"<!-- facts of {name} -->\n| fact |" in page for name in hospitals())
