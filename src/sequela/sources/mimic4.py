"""MIMIC-IV 2.x and 3.x, full or demo: its tables, and the times facts were known.

Tables and their traps: Johnson et al. 2023, Scientific Data 10, 1, and
https://mimic.mit.edu/docs/iv/modules/.
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
    number_in,
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
    LATER,
    NUMBER,
    OF_A_SUBJECT,
    REWRITTEN,
    STAY_FACTS,
    TEXT,
    TIME,
    UNKNOWN_SUBJECT,
    Mimic,
    asked_on_arrival,
    stay_checks,
)

MIMIC = Mimic(patients="hosp/patients", admissions="hosp/admissions")

FOLLOWED = timedelta(days=365)  # dates of death up to a year after the last discharge are published
HALF = 0.5  # stored before charted: the true share is not published; more means another column
OLD_AGE = 91  # the anchor age of everybody over 89


def patients(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Add ``birth`` (only the year is known), ``death`` and ``follow_up_end`` to patients."""
    year = (nw.col("anchor_year") - nw.col("anchor_age")).cast(nw.String())
    first_of_january = nw.concat_str([year, nw.lit("-01-01 00:00:00")])
    joined = MIMIC.with_death(frame, frames)
    until = nw.col("last_discharge") + nw.lit(FOLLOWED)
    return joined.with_columns(
        birth=first_of_january.cast(nw.Datetime("us")),
        follow_up_end=nw.when(nw.col("death").is_null()).then(until),
    )


