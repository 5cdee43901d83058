"""A made-up hospital in the layout of CLIF 2.1, with what goes wrong in real ones."""

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

# The columns of the schema 2.1 (clifpy/schemas/2.1), also those that are not read.
COLUMNS = {
    "patient": "patient_id birth_date death_dttm race_name race_category ethnicity_name "
    "ethnicity_category sex_name sex_category language_name language_category",
    "hospitalization": "patient_id hospitalization_id hospitalization_joined_id admission_dttm "
    "discharge_dttm age_at_admission admission_type_name admission_type_category discharge_name "
    "discharge_category zipcode_five_digit state_code county_code",
    "adt": "hospitalization_id hospital_id hospital_type in_dttm out_dttm location_name "
    "location_category location_type",
    "labs": "hospitalization_id lab_order_dttm lab_collect_dttm lab_result_dttm lab_order_name "
    "lab_order_category lab_name lab_category lab_value lab_value_numeric reference_unit "
    "lab_specimen_name lab_specimen_category lab_loinc_code",
    "vitals": "hospitalization_id recorded_dttm vital_name vital_category vital_value "
    "meas_site_name",
    "hospital_diagnosis": "hospitalization_id diagnosis_code diagnosis_code_format "
    "diagnosis_primary poa_present",
    "medication_admin_continuous": "hospitalization_id med_order_id admin_dttm med_name "
    "med_category med_group med_route_name med_route_category med_dose med_dose_unit "
    "mar_action_name mar_action_category mar_action_group",
    "respiratory_support": "hospitalization_id recorded_dttm device_id device_name "
    "device_category vent_brand_name mode_name mode_category tracheostomy fio2_set lpm_set "
    "tidal_volume_set resp_rate_set pressure_control_set pressure_support_set flow_rate_set "
    "peak_inspiratory_pressure_set inspiratory_time_set peep_set tidal_volume_obs resp_rate_obs "
    "plateau_pressure_obs peak_inspiratory_pressure_obs peep_obs minute_vent_obs "
    "mean_airway_pressure_obs",
    "patient_assessments": "hospitalization_id recorded_dttm assessment_name "
    "assessment_category assessment_group numerical_value categorical_value text_value",
    "code_status": "patient_id start_dttm code_status_name code_status_category",
}
NUMBERS = ("_set", "_obs", "_numeric", "vital_value", "med_dose", "numerical_value")
Rows = dict[str, list[dict[str, Any]]]
Change = Callable[[Rows], None]


