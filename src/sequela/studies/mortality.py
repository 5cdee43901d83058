"""The report's study of mortality: cohorts, models, how they are trained, and what it claims."""

from collections.abc import Mapping
from typing import Any

from sequela.config import TrainingSettings
from sequela.studies.claims import declared
from sequela.studies.study import Question, Study

TRAINING = {
    "visits-baseline": TrainingSettings(
        epochs=60, batch_size=256, learning_rate=1e-2, clip_norm=1.0, weight_decay=0.1
    ),
    # At the rate of the baseline its ReLU units die on large data, and it says the same of all.
    "visits-improved": TrainingSettings(
        epochs=60, batch_size=64, learning_rate=1e-3, clip_norm=1.0, weight_decay=0.1
    ),
}
"""Chosen by the tuning loss, over five folds of eICU and five seeds of PhysioNet 2012."""

REPORT = ("mimic3", "report-2019")
FULL_CODES = (*REPORT, "full-codes")

ASKED: Mapping[str | Question, Mapping[str, Any]] = {
    "mimic3": {
        "tables": (
            "DIAGNOSES_ICD", "PROCEDURES_ICD", "CPTEVENTS", "DRGCODES", "SERVICES", "ICUSTAYS",
        ),
        "inputs": (
            "ICD9CM", "ICD9PROC", "CPT", "DRG", "HOSPITAL_ADMISSION", "ADMISSION_LOCATION",
            "ADMISSION_DX", "SERVICE", "ICU_ADMISSION",
        ),
    },
    "mimic4": {
        "tables": (
            "hosp/diagnoses_icd", "hosp/procedures_icd", "hosp/hcpcsevents", "hosp/drgcodes",
            "hosp/services", "icu/icustays",
        ),
        "inputs": (
            "ICD9CM", "ICD10CM", "ICD9PROC", "ICD10PCS", "HCPCS", "DRG", "HOSPITAL_ADMISSION",
            "ADMISSION_LOCATION", "SERVICE", "ICU_ADMISSION",
        ),
    },
    "eicu": {
        "from_icu": True,
        "tables": ("admissionDx", "diagnosis", "treatment", "pastHistory"),
        "inputs": ("EICU_ADX", "EICU_DX", "EICU_TX", "EICU_HX"),
        "min_subjects": 20,
        "step_hours": 1.0,
    },
    "physionet2012": {"hours": 48.0, "step_hours": 6.0, "bins": 5, "demographics": True},
    "nafld": {"task": "landmark", "step_hours": 8766.0, "bins": 5, "demographics": True},
    REPORT: {"icd_digits": 0},
    FULL_CODES: {"icd_digits": 2},  # all that ICD-9 has after the dot
}  # fmt: skip
"""What is asked of a data set unless a user says otherwise: codes, with the tables they come from.
Measurements are let in only where the data are nothing else. eICU records from the ICU on, in few
sittings: longer windows than an hour would give most stays one step. The report's question reads
ICD codes of three characters (E codes four), as the exercise behind the report most likely did."""

COHORTS: tuple[Question, ...] = (
    ("physionet2012", "in-hospital"),
    ("eicu", "in-hospital"),
    REPORT,
    FULL_CODES,
    ("mimic3", "in-hospital"),
    ("mimic4", "in-hospital"),
    ("nafld", "landmark"),
)
"""Data and task of each cohort of the study, as far as the data are present."""

FULL = 1000
"""Subjects from which MIMIC-III is the full database, and the primary cohort."""

CLAIMS = declared("mortality")

REPORTED: dict[str, dict[str, float | str]] = {
    "visits-baseline": {"accuracy": 0.75, "loss": 0.5},
    "visits-improved": {"auroc": 0.8, "per_class_recall": "> 0.73"},
}
"""The report's own numbers: MIMIC-III, each patient's visits with the codes of the last one, which
are assigned after the outcome is known."""

_REFERENCE_MODELS = ("prevalence", "logistic-regression", "boosting")

STUDY = Study(
    name="mortality",
    title="Mortality",
    heading="Mortality from hospital records",
    cohorts=COHORTS,
    primary=((("mimic3", "in-hospital"), FULL), (("physionet2012", "in-hospital"), 0)),
    # The records of PhysioNet 2012 end with its window: nothing was recorded after it.
    hindsight=((("mimic3", "in-hospital"), FULL), (("eicu", "in-hospital"), 0)),
    rooted="mimic3",
    asked=ASKED,
    classes=("survived", "died"),
    training=TRAINING,
    reference_models=_REFERENCE_MODELS,
    default=True,
    # Prevalence reads nothing, so later information does not change it.
    controls={"weighted": tuple(TRAINING), "hindsight": (*TRAINING, *_REFERENCE_MODELS[1:])},
    families=(("Visits", "visits-baseline", "visits-improved"),),
    claims=CLAIMS,
    report="the 2019 report",
    reported=REPORTED,
    reported_question=REPORT,
    notes={
        "verdicts": "The report predicts from all visits of a patient, including the diagnoses "
        "of the last visit, which are assigned after the outcome is known. Its numbers "
        "therefore answer another question, on a database that needs a data use agreement. The "
        "verdicts are for the question above. The share of deaths in the report differs from "
        "the share here, so its loss and accuracy are not comparable.",
        "leak": "Many published studies use the codes of the stay itself. The place of "
        "discharge is left out of both.",
        "cohorts": "Models read measurements only where the data hold nothing else (PhysioNet "
        "2012, NAFLD): networks read quintiles, boosting reads summaries.",
        "training": "They were chosen by the loss on tuning parts, some of them of folds, which "
        "share patients with this held-out part.",
    },
)
