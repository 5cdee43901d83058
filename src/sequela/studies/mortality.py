"""The report's second half as data: cohorts, models, how they are trained, and what it claims."""

from collections.abc import Mapping
from typing import Any

from sequela.cohort.tasks import task_named
from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.models.reference import reading
from sequela.studies.claims import Claim

NAME = "mortality"

TRAINING = {
    "visits-baseline": TrainingSettings(
        epochs=60, batch_size=256, learning_rate=1e-2, clip_norm=1.0, weight_decay=0.1
    ),
    # At the rate of the baseline its ReLU units die on large data, and it says the same of all.
    "visits-improved": TrainingSettings(
        epochs=60, batch_size=64, learning_rate=3e-3, clip_norm=1.0, weight_decay=0.1
    ),
}
"""Chosen by the tuning loss, over five folds of eICU and one of PhysioNet 2012."""
QUICK_EPOCHS = 8

ASKED: Mapping[str, Mapping[str, Any]] = {
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
    },
    "physionet2012": {"hours": 48.0, "step_hours": 4.0, "bins": 5, "demographics": True},
    "nafld": {"task": "landmark", "step_hours": 8766.0, "bins": 5, "demographics": True},
}  # fmt: skip
"""What is asked of a data set unless a user says otherwise: codes, with the tables they come from.
Measurements are let in only where the data are nothing else. eICU records from the ICU on."""

_OF_THE_TASK = ("hours", "from_icu")
"""What ``ASKED`` says of its own task only."""

COHORTS: tuple[tuple[str, str], ...] = (
    ("eicu", "in-hospital"),
    ("mimic3", "report-2019"),
    ("mimic3", "in-hospital"),
    ("mimic4", "in-hospital"),
    ("physionet2012", "in-hospital"),
    ("nafld", "landmark"),
)
"""Data and task of each cohort of the study, as far as the data are present."""

FULL = 1000
"""Subjects from which MIMIC-III is the full database, and the primary cohort."""
FEW = 200
"""Examples of the rarer class below which one held-out part is too small: folds are repeated."""
FOLDS, REPEATS = 5, 2
VERY_FEW = 50
"""Examples of the rarer class below which nothing is concluded."""
TOO_FEW = "too few subjects to conclude"


def asked_of(data: str, said: Mapping[str, Any]) -> CohortSettings:
    """What is asked of a data set, with what a user says of it.

    Who names another task than the study's is given that task's own times. Who names a task that
    has its own inputs, or names inputs, is given just those, of all tables.

    Raises:
        SettingError: If something said is not allowed.
        UnknownNameError: If no task has the name that was said.
    """
    usual = {"task": "in-hospital", **ASKED.get(data, {})}
    asked = {**usual, **said}
    if asked["task"] != usual["task"]:
        asked = {name: v for name, v in asked.items() if name in said or name not in _OF_THE_TASK}
    if "inputs" not in said and task_named(asked["task"]).inputs:
        asked.pop("inputs", None)
    if "inputs" in said and "tables" not in said:
        asked.pop("tables", None)
    return CohortSettings.of(**asked)


def training_of(model: str, changes: dict[str, Any]) -> TrainingSettings:
    """How a model is trained in the study, some settings changed; others have the defaults.

    Raises:
        SettingError: If a changed setting is not allowed.
    """
    settings = TRAINING.get(model, TrainingSettings())
    return TrainingSettings.of(**{**settings.model_dump(), **changes})


def primary(subjects: Mapping[tuple[str, str], int]) -> tuple[str, str]:
    """The cohort that is the study's main result.

    Args:
        subjects: How many each cohort that is present has, by data and task.
    """
    full = ("mimic3", "in-hospital")
    return full if subjects.get(full, 0) >= FULL else ("eicu", "in-hospital")


def folds_for(positives: int, examples: int) -> int:
    """How many folds a cohort is judged on: 0, one split, where that has enough of both classes."""
    return FOLDS if min(positives, examples - positives) < FEW else 0


def key_of(data: str, task: str, *, is_primary: bool) -> str:
    """The name of a cohort in ``results.json``."""
    return NAME if is_primary else f"{NAME}-{data}-{task}"


def runs(
    data: str, task: str, *, is_primary: bool, seed: int, quick: bool
) -> dict[str, RunSettings]:
    """The runs of a cohort by the name of their folder.

    The primary cohort also has each network with weighted classes, and each model but the
    prevalence with the whole stay in view.
    """
    asked = asked_of(data, {"task": task})
    named: dict[str, RunSettings] = {}
    for model in (*TRAINING, *reading("records")):
        training = training_of(model, {})
        if quick:
            training = training.model_copy(update={"epochs": min(training.epochs, QUICK_EPOCHS)})
        settings = RunSettings.of(
            model=model, data=data, split="subject", seed=seed, cohort=asked, training=training
        )
        named[model] = settings
        if is_primary and model in TRAINING:
            weighted = training.model_copy(update={"class_weights": True})
            named[f"{model}.weighted"] = settings.model_copy(update={"training": weighted})
        if is_primary and model != "prevalence":
            looking_back = asked.model_copy(update={"hindsight": True})
            named[f"{model}.hindsight"] = settings.model_copy(update={"cohort": looking_back})
    return named


_BASELINE, _IMPROVED = ("visits-baseline",), ("visits-improved",)

CLAIMS = (
    Claim(
        "level", _BASELINE, "The baseline's best loss is close to 0.5.", "2.3", "loss", value=0.5
    ),
    Claim("level", _BASELINE, "Its best accuracy is about 75 %.", "2.3", value=0.75),
    Claim("blind", _BASELINE, "It is biased: a lot of the dead are not predicted.", "2.3"),
    Claim(
        "similar-best",
        _BASELINE + _IMPROVED,
        "In loss and accuracy the LSTM is similar to the baseline GRU.",
        "2.3 b",
    ),
    Claim(
        "both-classes",
        _IMPROVED,
        "The LSTM finds both the dead and the living, each above 73 %.",
        "2.3 b",
        value=0.73,
    ),
    Claim("level", _IMPROVED, "With soft labels its AUROC is 0.8.", "2.3 b", "auroc", value=0.8),
)

REPORTED: dict[str, dict[str, float | str]] = {
    "visits-baseline": {"accuracy": 0.75, "loss": 0.5},
    "visits-improved": {"auroc": 0.8, "per_class_recall": "> 0.73"},
}
"""The report's own numbers: MIMIC-III, each patient's visits with the codes of the last one, which
are assigned after the outcome is known."""
