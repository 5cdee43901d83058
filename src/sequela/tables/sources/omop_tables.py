"""The declarations of OMOP's tables of persons, visits, wards, deaths, observation and concepts."""

from sequela.datasets import codes
from sequela.tables.declarations import Check, Condition, Fact, Kind, Table, never_blank
from sequela.tables.sources.omop_rows import dead, observed, persons, visits, wards

INTEGER = Kind.INTEGER
TEXT = Kind.TEXT
TIME = Kind.TIME

UNKNOWN_PERSON = "its person is not in the table person"
UNKNOWN_VISIT = "its visit is not in the table visit_occurrence"
OTHER_PERSON = "its visit belongs to another person"
APART = "its date and its datetime are more than a day apart"
LONG_DEAD = "its time is 60 days or more after the death of its person"
UNBORN = "the death is before the birth of its person"
AGAIN = "an earlier death of its person is on record"
REVERSED = "their end is before their start: read as visits whose end is unknown"

OF_A_PERSON: dict[str, Condition] = {UNKNOWN_PERSON: "known_person is None"}
OF_A_VISIT: dict[str, Condition] = {
    **OF_A_PERSON,
    UNKNOWN_VISIT: "visit_occurrence_id is not None and visit_person is None",
    OTHER_PERSON: "visit_person != person_id",
}


_KINDS = {"id": INTEGER, "birth": INTEGER, "number": Kind.NUMBER, "date": TIME, "datetime": TIME}


def columns_of(*names: str) -> dict[str, Kind]:
    """Return columns with their kinds, which the last words of their names state in this model."""
    return {name: _KINDS.get(name.rpartition("_")[2], TEXT) for name in names}


def implausible(*times: str) -> dict[str, Condition]:
    """Return reasons to set a row aside for one of its times; the first dates the row."""
    apart = " or ".join(f"{time}_apart" for time in times)
    return {APART: apart, LONG_DEAD: f"{times[0]} >= long_dead"}


IS_STAY = "(stay_by_concept or stay_by_source)"
_OF_A_PERSON = (
    "month_of_birth", "day_of_birth", "birth_datetime", "race_concept_id", "ethnicity_concept_id",
    "gender_source_value", "race_source_value", "ethnicity_source_value",
)  # fmt: skip
_VISIT_TIMES = ("visit_start_date", "visit_start_datetime", "visit_end_date", "visit_end_datetime")
_WHERE = (
    "admitting_source_concept_id", "admitting_source_value", "admitted_from_concept_id",
    "admitted_from_source_value", "discharge_to_concept_id", "discharge_to_source_value",
    "discharged_to_concept_id", "discharged_to_source_value",
)  # fmt: skip

PERSON = Table(
    "person",
    columns_of("person_id", "gender_concept_id", "year_of_birth", *_OF_A_PERSON),
    (
        Fact("birth", codes.BIRTH, "birth",
             "at birth; on the first of the year or month where no more is known",
             "the standard's own place for it"),
        Fact("sex", "GENDER//{sex}", None, "always (static)", "assumed not to change"),
        Fact("race or ethnicity", "ETHNICITY//{ethnicity}", None, "always (static)",
             "assumed not to change"),
    ),
    key=("person_id",),
    required=True,
    optional=frozenset(_OF_A_PERSON),
    prepare=persons,
    ranges={"year_of_birth": (1700, 2250), "month_of_birth": (1, 12), "day_of_birth": (1, 31)},
    checks=never_blank("year_of_birth", show="person_id"),
    notes={"their birth is after their first visit: correct the year of birth": "late"},
)  # fmt: skip

