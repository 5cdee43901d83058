"""The unit stays of eICU, their hospital stays and patients, in a made-up calendar.

Times are published as minutes from the admission to a unit, without a calendar. Here each hospital
stay gets a made-up one: it begins at its published time of day on 1 January of a separate year,
2000 for a patient's first stay, ten years later for each further one. Order and distances inside a
stay are as published. The order of one patient's stays is not published (only the year of discharge
is), so stays are kept apart by ten years and by ``visit_id``, and each may only be used alone.
"""

from datetime import datetime, timedelta
from typing import Any

import narwhals as nw

from sequela.sources import codes
from sequela.sources.declarations import (
    MOST_NUMBER,
    Check,
    Fact,
    Frames,
    Kind,
    Prepare,
    Table,
    in_order,
    never_blank,
    number_in,
)

INTEGER, NUMBER, TEXT = Kind.INTEGER, Kind.NUMBER, Kind.TEXT

FIRST_YEAR = datetime(2000, 1, 1)
BETWEEN_STAYS = timedelta(days=3653)
MINUTE = timedelta(minutes=1)
FIRST_DAY = timedelta(hours=24)
OLDEST = 120  # years
OLD_AGE = "> 89"
OLD_AGE_READ_AS = "90"
CENTURY = 100 * 365 * 24 * 60
WITHIN_A_CENTURY = (-CENTURY, CENTURY)  # minutes; larger values are not plausible
ASIDE = {"its unit stay is not in patient": nw.col("stay_id").is_null()}


def minutes(column: str) -> nw.Expr:
    """Convert a column of minutes to a duration."""
    return nw.col(column) * nw.lit(MINUTE)


def units(frames: Frames) -> nw.LazyFrame[Any]:
    """Return unit stays, with the times of their hospital stay in the made-up calendar."""
    clock = nw.col("hospitaladmittime24").str
    since_midnight = clock.slice(0, 2).cast(nw.Int64()) * 60 + clock.slice(3, 2).cast(nw.Int64())
    patient = nw.col("uniquepid").str
    stay = nw.col("patienthealthsystemstayid")
    frame = frames["patient"].with_columns(
        subject_id=patient.slice(0, 3).cast(nw.Int64()) * 1_000_000_000
        + patient.slice(4).cast(nw.Int64()),
        visit_id=stay,
        stay_id=nw.col("patientunitstayid"),
        since_midnight=since_midnight,
        order=nw.col("hospitaldischargeyear") * 1_000_000_000_000 + stay,
    )
    earlier_stays = nw.col("order").rank("dense").over("uniquepid").cast(nw.Int64()) - 1
    frame = frame.with_columns(earlier_stays=earlier_stays)
    frame = frame.with_columns(
        hospital_admission=nw.lit(FIRST_YEAR)
        + nw.col("earlier_stays") * nw.lit(BETWEEN_STAYS)
        + minutes("since_midnight")
    )
    frame = frame.with_columns(
        unit_admission=nw.col("hospital_admission") - minutes("hospitaladmitoffset")
    )
    before = nw.col("unit_admission") < nw.col("hospital_admission")
    return frame.with_columns(
        arrival=nw.when(before).then("unit_admission").otherwise("hospital_admission"),
        hospital_discharge=nw.col("unit_admission") + minutes("hospitaldischargeoffset"),
        unit_discharge=nw.col("unit_admission") + minutes("unitdischargeoffset"),
        after_a_day=nw.col("unit_admission") + nw.lit(FIRST_DAY),
    )