def resulted(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Add to laboratory results the time at which they could be read."""
    return MIMIC.with_subject(frame, frames).with_columns(
        result=nw.coalesce("storetime", "charttime")
    )


def cultured(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Add to cultures the times at which they were taken and their result could be read."""
    return MIMIC.with_subject(frame, frames).with_columns(
        taken=nw.coalesce(nw.col("charttime"), end_of_day("chartdate")),
        found=nw.coalesce(nw.col("storetime"), end_of_day("storedate")),
    )


def measured_outside(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Parse the outpatient record; blood pressures are not numbers and keep their text."""
    return MIMIC.known(frame, frames).with_columns(
        day_end=end_of_day("chartdate"), number=number_in(nw.col("result_value"))
    )


SOURCE = Source(
    name="mimic4",
    later=LATER,
    tables=(
        Table(
            "hosp/patients",
            {
                "subject_id": INTEGER,
                "gender": TEXT,
                "anchor_age": INTEGER,
                "anchor_year": INTEGER,
                "dod": TIME,
            },
            (
                Fact("birth", codes.BIRTH, "birth",
                     "on 1 January of anchor_year - anchor_age", "only the year is known"),
                Fact("sex", "GENDER//{gender}", None, "always (static)",
                     "assumed not to change"),
                DEATH,
                Fact(
                    "end of follow-up", codes.FOLLOW_UP_END, "follow_up_end",
                    "last discharge + 365 days",
                    "dates of death are published up to then. A label, never an input",
                ),
            ),
            key=("subject_id",),
            required=True,
            prepare=patients,
            ranges={"anchor_age": (0, 120), "anchor_year": (1900, 2250)},
            checks=(
                *never_blank("anchor_age", "anchor_year", show="subject_id"),
                in_order("birth", "dod", "subject_id", share=0.001),
            ),
            notes={"age over 89: published as 91": nw.col("anchor_age") == OLD_AGE},
        ),
        Table(
            "hosp/admissions",
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
                "marital_status": TEXT,
                "race": TEXT,
                "edregtime": TIME,
                "edouttime": TIME,
                "hospital_expire_flag": INTEGER,
            },
            (
                *asked_on_arrival(
                    {
                        "admission and its type":
                            codes.ADMISSION + "//{admission_type|UNKNOWN}",
                        "where from": "ADMISSION_LOCATION//{admission_location}",
                        "insurance": "INSURANCE//{insurance}",
                        "language": "LANGUAGE//{language}",
                        "marital status": "MARITAL_STATUS//{marital_status}",
                        "race, as ethnicity": "ETHNICITY//{race}",
                    }
                ),
                *STAY_FACTS,
            ),
            key=("hadm_id",),
            required=True,
            prepare=MIMIC.with_subject,
            checks=stay_checks(excused=nw.lit(value=False)),
            notes=ENDS_EARLY,
        ),
        Table(
            "icu/icustays",
            {
                **ID,
                "stay_id": INTEGER,
                "first_careunit": TEXT,
                "last_careunit": TEXT,
                "intime": TIME,
                "outtime": TIME,
            },
            (
                Fact("intensive care begins",
                     codes.ICU_ADMISSION + "//{first_careunit|UNKNOWN}", "intime",
                     "on entering the unit", AS_CHARTED),
                Fact("intensive care ends", codes.ICU_DISCHARGE + "//{last_careunit|UNKNOWN}",
                     "outtime", "on leaving the unit", AS_CHARTED),
            ),
            key=("stay_id",),
            prepare=MIMIC.with_subject,
            aside=OF_A_SUBJECT,
            checks=ICU_CHECKS,
        ),
        MIMIC.coded(
            "hosp/diagnoses_icd",
            {"ICD9CM//{icd_code}": "diagnosis (ICD-9-CM)",
             "ICD10CM//{icd_code}": "diagnosis (ICD-10-CM)"},
            {"icd_code": TEXT, "icd_version": INTEGER},
            version="icd_version",
            required=True,
        ),
        MIMIC.coded(
            "hosp/procedures_icd",
            {"ICD9PROC//{icd_code}": "procedure (ICD-9-CM)",
             "ICD10PCS//{icd_code}": "procedure (ICD-10-PCS)"},
            {"icd_code": TEXT, "icd_version": INTEGER},
            version="icd_version",
        ),
        MIMIC.coded(
            "hosp/drgcodes",
            {"DRG//{drg_type}//{drg_code}": "diagnosis-related group"},
            {"drg_type": TEXT, "drg_code": TEXT, "description": TEXT},
            describes={"DRG//{drg_type}//{drg_code}": "description"},
        ),
        MIMIC.coded(
            "hosp/hcpcsevents",
            {"HCPCS//{hcpcs_cd}": "service as billed"},
            {"hcpcs_cd": TEXT, "short_description": TEXT},
            describes={"HCPCS//{hcpcs_cd}": "short_description"},
        ),
        MIMIC.charted(
            "hosp/services",
            {"transfertime": TIME, "curr_service": TEXT},
            Fact("service in charge", "SERVICE//{curr_service}", "transfertime",
                 "when it takes over", AS_CHARTED),
        ),
        MIMIC.charted(
            "hosp/transfers",
            {"intime": TIME, "eventtype": TEXT, "careunit": TEXT},
            Fact("moved to a ward", "TRANSFER//{eventtype}//{careunit|UNKNOWN}", "intime",
                 "on entering the ward", AS_CHARTED),
        ),
        Table(
            "hosp/prescriptions",
            {**ID, "starttime": TIME, "drug": TEXT, "ndc": TEXT},
            (
                Fact("drug prescribed, by National Drug Code", "NDC//{ndc}", "starttime",
                     "at its start", "ordered by then", where=nw.col("ndc") != "0"),
                Fact("drug prescribed without such a code", "DRUG//{drug}", "starttime",
                     "at its start", "ordered by then",
                     where=nw.col("ndc").is_null() | (nw.col("ndc") == "0")),
            ),
            prepare=MIMIC.with_subject,
            aside=OF_A_SUBJECT,
            describes={"NDC//{ndc}": "drug"},
        ),
        MIMIC.charted(
            "hosp/emar",
            {"charttime": TIME, "medication": TEXT, "event_txt": TEXT},
            Fact("drug given or not", "EMAR//{medication}//{event_txt|UNKNOWN}", "charttime",
                 "when charted", AS_CHARTED),
            usual=frozenset({"blank medication"}),
        ),
        MIMIC.charted(
            "hosp/poe",
            {"ordertime": TIME, "order_type": TEXT, "order_subtype": TEXT},
            Fact("order", "ORDER//{order_type}//{order_subtype|UNKNOWN}", "ordertime",
                 "when ordered", "entered by the clinician then"),
        ),
        Table(
            "hosp/labevents",
            {**ID, "itemid": INTEGER, "charttime": TIME, "storetime": TIME, "valuenum": NUMBER,
             "valueuom": TEXT},
            (
                Fact("laboratory result", "LAB//{itemid}//{valueuom|UNKNOWN}", "result",
                     "at storetime, else charttime",
                     "the sample was drawn at charttime, the result could be read at storetime",
                     value="valuenum"),
            ),
            prepare=resulted,
            aside=OF_A_SUBJECT,
            checks=(in_order("charttime", "storetime", "itemid", share=HALF),),
        ),
        Table(
            "hosp/microbiologyevents",
            {
                **ID,
                "chartdate": TIME,
                "charttime": TIME,
                "storedate": TIME,
                "storetime": TIME,
                "spec_type_desc": TEXT,
                "org_name": TEXT,
                "ab_name": TEXT,
                "interpretation": TEXT,
            },
            (
                Fact("specimen taken", "MICRO//{spec_type_desc}", "taken",
                     "when taken (the end of the day where only the date is there)",
                     "the order is known then, its result is not"),
                Fact("organism found", "MICRO_FOUND//{org_name}", "found",
                     "at storetime, else the end of storedate", "the result could be read then"),
                Fact("sensitivity to an antibiotic",
                     "MICRO_SENSITIVITY//{org_name}//{ab_name}//{interpretation}", "found",
                     "at storetime, else the end of storedate", "the result could be read then"),
            ),
            prepare=cultured,
            aside=OF_A_SUBJECT,
            checks=(in_order("chartdate", "storedate", "subject_id", share=HALF),),
        ),
        Table(
            "hosp/omr",
            {"subject_id": INTEGER, "chartdate": TIME, "result_name": TEXT, "result_value": TEXT},
            (
                Fact("measured outside a stay", "OMR//{result_name}", "day_end", DAY_ENDS,
                     DATE_ONLY, value="number", where=~nw.col("number").is_null()),
                Fact("measured outside a stay, no single number",
                     "OMR//{result_name}//{result_value}", "day_end", DAY_ENDS, DATE_ONLY,
                     where=nw.col("number").is_null()),
            ),
            prepare=measured_outside,
            aside={UNKNOWN_SUBJECT: OF_A_SUBJECT[UNKNOWN_SUBJECT]},
        ),
        MIMIC.itemised("icu/chartevents", "CHART", "bedside observation", value="valuenum",
                       unit="valueuom"),
        MIMIC.itemised("icu/outputevents", "OUTPUT", "fluid out", value="value", unit="valueuom"),
        MIMIC.itemised(
            "icu/inputevents",
            "INPUT_STARTED",
            "infusion starts; its rate, since the amount is known only when it ends",
            time="starttime",
            value="rate",
            unit="rateuom",
            more={"statusdescription": TEXT},
            aside={REWRITTEN: nw.col("statusdescription") == "Rewritten"},
        ),
        MIMIC.itemised("icu/procedureevents", "PROCEDURE", "bedside procedure starts",
                       time="starttime"),
        MIMIC.itemised("icu/datetimeevents", "DATED", "a dated item is charted"),
        Table(
            "hosp/d_icd_diagnoses",
            {"icd_code": TEXT, "icd_version": INTEGER, "long_title": TEXT},
            describes={"ICD{icd_version}CM//{icd_code}": "long_title"},
        ),
        Table(
            "hosp/d_icd_procedures",
            {"icd_code": TEXT, "icd_version": INTEGER, "long_title": TEXT},
            describes={
                "ICD{icd_version}PROC//{icd_code}": "long_title",
                "ICD{icd_version}PCS//{icd_code}": "long_title",
            },
        ),
        Table("hosp/d_labitems", {"itemid": INTEGER, "label": TEXT},
              describes={"LAB//{itemid}": "label"}),
        Table(
            "icu/d_items",
            {"itemid": INTEGER, "label": TEXT},
            describes={
                f"{prefix}//{{itemid}}": "label"
                for prefix in ("CHART", "OUTPUT", "INPUT_STARTED", "PROCEDURE", "DATED")
            },
        ),
    ),
    not_read={
        "d_hcpcs": "hcpcsevents describes its codes itself",
        "poe_detail": "details of orders; the orders themselves are in poe",
        "emar_detail": "doses; what was given is in emar",
        "pharmacy": "how the pharmacy filled what prescriptions hold",
        "ingredientevents": "contents of infusions; these are in inputevents",
        "provider": "who ordered",
        "caregiver": "who charted",
        "demo_subject_id": "lists the demo's subjects",
    },
)  # fmt: skip
