"""A finding is data; its sentences hide small counts by their value."""

from dataclasses import asdict

import pytest

from sequela.audit.finding import Code, Finding
from sequela.runs.audit import sentences

CODES = (
    Code("A//1", 14, shares=((12, 30), (2, 7))),
    Code("B//2, left", 18, shares=((18, 30), (0, 7))),
)
EARLIER = {
    "check": "columns that reveal the outcome",
    "what": "3 of 1,040 labels; an AUROC above 0.8",
    "where": "A//1 (0.931 in 18 subjects) and 4 more",
    "severity": "suspicion",
    "remedy": "look",
}


def test_small_counts_are_hidden_and_others_are_not() -> None:
    counts, facts = {"examples": 7, "all": 100}, {"early": 5}
    finding = Finding("codes from the future", "leak", ("in-hospital",), counts, facts)
    assert finding.what.startswith("7 of 100 examples see 5 codes of a stay")
    public = finding.in_words(10)
    assert public["what"].startswith("fewer than 10 of 100 examples see 5 codes of a stay")
    assert public | {"what": ""} == finding.in_words() | {"what": ""}


def test_a_code_of_few_is_not_named() -> None:
    finding = Finding(
        "codes that tell the outcome", "suspicion", facts={"name": "died"}, codes=CODES
    )
    assert finding.where == "A//1 (in 12 of 30 and 2 of 7), B//2, left (in 18 of 30 and 0 of 7)"
    assert finding.in_words(16)["where"] == (
        "a code of fewer than 16 subjects (in fewer than 16 of 30 and fewer than 16 of fewer than "
        "16), B//2, left (in 18 of 30 and 0 of fewer than 16)"
    )


def test_five_codes_are_named_and_the_others_counted() -> None:
    codes = tuple(Code(f"C//{n}", auroc=0.9) for n in range(8))
    facts = {"how": "its values alone predict", "name": "died", "least": 0.8}
    where = Finding("columns that reveal the outcome", "suspicion", facts=facts, codes=codes).where
    assert where.endswith("C//3 (0.900), C//4 (0.900) and 3 more")


@pytest.mark.parametrize("smallest", [1, 10])
def test_a_stored_finding_is_read_back(smallest: int) -> None:
    finding = Finding(
        "codes that tell the outcome", "suspicion", facts={"name": "died"}, codes=CODES
    )
    assert sentences([asdict(finding)], smallest) == [finding.in_words(smallest)]


def test_sentences_of_an_earlier_version_lose_all_numbers_and_codes() -> None:
    assert sentences([EARLIER]) == [EARLIER]
    (public,) = sentences([EARLIER], 10)
    assert public["what"] == "(hidden) of (hidden) labels; an AUROC above (hidden)"
    assert public["where"] == "(hidden)"
    of_parts = sentences([EARLIER | {"where": "train, held_out"}], 10)
    assert of_parts[0]["where"] == "train, held_out"


def test_the_log_of_early_dates_loses_all_numbers() -> None:
    log = {"log": "dated early. visit: 3 rows of these"}
    finding = Finding("dated before it was known", "leak", ("in-hospital",), facts=log)
    assert finding.what == log["log"]
    assert finding.in_words(10)["what"] == "dated early. visit: (hidden) rows of these"
