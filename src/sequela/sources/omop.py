"""The OMOP Common Data Model 5.3 and 5.4: its tables, and when what they hold was known.

OMOP says when something *started*. When it was *known* follows from the type of the row, which says
where it came from (``omop_types.py``): a code that is billed is known when the visit has ended,
though the table dates it at the visit's start. The model:
https://ohdsi.github.io/CommonDataModel/.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import narwhals as nw

from sequela.errors import SettingError, unknown_name
from sequela.sources import codes
from sequela.sources.account import LEAKS
from sequela.sources.declarations import (
    Fact,
    Frames,
    Kind,
    Source,
    Table,
    end_of_day,
    in_order,
    never_blank,
)
from sequela.sources.omop_types import BILLED_TYPES, OWN_TYPES

Frame = nw.LazyFrame[Any]
INTEGER, NUMBER, TEXT, TIME = Kind.INTEGER, Kind.NUMBER, Kind.TEXT, Kind.TIME

CODES = ("standard", "source")
CONCEPTS = ("concept", "2b_concept")  # the second as the demo of MIMIC-IV calls its own concepts
STAYS = {
    9201: "inpatient visit",
    262: "emergency room and inpatient visit",
    8717: "inpatient hospital",
    8971: "inpatient psychiatric facility",
    32037: "intensive care",
    581379: "inpatient critical care facility",
}
ICU = {
    32037: "intensive care",
    581379: "inpatient critical care facility",
    40481392: "medical ICU",
    4305366: "surgical ICU",
    4149943: "cardiac ICU",
    763903: "trauma ICU",
}
FAMILIES = {"ICD9Proc": "ICD9PROC", "CPT4": "CPT"}  # of other sources here, by OMOP's names
DOTTED = ("ICD9CM", "ICD10CM", "ICD9Proc")
DIED = 4216643  # the concept 'patient died'
DIED_WORDS = ("DIED", "EXPIRED", "DEAD", "DECEASED", "DEAD/EXPIRED")
SEXES = {8507: "M", 8532: "F"}
RACES = {
    8527: "WHITE",
    8516: "BLACK/AFRICAN AMERICAN",
    8515: "ASIAN",
    8657: "AMERICAN INDIAN/ALASKA NATIVE",
    8557: "NATIVE HAWAIIAN OR OTHER PACIFIC ISLANDER",
}
HISPANIC = 38003563
TWO_DIGITS = 10

BILLED, OWN, GIVEN, NOTHING = "billing", "own", "given", "nothing"
BY_VISIT_END = "dated at the end of the visit: the type says billing, claim or discharge"
BY_OWN_TIME = "dated at their own time: the type says that it was recorded in the course of care"
BY_KIND = "dated at their own time: a drug at its start, a measurement when it is taken"
BY_LATER = "dated at the later of their own time and the end of the visit: the type says nothing"
AT_ARRIVAL = "dated at their own time, which is the very moment of the visit's start"
ALONE = "dated at their own time: the type says billing, and they name no visit"
ONLY_DATES = "their own time is a date without a time: the end of that day"
BY_SOURCE = "coded by the source concept: the table concept lacks the standard one"
BY_STANDARD = "coded by the standard concept: the table concept lacks the source one"
BY_VALUE = "coded by the source value: the table concept has no concept of theirs"
COARSER = "coded by an ancestor of the standard concept, as many levels above it as asked for"
BY_ID = "coded by the number of the concept: no source value, and no such row in concept"
EARLY = (
    f"{LEAKS}whose type says billing, claim or discharge are dated before the end of their visit"
)
EARLIEST = f"{LEAKS}of these carry the very moment of their visit's start"
ON_PURPOSE = (
    "--dated-as-recorded: each row is dated at its start, so what was billed after the discharge "
    "is known on arrival"
)
UNKNOWN_PERSON = "its person is not in the table person"
UNKNOWN_VISIT = "its visit is not in the table visit_occurrence"
OTHER_PERSON = "its visit belongs to another person"
NO_END = "its type says billing, and its visit has no end: when it was known is not recorded"


@dataclass(frozen=True)
class Domain:
    """A table of what happened, and the beginnings of its columns.

    Attributes:
        table: Its name.
        name: What its columns begin with: ``condition`` of ``condition_concept_id``.
        what: What a row is, in words.
        start: What its date and time begin with.
        by_type: Whether a type that says nothing makes it known only when the visit has ended:
            a drug or a measurement is known when it is given or taken, whatever its type.
        values: Whether a row holds a value.
    """

    table: str
    name: str
    what: str
    start: str
    by_type: bool = True
    values: bool = False

    @property
    def known(self) -> str:
        """When a row was known, in words."""
        if self.by_type:
            return "by its type, as the table 'When a row was known' says"
        return "at its own time; at the end of the visit where the type says billing"

    @property
    def why(self) -> str:
        """Why then."""
        if self.by_type:
            return "a row says when something started; its type says where it came from"
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


@dataclass(frozen=True)
class Omop:
    """How the tables are read.

    Attributes:
        source_codes: Code by the source concept (``ICD10CM``) before the standard one (``SNOMED``).
        as_recorded: Date each row at its start. It leaks.
        ancestors: How many levels above a standard concept the one stands that codes it.
    """

    source_codes: bool = False
    as_recorded: bool = False
    ancestors: int = 0

    def table(self, domain: Domain) -> Table:
        """The declaration of a table of what happened."""
        name, start = domain.name, domain.start
        columns = {
            f"{domain.table}_id": INTEGER,
            "person_id": INTEGER,
            f"{name}_concept_id": INTEGER,
            f"{start}_date": TIME,
            f"{start}_datetime": TIME,
            f"{name}_type_concept_id": INTEGER,
            "visit_occurrence_id": INTEGER,
            f"{name}_source_value": TEXT,
            f"{name}_source_concept_id": INTEGER,
        }
        if domain.values:
            columns |= {
                "value_as_number": NUMBER,
                "value_as_string": TEXT,
                "value_as_concept_id": INTEGER,
                "unit_concept_id": INTEGER,
                "unit_source_value": TEXT,
            }
        needed = {f"{name}_concept_id", f"{start}_date", f"{name}_type_concept_id", "person_id"}
        return Table(
            domain.table,
            columns,
            self._facts(domain),
            key=(f"{domain.table}_id",),
            optional=frozenset(columns) - needed,
            prepare=self._prepared(domain),
            aside={
                UNKNOWN_PERSON: nw.col("known_person").is_null(),
                UNKNOWN_VISIT: ~nw.col("visit_occurrence_id").is_null()
                & nw.col("visit_person").is_null(),
                OTHER_PERSON: nw.col("visit_person") != nw.col("person_id"),
                NO_END: nw.col("unended"),
            },
            notes=self._notes(),
            checks=never_blank("person_id", f"{start}_date", show="person_id"),
            describes={"{code}": "words"},
        )

    def _facts(self, domain: Domain) -> tuple[Fact, ...]:
        known, why = domain.known, domain.why
        if self.as_recorded:
            known, why = "at its start", "as the table dates it, which leaks"
        if not domain.values:
            return (Fact(domain.what, "{code}", "known", known, why),)
        number = nw.col("value_as_number")
        return (
            Fact(f"{domain.what} with a number", "{code}//{unit|UNKNOWN}", "known", known, why,
                 value="value_as_number", where=~number.is_null()),
            Fact(domain.what, "{code_and_value}", "known", known, why, where=number.is_null()),
        )  # fmt: skip

    def _notes(self) -> Mapping[str, nw.Expr]:
        says, coded = nw.col("says"), nw.col("coded")
        arrived = nw.col("own") == nw.col("visit_start")
        if self.as_recorded:
            dated = {EARLY: nw.col("early"), EARLIEST: nw.col("early") & arrived}
        else:
            dated = {
                BY_VISIT_END: (says == BILLED) & ~nw.col("visit_end").is_null(),
                ALONE: (says == BILLED) & nw.col("visit_occurrence_id").is_null(),
                BY_OWN_TIME: says == OWN,
                BY_KIND: says == GIVEN,
                AT_ARRIVAL: (says == OWN) & arrived,
                BY_LATER: says == NOTHING,
                ONLY_DATES: ~nw.col("clock"),
            }
        how = (BY_SOURCE, BY_STANDARD, BY_VALUE, BY_ID)
        coarser = {COARSER: nw.col("coarser")} if self.ancestors else {}
        return {**dated, **{each: coded == each for each in how}, **coarser}

    def _prepared(self, domain: Domain) -> Any:
        def prepare(frame: Frame, frames: Frames) -> Frame:
            start = domain.start
            rows = with_visit(with_person(frame, frames), frames)
            rows = with_own_time(rows, f"{start}_date", f"{start}_datetime", late=True)
            rows = self._dated(with_type(rows, domain), domain)
            rows = self._coded(rows, frames, domain)
            return rows.with_columns(
                subject_id=nw.col("person_id"), visit_id=nw.col("visit_occurrence_id")
            )

        return prepare

    def _dated(self, rows: Frame, domain: Domain) -> Frame:
        """Rows with ``known``, and what the account says of it."""
        end, own = nw.col("visit_end"), nw.col("own")
        billed = nw.col("says") == BILLED
        if self.as_recorded:
            start = nw.coalesce(f"{domain.start}_datetime", f"{domain.start}_date")
            early = billed & (nw.coalesce(start < end, nw.lit(value=False)))
            return rows.with_columns(own=start).with_columns(
                known=nw.col("own"), early=early, unended=nw.lit(value=False)
            )
        later = nw.when(end > own).then(end).otherwise(own)
        known = nw.when(nw.col("says").is_in([OWN, GIVEN])).then(own).otherwise(later)
        unended = billed & end.is_null() & ~nw.col("visit_person").is_null()
        return rows.with_columns(known=known, unended=unended)

    def _coded(self, rows: Frame, frames: Frames, domain: Domain) -> Frame:
        """Rows with ``code``, its ``words``, and ``coded``: by what, where that is a fallback."""
        name = domain.name
        standard = f"{name}_concept_id"
        if self.ancestors:
            rows, standard = with_ancestor(rows, frames, standard, self.ancestors), "ancestor"
        rows = with_concept(rows, frames, standard, "standard")
        rows = with_concept(rows, frames, f"{name}_source_concept_id", "source")
        order = ("source", "standard") if self.source_codes else ("standard", "source")
        first, second = (nw.col(f"{each}_code") for each in order)
        value = nw.concat_str([nw.lit(f"{domain.name.upper()}//"), nw.col(f"{name}_source_value")])
        number = nw.col(f"{name}_concept_id")
        by_id = nw.concat_str([nw.lit("OMOP//"), number.cast(nw.String())])
        code = nw.coalesce(first, second, value, nw.when(number != 0).then(by_id))
        fallback = BY_STANDARD if self.source_codes else BY_SOURCE
        coded = one_of(
            {
                "as asked": ~first.is_null(),
                fallback: ~second.is_null(),
                BY_VALUE: ~value.is_null(),
                BY_ID: number != 0,
            }
        )
        words = nw.coalesce(*(f"{each}_words" for each in order))
        rows = rows.with_columns(code=code, coded=coded, words=words)
        if domain.values:
            rows = with_values(rows, frames)
        if self.as_recorded:
            marked = nw.concat_str([nw.lit(codes.BILLED_CODE + "//"), nw.col("code")])
            rows = rows.with_columns(
                code=nw.when(nw.col("says") == BILLED).then(marked).otherwise(nw.col("code"))
            )
        return rows


def one_of(conditions: Mapping[str, nw.Expr]) -> nw.Expr:
    """The first word whose condition holds; null where none does."""
    found: nw.Expr = nw.lit(None, nw.String())
    for word, where in reversed(list(conditions.items())):
        found = nw.when(where).then(nw.lit(word)).otherwise(found)
    return found


def named(column: str, words: Mapping[int, str]) -> nw.Expr:
    """The word of a concept; null for any other."""
    return one_of({word: nw.col(column) == number for number, word in words.items()})


def concepts(frames: Frames) -> Frame | None:
    """All concepts that are there: ``concept_id``, ``concept_code``, ``code``, ``words``."""
    found = [frames[name] for name in CONCEPTS if name in frames]
    if not found:
        return None
    first = found[0]
    for more in found[1:]:
        first = nw.concat([first, more.join(first, on="concept_id", how="anti")])
    vocabulary, written = nw.col("vocabulary_id"), nw.col("concept_code")
    family = nw.coalesce(
        one_of({ours: vocabulary == theirs for theirs, ours in FAMILIES.items()}), vocabulary
    )
    dotless = nw.when(vocabulary.is_in([*DOTTED])).then(
        written.str.replace_all(".", "", literal=True)
    )
    code = nw.concat_str([family, nw.lit("//"), nw.coalesce(dotless, written)])
    return first.filter(nw.col("concept_id") != 0).select(
        "concept_id", "concept_code", code=code, words=nw.col("concept_name")
    )


def with_concept(rows: Frame, frames: Frames, column: str, name: str) -> Frame:
    """Rows with ``NAME_code``, ``NAME_words`` and ``NAME_own``, the code in its vocabulary."""
    known = concepts(frames)
    if known is None:
        blank = nw.lit(None, nw.String())
        return rows.with_columns(**{f"{name}_{each}": blank for each in ("code", "words", "own")})
    right = known.select(
        nw.col("concept_id").alias(column),
        nw.col("code").alias(f"{name}_code"),
        nw.col("words").alias(f"{name}_words"),
        nw.col("concept_code").alias(f"{name}_own"),
    )
    return rows.join(right, on=column, how="left")


def with_ancestor(rows: Frame, frames: Frames, column: str, levels: int) -> Frame:
    """Rows with the ``ancestor`` of a concept, or the concept where none is so many levels above.

    Of several at that level the one with the lowest number is taken. ``coarser`` says where one is.
    """
    above = frames["concept_ancestor"].filter(
        nw.col("min_levels_of_separation") == levels, nw.col("ancestor_concept_id") != 0
    )
    right = above.group_by("descendant_concept_id").agg(above=nw.col("ancestor_concept_id").min())
    right = right.select("above", **{column: nw.col("descendant_concept_id")})
    return rows.join(right, on=column, how="left").with_columns(
        ancestor=nw.coalesce("above", column), coarser=~nw.col("above").is_null()
    )


def with_person(rows: Frame, frames: Frames) -> Frame:
    """Rows with ``known_person``, null for a stranger."""
    persons = frames["person"].select("person_id", known_person=nw.col("person_id"))
    return rows.join(persons, on="person_id", how="left")


def with_visit(rows: Frame, frames: Frames) -> Frame:
    """Rows with the person, the start and the end of their visit, if they name one."""
    visits = timed_visits(frames["visit_occurrence"]).select(
        "visit_occurrence_id", "visit_start", "visit_end", visit_person="person_id"
    )
    return rows.join(visits, on="visit_occurrence_id", how="left")


def timed_visits(visits: Frame) -> Frame:
    """Visits with ``visit_start`` and ``visit_end``; a date without a time is a whole day."""
    starts = with_own_time(
        visits, "visit_start_date", "visit_start_datetime", late=False, name="visit_start"
    )
    return with_own_time(
        starts, "visit_end_date", "visit_end_datetime", late=True, name="visit_end"
    )


def with_own_time(rows: Frame, date: str, time: str, *, late: bool, name: str = "own") -> Frame:
    """Rows with their own time, and ``clock``: whether it has a time of day.

    A table whose times are all midnight has dates alone: that of a row is then taken for its end
    (``late``) or its beginning. Where other rows have a time of day, midnight is one, too.
    """
    clocked = nw.col(time).dt.truncate("1d") != nw.col(time)
    any_clocked = nw.when(clocked).then(nw.lit(1)).otherwise(nw.lit(0)).max()
    table = rows.select(has_clock=any_clocked)
    joined = rows.join(table, how="cross").with_columns(
        clock=~nw.col(time).is_null() & (nw.col("has_clock") == 1), day=nw.coalesce(date, time)
    )
    day = end_of_day("day") if late else nw.col("day")
    own = nw.when(nw.col("clock")).then(nw.col(time)).otherwise(day)
    return joined.with_columns(**{name: own}).drop("has_clock", "day")


def with_type(rows: Frame, domain: Domain) -> Frame:
    """Rows with what their type ``says``."""
    column = f"{domain.name}_type_concept_id"
    listed = {
        BILLED: nw.col(column).is_in([*BILLED_TYPES]),
        OWN: nw.col(column).is_in([*OWN_TYPES]),
    }
    other = NOTHING
    if not domain.by_type:
        listed, other = {BILLED: listed[BILLED]}, GIVEN
    return rows.with_columns(says=nw.coalesce(one_of(listed), nw.lit(other)))


def with_values(rows: Frame, frames: Frames) -> Frame:
    """Rows with their ``unit``, and ``code_and_value`` of those whose value is no number."""
    rows = with_concept(rows, frames, "unit_concept_id", "unit")
    rows = with_concept(rows, frames, "value_as_concept_id", "value")
    value = nw.coalesce("value_as_string", "value_words")
    both = nw.concat_str([nw.col("code"), nw.lit("//"), value])
    return rows.with_columns(
        unit=nw.coalesce("unit_own", "unit_source_value"),
        code_and_value=nw.coalesce(both, nw.col("code")),
    )


def persons(frame: Frame, _: Frames) -> Frame:
    """Persons with ``birth``, ``sex`` and ``ethnicity``."""

    def two(column: str) -> nw.Expr:
        number = nw.coalesce(nw.col(column), nw.lit(1))
        text = number.cast(nw.String())
        return nw.when(number < TWO_DIGITS).then(nw.concat_str([nw.lit("0"), text])).otherwise(text)

    day = nw.concat_str(
        [nw.col("year_of_birth").cast(nw.String()), nw.lit("-"), two("month_of_birth"),
         nw.lit("-"), two("day_of_birth"), nw.lit(" 00:00:00")]
    )  # fmt: skip
    hispanic = nw.when(nw.col("ethnicity_concept_id") == HISPANIC).then(nw.lit("HISPANIC/LATINO"))
    return frame.with_columns(
        subject_id=nw.col("person_id"),
        birth=nw.coalesce(nw.col("birth_datetime"), day.cast(nw.Datetime("us"))),
        sex=nw.coalesce(named("gender_concept_id", SEXES), nw.col("gender_source_value")),
        ethnicity=nw.coalesce(
            hispanic, named("race_concept_id", RACES), nw.col("race_source_value"),
            nw.col("ethnicity_source_value"),
        ),
    )  # fmt: skip


def visits(frame: Frame, frames: Frames) -> Frame:
    """Visits with whether they are hospital stays, and how they ended."""
    rows = with_person(timed_visits(frame), frames)
    rows = rows.with_columns(
        subject_id=nw.col("person_id"),
        visit_id=nw.col("visit_occurrence_id"),
        from_where=nw.coalesce("admitted_from_source_value", "admitting_source_value"),
        to_where=nw.coalesce("discharged_to_source_value", "discharge_to_source_value"),
        to_concept=nw.coalesce("discharged_to_concept_id", "discharge_to_concept_id"),
        from_concept=nw.coalesce("admitted_from_concept_id", "admitting_source_concept_id"),
    )
    by_concept = nw.col("visit_concept_id").is_in([*STAYS])
    by_source = ~nw.col("from_where").is_null() | (nw.coalesce("from_concept", nw.lit(0)) > 0)
    said = nw.col("to_where").str.to_uppercase().is_in([*DIED_WORDS]) | (
        nw.col("to_concept") == DIED
    )
    said_died = nw.coalesce(said, nw.lit(value=False))
    rows = rows.with_columns(
        stay_by_concept=nw.coalesce(by_concept, nw.lit(value=False)),
        stay_by_source=by_source,
        told=~nw.col("to_where").is_null() | (nw.coalesce("to_concept", nw.lit(0)) > 0),
        said_died=said_died,
    )
    return with_ending(rows, frames)


def with_ending(rows: Frame, frames: Frames) -> Frame:
    """Visits with ``expired`` and ``alive``; neither where nothing says how they ended.

    The visit's own word counts first. A death on record counts where it lies in the visit; one on
    the last day, without a time, only where the visit does not say where the person went.
    """
    end = nw.col("visit_end")
    if "death" not in frames:
        return rows.with_columns(
            expired=nw.col("said_died"), alive=nw.col("told") & ~nw.col("said_died")
        )
    deaths = (
        timed_deaths(frames["death"])
        .group_by("person_id")
        .agg(death=nw.col("death_known").min(), death_clock=nw.col("clock").max())
    )
    rows = rows.join(deaths, on="person_id", how="left")
    since = nw.col("death") >= nw.col("visit_start")
    timed = nw.col("death_clock") & (nw.col("death") <= end)
    day_before = nw.col("death") < end.dt.truncate("1d")
    same_day = (nw.col("death").dt.truncate("1d") == end.dt.truncate("1d")) & ~nw.col("told")
    dated = ~nw.col("death_clock") & (day_before | same_day)
    inside = nw.coalesce(since & (timed | dated), nw.lit(value=False))
    expired = nw.col("said_died") | inside
    return rows.with_columns(expired=expired, alive=~expired & ~end.is_null())


def timed_deaths(deaths: Frame) -> Frame:
    """Deaths with ``death_known``."""
    return with_own_time(deaths, "death_date", "death_datetime", late=True, name="death_known")


def dead(frame: Frame, frames: Frames) -> Frame:
    """Deaths of persons that are known."""
    rows = with_person(timed_deaths(frame), frames)
    return rows.with_columns(subject_id=nw.col("person_id"))


def observed(frame: Frame, frames: Frames) -> Frame:
    """Periods of observation of persons who are not known to have died."""
    rows = with_person(frame, frames)
    if "death" in frames:
        deaths = frames["death"].select("person_id", died=nw.lit(1)).unique()
        rows = rows.join(deaths, on="person_id", how="left")
    else:
        rows = rows.with_columns(died=nw.lit(None, nw.Int64()))
    return rows.with_columns(
        subject_id=nw.col("person_id"), until=end_of_day("observation_period_end_date")
    )


def wards(frame: Frame, frames: Frames) -> Frame:
    """Parts of visits with the ``ward``, and whether it is an intensive care unit."""
    rows = with_visit(with_person(frame, frames), frames)
    rows = with_own_time(
        rows, "visit_detail_start_date", "visit_detail_start_datetime", late=True, name="entered"
    )
    rows = with_own_time(
        rows, "visit_detail_end_date", "visit_detail_end_datetime", late=True, name="left"
    )
    if "care_site" in frames:
        sites = frames["care_site"].select("care_site_id", ward=nw.col("care_site_name"))
        rows = rows.join(sites, on="care_site_id", how="left")
    else:
        rows = rows.with_columns(ward=nw.lit(None, nw.String()))
    return rows.with_columns(
        subject_id=nw.col("person_id"),
        visit_id=nw.col("visit_occurrence_id"),
        unit=nw.coalesce(nw.col("ward"), named("visit_detail_concept_id", ICU)),
        icu=nw.coalesce(nw.col("visit_detail_concept_id").is_in([*ICU]), nw.lit(value=False)),
    )


OF_A_PERSON = {UNKNOWN_PERSON: nw.col("known_person").is_null()}
OF_A_VISIT = {
    **OF_A_PERSON,
    UNKNOWN_VISIT: ~nw.col("visit_occurrence_id").is_null() & nw.col("visit_person").is_null(),
    OTHER_PERSON: nw.col("visit_person") != nw.col("person_id"),
}
IS_STAY = nw.col("stay_by_concept") | nw.col("stay_by_source")

PERSON = Table(
    "person",
    {
        "person_id": INTEGER,
        "gender_concept_id": INTEGER,
        "year_of_birth": INTEGER,
        "month_of_birth": INTEGER,
        "day_of_birth": INTEGER,
        "birth_datetime": TIME,
        "race_concept_id": INTEGER,
        "ethnicity_concept_id": INTEGER,
        "gender_source_value": TEXT,
        "race_source_value": TEXT,
        "ethnicity_source_value": TEXT,
    },
    (
        Fact("birth", codes.BIRTH, "birth",
             "at birth; on the first of the year or month where no more is known",
             "the standard's own place for it"),
        Fact("sex", "GENDER//{sex}", None, "always (static)", "it is taken not to change"),
        Fact("race or ethnicity", "ETHNICITY//{ethnicity}", None, "always (static)",
             "it is taken not to change"),
    ),
    key=("person_id",),
    required=True,
    optional=frozenset(
        {"month_of_birth", "day_of_birth", "birth_datetime", "race_concept_id",
         "ethnicity_concept_id", "gender_source_value", "race_source_value",
         "ethnicity_source_value"}
    ),
    prepare=persons,
    ranges={"year_of_birth": (1700, 2250), "month_of_birth": (1, 12), "day_of_birth": (1, 31)},
    checks=never_blank("year_of_birth", show="person_id"),
)  # fmt: skip

VISITS = Table(
    "visit_occurrence",
    {
        "visit_occurrence_id": INTEGER,
        "person_id": INTEGER,
        "visit_concept_id": INTEGER,
        "visit_start_date": TIME,
        "visit_start_datetime": TIME,
        "visit_end_date": TIME,
        "visit_end_datetime": TIME,
        "admitting_source_concept_id": INTEGER,
        "admitting_source_value": TEXT,
        "admitted_from_concept_id": INTEGER,
        "admitted_from_source_value": TEXT,
        "discharge_to_concept_id": INTEGER,
        "discharge_to_source_value": TEXT,
        "discharged_to_concept_id": INTEGER,
        "discharged_to_source_value": TEXT,
    },
    (
        Fact("admission to a hospital", codes.ADMISSION + "//{visit_concept_id|UNKNOWN}",
             "visit_start", "at the start of the visit", "registered then", where=IS_STAY),
        Fact("where from", "ADMISSION_LOCATION//{from_where}", "visit_start",
             "at the start of the visit", "asked on arrival", where=IS_STAY),
        Fact("discharge and where to", codes.DISCHARGE + "//{to_where|UNKNOWN}", "visit_end",
             "at the end of the visit", "decided then; a death tells the outcome", where=IS_STAY),
        Fact("died in this stay", codes.EXPIRED, "visit_end", "at the end of the visit",
             "the visit says so, or a death lies in it. A label, never an input",
             where=IS_STAY & nw.col("expired")),
        Fact("left this stay alive", codes.ALIVE, "visit_end", "at the end of the visit",
             "it has an end and no death. A label, never an input; without a table death only "
             "where the visit says where the person went", where=IS_STAY & nw.col("alive")),
        Fact("visit that is no hospital stay", "VISIT//{visit_concept_id|UNKNOWN}", "visit_start",
             "at its start", "registered then", where=~IS_STAY),
    ),
    key=("visit_occurrence_id",),
    required=True,
    optional=frozenset(
        {"visit_start_datetime", "visit_end_datetime",
         "admitting_source_concept_id", "admitting_source_value", "admitted_from_concept_id",
         "admitted_from_source_value", "discharge_to_concept_id", "discharge_to_source_value",
         "discharged_to_concept_id", "discharged_to_source_value"}
    ),
    prepare=visits,
    aside=OF_A_PERSON,
    checks=(
        *never_blank("person_id", "visit_start_date", show="visit_occurrence_id"),
        in_order("visit_start", "visit_end", "visit_occurrence_id", share=0.005),
    ),
    notes={
        "hospital stays, by the concept of the visit": nw.col("stay_by_concept"),
        "hospital stays, for they say where the person was admitted from":
            nw.col("stay_by_source") & ~nw.col("stay_by_concept"),
    },
)  # fmt: skip

WARDS = Table(
    "visit_detail",
    {
        "visit_detail_id": INTEGER,
        "person_id": INTEGER,
        "visit_detail_concept_id": INTEGER,
        "visit_detail_start_date": TIME,
        "visit_detail_start_datetime": TIME,
        "visit_detail_end_date": TIME,
        "visit_detail_end_datetime": TIME,
        "care_site_id": INTEGER,
        "visit_occurrence_id": INTEGER,
    },
    (
        Fact("intensive care begins", codes.ICU_ADMISSION + "//{unit|UNKNOWN}", "entered",
             "on entering the unit", "registered then", where=nw.col("icu")),
        Fact("intensive care ends", codes.ICU_DISCHARGE + "//{unit|UNKNOWN}", "left",
             "on leaving the unit", "registered then", where=nw.col("icu")),
        Fact("moved to a ward", "TRANSFER//{ward}", "entered", "on entering the ward",
             "registered then"),
    ),
    key=("visit_detail_id",),
    optional=frozenset({"visit_detail_start_datetime", "visit_detail_end_datetime",
                        "care_site_id"}),
    prepare=wards,
    aside=OF_A_VISIT,
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
    aside=OF_A_PERSON,
    checks=never_blank("person_id", "death_date", show="person_id"),
)  # fmt: skip

PERIODS = Table(
    "observation_period",
    {"observation_period_id": INTEGER, "person_id": INTEGER, "observation_period_end_date": TIME},
    (
        Fact("end of follow-up", codes.FOLLOW_UP_END, "until",
             "at the end of the day observation_period_end_date",
             "seen alive until then. A label, never an input", where=nw.col("died").is_null()),
    ),
    prepare=observed,
    aside=OF_A_PERSON,
)  # fmt: skip

CARE_SITES = Table(
    "care_site",
    {"care_site_id": INTEGER, "care_site_name": TEXT},
    key=("care_site_id",),
    optional=frozenset({"care_site_name"}),
    unused="names wards",
)

NOT_READ = {
    "cdm_source": "describes the data set",
    "concept_ancestor": "read with --ancestors",
    "concept_relationship": "the tables name the concepts themselves",
    "concept_synonym": "other words for concepts",
    "condition_era": "derived from condition_occurrence",
    "cost": "what was paid",
    "dose_era": "derived from drug_exposure",
    "drug_era": "derived from drug_exposure",
    "episode": "derived from other tables",
    "location": "addresses",
    "note": "free text of clinicians",
    "note_nlp": "derived from notes",
    "payer_plan_period": "insurance",
    "provider": "who treated",
    "vocabulary": "describes the vocabularies",
    "2b_vocabulary": "describes the vocabularies",
}


ANCESTORS = Table(
    "concept_ancestor",
    {
        "ancestor_concept_id": INTEGER,
        "descendant_concept_id": INTEGER,
        "min_levels_of_separation": INTEGER,
    },
    required=True,
    unused="names coarser concepts",
)


def concept_table(name: str) -> Table:
    """The declaration of a table of concepts."""
    return Table(
        name,
        {
            "concept_id": INTEGER,
            "concept_name": TEXT,
            "vocabulary_id": TEXT,
            "concept_code": TEXT,
        },
        key=("concept_id",),
        unused="names codes",
    )


def declared(how: Omop) -> Source:
    """The source, read in a way."""
    return Source(
        name="omop",
        tables=(
            PERSON,
            VISITS,
            WARDS,
            *(how.table(domain) for domain in DOMAINS),
            DEATHS,
            PERIODS,
            CARE_SITES,
            *(concept_table(name) for name in CONCEPTS),
            *((ANCESTORS,) if how.ancestors else ()),
        ),
        not_read=NOT_READ,
        dated_by_row=True,
        leaks=ON_PURPOSE if how.as_recorded else "",
        ways=read_so,
    )


def read_so(
    *, codes: str = CODES[0], dated_as_recorded: bool = False, ancestors: int = 0
) -> Source:
    """The source, read in a way.

    Args:
        codes: ``standard`` or ``source``: by which concept of a row it is coded first.
        dated_as_recorded: Date each row at its start, which leaks.
        ancestors: How many levels above its standard concept a row is coded.

    Raises:
        UnknownNameError: There are no such codes.
        SettingError: There are no such levels, or they are asked for of source concepts.
    """
    if codes not in CODES:
        raise unknown_name("kind of codes", codes, CODES)
    if ancestors < 0:
        raise SettingError(f"--ancestors must be at least 1 level, not {ancestors}")
    if ancestors and codes == "source":
        raise SettingError(
            "--ancestors counts levels above standard concepts: leave --codes source out"
        )
    return declared(Omop(codes == "source", dated_as_recorded, ancestors))


SOURCE = declared(Omop())
