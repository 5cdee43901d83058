"""eICU Collaborative Research Database 2.0, full or demo: its tables, and when facts were known.

Times are published as minutes from the admission to a unit, without a calendar. Here each hospital
stay gets a made-up one: it begins at its published time of day on 1 January of a separate year,
2000 for a patient's first stay, ten years later for each further one. Order and distances inside a
stay are as published. The order of one patient's stays is not published (only the year of discharge
is), so stays are kept apart by ten years and by ``visit_id``, and each may only be used alone.

Tables: Pollard et al. 2018, Scientific Data 5, 180178, and https://eicu-crd.mit.edu/eicutables/.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import narwhals as nw

from sequela.datasets import codes
from sequela.tables.declarations import (
    PLACEHOLDER,
    Check,
    Condition,
    Fact,
    Frames,
    Kind,
    Prepare,
    Source,
    Table,
    in_order,
    never_blank,
)
from sequela.tables.declared.expressions import MOST_NUMBER, number_in

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
MISSING = -1  # the APACHE tables' value for not measured

AS_ENTERED = "entered by staff then"
GIVEN, GIVEN_WHY = "at the later of order and start", "only then had it been given"
CANCELLED = "the order was cancelled"
AT_DISCHARGE = ("hospital_discharge", "at hospital discharge")
AFTER_A_DAY = ("after_a_day", "24 hours after unit admission")


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


def on_unit(offsets: list[str], derived: Mapping[str, nw.Expr]) -> Prepare:
    """Join a table to its unit stays; ``known`` is the latest of its ``offsets``."""

    def prepare(frame: nw.LazyFrame[Any], frames: Frames) -> nw.LazyFrame[Any]:
        ids = ("patientunitstayid", "stay_id", "subject_id", "visit_id")
        stays = units(frames).select(*ids, "unit_admission", "hospital_discharge", "after_a_day")
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


def unit_table(
    name: str,
    columns: Mapping[str, Kind],
    *facts: Fact,
    derived: Mapping[str, nw.Expr] | None = None,
    aside: Mapping[str, Condition] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    **more: Any,
) -> Table:
    """Declare a table of unit stays, whose rows are known at the latest of their ``...offset``."""
    offsets = [column for column in columns if column.endswith("offset")]
    return Table(
        name,
        {"patientunitstayid": INTEGER, **columns},
        facts,
        prepare=on_unit(offsets, derived or {}),
        aside={"its unit stay is not in patient": "stay_id is None", **(aside or {})},
        ranges={**dict.fromkeys(offsets, WITHIN_A_CENTURY), **(ranges or {})},
        **more,
    )


def entered(
    name: str,
    what: str,
    code: str,
    *offsets: str,
    known: str = "when entered",
    why: str = AS_ENTERED,
    value: str | None = None,
    usual: frozenset[str] = frozenset(),
) -> Table:
    """Declare a table of one kind of fact, each with the minute at which it was entered."""
    columns = {**dict.fromkeys(offsets, INTEGER), **texts_of(code)}
    number = {value: NUMBER} if value else {}
    fact = Fact(what, code, "known", known, why, value=value)
    return unit_table(name, columns | number, fact, usual=usual)


def texts_of(code: str) -> dict[str, Kind]:
    """Return the columns of a code, as texts."""
    return {match["column"]: TEXT for match in PLACEHOLDER.finditer(code)}


def charted(name: str, what: str, code: str, value: str, offset: str) -> Table:
    """Declare a table of numbers or words: numbers are values, words belong to the code."""
    return unit_table(
        name,
        {offset: INTEGER, value: TEXT, **texts_of(code)},
        Fact(f"{what} (numbers)", code, "known", "when entered", AS_ENTERED, value="number",
             where="number is not None"),
        Fact(f"{what} (words)", f"{code}//{{{value}}}", "known", "when entered", AS_ENTERED,
             where="number is None"),
        derived={"number": number_in(nw.col(value))},
    )  # fmt: skip


def apache(
    name: str, what: str, columns: Mapping[str, str], why: str, *further: str, **more: Any
) -> Table:
    """Declare a table of the first day's values, of which blank and -1 are not measured.

    ``columns`` map to the last part of their code, which names the unit; ``why`` is the reason for
    the time at which they were known, and ``further`` columns make no event.
    """
    facts = measured(what, "APACHE", columns, *AFTER_A_DAY, why, f"!= {MISSING}")
    notes = {f"{c} is -1 (not measured): no event": f"{c} == {MISSING}" for c in columns}
    kinds = {**dict.fromkeys(columns, NUMBER), **dict.fromkeys(further, INTEGER)}
    return unit_table(name, kinds, *facts, notes=notes, **more)


def vital(name: str, *columns: str) -> Table:
    """Declare a table of what monitors measure."""
    how = ("known", "when measured", "read from the monitor", "is not None")
    facts = measured("monitor", "VITAL", dict(zip(columns, columns, strict=True)), *how)
    kinds = {"observationoffset": INTEGER, **dict.fromkeys(columns, NUMBER)}
    return unit_table(name, kinds, *facts)


def measured(
    what: str, prefix: str, columns: Mapping[str, str], time: str, known: str, why: str, there: str
) -> list[Fact]:
    """Declare a fact for each column with a number."""
    return [
        Fact(f"{what}: {column}", f"{prefix}//{last}", time, known, why, value=column,
             where=f"{column} {there}")
        for column, last in columns.items()
    ]  # fmt: skip


LATER = frozenset(
    f"{unit}discharge{of}"
    for unit in ("hospital", "unit")
    for of in ("status", "offset", "location")
)
"""The columns that are known only after a stay has ended."""
PATIENT = Table(
    "patient",
    {
        **dict.fromkeys(
            ("patientunitstayid", "patienthealthsystemstayid", "hospitalid", "hospitaladmitoffset",
             "hospitaldischargeyear", "hospitaldischargeoffset", "unitdischargeoffset"), INTEGER
        ),
        **dict.fromkeys(("admissionheight", "admissionweight"), NUMBER),
        **dict.fromkeys(
            ("uniquepid", "gender", "age", "ethnicity", "apacheadmissiondx", "hospitaladmittime24",
             "hospitaladmitsource", "hospitaldischargelocation", "hospitaldischargestatus",
             "unittype", "unitadmitsource", "unitstaytype", "unitdischargelocation"), TEXT
        ),
    },
    (
        Fact("sex", "GENDER//{sex}", None, "always (static)", "assumed not to change"),
        Fact("hospital", codes.SITE + "//{hospitalid}", "arrival",
             "at hospital admission, or at unit admission if that is earlier",
             "for splits by site, never an input"),
        *(
            Fact(what, code, "hospital_admission", "at hospital admission", why, value=value,
                 where=f"{value} is not None" if value else None)
            for what, code, why, value in (
                ("hospital admission and where from",
                 codes.ADMISSION + "//{hospitaladmitsource|UNKNOWN}", "asked on arrival", None),
                ("age in years", "AGE", "only the age is published; '> 89' is read as 90", "years"),
                ("ethnicity", "ETHNICITY//{ethnicity}", "asked on arrival", None),
                ("region", "HOSPITAL_REGION//{region}", "of the hospital", None),
                ("beds", "HOSPITAL_BEDS//{numbedscategory}", "of the hospital", None),
                ("teaching", "HOSPITAL_TEACHING//{teachingstatus}", "of the hospital", None),
            )
        ),
        *(
            Fact(what, code, "unit_admission", "at unit admission", "recorded then", value=value,
                 where=f"{value} is not None" if value else None)
            for what, code, value in (
                ("intensive care begins", codes.ICU_ADMISSION + "//{unittype|UNKNOWN}", None),
                ("where from", "ICU_ADMISSION_SOURCE//{unitadmitsource}", None),
                ("kind of unit stay", "ICU_STAY_TYPE//{unitstaytype}", None),
                ("height", "HEIGHT//cm", "admissionheight"),
                ("weight", "WEIGHT//kg", "admissionweight"),
            )
        ),
        Fact("APACHE admission diagnosis", "EICU_APACHE_DX//{apacheadmissiondx}", *AFTER_A_DAY,
             "APACHE takes its inputs from the first 24 hours"),
        Fact("intensive care ends", codes.ICU_DISCHARGE + "//{unitdischargelocation|UNKNOWN}",
             "unit_discharge", "at unit discharge", "decided then; Death reveals the outcome"),
        Fact("hospital discharge and where to",
             codes.DISCHARGE + "//{hospitaldischargelocation|UNKNOWN}", *AT_DISCHARGE,
             "decided then; Death reveals the outcome"),
        *(
            Fact(what, code, *AT_DISCHARGE, why, where=f"hospitaldischargestatus == '{status}'")
            for what, code, status, why in (
                ("died in this stay", codes.EXPIRED, "Expired",
                 "hospitaldischargestatus is Expired. A label, never an input"),
                ("death", codes.DEATH, "Expired",
                 "no other time of death is published. A label, never an input"),
                ("left this stay alive", codes.ALIVE, "Alive",
                 "hospitaldischargestatus is Alive. A label, never an input; blank gives neither"),
                ("end of follow-up", codes.FOLLOW_UP_END, "Alive",
                 "follow-up ends with the stay. A label, never an input"),
            )
        ),
    ),
    key=("patientunitstayid",),
    required=True,
    prepare=patient,
    ranges={
        "patienthealthsystemstayid": (0, 10**12 - 1), "hospitaldischargeyear": (1990, 2100),
        **dict.fromkeys(("hospitaladmitoffset", "hospitaldischargeoffset", "unitdischargeoffset"),
                        WITHIN_A_CENTURY),
        **dict.fromkeys(("admissionheight", "admissionweight"), (0, MOST_NUMBER)),
    },
    checks=(
        *(
            Check(problem, where, "patientunitstayid", "fetch the table again")
            for problem, where in (
                ("uniquepid that is not three digits, '-' and up to nine digits",
                 "uniquepid is None or not matches(uniquepid, '^[0-9]{3}-[0-9]{1,9}$')"),
                ("hospitaladmittime24 that is not HH:MM:SS",
                 ("hospitaladmittime24 is None or not matches(hospitaladmittime24, "
                  "'^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$')")),
                (f"age that is neither a number up to {OLDEST} nor '{OLD_AGE}'",
                 f"not matches(age, '^([0-9]{{1,3}}|{OLD_AGE})$') or years > {OLDEST}"),
            )
        ),
        in_order("unit_admission", "unit_discharge", "patientunitstayid", share=0.005),
        *never_blank(
            "patienthealthsystemstayid", "hospitaladmitoffset", "hospitaldischargeyear",
            "hospitaldischargeoffset", "unitdischargeoffset", show="patientunitstayid",
        ),
        Check("hospital discharge before hospital admission",
              "hospitaldischargeoffset < hospitaladmitoffset", "patientunitstayid",
              "correct the offsets, or fetch the table again", share=0.005),
        Check("hospitaldischargestatus neither Alive nor Expired",
              "hospitaldischargestatus not in ('Alive', 'Expired')", "patientunitstayid",
              "leave it blank where the outcome is not known"),
    ),
    notes={f"age '{OLD_AGE}' is read as {OLD_AGE_READ_AS}": f"age == '{OLD_AGE}'"},
)  # fmt: skip

APACHE = {
    "intubated": "intubated", "vent": "ventilated", "dialysis": "dialysis",
    "eyes": "GCS eyes", "motor": "GCS motor", "verbal": "GCS verbal",
    "meds": "GCS not measurable for medication", "urine": "urine//mL per day",
    "wbc": "white cells//1000 per uL", "temperature": "temperature//C",
    "respiratoryrate": "respiratory rate//per min", "sodium": "sodium//mmol per L",
    "heartrate": "heart rate//per min", "meanbp": "mean blood pressure//mmHg", "ph": "pH",
    "hematocrit": "hematocrit//%", "creatinine": "creatinine//mg per dL",
    "albumin": "albumin//g per dL", "pao2": "PaO2//mmHg", "pco2": "PaCO2//mmHg",
    "bun": "urea nitrogen//mg per dL", "glucose": "glucose//mg per dL",
    "bilirubin": "bilirubin//mg per dL", "fio2": "FiO2//%",
}  # fmt: skip
APACHE_CONTEXT = {
    "aids": "AIDS", "hepaticfailure": "hepatic failure", "lymphoma": "lymphoma",
    "metastaticcancer": "metastatic cancer", "leukemia": "leukemia",
    "immunosuppression": "immunosuppression", "cirrhosis": "cirrhosis", "diabetes": "diabetes",
    "electivesurgery": "elective surgery", "activetx": "active treatment",
    "readmit": "readmitted to the unit", "visitnumber": "number of the unit stay",
    "midur": "myocardial infarction in the last 6 months", "thrombolytics": "thrombolysis",
    "ventday1": "ventday1", "oobventday1": "oobventday1", "oobintubday1": "oobintubday1",
}  # fmt: skip
"""The columns of ``apachePredVar`` that are in no other table. The columns ``diedinhospital`` and
``dischargelocation`` reveal the outcome and are not read."""

SOURCE = Source(
    name="eicu",
    later=LATER,
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
        entered("admissionDx", "admission diagnosis", "EICU_ADX//{admitdxpath}",
                "admitdxenteredoffset"),
        entered(
            "diagnosis", "diagnosis", "EICU_DX//{diagnosisstring}", "diagnosisoffset",
            why="entered in the chart then, during the stay; not billing. Its column "
            "activeupondischarge is known later and is not read",
        ),
        entered("treatment", "treatment", "EICU_TX//{treatmentstring}", "treatmentoffset",
                why="entered in the chart then; activeupondischarge is not read"),
        entered("pastHistory", "past history", "EICU_HX//{pasthistorypath}",
                "pasthistoryenteredoffset", why="the history is older, but was entered then"),
        apache("apacheApsVar", "worst value of the first day", APACHE,
               "they are the worst values of the first 24 hours"),
        apache(
            "apachePredVar", "what APACHE predicts from", APACHE_CONTEXT,
            "APACHE predicts from the first day; diedinhospital and dischargelocation are outcomes "
            "and are not read",
            "sicuday",
            aside={"it is of a later day (sicuday)": "sicuday != 1"},
        ),
        unit_table(
            "apachePatientResult",
            {"apacheversion": TEXT,
             **dict.fromkeys(("acutephysiologyscore", "apachescore",
                              "predictedhospitalmortality"), NUMBER)},
            *(
                Fact(what, f"{code}//{{apacheversion}}", *AFTER_A_DAY,
                     "computed from the first 24 hours; the table's columns actual... are outcomes "
                     "and are not read",
                     value=value, where=f"{value} != {MISSING}")
                for what, code, value in (
                    ("acute physiology score", "APACHE//acute physiology score",
                     "acutephysiologyscore"),
                    ("APACHE score", "APACHE//score", "apachescore"),
                    ("APACHE's predicted hospital mortality", codes.APACHE_PREDICTION,
                     "predictedhospitalmortality"),
                )
            ),
            ranges={
                "acutephysiologyscore": (MISSING, 300),
                "apachescore": (MISSING, 300),
                "predictedhospitalmortality": (MISSING, 1),
            },
        ),
        entered("allergy", "allergy", "ALLERGY//{allergyname}", "allergyenteredoffset"),
        entered("admissiondrug", "drug taken before admission", "HOME_DRUG//{drugname}",
                "drugenteredoffset"),
        unit_table(
            "medication",
            {"drugorderoffset": INTEGER, "drugstartoffset": INTEGER, "drugordercancelled": TEXT,
             "drugname": TEXT, "drughiclseqno": INTEGER},
            Fact("drug, by name", "DRUG//{drugname}", "known", GIVEN, GIVEN_WHY),
            Fact("drug without a name, by HICL number", "HICL//{drughiclseqno}", "known", GIVEN,
                 GIVEN_WHY, where="drugname is None"),
            aside={CANCELLED: "drugordercancelled == 'Yes'"},
            usual=frozenset({CANCELLED}),
        ),
        entered("infusiondrug", "drug infused", "INFUSION//{drugname}", "infusionoffset"),
        entered(
            "lab", "laboratory result", "LAB//{labname}//{labmeasurenamesystem|UNKNOWN}",
            "labresultoffset", "labresultrevisedoffset", value="labresult",
            known="when its result was last revised", why="the sample was drawn earlier",
        ),
        entered("customLab", "other laboratory result", "LAB_OTHER//{labothername}",
                "labotheroffset", value="labotherresult"),
        unit_table(
            "microLab",
            {"culturetakenoffset": INTEGER, "culturesite": TEXT, "organism": TEXT},
            Fact("culture taken", "MICRO//{culturesite}", "known", "when taken",
                 "its result is not known then"),
            Fact("organism found", "MICRO_FOUND//{organism}", *AT_DISCHARGE,
                 "the time of the result is not published"),
        ),
        vital("vitalPeriodic", "temperature", "sao2", "heartrate", "respiration", "cvp", "etco2",
              "systemicsystolic", "systemicdiastolic", "systemicmean", "pasystolic", "padiastolic",
              "pamean", "st1", "st2", "st3", "icp"),
        vital("vitalAperiodic", "noninvasivesystolic", "noninvasivediastolic", "noninvasivemean",
              "paop", "cardiacoutput", "cardiacinput", "svr", "svri", "pvr", "pvri"),
        entered("intakeOutput", "fluid in or out", "FLUID//{celllabel}", "intakeoutputoffset",
                "intakeoutputentryoffset", value="cellvaluenumeric"),
        charted("nurseCharting", "nurse's chart",
                "NURSE//{nursingchartcelltypevallabel|}//{nursingchartcelltypevalname|}",
                "nursingchartvalue", "nursingchartentryoffset"),
        charted("respiratoryCharting", "respiratory chart", "RESPIRATORY//{respchartvaluelabel|}",
                "respchartvalue", "respchartentryoffset"),
        charted("nurseAssessment", "nurse's assessment",
                "NURSE_ASSESSMENT//{celllabel|}//{cellattribute|}", "cellattributevalue",
                "nurseassessentryoffset"),
        charted("nurseCare", "nurse's care", "NURSE_CARE//{celllabel|}//{cellattribute|}",
                "cellattributevalue", "nursecareentryoffset"),
        charted("physicalExam", "physical examination", "EXAM//{physicalexampath|}",
                "physicalexamvalue", "physicalexamoffset"),
        entered("carePlanGeneral", "care plan", "CARE_PLAN//{cplgroup}//{cplitemvalue}",
                "cplitemoffset", usual=frozenset({"blank cplitemvalue"})),
        entered("carePlanGoal", "goal of care", "CARE_GOAL//{cplgoalcategory}//{cplgoalvalue}",
                "cplgoaloffset", usual=frozenset({"blank cplgoalvalue"})),
        entered("carePlanInfectiousDisease", "infection suspected or found",
                "CARE_INFECTION//{infectdiseasesite}//{infectdiseaseassessment|UNKNOWN}",
                "cplinfectdiseaseoffset"),
        entered("carePlanEOL", "end-of-life discussion", "CARE_END_OF_LIFE", "cpleolsaveoffset"),
        entered("respiratoryCare", "airway", "AIRWAY//{airwaytype}", "respcarestatusoffset",
                usual=frozenset({"blank airwaytype"})),
    ),
    not_read={
        "carePlanCareProvider": "who cares",
        "note": "free text of clinicians",
    },
)  # fmt: skip
