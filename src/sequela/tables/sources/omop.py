"""The OMOP Common Data Model 5.3 and 5.4: its tables, and the times facts were known.

OMOP records when something *started*. When it was *known* follows from the type of the row, which
states its origin (``omop_types.toml``): a billed code is known when the visit has ended, although
the table dates it at the visit's start. The model: https://ohdsi.github.io/CommonDataModel/.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import narwhals as nw

from sequela.datasets import codes
from sequela.errors import unknown_name
from sequela.tables.declarations import (
    Check,
    Condition,
    Fact,
    Frame,
    Frames,
    Kind,
    Source,
    Table,
    never_blank,
)
from sequela.tables.sources.omop_rows import (
    CONCEPTS,
    LIMIT_OF,
    SHARED,
    dead,
    named,
    observed,
    one_of,
    persons,
    visits,
    wards,
    with_concept,
    with_own_time,
    with_person,
    with_values,
    with_visit,
)

# The type concepts of a record: number to name, of billing and in the course of care.
TYPES = tomllib.loads(Path(__file__).with_name("omop_types.toml").read_text("utf-8"))
CODES = ("standard", "source")

# What the type of a row says: when it was written.
BILLED = "billing"
OWN = "own"
GIVEN = "given"
NOTHING = "nothing"
BY_VISIT_END = "dated at the end of the visit: the type is billing, claim or discharge"
BY_OWN_TIME = "dated at their own time: the type is a record in the course of care"
BY_KIND = "dated at their own time: a drug at its start, a measurement when it is taken"
BY_LATER = (
    "dated at the later of their own time and the end of the visit: the type is uninformative"
)
AT_ARRIVAL = "dated at their own time, which is the very moment of the visit's start"
ALONE = "dated at their own time: the type is billing, and they name no visit"
ONLY_DATES = "their own time is a date without a time, or midnight: the end of that day"
TIMED = "their own time has a time of day"
LIMITS = "their number is a limit, as their operator states: their code ends with the operator"
BY_SOURCE = "coded by the source concept: the table concept lacks the standard one"
BY_STANDARD = "coded by the standard concept: the table concept lacks the source one"
BY_VALUE = "coded by the source value: the table concept has no concept of theirs"
BY_ID = "coded by the number of the concept: no source value, and no such row in concept"
NO_END = "its type is billing, and its visit has no end: when it was known is not recorded"


# The rules that date and code rows, counted in the log of a build.
NOTES: dict[str, Condition] = {
    BY_VISIT_END: f"says == '{BILLED}' and visit_end is not None",
    ALONE: f"says == '{BILLED}' and visit_occurrence_id is None",
    BY_OWN_TIME: f"says == '{OWN}'",
    BY_KIND: f"says == '{GIVEN}'",
    AT_ARRIVAL: f"says == '{OWN}' and own == visit_start",
    BY_LATER: f"says == '{NOTHING}'",
    ONLY_DATES: "not clock",
    TIMED: "clock",
    **{way: f"coded == '{way}'" for way in (BY_SOURCE, BY_STANDARD, BY_VALUE, BY_ID)},
}


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


@dataclass(frozen=True)
class Domain:
    """A table of clinical events, what a row of it is, and the prefixes of its columns.

    They are ``name``, such as ``condition`` of ``condition_concept_id``, and ``start`` of its date
    and time. With ``by_type``, a row of unknown type becomes known only at the end of the visit: a
    drug or a measurement is known when it is given or taken, whatever its type.
    """

    table: str
    name: str
    what: str
    start: str
    by_type: bool = True
    values: bool = False

    @property
    def has_limits(self) -> bool:
        """True if an operator of a row may state that its number is a limit."""
        return self.table == "measurement"

    @property
    def known(self) -> str:
        """The time a row was known, in words."""
        if self.by_type:
            return "by its type, see the table 'When a row was known'"
        return "at its own time; at the end of the visit where the type is billing"

    @property
    def why(self) -> str:
        """The reason for that time."""
        if self.by_type:
            return "a row records when something started; its type is its origin"
        return "a drug is known when it starts, a measurement when it is taken"


DOMAINS = (
    Domain("condition_occurrence", "condition", "condition", "condition_start"),
    Domain("procedure_occurrence", "procedure", "procedure", "procedure"),
    Domain("drug_exposure", "drug", "drug", "drug_exposure_start", by_type=False),
    Domain("device_exposure", "device", "device", "device_exposure_start"),
    Domain("measurement", "measurement", "measurement", "measurement", by_type=False, values=True),
    Domain("observation", "observation", "observation", "observation", values=True),
    Domain("specimen", "specimen", "specimen taken", "specimen"),
)


def event_table(domain: Domain, *, source_codes: bool) -> Table:
    """Declare a table of clinical events, coded by source (``ICD10CM``) or standard concepts."""
    name, start = domain.name, domain.start
    names = [f"{domain.table}_id", "person_id", f"{name}_concept_id"]
    names += [f"{start}_date", f"{start}_datetime", f"{name}_type_concept_id"]
    names += ["visit_occurrence_id", f"{name}_source_value", f"{name}_source_concept_id"]
    if domain.values:
        names += ["value_as_number", "value_as_string", "value_as_concept_id"]
        names += ["unit_concept_id", "unit_source_value"]
    if domain.has_limits:
        names.append("operator_concept_id")
    columns = columns_of(*names)
    needed = {f"{name}_concept_id", f"{start}_date", f"{name}_type_concept_id", "person_id"}

    def prepare(frame: Frame, frames: Frames) -> Frame:
        rows = with_visit(with_person(frame, frames), frames)
        rows = with_own_time(rows, start, late=True)
        return _coded(_dated(with_type(rows, domain)), frames, domain, source_codes=source_codes)

    return Table(
        domain.table,
        columns,
        _facts(domain),
        key=(f"{domain.table}_id",),
        optional=frozenset(columns) - needed,
        prepare=prepare,
        aside={**OF_A_VISIT, **implausible("own"), NO_END: "unended"},
        notes={**NOTES, LIMITS: "limit is not None"} if domain.values else NOTES,
        checks=never_blank("person_id", f"{start}_date", show="person_id"),
        describes={"{code}": "words"},
    )


def _facts(domain: Domain) -> tuple[Fact, ...]:
    when, why = domain.known, domain.why
    if not domain.values:
        return (Fact(domain.what, "{code}", "known", when, why),)
    return (
        Fact(f"{domain.what} with a number", "{code}//{unit|UNKNOWN}{limit|}", "known",
             when, why, value="value_as_number", where="value_as_number is not None"),
        Fact(domain.what, "{code_and_value}", "known", when, why,
             where="value_as_number is None"),
    )  # fmt: skip


def _dated(rows: Frame) -> Frame:
    """Add ``known``, the time by which a row was known for certain, by its type."""
    # A bill is written after the discharge, and of an unknown type only the later of both times is
    # certain; a row of the course of care was known at its own time.
    end, start, says = nw.col("visit_end"), nw.col("own"), nw.col("says")
    later = nw.when(end > start).then(end).otherwise(start)
    time = nw.when(says.is_in([OWN, GIVEN])).then(start).otherwise(later)
    # A bill without the end of its visit has no safe date: its own time is too early, and no later
    # one is on record.
    unended = (says == BILLED) & end.is_null() & ~nw.col("visit_person").is_null()
    return rows.with_columns(known=time, unended=unended)


def _coded(rows: Frame, frames: Frames, domain: Domain, *, source_codes: bool) -> Frame:
    """Add ``code``, its ``words``, and ``coded``: the fallback that was used, if any."""
    name = domain.name
    rows = with_concept(rows, frames, f"{name}_concept_id", "standard")
    rows = with_concept(rows, frames, f"{name}_source_concept_id", "source")
    # The chosen concept codes a row, else the other concept, the hospital's own text, and at last
    # the number. No event is lost, and the log counts each fallback.
    order = ("source", "standard") if source_codes else ("standard", "source")
    first, second = (nw.col(f"{concept}_code") for concept in order)
    value = nw.concat_str([nw.lit(f"{name.upper()}//"), nw.col(f"{name}_source_value")])
    number = nw.col(f"{name}_concept_id")
    by_id = nw.concat_str([nw.lit("OMOP//"), number.cast(nw.String())])
    # Concept 0 is OMOP's "no matching concept".
    code = nw.coalesce(first, second, value, nw.when(number != 0).then(by_id))
    coded = one_of(
        {
            "as declared": ~first.is_null(),
            BY_STANDARD if source_codes else BY_SOURCE: ~second.is_null(),
            BY_VALUE: ~value.is_null(),
            BY_ID: number != 0,
        }
    )
    words = nw.coalesce(*(f"{concept}_words" for concept in order))
    rows = rows.with_columns(code=code, coded=coded, words=words)
    if domain.values:
        rows = with_values(rows, frames)
        limit: nw.Expr = nw.lit(None, nw.String())
        if domain.has_limits:
            limit = named("operator_concept_id", LIMIT_OF)
        rows = rows.with_columns(limit=nw.when(~nw.col("value_as_number").is_null()).then(limit))
    return rows


def with_type(rows: Frame, domain: Domain) -> Frame:
    """Add the meaning of the type as ``says``."""
    column = nw.col(f"{domain.name}_type_concept_id")
    listed = {origin: column.is_in([*map(int, types)]) for origin, types in TYPES.items()}
    rest = NOTHING
    if not domain.by_type:
        # Drugs and measurements are known as they happen: only billing dates them later.
        listed, rest = {BILLED: listed[BILLED]}, GIVEN
    return rows.with_columns(says=nw.coalesce(one_of(listed), nw.lit(rest)))


def with_codes(*, codes: str = CODES[0]) -> Source:
    """Return the source; ``codes`` states which concept of a row codes it first."""
    if codes not in CODES:
        raise unknown_name("kind of codes", codes, CODES)
    events = (event_table(domain, source_codes=codes == "source") for domain in DOMAINS)
    concepts = map(concept_table, CONCEPTS)
    return Source(
        name="omop",
        tables=(PERSON, VISITS, WARDS, *events, DEATHS, PERIODS, CARE_SITES, *concepts),
        not_read=NOT_READ,
        dated_by_row=True,
        with_options=with_codes,
        shared=SHARED,
    )


SOURCE = with_codes()
