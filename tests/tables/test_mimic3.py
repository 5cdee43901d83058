"""Each known trap of MIMIC-III, and when each of its facts is known."""

from datetime import datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from sequela.errors import DataError

EXTRA: dict[str, list[dict[str, Any]]] = {
    "PRESCRIPTIONS": [
        {"subject_id": 1, "hadm_id": 11, "startdate": "2130-01-01 00:00:00", "drug": "Aspirin",
         "ndc": "00904404073"},
        {"subject_id": 1, "hadm_id": 11, "startdate": "2130-01-02 00:00:00", "drug": "Saline",
         "ndc": "0"},
        {"subject_id": 1, "hadm_id": 11, "startdate": "", "drug": "Saline", "ndc": ""},
    ],
    "LABEVENTS": [
        {"subject_id": 1, "hadm_id": "", "itemid": 50801, "charttime": "2129-12-31 08:00:00",
         "value": "12", "valuenum": "12", "valueuom": "mmHg"},
        {"subject_id": 1, "hadm_id": 11, "itemid": 50801, "charttime": "2130-01-01 18:30:00",
         "value": "ERROR", "valuenum": "", "valueuom": ""},
        {"subject_id": 8, "hadm_id": "", "itemid": 50801, "charttime": "2130-01-01 18:30:00",
         "value": "1", "valuenum": "1", "valueuom": ""},
        {"subject_id": 1, "hadm_id": 99, "itemid": 50801, "charttime": "2130-01-01 18:30:00",
         "value": "1", "valuenum": "1", "valueuom": ""},
        {"subject_id": 3, "hadm_id": 11, "itemid": 50801, "charttime": "2130-01-01 18:30:00",
         "value": "1", "valuenum": "1", "valueuom": ""},
    ],
    "MICROBIOLOGYEVENTS": [
        {"subject_id": 1, "hadm_id": 11, "chartdate": "2130-01-02 00:00:00", "charttime": "",
         "spec_type_desc": "URINE", "org_name": "E. COLI", "ab_name": "", "interpretation": ""},
    ],
    "D_ICD_DIAGNOSES": [{"icd9_code": "0042", "short_title": "x", "long_title": "HIV"}],
    "D_LABITEMS": [{"itemid": 50801, "label": "Gradient"}],
}  # fmt: skip


def test_upper_case_headers_gzip_and_lower_case_names_give_the_same(
    mimic3: Any, write: Any, made: Any, unchanged: Any
) -> None:
    lower = {name.lower(): rows for name, rows in mimic3.items()}
    other = made("mimic3", write(lower, suffix=".csv.gz", upper=True))
    assert other.rows == unchanged("mimic3").rows


def test_each_fact_has_its_time(unchanged: Any) -> None:
    built = unchanged("mimic3")
    assert {"ICD9CM//0042", "ICD9CM//042", "ICD9CM//V4581", "ICD9CM//E8788"} <= built.codes()
    assert built.times("ICD9CM//0042") == [datetime(2130, 1, 5, 12)], "at discharge"
    assert built.times("ICD9CM//V4581") == [datetime(2130, 5, 9, 8)]
    for code in ("HOSPITAL_ADMISSION//EMERGENCY", "ADMISSION_DX//SEPSIS", "ETHNICITY//WHITE"):
        assert built.times(code, subject=2) == [datetime(2130, 5, 1)]
    assert built.times("GENDER//M") == [None, None]
    assert built.times("MEDS_DEATH", subject=2) == [datetime(2130, 5, 9, 7, 30)], "in hospital"
    assert built.times("MEDS_DEATH", subject=3) == [datetime(2131, 2, 3, 23, 59, 59)]
    assert built.times("MEDS_DEATH", subject=1) == []
    (born,) = built.times("MEDS_BIRTH", subject=2)
    assert 91.3 < (datetime(2130, 5, 1) - born).days / 365.2425 < 91.5, "over 89"
    assert built.times("MEDS_BIRTH", subject=1) == [datetime(2080, 1, 1)]
    assert list(built.table("PATIENTS").notes.values()) == [1]
    followed = datetime(2131, 1, 3, 12) + timedelta(days=4 * 365)
    assert built.times("FOLLOW_UP_END") == [followed], "by carevue"


