from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.cohort.outcomes import ANY_DEATH
from sequela.cohort.tasks import Task
from sequela.config import SequenceSettings
from sequela.errors import SettingError
from sequela.sequences.vocabulary import Vocabulary, cut_code, terms_of
from sequela.sources.codes import FAMILIES

DOTTED = [name for f in FAMILIES if f.dot is not None for name in (f.name, *f.aliases)]
ALL = Task("all", "last event", ANY_DEATH)


@pytest.mark.parametrize(
    ("code", "digits", "expected"),
    [
        ("ICD9CM//0042", 0, "ICD9CM//004"),
        ("ICD9CM//042", 0, "ICD9CM//042"),
        ("ICD9CM//42822", 1, "ICD9CM//4282"),
        ("ICD9CM//428.22", 1, "ICD9CM//4282"),
        ("ICD9CM//E8781", 0, "ICD9CM//E878"),
        ("ICD9CM//E8781", 1, "ICD9CM//E8781"),
        ("ICD9CM//V4581", 0, "ICD9CM//V45"),
        ("ICD10CM//E119", 0, "ICD10CM//E11"),
        ("ICD10CM//I50", 2, "ICD10CM//I50"),
        ("ICD9PROC//3961", 0, "ICD9PROC//39"),
        ("ICD10PROC//0SRC0J9", 0, "ICD10PROC//0SRC0J9"),
        ("DIAGNOSIS//ICD//9//4280", 0, "DIAGNOSIS//ICD//9//428"),
        ("DIAGNOSIS//ICD//10//I509", 0, "DIAGNOSIS//ICD//10//I50"),
        ("ICD9CM/E878.1", 0, "ICD9CM/E878"),
        ("PROCEDURE//ICD//10//0SRC0J9", 0, "PROCEDURE//ICD//10//0SRC0J9"),
        ("PROCEDURE//ICD//9//3961", 0, "PROCEDURE//ICD//9//39"),
        ("LAB//50912", 0, "LAB//50912"),
        ("ICD9CM//42822", None, "ICD9CM//42822"),
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


def test_terms_are_numbered_by_name_and_codes_that_make_labels_have_none() -> None:
    codes = ["LAB//b", "LAB//a", "MEDS_DEATH", "HOSPITAL_OUTCOME//alive", "MEDS_BIRTH", "GENDER//F"]
    terms = terms_of(codes, ALL, SequenceSettings())
    assert terms.names == ("LAB//a", "LAB//b")
    assert terms.of_code == {"LAB//a": 0, "LAB//b": 1}


def test_families_not_asked_for_are_left_out_and_admissions_only_show_a_visit() -> None:
    task = Task("labs", "last event", ANY_DEATH, inputs=("LAB",))
    terms = terms_of(["LAB//a", "LABEL//x", "HOSPITAL_ADMISSION//E"], task, SequenceSettings())
    assert terms.of_code == {"LAB//a": 0, "HOSPITAL_ADMISSION//E": None}


def test_a_family_asked_for_is_meant_under_every_name() -> None:
    task = Task("diagnoses", "last event", ANY_DEATH, inputs=("ICD9CM",))
    codes = ["ICD9CM//4280", "DIAGNOSIS//ICD//9//4280", "DIAGNOSIS//ICD//10//I509", "ICD9CM/428.0"]
    assert terms_of(codes, task, SequenceSettings()).names == tuple(sorted({*codes} - {codes[2]}))


def test_another_models_answer_is_an_input_only_where_it_is_named() -> None:
    codes = ["APACHE_PREDICTION//IV", "LAB//a"]
    assert terms_of(codes, ALL, SequenceSettings()).names == ("LAB//a",)
    task = Task("apache", "last event", ANY_DEATH, inputs=("APACHE_PREDICTION",))
    assert terms_of(codes, task, SequenceSettings()).names == ("APACHE_PREDICTION//IV",)


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


def test_a_header_of_an_earlier_version_has_channels_without_bins() -> None:
    stored = {"vocabulary": ["?", "a"], "channels": ["HR", "GLUCOSE"]}
    read = Vocabulary.of(stored)
    assert read == Vocabulary(("?", "a"), ("HR", "GLUCOSE"), ((), ()))
    assert Vocabulary.of(read.to_dict()) == read
