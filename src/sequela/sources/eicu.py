"""eICU Collaborative Research Database 2.0, full or demo: its tables, and when facts were known.

Its calendar and its table of patients are in ``eicu_stays.py``.

Tables: Pollard et al. 2018, Scientific Data 5, 180178, and https://eicu-crd.mit.edu/eicutables/.
"""

from collections.abc import Mapping

import narwhals as nw

from sequela.sources import codes
from sequela.sources.declarations import Fact, Kind, Source, Table, number_in
from sequela.sources.eicu_stays import ASIDE, LATER, PATIENT, WITHIN_A_CENTURY, on_unit

INTEGER, NUMBER, TEXT = Kind.INTEGER, Kind.NUMBER, Kind.TEXT

AS_ENTERED = "entered by staff then"
GIVEN, GIVEN_WHY = "at the later of order and start", "only then had it been given"
CANCELLED = "the order was cancelled"
MISSING = -1  # the APACHE tables' value for not measured


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
    usual: frozenset[str] = frozenset(),
) -> Table:
    """Declare a table of one kind of fact, each with the minute at which it was entered."""
    return Table(
        name,
        {"patientunitstayid": INTEGER, **dict.fromkeys(offsets, INTEGER), **columns},
        (Fact(what, code, "known", known, why, value=value),),
        required=required,
        prepare=on_unit(*offsets),
        aside={**ASIDE, **(aside or {})},
        ranges=dict.fromkeys(offsets, WITHIN_A_CENTURY),
        usual=usual,
    )


def charted(name: str, prefix: str, value: str, offset: str, what: str, *path: str) -> Table:
    """Declare a table of numbers or words: numbers are values, words belong to the code."""
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
        ranges={offset: WITHIN_A_CENTURY},
    )  # fmt: skip


def measured(
    name: str,
    prefix: str,
    what: str,
    columns: Mapping[str, str],
    *,
    time: str,
    offset: str | None,
    why: str = "read from the monitor",
    further: Mapping[str, Kind] | None = None,
    aside: Mapping[str, nw.Expr] | None = None,
) -> Table:
    """Declare a wide table of measurements: each value that is not blank or -1 is an event.

    Args:
        name: Name of the table.
        prefix: Prefix of the codes.
        what: Description.
        columns: Column to the last part of its code, which names the unit.
        time: Column with the time at which they were known.
        offset: Column with the minute of the measurement; without it, it is about the first day.
        why: The reason for that time.
        further: Columns that make no event.
        aside: Rows that are left out besides those without a unit stay.
    """
    known = "when measured" if offset else "24 hours after unit admission"
    missing = {column: nw.col(column) == MISSING for column in columns} if offset is None else {}
    return Table(
        name,
        {
            "patientunitstayid": INTEGER,
            **({offset: INTEGER} if offset else {}),
            **dict.fromkeys(columns, NUMBER),
            **(further or {}),
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
        aside={**ASIDE, **(aside or {})},
        ranges={offset: WITHIN_A_CENTURY} if offset else {},
        notes={f"{column} is -1 (not measured): no event": at for column, at in missing.items()},
    )  # fmt: skip


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
APACHE_CONTEXT = {
    "aids": "AIDS",
    "hepaticfailure": "hepatic failure",
    "lymphoma": "lymphoma",
    "metastaticcancer": "metastatic cancer",
    "leukemia": "leukemia",
    "immunosuppression": "immunosuppression",
    "cirrhosis": "cirrhosis",
    "diabetes": "diabetes",
    "electivesurgery": "elective surgery",
    "activetx": "active treatment",
    "readmit": "readmitted to the unit",
    "visitnumber": "number of the unit stay",
    "midur": "myocardial infarction in the last 6 months",
    "thrombolytics": "thrombolysis",
    "ventday1": "ventday1",
    "oobventday1": "oobventday1",
    "oobintubday1": "oobintubday1",
}
"""The columns of ``apachePredVar`` that are in no other table. The columns ``diedinhospital`` and
``dischargelocation`` reveal the outcome and are not read."""
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
            time="after_a_day", offset=None, why="they are the worst values of the first 24 hours",
        ),
        measured(
            "apachePredVar", "APACHE", "what APACHE predicts from", APACHE_CONTEXT,
            time="after_a_day", offset=None,
            why="APACHE predicts from the first day; diedinhospital and dischargelocation are "
            "outcomes and are not read",
            further={"sicuday": INTEGER},
            aside={"it is of a later day (sicuday)": nw.col("sicuday") != 1},
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
                     codes.APACHE_PREDICTION + "//{apacheversion}",
                     "predictedhospitalmortality"),
                )
            ),
            prepare=on_unit(),
            ranges={
                "acutephysiologyscore": (MISSING, 300),
                "apachescore": (MISSING, 300),
                "predictedhospitalmortality": (MISSING, 1),
            },
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
            ranges=dict.fromkeys(("drugorderoffset", "drugstartoffset"), WITHIN_A_CENTURY),
            aside={**ASIDE, CANCELLED: nw.col("drugordercancelled") == "Yes"},
            usual=frozenset({CANCELLED}),
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
            ranges={"culturetakenoffset": WITHIN_A_CENTURY},
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
            usual=frozenset({"blank cplitemvalue"}),
        ),
        entered(
            "carePlanGoal", "CARE_GOAL//{cplgoalcategory}//{cplgoalvalue}", "goal of care",
            {"cplgoalcategory": TEXT, "cplgoalvalue": TEXT}, "cplgoaloffset",
            usual=frozenset({"blank cplgoalvalue"}),
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
            "respcarestatusoffset", usual=frozenset({"blank airwaytype"}),
        ),
    ),
    not_read={
        "carePlanCareProvider": "who cares",
        "note": "free text of clinicians",
    },
)  # fmt: skip
