"""MIMIC-III 1.4, full or demo: its tables, and when what they hold was known.

Tables and their traps: Johnson et al. 2016, Scientific Data 3, 160035, and
https://mimic.mit.edu/docs/iii/tables/.
"""

from datetime import timedelta
from typing import Any

import narwhals as nw

from sequela.sources import codes
from sequela.sources.declarations import (
    Fact,
    Frames,
    Source,
    Table,
    end_of_day,
    in_order,
    never_blank,
)
from sequela.sources.mimic import (
    AS_CHARTED,
    DATE_ONLY,
    DAY_ENDS,
    DEATH,
    ENDS_EARLY,
    ICU_CHECKS,
    ID,
    INTEGER,
    MARKED_WRONG,
    OF_A_SUBJECT,
    REWRITTEN,
    STAY_FACTS,
    TEXT,
    TIME,
    Mimic,
    asked_on_arrival,
    stay_checks,
)

MIMIC = Mimic(patients="PATIENTS", admissions="ADMISSIONS")

# Dates of birth of people over 89 were shifted to 300 years before their first admission; their
# median true age is 91.4 years.
SHIFTED = timedelta(days=150 * 365)
OLD_AGE = timedelta(days=round(91.4 * 365.2425))
# How long deaths after discharge were looked up in the Social Security file, by the system that
# the patient's stays were charted in.
FOLLOWED_CAREVUE = timedelta(days=4 * 365)
FOLLOWED_METAVISION = timedelta(days=90)