def at(text: str) -> datetime:
    """Return a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lab(stay: str, taken: datetime, test: str, value: float, unit: str | None) -> dict[str, Any]:
    """Return a result that was reported two hours after its sample was taken."""
    return {
        "hospitalization_id": stay, "lab_order_dttm": taken, "lab_collect_dttm": taken,
        "lab_result_dttm": taken + timedelta(hours=2), "lab_category": test,
        "lab_value": f"{value:.1f}", "lab_value_numeric": round(value, 1), "reference_unit": unit,
    }  # fmt: skip


def hospital(patients: int = 200, seed: int = 3) -> Rows:
    """Return the tables of a hospital, in which lactate and blood pressure predict the death.

    Ids are text with leading zeros. Some stays have no outcome, one has no length; results come
    hours after their sample; a row is there twice.
    """
    draw = random.Random(seed)
    tables: Rows = {name: [] for name in COLUMNS}
    for number in range(patients):
        person, stay = f"{number:06d}", f"00{number:04d}"
        start = at("2023-01-01 00:30") + timedelta(hours=40 * number)
        lactate = max(0.4, draw.gauss(2, 1))
        dies = draw.random() < 1 / (1 + math.exp(3.4 - 1.2 * lactate))
        end = start + timedelta(hours=draw.randrange(60, 300))
        tables["patient"].append(
            {"patient_id": person, "birth_date": f"{1930 + number % 60}-03-01",
             "death_dttm": end if dies and number % 2 else None,
             "race_category": draw.choice(("White", "Asian", "Other")),
             "ethnicity_category": draw.choice(("Hispanic", "Non-Hispanic", "Non-Hispanic")),
             "sex_category": draw.choice(("Female", "Male")), "language_category": "English"}
        )  # fmt: skip
        ended = "Expired" if dies else ("Missing", "Hospice", "Home", "Home")[min(number % 20, 3)]
        tables["hospitalization"].append(
            {"patient_id": person, "hospitalization_id": stay, "admission_dttm": start,
             "discharge_dttm": start if number == 1 else end, "discharge_category": ended,
             "age_at_admission": 93 - number % 60, "admission_type_category": "ed"}
        )  # fmt: skip
        moved = start + timedelta(hours=3)
        for place, since, until in (("ed", start, moved), ("icu", moved, end)):
            tables["adt"].append(
                {"hospitalization_id": stay, "hospital_id": f"H{number % 2}",
                 "hospital_type": "academic", "in_dttm": since, "out_dttm": until,
                 "location_category": place, "location_type": "medical_icu"}
            )  # fmt: skip
        for hour in (4, 10, 16, 23):
            taken = start + timedelta(hours=hour)
            tables["labs"] += [
                lab(stay, taken, "lactate", max(0.3, lactate + draw.gauss(0, 0.2)), "mmol/L"),
                lab(stay, taken, "creatinine", abs(draw.gauss(1.2, 0.4)), "mg/dL"),
                lab(stay, taken, "platelet_count", draw.randrange(60, 400), "10*3/uL\t"),
                lab(stay, taken, "ph_arterial", draw.gauss(7.4, 0.05), None),
            ]
            signs = {"map": draw.gauss(82 - 4 * lactate, 6), "temp_c": draw.gauss(37, 0.5)}
            for sign, value in signs.items():
                tables["vitals"].append(
                    {"hospitalization_id": stay, "recorded_dttm": taken, "vital_category": sign,
                     "vital_value": round(value, 1)}
                )  # fmt: skip
            tables["respiratory_support"].append(
                {"hospitalization_id": stay, "recorded_dttm": taken, "device_category": "IMV",
                 "fio2_set": 0.4, "peep_set": 5.0}
            )  # fmt: skip
        tables["hospital_diagnosis"].append(
            {"hospitalization_id": stay, "diagnosis_code": "A41.9", "poa_present": "1",
             "diagnosis_code_format": "ICD10CM"}
        )  # fmt: skip
        for hour, action, dose in ((5, "start", 0.1), (9, "stop", 0.0)):
            tables["medication_admin_continuous"].append(
                {"hospitalization_id": stay, "admin_dttm": start + timedelta(hours=hour),
                 "med_category": "norepinephrine", "med_dose": dose,
                 "med_dose_unit": "mcg/kg/min", "mar_action_category": action}
            )  # fmt: skip
        tables["patient_assessments"].append(
            {"hospitalization_id": stay, "recorded_dttm": moved, "numerical_value": 14.0,
             "assessment_category": "gcs_total"}
        )  # fmt: skip
        tables["code_status"].append(
            {"patient_id": person, "start_dttm": moved, "code_status_category": "Full"}
        )
    tables["labs"].append(dict(tables["labs"][0]))  # equal to another row
    return tables


def stored(rows: Sequence[dict[str, Any]], names: Sequence[str], zone: str | None) -> pa.Table:
    """Return a table with all columns of the schema, its times in a zone or without one."""
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name.endswith("_dttm"):
            columns[name] = pa.array(values, pa.timestamp("us", zone))
        elif name.endswith(NUMBERS):
            columns[name] = pa.array(values, pa.float64())
        else:
            columns[name] = pa.array(
                [None if value is None else str(value) for value in values], pa.string()
            )
    return pa.table(columns)


def write(root: Path, *changes: Change, zone: str | None = "UTC", patients: int = 200) -> Path:
    """Write the tables as clif_patient.parquet and so on, after changes."""
    tables = hospital(patients)
    for change in changes:
        change(tables)
    for name, names in COLUMNS.items():
        if name in tables:
            pq.write_table(stored(tables[name], names.split(), zone), root / f"clif_{name}.parquet")
    return root


HOUR = timedelta(hours=1)
