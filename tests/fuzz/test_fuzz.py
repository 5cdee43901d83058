"""A few mutants of each parser, and an oracle that can say no; see docs/reliability.md."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fuzz.registry import PARSERS
from fuzz.run import FAULTS, FOREIGN, WRONG, fuzz

MUTANTS = 150


@pytest.mark.parametrize("name", PARSERS)
def test_no_mutant_is_taken_for_another_value_or_breaks_the_parser(name: str) -> None:
    found = fuzz(PARSERS[name], MUTANTS)
    assert found.counts.total() == MUTANTS
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
