"""The tables of facts and types on the page are those of the declarations."""

from scripts.document_sources import PAGE, written

from sequela.tables.hospitals import hospitals


def test_the_tables_are_as_declared() -> None:
    page = PAGE.read_text("utf-8")
    assert written(page) == page, "run scripts/document_sources.py"


def test_each_source_has_its_table() -> None:
    page = PAGE.read_text("utf-8")
    assert all(f"<!-- facts of {name} -->\n| fact |" in page for name in hospitals())