def patients(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Patients with ``birth``, ``death`` and ``follow_up_end``."""
    joined = MIMIC.with_death(frame, frames).join(_systems(frames), on="subject_id", how="left")
    old = nw.col("first_admission") - nw.lit(OLD_AGE)
    followed = nw.when(nw.col("carevue_only") == 1).then(nw.lit(FOLLOWED_CAREVUE))
    until = nw.col("last_discharge") + followed.otherwise(nw.lit(FOLLOWED_METAVISION))
    return joined.with_columns(
        birth=nw.when(is_shifted()).then(old).otherwise("dob"),
        follow_up_end=nw.when(nw.col("death").is_null()).then(until),
    )


def _systems(frames: Frames) -> nw.LazyFrame[Any]:
    """Subject to ``carevue_only``: 1 where no stay was charted in MetaVision."""
    if "ICUSTAYS" not in frames:
        return frames["PATIENTS"].select("subject_id", carevue_only=nw.lit(0))
    carevue = nw.when(nw.col("dbsource") == "carevue").then(nw.lit(1)).otherwise(nw.lit(0))
    icu = frames["ICUSTAYS"].with_columns(carevue=carevue)
    return icu.group_by("subject_id").agg(carevue_only=nw.col("carevue").min())


def is_shifted() -> nw.Expr:
    """Whether a date of birth was shifted because the patient was over 89."""
    return nw.col("dob") + nw.lit(SHIFTED) < nw.col("first_admission")


def admissions(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Stays with what marks the account of an organ donor, opened after the death."""
    words = nw.col("diagnosis").str.to_lowercase()
    donor = words.str.contains("organ donor", literal=True)
    return MIMIC.with_subject(frame, frames).with_columns(
        donor=nw.coalesce(donor, nw.lit(value=False))
    )


PATIENTS = Table(
    "PATIENTS",
    {"subject_id": INTEGER, "gender": TEXT, "dob": TIME, "dod": TIME},
    (
        Fact("birth", codes.BIRTH, "birth", "at birth", "the standard's own place for it"),
        Fact("sex", "GENDER//{gender}", None, "always (static)", "it is taken not to change"),
        DEATH,
        Fact(
            "end of follow-up",
            codes.FOLLOW_UP_END,
            "follow_up_end",
            "last discharge + 90 days (MetaVision) or + 4 years (all stays in CareVue)",
            "deaths after discharge were looked up at least so long. A label, never an input",
        ),
    ),
    key=("subject_id",),
    required=True,
    prepare=patients,
    checks=(
        *never_blank("dob", show="subject_id"),
        in_order("dob", "dod", "subject_id", share=0.001),
    ),
    notes={
        "age over 89 (birth shifted by 300 years): birth put 91.4 years before the first "
        "admission": is_shifted()
    },
)
ADMISSIONS = Table(
    "ADMISSIONS",
    {
        **ID,
        "admittime": TIME,
        "dischtime": TIME,
        "deathtime": TIME,
        "admission_type": TEXT,
        "admission_location": TEXT,
        "discharge_location": TEXT,
        "insurance": TEXT,
        "language": TEXT,
        "religion": TEXT,
        "marital_status": TEXT,
        "ethnicity": TEXT,
        "edregtime": TIME,
        "edouttime": TIME,
        "diagnosis": TEXT,
        "hospital_expire_flag": INTEGER,
        "has_chartevents_data": INTEGER,
    },
    (
        Fact(
            "admission and its type",
            codes.ADMISSION + "//{admission_type|UNKNOWN}",
            "admittime",
            "at admission",
            "asked on arrival",
        ),
        *asked_on_arrival(
            {
                "where from": "ADMISSION_LOCATION//{admission_location}",
                "insurance": "INSURANCE//{insurance}",
                "language": "LANGUAGE//{language}",
                "religion": "RELIGION//{religion}",
                "marital status": "MARITAL_STATUS//{marital_status}",
                "ethnicity": "ETHNICITY//{ethnicity}",
            }
        ),
        Fact(
            "admission diagnosis",
            "ADMISSION_DX//{diagnosis}",
            "admittime",
            "at admission",
            "free text of the admitting clinician; no discharge coding",
        ),
        *STAY_FACTS,
        Fact(
            "account of an organ donor",
            codes.ORGAN_DONOR,
            "admittime",
            "at admission",
            "such stays repeat a death. For exclusions, never an input",
            where=nw.col("donor"),
        ),
        Fact(
            "nothing was charted",
            codes.NOTHING_CHARTED,
            "discharge",
            "at discharge",
            "HAS_CHARTEVENTS_DATA = 0. For exclusions, never an input",
            where=nw.col("has_chartevents_data") == 0,
        ),
    ),
    key=("hadm_id",),
    required=True,
    optional=frozenset({"religion", "has_chartevents_data", "edregtime", "edouttime"}),
    prepare=admissions,
    checks=stay_checks(excused=nw.col("donor")),
    notes={**ENDS_EARLY, "account of an organ donor": nw.col("donor")},
)
ICUSTAYS = Table(
    "ICUSTAYS",
    {
        **ID,
        "icustay_id": INTEGER,
        "dbsource": TEXT,
        "first_careunit": TEXT,
        "last_careunit": TEXT,
        "intime": TIME,
        "outtime": TIME,
    },
    (
        Fact(
            "intensive care begins",
            codes.ICU_ADMISSION + "//{first_careunit|UNKNOWN}",
            "intime",
            "on entering the unit",
            AS_CHARTED,
        ),
        Fact(
            "intensive care ends",
            codes.ICU_DISCHARGE + "//{last_careunit|UNKNOWN}",
            "outtime",
            "on leaving the unit",
            AS_CHARTED,
        ),
    ),
    key=("icustay_id",),
    optional=frozenset({"hadm_id"}),
    prepare=MIMIC.with_subject,
    aside=OF_A_SUBJECT,
    checks=ICU_CHECKS,
)
PRESCRIPTIONS = Table(
    "PRESCRIPTIONS",
    {**ID, "startdate": TIME, "drug": TEXT, "ndc": TEXT},
    (
        Fact(
            "drug prescribed, by National Drug Code",
            "NDC//{ndc}",
            "by_day_end",
            f"{DAY_ENDS} (startdate)",
            DATE_ONLY,
            where=nw.col("ndc") != "0",
        ),
        Fact(
            "drug prescribed without such a code",
            "DRUG//{drug}",
            "by_day_end",
            f"{DAY_ENDS} (startdate)",
            DATE_ONLY,
            where=nw.col("ndc").is_null() | (nw.col("ndc") == "0"),
        ),
    ),
    prepare=lambda frame, frames: MIMIC.with_subject(frame, frames).with_columns(
        by_day_end=end_of_day("startdate")
    ),
    aside=OF_A_SUBJECT,
    describes={"NDC//{ndc}": "drug"},
)
MICROBIOLOGY = Table(
    "MICROBIOLOGYEVENTS",
    {
        **ID,
        "chartdate": TIME,
        "charttime": TIME,
        "spec_type_desc": TEXT,
        "org_name": TEXT,
        "ab_name": TEXT,
        "interpretation": TEXT,
    },
    (
        Fact(
            "specimen taken",
            "MICRO//{spec_type_desc}",
            "taken",
            "when taken (the end of the day where only the date is there)",
            "the order is known then, its result is not",
        ),
        Fact(
            "organism found",
            "MICRO_FOUND//{org_name}",
            "discharge",
            "at discharge",
            "cultures take days and the time of the result is not published",
        ),
        Fact(
            "sensitivity to an antibiotic",
            "MICRO_SENSITIVITY//{org_name}//{ab_name}//{interpretation}",
            "discharge",
            "at discharge",
            "as for the organism",
        ),
    ),
    prepare=lambda frame, frames: MIMIC.with_subject(frame, frames).with_columns(
        taken=nw.coalesce(nw.col("charttime"), end_of_day("chartdate"))
    ),
    aside=OF_A_SUBJECT,
)


SOURCE = Source(
    name="mimic3",
    tables=(
        PATIENTS,
        ADMISSIONS,
        ICUSTAYS,
        MIMIC.coded(
            "DIAGNOSES_ICD",
            {"ICD9CM//{icd9_code}": "diagnosis"},
            {"icd9_code": TEXT},
            required=True,
        ),
        MIMIC.coded("PROCEDURES_ICD", {"ICD9PROC//{icd9_code}": "procedure"}, {"icd9_code": TEXT}),
        MIMIC.coded(
            "DRGCODES",
            {"DRG//{drg_type}//{drg_code}": "diagnosis-related group"},
            {"drg_type": TEXT, "drg_code": TEXT, "description": TEXT},
            describes={"DRG//{drg_type}//{drg_code}": "description"},
        ),
        MIMIC.coded("CPTEVENTS", {"CPT//{cpt_cd}": "procedure as billed"}, {"cpt_cd": TEXT}),
        MIMIC.charted(
            "SERVICES",
            {"transfertime": TIME, "curr_service": TEXT},
            Fact(
                "service in charge",
                "SERVICE//{curr_service}",
                "transfertime",
                "when it takes over",
                AS_CHARTED,
            ),
        ),
        MIMIC.charted(
            "TRANSFERS",
            {"intime": TIME, "eventtype": TEXT, "curr_careunit": TEXT},
            Fact(
                "moved to a ward",
                "TRANSFER//{eventtype}//{curr_careunit|WARD}",
                "intime",
                "on entering the ward",
                AS_CHARTED,
            ),
        ),
        PRESCRIPTIONS,
        MICROBIOLOGY,
        MIMIC.itemised(
            "LABEVENTS",
            "LAB",
            "laboratory result",
            value="valuenum",
            unit="valueuom",
            why="the only time published, that of the sample: the result came some hours later",
        ),
        MIMIC.itemised(
            "CHARTEVENTS",
            "CHART",
            "bedside observation",
            value="valuenum",
            unit="valueuom",
            more={"error": INTEGER},
            aside={MARKED_WRONG: nw.col("error") == 1},
        ),
        MIMIC.itemised("OUTPUTEVENTS", "OUTPUT", "fluid out", value="value", unit="valueuom"),
        MIMIC.itemised(
            "INPUTEVENTS_CV", "INPUT", "fluid in (CareVue)", value="amount", unit="amountuom"
        ),
        MIMIC.itemised(
            "INPUTEVENTS_MV",
            "INPUT_STARTED",
            "infusion starts (MetaVision); its rate, since the amount is known only when it ends",
            time="starttime",
            value="rate",
            unit="rateuom",
            more={"statusdescription": TEXT},
            aside={REWRITTEN: nw.col("statusdescription") == "Rewritten"},
        ),
        MIMIC.itemised(
            "PROCEDUREEVENTS_MV", "PROCEDURE", "bedside procedure starts", time="starttime"
        ),
        MIMIC.itemised("DATETIMEEVENTS", "DATED", "a dated item is charted"),
        Table(
            "D_ICD_DIAGNOSES",
            {"icd9_code": TEXT, "long_title": TEXT},
            describes={"ICD9CM//{icd9_code}": "long_title"},
        ),
        Table(
            "D_ICD_PROCEDURES",
            {"icd9_code": TEXT, "long_title": TEXT},
            describes={"ICD9PROC//{icd9_code}": "long_title"},
        ),
        Table(
            "D_LABITEMS", {"itemid": INTEGER, "label": TEXT}, describes={"LAB//{itemid}": "label"}
        ),
        Table(
            "D_ITEMS",
            {"itemid": INTEGER, "label": TEXT},
            describes={
                f"{prefix}//{{itemid}}": "label"
                for prefix in ("CHART", "OUTPUT", "INPUT", "INPUT_STARTED", "PROCEDURE", "DATED")
            },
        ),
    ),
    not_read={
        "NOTEEVENTS": "free text of clinicians",
        "CALLOUT": "requests for a bed: administration of the unit",
        "CAREGIVERS": "who charted",
        "D_CPT": "describes ranges of codes, not codes",
        "SHA256SUMS": "checksums",
    },
)