def test_the_flag_of_the_stay_is_the_outcome(mimic3: Any, write: Any, made: Any) -> None:
    mimic3["ADMISSIONS"][0]["hospital_expire_flag"] = ""
    built = made("mimic3", write(mimic3))
    outcomes = {
        (row["visit_id"], row["code"]): row["time"]
        for row in built.rows
        if row["code"].startswith("HOSPITAL_OUTCOME")
    }
    assert outcomes == {
        (12, "HOSPITAL_OUTCOME//alive"): datetime(2131, 1, 3, 12),
        (21, "HOSPITAL_OUTCOME//expired"): datetime(2130, 5, 9, 8),
        (31, "HOSPITAL_OUTCOME//alive"): datetime(2131, 1, 20, 15),
    }


def test_a_death_far_from_discharge_or_before_admission(mimic3: Any, write: Any, made: Any) -> None:
    """The time of death is typed wrong in a stay that ends in death, or in the record of one."""
    patient, stay = mimic3["PATIENTS"][1], mimic3["ADMISSIONS"][2]
    for number, typed in enumerate(("2130-06-09 07:30:00", "2120-05-09 07:30:00", ""), 100):
        mimic3["PATIENTS"].append({**patient, "subject_id": number})
        ids = {"subject_id": number, "hadm_id": number}
        mimic3["ADMISSIONS"].append({**stay, **ids, "deathtime": typed})
    mimic3["PATIENTS"][2]["dod"] = "2130-12-01 00:00:00"  # before the admission
    built = made("mimic3", write(mimic3))
    for number in (100, 101, 102):
        assert built.times("MEDS_DEATH", subject=number) == [datetime(2130, 5, 9, 8)]
    assert built.times("MEDS_DEATH", subject=3) == [datetime(2130, 12, 1, 23, 59, 59)]


def test_follow_up_ends_by_source(mimic3: Any, write: Any, made: Any) -> None:
    last = datetime(2131, 1, 3, 12)
    mimic3["ICUSTAYS"].append({**mimic3["ICUSTAYS"][0], "icustay_id": 2, "dbsource": "metavision"})
    built = made("mimic3", write(mimic3, at="both"), out="both")
    assert built.times("FOLLOW_UP_END") == [last + timedelta(days=90)]
    del mimic3["ICUSTAYS"]
    built = made("mimic3", write(mimic3, at="none"), out="none")
    assert built.times("FOLLOW_UP_END") == [last + timedelta(days=90)]


def test_a_donor_may_leave_before_admission(mimic3: Any, write: Any, made: Any) -> None:
    donor = {
        **mimic3["ADMISSIONS"][2],
        "hadm_id": 22,
        "admittime": "2130-05-10 00:00:00",
        "dischtime": "2130-05-09 20:00:00",
        "diagnosis": "Organ Donor Account",
        "has_chartevents_data": 0,
    }
    mimic3["ADMISSIONS"].append(donor)
    mimic3["DIAGNOSES_ICD"].append({"subject_id": 2, "hadm_id": 22, "seq_num": 1, "icd9_code": "1"})
    built = made("mimic3", write(mimic3))
    assert built.times("STAY//organ donor") == [datetime(2130, 5, 10)]
    assert built.times("STAY//nothing charted") == [datetime(2130, 5, 10)]
    assert built.times("MEDS_DEATH", subject=2) == [datetime(2130, 5, 9, 7, 30)]
    assert built.times("ICD9CM//1") == [datetime(2130, 5, 10)], "not before its admission"
    assert sorted(built.table("ADMISSIONS").notes.values()) == [1, 1]


