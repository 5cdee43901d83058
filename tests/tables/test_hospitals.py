"""What all declarations must keep, and the excerpts."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from sequela.datasets.catalog import EXCERPTS, lookup
from sequela.datasets.codes import BIRTH, family_of
from sequela.errors import DataError
from sequela.tables.declarations import PLACEHOLDER
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.source import place_of
from sequela.tables.hospitals import hospitals, source_of

LICENCES = (EXCERPTS / "LICENCES.md").read_text("utf-8")


def beginnings(name: str) -> list[tuple[str, str]]:
    """What each code begins with (up to its first column), and the table that gives it."""
    return [
        (PLACEHOLDER.split(fact.code)[0], table.name)
        for table in source_of(name).tables
        for fact in table.facts
    ]


@pytest.mark.parametrize("name", hospitals())
def test_no_two_tables_give_the_same_codes(name: str) -> None:
    """The account of duplicates is by table: equal events must come from one table.

    A code that each row names, as in OMOP, is one event in each table that has it.
    """
    tables: dict[str, set[str]] = {}
    for beginning, table in beginnings(name):
        tables.setdefault(beginning, set()).add(table)
    assert {begin: of for begin, of in tables.items() if begin and len(of) > 1} == {}


@pytest.mark.parametrize("name", hospitals())
def test_each_fact_says_when_and_why_and_what_is_coded_later_is_of_the_discharge(name: str) -> None:
    for table in source_of(name).tables:
        for fact in table.facts:
            assert fact.what
            assert fact.known
            assert fact.why
            later = family_of(fact.code).coded_later
            assert (fact.why == later) == bool(later), fact.code
            assert not later or fact.time in {"discharge", "billed"}  # the later of the two
            if family_of(fact.code).label_only and fact.code != BIRTH:
                assert "never an input" in fact.why


def test_a_source_cannot_declare_as_coded_later_what_is_not_listed_so(tmp_path: Path) -> None:
    text = place_of("mimic4").read_text("utf-8")
    changed = text.replace('code = "HCPCS//{hcpcs_cd}"', 'code = "LAB//{hcpcs_cd}"')
    assert changed != text
    place = tmp_path / "tables.toml"
    place.write_text(changed, "utf-8")
    with pytest.raises(DataError, match=r"facts \(LAB//\{hcpcs_cd\}\).why': missing; state why"):
        Declaration.read(place)


@pytest.mark.parametrize("folder", ["mimic3", "eicu"])
def test_the_excerpts_are_the_files_that_their_licence_names(folder: str) -> None:
    section = LICENCES.split(f"## `{folder}/`")[1].split("\n## ")[0]
    named = dict(re.findall(r"\| `(\S+)` \| `([0-9a-f]{64})` \|", section))
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (EXCERPTS / folder).iterdir()
    }
    assert files == named


@pytest.mark.parametrize("name", ["bonn.parquet", "physionet2012.parquet"])
def test_an_excerpt_of_one_file_is_the_one_that_its_licence_names(name: str) -> None:
    section = LICENCES.split(f"## `{name}`")[1].split("\n## ")[0]
    content = (EXCERPTS / name).read_bytes()
    assert f"`{hashlib.sha256(content).hexdigest()}`" in section


@pytest.mark.slow(but="eicu-1841")
@pytest.mark.parametrize(
    ("name", "subjects"), [("mimic3", 100), ("eicu", 1841), ("physionet2012", 4000)]
)
def test_the_excerpts_can_be_built(name: str, subjects: int, made: Any, no_data: Path) -> None:
    built = made(name, lookup(name).locate().path)
    assert built.account.subjects == subjects
    assert built.account.not_read == {}