def patient(_: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Return unit stays with the stay's hospital, the patient's age, and times."""
    age = nw.when(nw.col("age") == OLD_AGE).then(nw.lit(OLD_AGE_READ_AS)).otherwise("age")
    female = nw.when(nw.col("gender") == "Female").then(nw.lit("F"))
    short = nw.when(nw.col("gender") == "Male").then(nw.lit("M")).otherwise(female)
    frame = units(frames).with_columns(
        years=number_in(age), sex=nw.coalesce(short, nw.col("gender"))
    )
    if "hospital" not in frames:
        blank = nw.lit(None, nw.String())
        return frame.with_columns(numbedscategory=blank, teachingstatus=blank, region=blank)
    return frame.join(frames["hospital"], on="hospitalid", how="left")


def on_unit(*offsets: str, **derived: nw.Expr) -> Prepare:
    """Join a table to its unit stays; ``known`` is the latest of its ``offsets``."""

    def prepare(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        stays = units(frames).select(
            "patientunitstayid",
            "stay_id",
            "subject_id",
            "visit_id",
            "unit_admission",
            "hospital_discharge",
            "after_a_day",
        )
        joined = frame.join(stays, on="patientunitstayid", how="left")
        joined = joined.with_columns(**derived) if derived else joined
        for offset in offsets:
            time = nw.col("unit_admission") + minutes(offset)
            joined = joined.with_columns(**{f"at_{offset}": time})
        if not offsets:
            return joined
        known = nw.col(f"at_{offsets[0]}")
        for offset in offsets[1:]:
            other = nw.col(f"at_{offset}")
            known = nw.when(other > known).then(other).otherwise(known)
        return joined.with_columns(known=known)

    return prepare


def measured_in(value: str | None) -> nw.Expr | None:
    """Select rows whose measurement is not blank, if the fact is a measurement."""
    return ~nw.col(value).is_null() if value else None


LATER = frozenset(
    f"{unit}discharge{of}"
    for unit in ("hospital", "unit")
    for of in ("status", "offset", "location")
)
"""The columns that are known only after a stay has ended."""
PATIENT = Table(
    "patient",
    {
        "patientunitstayid": INTEGER,
        "patienthealthsystemstayid": INTEGER,
        "uniquepid": TEXT,
        "gender": TEXT,
        "age": TEXT,
        "ethnicity": TEXT,
        "hospitalid": INTEGER,
        "apacheadmissiondx": TEXT,
        "admissionheight": NUMBER,
        "admissionweight": NUMBER,
        "hospitaladmittime24": TEXT,
        "hospitaladmitoffset": INTEGER,
        "hospitaladmitsource": TEXT,
        "hospitaldischargeyear": INTEGER,
        "hospitaldischargeoffset": INTEGER,
        "hospitaldischargelocation": TEXT,
        "hospitaldischargestatus": TEXT,
        "unittype": TEXT,
        "unitadmitsource": TEXT,
        "unitstaytype": TEXT,
        "unitdischargeoffset": INTEGER,
        "unitdischargelocation": TEXT,
    },
    (
        Fact("sex", "GENDER//{sex}", None, "always (static)", "assumed not to change"),
        Fact(
            "hospital",
            codes.SITE + "//{hospitalid}",
            "arrival",
            "at hospital admission, or at unit admission if that is earlier",
            "for splits by site, never an input",
        ),
        *(
            Fact(
                what,
                code,
                "hospital_admission",
                "at hospital admission",
                why,
                value=value,
                where=measured_in(value),
            )
            for what, code, why, value in (
                (
                    "hospital admission and where from",
                    codes.ADMISSION + "//{hospitaladmitsource|UNKNOWN}",
                    "asked on arrival",
                    None,
                ),
                ("age in years", "AGE", "only the age is published; '> 89' is read as 90", "years"),
                ("ethnicity", "ETHNICITY//{ethnicity}", "asked on arrival", None),
                ("region", "HOSPITAL_REGION//{region}", "of the hospital", None),
                ("beds", "HOSPITAL_BEDS//{numbedscategory}", "of the hospital", None),
                ("teaching", "HOSPITAL_TEACHING//{teachingstatus}", "of the hospital", None),
            )
        ),
        *(
            Fact(
                what,
                code,
                "unit_admission",
                "at unit admission",
                "recorded then",
                value=value,
                where=measured_in(value),
            )
            for what, code, value in (
                ("intensive care begins", codes.ICU_ADMISSION + "//{unittype|UNKNOWN}", None),
                ("where from", "ICU_ADMISSION_SOURCE//{unitadmitsource}", None),
                ("kind of unit stay", "ICU_STAY_TYPE//{unitstaytype}", None),
                ("height", "HEIGHT//cm", "admissionheight"),
                ("weight", "WEIGHT//kg", "admissionweight"),
            )
        ),
        Fact(
            "APACHE admission diagnosis",
            "EICU_APACHE_DX//{apacheadmissiondx}",
            "after_a_day",
            "24 hours after unit admission",
            "APACHE takes its inputs from the first 24 hours",
        ),
        Fact(
            "intensive care ends",
            codes.ICU_DISCHARGE + "//{unitdischargelocation|UNKNOWN}",
            "unit_discharge",
            "at unit discharge",
            "decided then; Death reveals the outcome",
        ),
        Fact(
            "hospital discharge and where to",
            codes.DISCHARGE + "//{hospitaldischargelocation|UNKNOWN}",
            "hospital_discharge",
            "at hospital discharge",
            "decided then; Death reveals the outcome",
        ),
        Fact(
            "died in this stay",
            codes.EXPIRED,
            "hospital_discharge",
            "at hospital discharge",
            "hospitaldischargestatus is Expired. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Expired",
        ),
        Fact(
            "death",
            codes.DEATH,
            "hospital_discharge",
            "at hospital discharge",
            "no other time of death is published. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Expired",
        ),
        Fact(
            "left this stay alive",
            codes.ALIVE,
            "hospital_discharge",
            "at hospital discharge",
            "hospitaldischargestatus is Alive. A label, never an input; blank gives neither",
            where=nw.col("hospitaldischargestatus") == "Alive",
        ),
        Fact(
            "end of follow-up",
            codes.FOLLOW_UP_END,
            "hospital_discharge",
            "at hospital discharge",
            "follow-up ends with the stay. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Alive",
        ),
    ),
    key=("patientunitstayid",),
    required=True,
    prepare=patient,
    ranges={
        "patienthealthsystemstayid": (0, 10**12 - 1),
        "hospitaladmitoffset": WITHIN_A_CENTURY,
        "hospitaldischargeyear": (1990, 2100),
        "hospitaldischargeoffset": WITHIN_A_CENTURY,
        "unitdischargeoffset": WITHIN_A_CENTURY,
        "admissionheight": (0, MOST_NUMBER),
        "admissionweight": (0, MOST_NUMBER),
    },
    checks=(
        Check(
            "uniquepid that is not three digits, '-' and up to nine digits",
            nw.col("uniquepid").is_null()
            | ~nw.col("uniquepid").str.contains(r"^[0-9]{3}-[0-9]{1,9}$"),
            "patientunitstayid",
            "fetch the table again",
        ),
        Check(
            "hospitaladmittime24 that is not HH:MM:SS",
            nw.col("hospitaladmittime24").is_null()
            | ~nw.col("hospitaladmittime24").str.contains(
                r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
            ),
            "patientunitstayid",
            "fetch the table again",
        ),
        Check(
            f"age that is neither a number up to {OLDEST} nor '{OLD_AGE}'",
            ~nw.col("age").str.contains(rf"^([0-9]{{1,3}}|{OLD_AGE})$")
            | (nw.col("years") > OLDEST),
            "patientunitstayid",
            "fetch the table again",
        ),
        in_order("unit_admission", "unit_discharge", "patientunitstayid", share=0.005),
        *never_blank(
            "patienthealthsystemstayid",
            "hospitaladmitoffset",
            "hospitaldischargeyear",
            "hospitaldischargeoffset",
            "unitdischargeoffset",
            show="patientunitstayid",
        ),
        Check(
            "hospital discharge before hospital admission",
            nw.col("hospitaldischargeoffset") < nw.col("hospitaladmitoffset"),
            "patientunitstayid",
            "correct the offsets, or fetch the table again",
            share=0.005,
        ),
        Check(
            "hospitaldischargestatus neither Alive nor Expired",
            ~nw.col("hospitaldischargestatus").is_in(["Alive", "Expired"]),
            "patientunitstayid",
            "leave it blank where the outcome is not known",
        ),
    ),
    notes={f"age '{OLD_AGE}' is read as {OLD_AGE_READ_AS}": nw.col("age") == OLD_AGE},
)
