"""eICU: minutes without a calendar, stays without an order, ages and values that are no numbers."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sequela.errors import DataError
from sequela.tables.hospitals import source_of

MINUTE = timedelta(minutes=1)
ADMITTED = datetime(2000, 1, 1, 10)
APACHE, APACHE_CONTEXT = (
    {str(fact.value): fact.code.removeprefix("APACHE//") for fact in table.facts}
    for name in ("apacheApsVar", "apachePredVar")
    for table in source_of("eicu").tables
    if table.name == name
)


def test_order_inside_a_stay_is_as_published_and_stays_are_kept_apart(
    unchanged: Any,
) -> None:
    built = unchanged("eicu")
    stay = [row for row in built.rows if row["visit_id"] == 500]
    at = {row["code"]: row["time"] for row in stay}
    assert at["HOSPITAL_ADMISSION//Floor"] == ADMITTED
    assert at["EICU_DX//renal|failure"] == ADMITTED + (60 + 90) * MINUTE
    assert at["HOSPITAL_DISCHARGE//Home"] == ADMITTED + 9060 * MINUTE
    units = [row["time"] for row in stay if row["code"] == "ICU_ADMISSION//MICU"]
    assert units == [ADMITTED + 60 * MINUTE, ADMITTED + 4060 * MINUTE]
    assert sum(row["code"].startswith("HOSPITAL_OUTCOME") for row in stay) == 1
    assert built.table("diagnosis").set_aside == {"its unit stay is not in patient": 1}
    assert built.account.stays_in_order is False
    begins = {
        row["visit_id"]: (row["subject_id"], row["time"])
        for row in built.rows
        if row["code"].startswith("HOSPITAL_ADMISSION")
    }
    assert begins[500] == (2_000_000_033, ADMITTED)
    assert begins[400] == (2_000_000_033, ADMITTED + timedelta(days=3653))
    assert begins[600] == (10_000_000_004, ADMITTED)


def test_outcomes_and_blank_status(eicu: Any, write: Any, made: Any) -> None:
    eicu["patient"][2]["hospitaldischargestatus"] = ""
    built = made("eicu", write(eicu))
    outcome = {r["visit_id"]: r["code"] for r in built.rows if r["code"].startswith("HOSPITAL_OUT")}
    assert outcome == {500: "HOSPITAL_OUTCOME//alive", 600: "HOSPITAL_OUTCOME//expired"}
    assert built.times("MEDS_DEATH") == [ADMITTED + 2030 * MINUTE]
    assert {r["visit_id"] for r in built.rows if r["code"] == "FOLLOW_UP_END"} == {500}


def test_age_is_text(eicu: Any, write: Any, made: Any) -> None:
    eicu["patient"][2]["age"] = ""
    built = made("eicu", write(eicu))
    ages = {r["visit_id"]: r["numeric_value"] for r in built.rows if r["code"] == "AGE"}
    assert ages == {500: 70.0, 600: 90.0}
    assert built.table("patient").notes == {"age '> 89' is read as 90": 1}
    eicu["patient"][2]["age"] = "old"
    with pytest.raises(
        DataError, match="age that is neither a number up to 120 nor '> 89' in 1 of 4 rows"
    ):
        made("eicu", write(eicu, at="old"), out="old")


def test_apache_is_known_after_a_day_and_minus_one_is_missing(
    eicu: Any, write: Any, made: Any
) -> None:
    values = {**dict.fromkeys(APACHE, -1), "wbc": 10.2, "verbal": 5}
    eicu["apacheApsVar"] = [
        {"apacheapsvarid": 1, "patientunitstayid": 1, **values},
        {"apacheapsvarid": 2, "patientunitstayid": 4, **dict.fromkeys(APACHE, -1)},
    ]
    built = made("eicu", write(eicu, suffix=".csv.gz"))
    apache = [(r["code"], r["numeric_value"]) for r in built.rows if r["code"].startswith("APACHE")]
    assert apache == [
        ("APACHE//GCS verbal", 5.0),
        ("APACHE//white cells//1000 per uL", 10.199999809265137),
    ]
    day = ADMITTED + timedelta(minutes=60, hours=24)
    assert built.times("APACHE//GCS verbal") == [day]
    table = built.table("apacheApsVar")
    assert (table.used, sum(table.set_aside.values())) == (1, 1)
    assert table.notes["urine is -1 (not measured): no event"] == 2


SCORE = {
    "patientunitstayid": 1, "apachepatientresultsid": 1, "apacheversion": "IV",
    "acutephysiologyscore": 23, "apachescore": 47, "predictedhospitalmortality": "8.2E-2",
    "actualhospitalmortality": "EXPIRED",
}  # fmt: skip


def test_outcomes_hidden_in_other_columns_are_not_read(eicu: Any, write: Any, made: Any) -> None:
    eicu["apachePatientResult"] = [SCORE]
    predictors = {**dict.fromkeys(APACHE_CONTEXT, 0), "leukemia": 1, "aids": -1}
    outcomes = {"diedinhospital": 1, "dischargelocation": 9}
    eicu["apachePredVar"] = [
        {"patientunitstayid": 1, "sicuday": day, **predictors, **outcomes} for day in (1, 2)
    ]
    built = made("eicu", write(eicu))
    assert not any("EXPIRED" in code for code in built.codes())
    context = [
        r for r in built.rows if r["code"].removeprefix("APACHE//") in APACHE_CONTEXT.values()
    ]
    assert len(context) == len(APACHE_CONTEXT) - 1
    assert {r["time"] for r in context} == {ADMITTED + timedelta(minutes=60, hours=24)}
    assert [r["code"] for r in context if r["numeric_value"]] == ["APACHE//leukemia"]
    assert built.table("apachePredVar").set_aside == {"it is of a later day (sicuday)": 1}
    assert built.times("APACHE//score//IV") == [ADMITTED + timedelta(minutes=60, hours=24)]


def test_a_chance_of_death_above_1_is_refused(eicu: Any, write: Any, made: Any) -> None:
    """Shifted columns look so: 5.8 is a length of stay."""
    eicu["apachePatientResult"] = [{**SCORE, "predictedhospitalmortality": "5.8"}]
    with pytest.raises(DataError, match=r"'predictedhospitalmortality' holds .*expected -1 to 1"):
        made("eicu", write(eicu))


def test_numbers_are_values_and_words_are_codes(eicu: Any, write: Any, made: Any) -> None:
    eicu["respiratoryCharting"] = [
        {"patientunitstayid": 1, "respchartoffset": 1, "respchartentryoffset": 5,
         "respchartvaluelabel": "FiO2", "respchartvalue": value}
        for value in ("40", "room air")
    ]  # fmt: skip
    eicu["medication"] = [
        {"patientunitstayid": 1, "drugorderoffset": 10, "drugstartoffset": 30,
         "drugordercancelled": cancelled, "drugname": name, "drughiclseqno": 7}
        for cancelled, name in (("No", "WARFARIN   "), ("No", ""), ("Yes", "HEPARIN"))
    ]  # fmt: skip
    built = made("eicu", write(eicu))
    values = {r["code"]: r["numeric_value"] for r in built.rows}
    assert values["RESPIRATORY//FiO2"] == 40.0
    assert values["RESPIRATORY//FiO2//room air"] is None
    assert built.times("DRUG//WARFARIN") == [ADMITTED + 90 * MINUTE]
    assert built.times("HICL//7") == [ADMITTED + 90 * MINUTE]
    assert built.table("medication").set_aside == {"the order was cancelled": 1}
