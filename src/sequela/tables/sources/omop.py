"""The OMOP Common Data Model 5.3 and 5.4: its tables, and the times facts were known.

OMOP records when something *started*. When it was *known* follows from the type of the row, which
states its origin (``omop_types.toml``): a billed code is known when the visit has ended, although
the table dates it at the visit's start. The model: https://ohdsi.github.io/CommonDataModel/.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import narwhals as nw

from sequela.errors import unknown_name
from sequela.tables.declarations import (
    Condition,
    Fact,
    Frame,
    Frames,
    Source,
    Table,
    never_blank,
)
from sequela.tables.sources.omop_rows import (
    CONCEPTS,
    LIMIT_OF,
    SHARED,
    named,
    one_of,
    with_concept,
    with_own_time,
    with_person,
    with_values,
    with_visit,
)
from sequela.tables.sources.omop_tables import (
    CARE_SITES,
    DEATHS,
    NOT_READ,
    OF_A_VISIT,
    PERIODS,
    PERSON,
    VISITS,
    WARDS,
    columns_of,
    concept_table,
    implausible,
)

TYPES = tomllib.loads(Path(__file__).with_name("omop_types.toml").read_text("utf-8"))
"""The type concepts of a record: number to name, of billing and in the course of care."""
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
"""The rules that date and code rows, counted in the log of a build."""


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
    end, start, says = nw.col("visit_end"), nw.col("own"), nw.col("says")
    later = nw.when(end > start).then(end).otherwise(start)
    time = nw.when(says.is_in([OWN, GIVEN])).then(start).otherwise(later)
    unended = (says == BILLED) & end.is_null() & ~nw.col("visit_person").is_null()
    return rows.with_columns(known=time, unended=unended)


def _coded(rows: Frame, frames: Frames, domain: Domain, *, source_codes: bool) -> Frame:
    """Add ``code``, its ``words``, and ``coded``: the fallback that was used, if any."""
    name = domain.name
    rows = with_concept(rows, frames, f"{name}_concept_id", "standard")
    rows = with_concept(rows, frames, f"{name}_source_concept_id", "source")
    order = ("source", "standard") if source_codes else ("standard", "source")
    first, second = (nw.col(f"{concept}_code") for concept in order)
    value = nw.concat_str([nw.lit(f"{name.upper()}//"), nw.col(f"{name}_source_value")])
    number = nw.col(f"{name}_concept_id")
    by_id = nw.concat_str([nw.lit("OMOP//"), number.cast(nw.String())])
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
        listed, rest = {BILLED: listed[BILLED]}, GIVEN
    return rows.with_columns(says=nw.coalesce(one_of(listed), nw.lit(rest)))


def read_so(*, codes: str = CODES[0]) -> Source:
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
        ways=read_so,
        shared=SHARED,
    )


SOURCE = read_so()
