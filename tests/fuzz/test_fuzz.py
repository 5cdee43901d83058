"""A few mutants of each parser, and an oracle that can say no; see docs/reliability.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fuzz.parsers import arguments, edited, expressions, meds, omop_times, tables
from fuzz.registry import PARSERS
from fuzz.run import FAULTS, FOREIGN, WRONG, fuzz

MUTANTS = 100
BUILT = 12  # mutants of data sets, of which each is built, which takes a fifth of a second
SLOW = {"mimic3-csv", "mimic3-sums", "mimic4-csv", "eicu-csv", "omop-csv", "omop-times", "edited"}
"""Tables like those of nafld-csv and mimic3-gz, but larger."""
FEW = (meds, tables, edited, expressions, omop_times)
OF_BUILDS = {parser.name for of in FEW for parser in of.PARSERS}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each in SLOW)) for each in PARSERS]
)
def test_no_mutant_is_taken_for_another_value_or_breaks_the_parser(name: str) -> None:
    mutants = BUILT if name in OF_BUILDS else MUTANTS
    found = fuzz(PARSERS[name], mutants)
    assert found.counts.total() == mutants
    assert not [each for each in found.examples if each[1] in FAULTS], found.examples[0]


def test_a_parser_that_ignores_damage_is_found_out() -> None:
    def careless(folder: Path) -> Any:
        return (folder / "history.jsonl").read_bytes()[:100]

    found = fuzz(replace(PARSERS["history"], read=careless, says=None), MUTANTS)
    assert found.counts[WRONG] > 0


def test_an_error_that_is_not_ours_is_found_out() -> None:
    def hasty(folder: Path) -> Any:
        return [line.decode() for line in (folder / "history.jsonl").read_bytes().splitlines()]

    found = fuzz(replace(PARSERS["history"], read=hasty, says=None), MUTANTS)
    assert found.counts[FOREIGN] > 0


def test_arguments_that_are_not_changed_give_what_their_closed_forms_say(tmp_path: Path) -> None:
    (parser,) = arguments.PARSERS
    for seed in parser.seeds():
        assert parser.says
        (tmp_path / arguments.FILE).write_bytes(seed.plain[arguments.FILE])
        assert parser.read(tmp_path) == parser.says(seed.plain)