def test_a_stay_without_discharge_gives_no_codes(mimic3: Any, write: Any, made: Any) -> None:
    mimic3["ADMISSIONS"][3]["dischtime"] = ""
    built = made("mimic3", write(mimic3))
    assert "ICD9CM//E8788" not in built.codes()
    assert built.table("DIAGNOSES_ICD").set_aside == {"blank discharge": 1}


def test_charted_facts_rows_set_aside_and_descriptions(mimic3: Any, write: Any, made: Any) -> None:
    built = made("mimic3", write({**mimic3, **EXTRA}))
    assert built.times("NDC//00904404073") == [datetime(2130, 1, 1, 23, 59, 59)]
    assert built.times("DRUG//Saline") == [datetime(2130, 1, 2, 23, 59, 59)]
    assert built.table("PRESCRIPTIONS").set_aside == {"blank by_day_end": 1}
    labs = [row for row in built.rows if row["code"].startswith("LAB//")]
    assert [(r["code"], r["time"], r["numeric_value"], r["visit_id"]) for r in labs] == [
        ("LAB//50801//mmHg", datetime(2129, 12, 31, 8), 12.0, None),
        ("LAB//50801//UNKNOWN", datetime(2130, 1, 1, 18, 30), None, 11),
    ]
    assert built.table("LABEVENTS").set_aside == {
        "its hospital stay belongs to another subject": 1,
        "its hospital stay is not among the admissions": 1,
        "its subject is not among the patients": 1,
    }
    assert built.times("MICRO//URINE") == [datetime(2130, 1, 2, 23, 59, 59)]
    assert built.times("MICRO_FOUND//E. COLI") == [datetime(2130, 1, 5, 12)]
    codes = pq.read_table(built.out / "metadata" / "codes.parquet").to_pylist()
    words = {row["code"]: row["description"] for row in codes}
    assert words["ICD9CM//0042"] == "HIV"
    assert words["ICD9CM//V4581"] is None, "kept without a description"
    assert words["LAB//50801//mmHg"] == "Gradient"
    assert words.keys() == built.codes()


def test_rows_of_strange_stays_are_set_aside(mimic3: Any, write: Any, made: Any) -> None:
    for row in (
        {"subject_id": 1, "hadm_id": "", "seq_num": 2, "icd9_code": "1"},
        {"subject_id": 1, "hadm_id": 99, "seq_num": 2, "icd9_code": "1"},
        {"subject_id": 1, "hadm_id": 21, "seq_num": 2, "icd9_code": "1"},
        {"subject_id": 1, "hadm_id": 11, "seq_num": 2, "icd9_code": " "},
        {"subject_id": 1, "hadm_id": 11, "seq_num": 3, "icd9_code": "0042"},
    ):
        mimic3["DIAGNOSES_ICD"].append(row)
    built = made("mimic3", write(mimic3))
    table = built.table("DIAGNOSES_ICD")
    assert table.set_aside == {
        "no hospital stay is named": 1,
        "its hospital stay is not among the admissions": 1,
        "its hospital stay belongs to another subject": 1,
        "blank icd9_code": 1,
    }
    assert (table.rows, table.used, table.duplicates, table.kept) == (9, 5, 1, 4)


def test_a_few_negative_stays_are_known_of_published_data(
    mimic3: Any, write: Any, made: Any
) -> None:
    first = mimic3["ADMISSIONS"][0]
    mimic3["ADMISSIONS"] += [{**first, "hadm_id": 1000 + i} for i in range(400)]
    mimic3["ADMISSIONS"][-1]["dischtime"] = "2129-12-31 10:00:00"
    built = made("mimic3", write(mimic3))
    assert list(built.table("ADMISSIONS").notes.values()) == [1]
    for row in mimic3["ADMISSIONS"][-4:]:
        row["dischtime"] = "2129-12-31 10:00:00"
    with pytest.raises(DataError, match="discharge before admission"):
        made("mimic3", write(mimic3, at="more"), out="more")
