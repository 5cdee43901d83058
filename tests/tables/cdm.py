"""A small database in the OMOP Common Data Model 5.4."""

from typing import Any

A, B = -9223372036854775807, 4783904755296699562  # 64 bits, and negative
STAY, OFFICE, LAST, OPEN = -5779522865065417426, 12, 13, 14


def tables() -> dict[str, list[dict[str, Any]]]:
    """Two persons: a stay, a visit to an office, a stay that ends in death, one that is open."""
    visit = {
        "visit_start_date": "", "visit_end_date": "", "admitted_from_source_value": "",
        "discharged_to_concept_id": 0, "discharged_to_source_value": "",
    }  # fmt: skip
    condition = {
        "person_id": A, "condition_start_date": "2150-02-01",
        "condition_start_datetime": "2150-02-01 10:00:00", "condition_type_concept_id": 32821,
        "visit_occurrence_id": STAY, "condition_source_value": "428.0",
        "condition_source_concept_id": 44,
    }  # fmt: skip
    return {
        "person": [
            {"person_id": A, "gender_concept_id": 8507, "year_of_birth": 2090, "month_of_birth": "",
             "day_of_birth": "", "birth_datetime": "", "race_concept_id": 8515,
             "ethnicity_concept_id": 0, "gender_source_value": "M"},
            {"person_id": B, "gender_concept_id": 0, "year_of_birth": 2080, "month_of_birth": 7,
             "day_of_birth": 12, "birth_datetime": "", "race_concept_id": 0,
             "ethnicity_concept_id": 38003563, "gender_source_value": "F"},
        ],
        "visit_occurrence": [
            {**visit, "visit_occurrence_id": STAY, "person_id": A, "visit_concept_id": 9201,
             "visit_start_date": "2150-02-01", "visit_start_datetime": "2150-02-01 10:00:00",
             "visit_end_date": "2150-02-09", "visit_end_datetime": "2150-02-09 11:00:00"},
            {**visit, "visit_occurrence_id": OFFICE, "person_id": A, "visit_concept_id": 9202,
             "visit_start_date": "2151-02-01", "visit_start_datetime": "2151-02-01 10:00:00",
             "visit_end_date": "2151-02-01", "visit_end_datetime": "2151-02-01 10:30:00"},
            {**visit, "visit_occurrence_id": LAST, "person_id": B, "visit_concept_id": 8870,
             "visit_start_date": "2160-02-01", "visit_start_datetime": "2160-02-01 08:00:00",
             "visit_end_date": "2160-02-03", "visit_end_datetime": "2160-02-03 09:00:00",
             "admitted_from_source_value": "EMERGENCY ROOM",
             "discharged_to_source_value": "Died"},
            {**visit, "visit_occurrence_id": OPEN, "person_id": A, "visit_concept_id": 9201,
             "visit_start_date": "2155-02-01", "visit_start_datetime": "2155-02-01 10:00:00",
             "visit_end_datetime": ""},
        ],
        "condition_occurrence": [
            {"condition_occurrence_id": 1, "condition_concept_id": 100, **condition},
            {"condition_occurrence_id": 2, "condition_concept_id": 999, **condition},
            {"condition_occurrence_id": 3, "condition_concept_id": 100, **condition,
             "condition_type_concept_id": 32817, "condition_start_date": "2150-02-03",
             "condition_start_datetime": "2150-02-03 04:00:00"},
            {"condition_occurrence_id": 4, "condition_concept_id": 999, **condition,
             "condition_type_concept_id": 0, "condition_source_concept_id": 0},
            {"condition_occurrence_id": 5, "condition_concept_id": 999, **condition,
             "condition_type_concept_id": 32817, "condition_source_concept_id": "",
             "condition_source_value": "", "condition_start_datetime": ""},
            {"condition_occurrence_id": 6, "condition_concept_id": 100, **condition,
             "visit_occurrence_id": OPEN},
            {"condition_occurrence_id": 7, "condition_concept_id": 100, **condition,
             "condition_type_concept_id": 32840, "visit_occurrence_id": "",
             "condition_start_date": "2149-05-05",
             "condition_start_datetime": "2149-05-05 05:05:00"},
            {"condition_occurrence_id": 8, "condition_concept_id": 100, **condition,
             "visit_occurrence_id": 77},
            {"condition_occurrence_id": 10, "condition_concept_id": 100, **condition,
             "visit_occurrence_id": "", "condition_start_date": "2149-06-06",
             "condition_start_datetime": "2149-06-06 06:06:00"},
        ],
        "measurement": [
            {"measurement_id": i, "person_id": A, "measurement_concept_id": 300,
             "measurement_date": "2150-02-02", "measurement_datetime": "2150-02-02 06:00:00",
             "measurement_type_concept_id": 0, "value_as_number": number,
             "value_as_concept_id": value, "unit_concept_id": 400, "visit_occurrence_id": STAY,
             "measurement_source_value": "x"}
            for i, number, value in ((1, 1.5, 0), (2, "", 500))
        ],
        "death": [{"person_id": B, "death_date": "2160-02-03", "death_datetime": ""}],
        "observation_period": [
            {"observation_period_id": i, "person_id": p, "observation_period_end_date": day}
            for i, p, day in ((1, A, "2155-12-31"), (2, B, "2160-02-03"))
        ],
        "concept": [
            {"concept_id": i, "concept_name": n, "domain_id": "", "vocabulary_id": v,
             "concept_code": c}
            for i, n, v, c in (
                (0, "No matching concept", "None", "No matching concept"),
                (100, "Heart failure", "SNOMED", "84114007"),
                (101, "Disorder of heart", "SNOMED", "56265001"),
                (44, "Congestive heart failure", "ICD9CM", "428.0"),
                (300, "Creatinine", "LOINC", "2160-0"),
                (400, "milligram per deciliter", "UCUM", "mg/dL"),
                (500, "High", "SNOMED", "75540009"),
            )
        ],
    }  # fmt: skip
