from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.cohort.outcomes import ANY_DEATH
from sequela.cohort.tasks import Task
from sequela.config import SequenceSettings
from sequela.datasets.codes import FAMILIES
from sequela.errors import SettingError
from sequela.sequences.vocabulary import bin_edges, cut_code, terms_of

DOTTED = [name for f in FAMILIES if f.dot is not None for name in (f.name, *f.aliases)]
MEASURED = st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 6)), min_size=1, max_size=60)
ALL = Task("all", "last event", ANY_DEATH)


@pytest.mark.parametrize(
    ("code", "digits", "expected"),
    [
        ("ICD9CM//42822", 1, "ICD9CM//4282"),
        ("ICD9CM//428.22", 1, "ICD9CM//4282"),
        ("ICD9CM//E8781", 1, "ICD9CM//E8781"),
        ("ICD10CM//E119", 0, "ICD10CM//E11"),
        ("ICD10CM//I50", 2, "ICD10CM//I50"),
        ("ICD10PROC//0SRC0J9", 0, "ICD10PROC//0SRC0J9"),
        ("DIAGNOSIS//ICD//9//4280", 0, "DIAGNOSIS//ICD//9//428"),
        ("DIAGNOSIS//ICD//10//I509", 0, "DIAGNOSIS//ICD//10//I50"),
        ("ICD9CM/E878.1", 0, "ICD9CM/E878"),
        ("PROCEDURE//ICD//10//0SRC0J9", 0, "PROCEDURE//ICD//10//0SRC0J9"),
        ("PROCEDURE//ICD//9//3961", 0, "PROCEDURE//ICD//9//39"),
        ("ICD9CM//428.22", None, "ICD9CM//428.22"),
    ],
)
def test_codes_are_cut_behind_their_dot(code: str, digits: int | None, expected: str) -> None:
    assert cut_code(code, digits) == expected


@given(
    begin=st.sampled_from([f"{name}//" for name in DOTTED]),
    body=st.text("0123456789EV", min_size=1, max_size=7),
    digits=st.integers(0, 4),
)
def test_a_cut_code_is_a_beginning_and_cutting_it_again_changes_nothing(
    begin: str, body: str, digits: int
) -> None:
    cut = cut_code(begin + body, digits)
    assert (begin + body).startswith(cut)
    assert cut_code(cut, digits) == cut
    assert cut_code(cut_code(begin + body, digits + 1), digits) == cut


NAMES_OF_4280 = ("DIAGNOSIS//ICD//9//4280", "ICD9CM/428.0", "ICD9CM//4280")


@pytest.mark.parametrize(
    ("inputs", "codes", "expected"),
    [
        # They are numbered by name, and codes that make labels have none.
        ((), "LAB//b LAB//a MEDS_DEATH HOSPITAL_OUTCOME//alive MEDS_BIRTH GENDER//F",
         {"LAB//a": 0, "LAB//b": 1}),
        # Families that are not asked for are left out, and admissions only show a visit.
        (("LAB",), "LAB//a LABEL//x HOSPITAL_ADMISSION//E",
         {"LAB//a": 0, "HOSPITAL_ADMISSION//E": None}),
        # A family that is asked for is meant under every name.
        (("ICD9CM",), f"DIAGNOSIS//ICD//10//I509 {' '.join(NAMES_OF_4280)}",
         {name: place for place, name in enumerate(sorted(NAMES_OF_4280))}),
        # Another model's answer is an input only where it is named.
        ((), "APACHE_PREDICTION//IV LAB//a", {"LAB//a": 0}),
        (("APACHE_PREDICTION",), "APACHE_PREDICTION//IV LAB//a", {"APACHE_PREDICTION//IV": 0}),
    ],
)  # fmt: skip
def test_which_codes_are_terms(
    inputs: tuple[str, ...], codes: str, expected: dict[str, int | None]
) -> None:
    task = Task("some", "last event", ANY_DEATH, inputs=inputs) if inputs else ALL
    terms = terms_of(codes.split(), task, SequenceSettings())
    assert terms.of_code == expected
    assert terms.names == tuple(code for code, place in expected.items() if place is not None)


def test_demographics_are_inputs_where_they_are_asked_for_and_age_in_decades() -> None:
    terms = terms_of(["AGE", "GENDER//F"], ALL, SequenceSettings(demographics=True))
    assert "GENDER//F" in terms.names
    assert "AGE//70" in terms.names
    assert "AGE" not in terms.names


@pytest.mark.parametrize(
    "changes", [{"min_subjects": 0}, {"icd_digits": -1}, {"step_hours": 0}, {"bins": 1}]
)
def test_settings_out_of_range(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(changes))):
        SequenceSettings.of(**changes)


@given(measured=MEASURED, bins=st.integers(2, 20))
def test_the_least_value_that_enough_do_not_exceed(
    measured: list[tuple[int, int]], bins: int
) -> None:
    pairs = sorted(Counter(measured).items())
    kind, value = np.array([pair for pair, _ in pairs], np.int64).T
    counts = np.array([n for _, n in pairs], np.int64)
    kinds, ends = bin_edges(kind, value.astype(np.float32), counts, bins)
    assert ends.dtype == np.float32
    expected = {}
    for each in sorted({kind for kind, _ in measured}):
        values = sorted(value for kind, value in measured if kind == each)
        expected[each] = [values[-(-len(values) * k // bins) - 1] for k in range(1, bins)]
    assert dict(zip(kinds.tolist(), ends.tolist(), strict=True)) == expected