VISITS = Table(
    "visit_occurrence",
    columns_of("visit_occurrence_id", "person_id", "visit_concept_id", *_VISIT_TIMES, *_WHERE),
    (
        Fact("admission to a hospital", codes.ADMISSION + "//{visit_concept_id|UNKNOWN}",
             "visit_start", "at the start of the visit", "registered then", where=IS_STAY),
        Fact("where from", "ADMISSION_LOCATION//{from_where}", "visit_start",
             "at the start of the visit", "asked on arrival", where=IS_STAY),
        Fact("discharge and where to", codes.DISCHARGE + "//{to_where|UNKNOWN}", "visit_end",
             "at the end of the visit", "decided then; a death reveals the outcome", where=IS_STAY),
        Fact("died in this stay", codes.EXPIRED, "visit_end", "at the end of the visit",
             "the visit records it, or a death is within it. A label, never an input",
             where=f"{IS_STAY} and expired"),
        Fact("left this stay alive", codes.ALIVE, "visit_end", "at the end of the visit",
             "it has an end and no death. A label, never an input; without a table death only "
             "where the visit records where the person went", where=f"{IS_STAY} and alive"),
        Fact("visit that is not a hospital stay", "VISIT//{visit_concept_id|UNKNOWN}",
             "visit_start", "at its start", "registered then", where=f"not {IS_STAY}"),
    ),
    key=("visit_occurrence_id",),
    required=True,
    optional=frozenset({"visit_start_datetime", "visit_end_datetime", *_WHERE}),
    prepare=visits,
    aside={**OF_A_PERSON, **implausible("visit_start", "visit_end")},
    checks=(
        *never_blank("person_id", "visit_start_date", show="visit_occurrence_id"),
        Check(
            "visit_end before visit_start",
            "reversed",
            "visit_occurrence_id",
            "correct the two, or check whether the names of their columns were swapped",
            share=0.005,
        ),
    ),
    notes={
        REVERSED: "reversed",
        "hospital stays, by the concept of the visit": "stay_by_concept",
        "hospital stays, as they record where the person was admitted from":
            "stay_by_source and not stay_by_concept",
    },
)  # fmt: skip

WARDS = Table(
    "visit_detail",
    columns_of(
        "visit_detail_id", "person_id", "visit_detail_concept_id", "visit_detail_start_date",
        "visit_detail_start_datetime", "visit_detail_end_date", "visit_detail_end_datetime",
        "care_site_id", "visit_occurrence_id",
    ),
    (
        Fact("intensive care begins", codes.ICU_ADMISSION + "//{unit|UNKNOWN}", "entered",
             "on entering the unit", "registered then", where="icu"),
        Fact("intensive care ends", codes.ICU_DISCHARGE + "//{unit|UNKNOWN}", "left",
             "on leaving the unit", "registered then", where="icu"),
        Fact("moved to a ward", "TRANSFER//{ward}", "entered", "on entering the ward",
             "registered then"),
    ),
    key=("visit_detail_id",),
    optional=frozenset({"visit_detail_start_datetime", "visit_detail_end_datetime",
                        "care_site_id"}),
    prepare=wards,
    aside={**OF_A_VISIT, **implausible("entered", "left")},
    usual=frozenset({"blank ward"}),
)  # fmt: skip

DEATHS = Table(
    "death",
    {"person_id": INTEGER, "death_date": TIME, "death_datetime": TIME},
    (
        Fact("death", codes.DEATH, "death_known",
             "at death: death_datetime, else the end of the day death_date",
             "a label, never an input"),
    ),
    optional=frozenset({"death_datetime"}),
    prepare=dead,
    aside={**OF_A_PERSON, APART: "death_known_apart", UNBORN: "unborn", AGAIN: "again"},
    checks=never_blank("person_id", "death_date", show="person_id"),
)  # fmt: skip

PERIODS = Table(
    "observation_period",
    columns_of("observation_period_id", "person_id", "observation_period_start_date",
               "observation_period_end_date"),
    (
        Fact("end of follow-up", codes.FOLLOW_UP_END, "until",
             "at the end of the day observation_period_end_date",
             "seen alive until then. A label, never an input", where="died is None"),
    ),
    optional=frozenset({"observation_period_start_date"}),
    prepare=observed,
    aside={**OF_A_PERSON, "it ends before it starts":
           "observation_period_end_date < observation_period_start_date"},
)  # fmt: skip

CARE_SITES = Table(
    "care_site",
    {"care_site_id": INTEGER, "care_site_name": TEXT},
    key=("care_site_id",),
    optional=frozenset({"care_site_name"}),
    unused="names wards",
)

NOT_READ = {
    "cdm_source": "describes the data set", "concept_ancestor": "coarser concepts",
    "concept_relationship": "the tables name the concepts themselves",
    "concept_synonym": "other words for concepts",
    "condition_era": "derived from condition_occurrence", "cost": "what was paid",
    "dose_era": "derived from drug_exposure", "drug_era": "derived from drug_exposure",
    "episode": "derived from other tables", "location": "addresses",
    "note": "free text of clinicians", "note_nlp": "derived from notes",
    "payer_plan_period": "insurance", "provider": "who treated",
    "vocabulary": "describes the vocabularies", "2b_vocabulary": "describes the vocabularies",
}  # fmt: skip


def concept_table(name: str) -> Table:
    """Declare a table of concepts."""
    return Table(
        name,
        {"concept_id": INTEGER, "concept_name": TEXT, "vocabulary_id": TEXT, "concept_code": TEXT},
        key=("concept_id",),
        unused="names codes",
    )
