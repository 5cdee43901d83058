"""The OMOP Common Data Model 5.3 and 5.4: its tables, and the times facts were known.

OMOP records when something *started*. When it was *known* follows from the type of the row, which
states its origin (``omop_types.toml``): a billed code is known when the visit has ended, although
the table dates it at the visit's start. The model: https://ohdsi.github.io/CommonDataModel/.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import narwhals as nw

from sequela.datasets import codes
from sequela.errors import SettingError, unknown_name
from sequela.tables.account import LEAKS
from sequela.tables.declarations import (
    Condition,
    Fact,
    Frame,
    Frames,
    Prepare,
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
    with_ancestor,
    with_concept,
    with_own_time,
    with_person,
    with_values,
    with_visit,
)
from sequela.tables.sources.omop_tables import (
    ANCESTORS,
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
COARSER = "coded by an ancestor of the standard concept, at the requested number of levels above it"
BY_ID = "coded by the number of the concept: no source value, and no such row in concept"
EARLY = f"{LEAKS}whose type is billing, claim or discharge are dated before the end of their visit"
EARLIEST = f"{LEAKS}of these carry the very moment of their visit's start"
ON_PURPOSE = (
    "--dated-as-recorded: each row is dated at its start, so what was billed after the discharge "
    "is known on arrival"
)
NO_END = "its type is billing, and its visit has no end: when it was known is not recorded"


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


@dataclass(frozen=True)
class Omop:
    """The options for reading the tables."""

    source_codes: bool = False  # code by source concept (``ICD10CM``) before standard (``SNOMED``)
    as_recorded: bool = False  # date each row at its start, which leaks
    ancestors: int = 0  # levels above the standard concept that codes a row

    def table(self, domain: Domain) -> Table:
        """Declare a table of clinical events."""
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
        return Table(
            domain.table,
            columns,
            self._facts(domain),
            key=(f"{domain.table}_id",),
            optional=frozenset(columns) - needed,
            prepare=self._prepared(domain),
            aside={**OF_A_VISIT, **implausible("own"), NO_END: "unended"},
            notes=self._notes(domain),
            checks=never_blank("person_id", f"{start}_date", show="person_id"),
            describes={"{code}": "words"},
        )

    def _facts(self, domain: Domain) -> tuple[Fact, ...]:
        when, why = domain.known, domain.why
        if self.as_recorded:
            when, why = "at its start", "as the table dates it, which leaks"
        if not domain.values:
            return (Fact(domain.what, "{code}", "known", when, why),)
        return (
            Fact(f"{domain.what} with a number", "{code}//{unit|UNKNOWN}{limit|}", "known",
                 when, why, value="value_as_number", where="value_as_number is not None"),
            Fact(domain.what, "{code_and_value}", "known", when, why,
                 where="value_as_number is None"),
        )  # fmt: skip

    def _notes(self, domain: Domain) -> Mapping[str, Condition]:
        arrived = "own == visit_start"
        if self.as_recorded:
            dated = {EARLY: "early", EARLIEST: f"early and {arrived}"}
        else:
            dated = {
                BY_VISIT_END: f"says == '{BILLED}' and visit_end is not None",
                ALONE: f"says == '{BILLED}' and visit_occurrence_id is None",
                BY_OWN_TIME: f"says == '{OWN}'",
                BY_KIND: f"says == '{GIVEN}'",
                AT_ARRIVAL: f"says == '{OWN}' and {arrived}",
                BY_LATER: f"says == '{NOTHING}'",
                ONLY_DATES: "not clock",
                TIMED: "clock",
            }
        notes = dated | {
            way: f"coded == '{way}'" for way in (BY_SOURCE, BY_STANDARD, BY_VALUE, BY_ID)
        }
        if self.ancestors:
            notes[COARSER] = "coarser"
        if domain.values:
            notes[LIMITS] = "limit is not None"
        return notes

    def _prepared(self, domain: Domain) -> Prepare:
        def prepare(frame: Frame, frames: Frames) -> Frame:
            rows = with_visit(with_person(frame, frames), frames)
            rows = with_own_time(rows, domain.start, late=True)
            rows = self._dated(with_type(rows, domain), domain)
            return self._coded(rows, frames, domain)

        return prepare

    def _dated(self, rows: Frame, domain: Domain) -> Frame:
        """Add ``known``, and a note for the log."""
        end, start = nw.col("visit_end"), nw.col("own")
        billed = nw.col("says") == BILLED
        if self.as_recorded:
            start = nw.coalesce(f"{domain.start}_datetime", f"{domain.start}_date")
            early = billed & (nw.coalesce(start < end, nw.lit(value=False)))
            return rows.with_columns(own=start).with_columns(
                known=nw.col("own"), early=early, unended=nw.lit(value=False)
            )
        later = nw.when(end > start).then(end).otherwise(start)
        time = nw.when(nw.col("says").is_in([OWN, GIVEN])).then(start).otherwise(later)
        unended = billed & end.is_null() & ~nw.col("visit_person").is_null()
        return rows.with_columns(known=time, unended=unended)

    def _coded(self, rows: Frame, frames: Frames, domain: Domain) -> Frame:
        """Add ``code``, its ``words``, and ``coded``: the fallback that was used, if any."""
        name = domain.name
        standard = f"{name}_concept_id"
        if self.ancestors:
            rows, standard = with_ancestor(rows, frames, standard, self.ancestors), "ancestor"
        rows = with_concept(rows, frames, standard, "standard")
        rows = with_concept(rows, frames, f"{name}_source_concept_id", "source")
        order = ("source", "standard") if self.source_codes else ("standard", "source")
        first, second = (nw.col(f"{concept}_code") for concept in order)
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
        words = nw.coalesce(*(f"{concept}_words" for concept in order))
        rows = rows.with_columns(code=code, coded=coded, words=words)
        if domain.values:
            rows = with_values(rows, frames)
            limit: nw.Expr = nw.lit(None, nw.String())
            if domain.has_limits:
                limit = named("operator_concept_id", LIMIT_OF)
            rows = rows.with_columns(
                limit=nw.when(~nw.col("value_as_number").is_null()).then(limit)
            )
        if self.as_recorded:
            marked = nw.concat_str([nw.lit(codes.BILLED_CODE + "//"), nw.col("code")])
            rows = rows.with_columns(
                code=nw.when(nw.col("says") == BILLED).then(marked).otherwise(nw.col("code"))
            )
        return rows


def with_type(rows: Frame, domain: Domain) -> Frame:
    """Add the meaning of the type as ``says``."""
    column = nw.col(f"{domain.name}_type_concept_id")
    listed = {origin: column.is_in([*map(int, types)]) for origin, types in TYPES.items()}
    rest = NOTHING
    if not domain.by_type:
        listed, rest = {BILLED: listed[BILLED]}, GIVEN
    return rows.with_columns(says=nw.coalesce(one_of(listed), nw.lit(rest)))


def declared(how: Omop) -> Source:
    """Return the source, read in a given way."""
    events = (how.table(domain) for domain in DOMAINS)
    concepts = (*map(concept_table, CONCEPTS), *((ANCESTORS,) if how.ancestors else ()))
    return Source(
        name="omop",
        tables=(PERSON, VISITS, WARDS, *events, DEATHS, PERIODS, CARE_SITES, *concepts),
        not_read=NOT_READ,
        dated_by_row=True,
        leaks=ON_PURPOSE if how.as_recorded else "",
        ways=read_so,
        shared=SHARED,
    )


def read_so(
    *, codes: str = CODES[0], dated_as_recorded: bool = False, ancestors: int = 0
) -> Source:
    """Return the source, read in a given way.

    Args:
        codes: ``standard`` or ``source``: the concept of a row that codes it first.
        dated_as_recorded: Date each row at its start, which leaks.
        ancestors: Number of levels above its standard concept at which a row is coded.
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
