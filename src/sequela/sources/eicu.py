"""eICU Collaborative Research Database 2.0, full or demo: its tables, and when facts were known.

Times are published as minutes from the admission to a unit, without a calendar. Here each hospital
stay gets a made-up one: it begins at its published time of day on 1 January of a year of its own,
2000 for a patient's first stay, ten years later for each further one. Order and distances inside a
stay are as published. The order of one patient's stays is not (only the year of discharge is), so
stays are kept apart by ten years and by ``visit_id``, and may be used only by themselves.

Tables: Pollard et al. 2018, Scientific Data 5, 180178, and https://eicu-crd.mit.edu/eicutables/.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw

from sequela.sources import meds_events
from sequela.sources.declarations import (
    Check,
    Fact,
    Frames,
    Kind,
    Prepare,
    Source,
    Table,
    number_in,
)

INTEGER, NUMBER, TEXT = Kind.INTEGER, Kind.NUMBER, Kind.TEXT

FIRST_YEAR = datetime(2000, 1, 1)
BETWEEN_STAYS = timedelta(days=3653)
MINUTE = timedelta(minutes=1)
FIRST_DAY = timedelta(hours=24)
OLD_AGE = "> 89"
OLD_AGE_READ_AS = "90"

AS_ENTERED = "entered by staff then"
GIVEN, GIVEN_WHY = "at the later of order and start", "only then had it been given"
ASIDE = {"its unit stay is not in patient": nw.col("stay_id").is_null()}
MISSING = -1  # how the APACHE tables write a value that was not measured


def minutes(column: str) -> nw.Expr:
    """A column of minutes as a duration."""
    return nw.col(column) * nw.lit(MINUTE)


def units(frames: Frames) -> nw.LazyFrame[Any]:
    """Unit stays, with the times of their hospital stay in the made-up calendar."""
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
    return frame.with_columns(
        hospital_discharge=nw.col("unit_admission") + minutes("hospitaldischargeoffset"),
        unit_discharge=nw.col("unit_admission") + minutes("unitdischargeoffset"),
        after_a_day=nw.col("unit_admission") + nw.lit(FIRST_DAY),
    )


def patient(_: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
    """Unit stays with the stay's hospital, the patient's age, and times."""
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
    """Joins a table to its unit stays; ``known`` is the latest of its ``offsets``."""

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
    """Rows whose measurement is not blank, if the fact is a measurement."""
    return ~nw.col(value).is_null() if value else None


def entered(
    name: str,
    code: str,
    what: str,
    columns: Mapping[str, Kind],
    *offsets: str,
    known: str = "when entered",
    why: str = AS_ENTERED,
    value: str | None = None,
    aside: Mapping[str, nw.Expr] | None = None,
    required: bool = False,
) -> Table:
    """A table of one kind of fact, each with the minute at which it was entered."""
    return Table(
        name,
        {"patientunitstayid": INTEGER, **dict.fromkeys(offsets, INTEGER), **columns},
        (Fact(what, code, "known", known, why, value=value),),
        required=required,
        prepare=on_unit(*offsets),
        aside={**ASIDE, **(aside or {})},
    )


def charted(name: str, prefix: str, value: str, offset: str, what: str, *path: str) -> Table:
    """A table whose values are numbers or words: numbers are values, words belong to the code."""
    code = "//".join([prefix, *(f"{{{part}|}}" for part in path)])
    is_number = ~nw.col("number").is_null()
    return Table(
        name,
        {"patientunitstayid": INTEGER, offset: INTEGER, value: TEXT, **dict.fromkeys(path, TEXT)},
        (
            Fact(
                f"{what} (numbers)", code, "known", "when entered", AS_ENTERED,
                value="number", where=is_number,
            ),
            Fact(
                f"{what} (words)", f"{code}//{{{value}}}", "known", "when entered", AS_ENTERED,
                where=~is_number,
            ),
        ),
        prepare=on_unit(offset, number=number_in(nw.col(value))),
        aside=ASIDE,
    )  # fmt: skip


def measured(
    name: str, prefix: str, what: str, columns: Mapping[str, str], *, time: str, offset: str | None
) -> Table:
    """A wide table of measurements: each column not blank, and not -1, is an event.

    Args:
        name: Of the table.
        prefix: Of the codes.
        what: In words.
        columns: Column to the last part of its code, which names the unit.
        time: Column with the time at which they were known.
        offset: Column with the minute of the measurement, if it has one.
    """
    known, why = "when measured", "read from the monitor"
    if offset is None:
        known = "24 hours after unit admission"
        why = "they are the worst values of the first 24 hours"
    missing = {column: nw.col(column) == MISSING for column in columns} if offset is None else {}
    return Table(
        name,
        {
            "patientunitstayid": INTEGER,
            **({offset: INTEGER} if offset else {}),
            **dict.fromkeys(columns, NUMBER),
        },
        tuple(
            Fact(
                f"{what}: {column}", f"{prefix}//{last}", time, known, why,
                value=column,
                where=~nw.col(column).is_null() & ~missing.get(column, nw.lit(value=False)),
            )
            for column, last in columns.items()
        ),
        prepare=on_unit(offset) if offset else on_unit(),
        aside=ASIDE,
        notes={f"{column} is -1 (not measured): no event": at for column, at in missing.items()},
    )  # fmt: skip


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
        Fact("sex", "GENDER//{sex}", None, "always (static)", "it is taken not to change"),
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
                    meds_events.ADMISSION + "//{hospitaladmitsource|UNKNOWN}",
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
                ("intensive care begins", meds_events.ICU_ADMISSION + "//{unittype|UNKNOWN}", None),
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
            meds_events.ICU_DISCHARGE + "//{unitdischargelocation|UNKNOWN}",
            "unit_discharge",
            "at unit discharge",
            "decided then; Death tells the outcome",
        ),
        Fact(
            "hospital discharge and where to",
            meds_events.DISCHARGE + "//{hospitaldischargelocation|UNKNOWN}",
            "hospital_discharge",
            "at hospital discharge",
            "decided then; Death tells the outcome",
        ),
        Fact(
            "died in this stay",
            meds_events.EXPIRED,
            "hospital_discharge",
            "at hospital discharge",
            "hospitaldischargestatus is Expired. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Expired",
        ),
        Fact(
            "death",
            meds_events.DEATH,
            "hospital_discharge",
            "at hospital discharge",
            "no other time of death is published. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Expired",
        ),
        Fact(
            "left this stay alive",
            meds_events.ALIVE,
            "hospital_discharge",
            "at hospital discharge",
            "hospitaldischargestatus is Alive. A label, never an input; blank gives neither",
            where=nw.col("hospitaldischargestatus") == "Alive",
        ),
        Fact(
            "end of follow-up",
            meds_events.FOLLOW_UP_END,
            "hospital_discharge",
            "at hospital discharge",
            "nothing is known of a patient afterwards. A label, never an input",
            where=nw.col("hospitaldischargestatus") == "Alive",
        ),
    ),
    key=("patientunitstayid",),
    required=True,
    prepare=patient,
    checks=(
        Check(
            "uniquepid that is not three digits, '-' and digits",
            ~nw.col("uniquepid").str.contains(r"^[0-9]{3}-[0-9]+$"),
            "patientunitstayid",
            "fetch the table again",
        ),
        Check(
            "hospitaladmittime24 that is not HH:MM:SS",
            ~nw.col("hospitaladmittime24").str.contains(r"^[0-9]{2}:[0-9]{2}:[0-9]{2}$"),
            "patientunitstayid",
            "fetch the table again",
        ),
        Check(
            f"age that is neither a number nor '{OLD_AGE}'",
            ~nw.col("age").str.contains(rf"^([0-9]+|{OLD_AGE})$"),
            "patientunitstayid",
            "fetch the table again",
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
APACHE = {
    "intubated": "intubated",
    "vent": "ventilated",
    "dialysis": "dialysis",
    "eyes": "GCS eyes",
    "motor": "GCS motor",
    "verbal": "GCS verbal",
    "meds": "GCS not measurable for medication",
    "urine": "urine//mL per day",
    "wbc": "white cells//1000 per uL",
    "temperature": "temperature//C",
    "respiratoryrate": "respiratory rate//per min",
    "sodium": "sodium//mmol per L",
    "heartrate": "heart rate//per min",
    "meanbp": "mean blood pressure//mmHg",
    "ph": "pH",
    "hematocrit": "hematocrit//%",
    "creatinine": "creatinine//mg per dL",
    "albumin": "albumin//g per dL",
    "pao2": "PaO2//mmHg",
    "pco2": "PaCO2//mmHg",
    "bun": "urea nitrogen//mg per dL",
    "glucose": "glucose//mg per dL",
    "bilirubin": "bilirubin//mg per dL",
    "fio2": "FiO2//%",
}
VITALS = (
    "temperature", "sao2", "heartrate", "respiration", "cvp", "etco2", "systemicsystolic",
    "systemicdiastolic", "systemicmean", "pasystolic", "padiastolic", "pamean", "st1", "st2", "st3",
    "icp",
)  # fmt: skip
APERIODIC = (
    "noninvasivesystolic", "noninvasivediastolic", "noninvasivemean", "paop", "cardiacoutput",
    "cardiacinput", "svr", "svri", "pvr", "pvri",
)  # fmt: skip

SOURCE = Source(
    name="eicu",
    stays_in_order=False,
    tables=(
        PATIENT,
        Table(
            "hospital",
            {"hospitalid": INTEGER, "numbedscategory": TEXT, "teachingstatus": TEXT,
             "region": TEXT},
            key=("hospitalid",),
            unused="describes the hospital of a stay",
        ),
        entered(
            "admissionDx", "EICU_ADX//{admitdxpath}", "admission diagnosis",
            {"admitdxpath": TEXT}, "admitdxenteredoffset",
        ),
        entered(
            "diagnosis", "EICU_DX//{diagnosisstring}", "diagnosis",
            {"diagnosisstring": TEXT}, "diagnosisoffset",
            why="entered in the chart then, during the stay; not billing. Its column "
            "activeupondischarge is known later and is not read",
        ),
        entered(
            "treatment", "EICU_TX//{treatmentstring}", "treatment",
            {"treatmentstring": TEXT}, "treatmentoffset",
            why="entered in the chart then; activeupondischarge is not read",
        ),
        entered(
            "pastHistory", "EICU_HX//{pasthistorypath}", "past history",
            {"pasthistorypath": TEXT}, "pasthistoryenteredoffset",
            why="the history is older, but was entered then",
        ),
        measured(
            "apacheApsVar", "APACHE", "worst value of the first day", APACHE,
            time="after_a_day", offset=None,
        ),
        Table(
            "apachePatientResult",
            {
                "patientunitstayid": INTEGER,
                "apacheversion": TEXT,
                "acutephysiologyscore": NUMBER,
                "apachescore": NUMBER,
                "predictedhospitalmortality": NUMBER,
            },
            tuple(
                Fact(
                    what, code, "after_a_day", "24 hours after unit admission",
                    "computed from the first 24 hours; the table's columns actual... are outcomes "
                    "and are not read",
                    value=value, where=nw.col(value) != MISSING,
                )
                for what, code, value in (
                    ("acute physiology score", "APACHE//acute physiology score//{apacheversion}",
                     "acutephysiologyscore"),
                    ("APACHE score", "APACHE//score//{apacheversion}", "apachescore"),
                    ("APACHE's predicted hospital mortality",
                     meds_events.APACHE_PREDICTION + "//{apacheversion}",
                     "predictedhospitalmortality"),
                )
            ),
            prepare=on_unit(),
            aside=ASIDE,
        ),
        entered(
            "allergy", "ALLERGY//{allergyname}", "allergy", {"allergyname": TEXT},
            "allergyenteredoffset",
        ),
        entered(
            "admissiondrug", "HOME_DRUG//{drugname}", "drug taken before admission",
            {"drugname": TEXT}, "drugenteredoffset",
        ),
        Table(
            "medication",
            {"patientunitstayid": INTEGER, "drugorderoffset": INTEGER, "drugstartoffset": INTEGER,
             "drugordercancelled": TEXT, "drugname": TEXT, "drughiclseqno": INTEGER},
            (
                Fact("drug, by name", "DRUG//{drugname}", "known", GIVEN, GIVEN_WHY),
                Fact("drug without a name, by HICL number", "HICL//{drughiclseqno}", "known", GIVEN,
                     GIVEN_WHY, where=nw.col("drugname").is_null()),
            ),
            prepare=on_unit("drugorderoffset", "drugstartoffset"),
            aside={**ASIDE, "the order was cancelled": nw.col("drugordercancelled") == "Yes"},
        ),
        entered(
            "infusiondrug", "INFUSION//{drugname}", "drug infused", {"drugname": TEXT},
            "infusionoffset",
        ),
        entered(
            "lab", "LAB//{labname}//{labmeasurenamesystem|UNKNOWN}", "laboratory result",
            {"labname": TEXT, "labmeasurenamesystem": TEXT, "labresult": NUMBER},
            "labresultoffset", "labresultrevisedoffset",
            known="when its result was last revised", why="the sample was drawn earlier",
            value="labresult",
        ),
        entered(
            "customLab", "LAB_OTHER//{labothername}", "other laboratory result",
            {"labothername": TEXT, "labotherresult": NUMBER}, "labotheroffset",
            value="labotherresult",
        ),
        Table(
            "microLab",
            {"patientunitstayid": INTEGER, "culturetakenoffset": INTEGER, "culturesite": TEXT,
             "organism": TEXT},
            (
                Fact("culture taken", "MICRO//{culturesite}", "known", "when taken",
                     "its result is not known then"),
                Fact("organism found", "MICRO_FOUND//{organism}", "hospital_discharge",
                     "at hospital discharge", "the time of the result is not published"),
            ),
            prepare=on_unit("culturetakenoffset"),
            aside=ASIDE,
        ),
        measured(
            "vitalPeriodic", "VITAL", "monitor", {name: name for name in VITALS},
            time="known", offset="observationoffset",
        ),
        measured(
            "vitalAperiodic", "VITAL", "monitor", {name: name for name in APERIODIC},
            time="known", offset="observationoffset",
        ),
        entered(
            "intakeOutput", "FLUID//{celllabel}", "fluid in or out",
            {"celllabel": TEXT, "cellvaluenumeric": NUMBER}, "intakeoutputoffset",
            "intakeoutputentryoffset", value="cellvaluenumeric",
        ),
        charted("nurseCharting", "NURSE", "nursingchartvalue", "nursingchartentryoffset",
                "nurse's chart", "nursingchartcelltypevallabel", "nursingchartcelltypevalname"),
        charted("respiratoryCharting", "RESPIRATORY", "respchartvalue", "respchartentryoffset",
                "respiratory chart", "respchartvaluelabel"),
        charted("nurseAssessment", "NURSE_ASSESSMENT", "cellattributevalue",
                "nurseassessentryoffset", "nurse's assessment", "celllabel", "cellattribute"),
        charted("nurseCare", "NURSE_CARE", "cellattributevalue", "nursecareentryoffset",
                "nurse's care", "celllabel", "cellattribute"),
        charted("physicalExam", "EXAM", "physicalexamvalue", "physicalexamoffset",
                "physical examination", "physicalexampath"),
        entered(
            "carePlanGeneral", "CARE_PLAN//{cplgroup}//{cplitemvalue}", "care plan",
            {"cplgroup": TEXT, "cplitemvalue": TEXT}, "cplitemoffset",
        ),
        entered(
            "carePlanGoal", "CARE_GOAL//{cplgoalcategory}//{cplgoalvalue}", "goal of care",
            {"cplgoalcategory": TEXT, "cplgoalvalue": TEXT}, "cplgoaloffset",
        ),
        entered(
            "carePlanInfectiousDisease",
            "CARE_INFECTION//{infectdiseasesite}//{infectdiseaseassessment|UNKNOWN}",
            "infection suspected or found",
            {"infectdiseasesite": TEXT, "infectdiseaseassessment": TEXT},
            "cplinfectdiseaseoffset",
        ),
        entered(
            "carePlanEOL", "CARE_END_OF_LIFE", "end-of-life discussion", {}, "cpleolsaveoffset",
        ),
        entered(
            "respiratoryCare", "AIRWAY//{airwaytype}", "airway", {"airwaytype": TEXT},
            "respcarestatusoffset",
        ),
    ),
    not_read={
        "apachePredVar": "it mixes the first day's values with the outcome (diedinhospital)",
        "carePlanCareProvider": "who cares",
        "note": "free text of clinicians",
    },
)  # fmt: skip
