"""MIMIC-IV: versions of ICD, ages, and times of results."""

from datetime import datetime
from typing import Any


def test_codes_carry_their_version(mimic4: Any, write: Any, made: Any) -> None:
    mimic4["hosp/procedures_icd"] = [
        {"subject_id": 5, "hadm_id": 51, "chartdate": "2150-02-02", "icd_code": code,
         "icd_version": version}
        for code, version in (("3961", 9), ("5A1221Z", 10), ("1", 11))
    ]  # fmt: skip
    built = made("mimic4", write(mimic4))
    coded = {(row["code"], row["time"]) for row in built.rows if row["code"].startswith("ICD")}
    assert coded == {
        ("ICD9CM//4280", datetime(2150, 2, 9, 11)),
        ("ICD10CM//I509", datetime(2160, 3, 2, 12)),
        ("ICD9PROC//3961", datetime(2150, 2, 9, 11)),
        ("ICD10PCS//5A1221Z", datetime(2150, 2, 9, 11)),
    }
    aside = built.table("hosp/procedures_icd").set_aside
    assert aside == {"holds none of the declared facts": 1}


def test_birth_death_and_follow_up(mimic4: Any, write: Any, made: Any) -> None:
    built = made("mimic4", write(mimic4, suffix=".csv.gz"))
    assert built.times("MEDS_BIRTH", subject=5) == [datetime(2090, 1, 1)]
    assert built.table("hosp/patients").notes == {"age over 89: published as 91": 1}
    assert built.times("MEDS_DEATH") == [datetime(2160, 3, 2, 11)]
    assert built.times("FOLLOW_UP_END") == [datetime(2151, 2, 9, 11)]
    assert built.times("ETHNICITY//ASIAN", subject=5) == [datetime(2150, 2, 1, 10)]


def test_results_are_known_when_stored(mimic4: Any, write: Any, made: Any) -> None:
    lab = {"subject_id": 5, "hadm_id": 51, "itemid": 1, "valuenum": 2, "valueuom": "g"}
    mimic4["hosp/labevents"] = [
        {**lab, "charttime": "2150-02-01 11:00:00", "storetime": "2150-02-01 13:00:00"},
        {**lab, "charttime": "2150-02-02 11:00:00", "storetime": ""},
    ]
    mimic4["hosp/omr"] = [
        {"subject_id": s, "chartdate": "2149-01-01", "result_name": name, "result_value": value}
        for s, name, value in ((5, "BMI", "30.5"), (5, "Blood Pressure", "120/80"), (9, "BMI", "1"))
    ]
    built = made("mimic4", write(mimic4))
    assert built.times("LAB//1//g") == [datetime(2150, 2, 1, 13), datetime(2150, 2, 2, 11)]
    omr = [(r["code"], r["numeric_value"]) for r in built.rows if r["code"].startswith("OMR")]
    assert omr == [("OMR//BMI", 30.5), ("OMR//Blood Pressure//120/80", None)]
    assert built.times("OMR//BMI") == [datetime(2149, 1, 1, 23, 59, 59)]
    assert sum(built.table("hosp/omr").set_aside.values()) == 1
