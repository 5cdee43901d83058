"""The declaration of a source: its tables, their columns, and the facts that become events.

A declaration states, for each fact, the columns of its code, the column with the time at which it
was *known*, and the reason for that time. A person can read and correct it without reading an
engine.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import narwhals as nw
import pyarrow as pa
from pydantic import AfterValidator, Field

from sequela.datasets.catalog import DataSet, lookup
from sequela.formats.csv_files import PLAIN, Format
from sequela.tables.declared.expressions import expression, total

# A column in the template of a code; the word after ``|`` replaces a blank.
PLACEHOLDER = re.compile(r"\{(?P<column>\w+)(?:\|(?P<blank>[^}]*))?\}")

Frame: TypeAlias = nw.LazyFrame[Any]  # the rows of a table, in any engine
Frames = Mapping[str, Frame]
Prepare = Callable[[Frame, Frames], Frame]
Batches = Iterator[tuple[str, pa.RecordBatchReader | list[Path]]]


def _checked(text: str) -> str:
    expression(text)
    return text


def _alike(take: Mapping[str, str]) -> Mapping[str, str]:
    # A total makes one row of a key, in which a column of single rows has no one value.
    if len({total(text)[0] != "" for text in take.values()}) > 1:
        raise ValueError("either all columns are totals (min, max, count) or none")
    return take


# A union of both, since pydantic would turn 3 into 3.0 if only floats were allowed.
Bound = int | float  # a bound of a column: a whole number stays one, also in a message
Filled = Annotated[str, Field(min_length=1)]
Expression = Annotated[str, AfterValidator(_checked)]
if TYPE_CHECKING:
    Condition = str | nw.Expr
else:  # a file holds texts
    Condition = Expression
"""A condition on rows: an expression as in ``tables.toml``, or one of narwhals."""

FIRST_TIME = datetime(1700, 1, 1)
# The last supported time: MIMIC shifts births to 1800 and stays to 2210; nanoseconds go to April
# 2262.
LAST_TIME = datetime(2261, 12, 31, 23, 59, 59)


class Kind(StrEnum):
    """The kind of values in a column of a table."""

    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    TIME = "time"

    @property
    def words(self) -> str:
        """The values of this kind, in words."""
        return {
            Kind.INTEGER: "a whole number of at most 64 bits",
            Kind.NUMBER: "a number, not above 3.4e38",
            Kind.TEXT: "text",
            Kind.TIME: "a time of 1700 to 2261 as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS",
        }[self]


@dataclass(frozen=True)
class Fact:
    """A kind of event in the rows of a table.

    Attributes:
        what: The fact in words, for the documentation.
        code: Template of the code: ``ICD9CM//{icd9_code}``. A row whose column is blank gives no
            such event; ``{column|WORD}`` replaces a blank by WORD.
        time: Column with the time at which the fact was known, or in a file an expression; ``None``
            for a static fact.
        known: That time in words, for the documentation.
        why: The reason for that time, for the documentation.
        value: Column with the number, or in a file an expression, if the fact is a measurement.
        where: Rows with the fact, besides those whose columns are filled; all by default.
        static_where_blank: A blank time makes the event static instead of none.
    """

    what: str
    code: Filled
    time: Expression | None
    known: str
    why: str
    value: Expression | None = None
    where: Condition | None = None
    static_where_blank: bool = False

    def needs(self) -> tuple[str, ...]:
        """Return the columns that must not be blank for a row to give this event."""
        # A column with a word for its blanks is never missing, so only the others are needed.
        parts = [m["column"] for m in PLACEHOLDER.finditer(self.code) if m["blank"] is None]
        timed = [self.time] if self.time and not self.static_where_blank else []
        return tuple(dict.fromkeys([*parts, *timed]))

    def computed(self) -> list[str]:
        """Return the time and the value, where they are expressions and not columns."""
        # The name of a column is an identifier; everything else is an expression to compute.
        return [text for text in (self.time, self.value) if text and not text.isidentifier()]


@dataclass(frozen=True)
class Check:
    """A forbidden state of the rows.

    Attributes:
        problem: Description of the problem.
        where: The rows that have it.
        show: Column that identifies a row in the message; in a file, the key by default.
        remedy: What to do about it.
        share: Share of the rows that published data are known to have; more than this is an error.
        among: The rows of which it is a share; all by default.
    """

    problem: Filled
    where: Condition
    show: str = ""
    remedy: str = "correct the rows, or the declaration"
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    among: Condition | None = None


MOST_BLANK = 0.5  # the share of the rows in which a column that is never blank may be so


def never_blank(*columns: str, show: str) -> tuple[Check, ...]:
    """Forbid blanks in columns; where most are blank, another column was read under this name."""
    return tuple(
        Check(
            f"blank {column}",
            nw.col(column).is_null(),
            show,
            "fill it in, or check whether its name is above another column",
            MOST_BLANK,
        )
        for column in columns
    )


@dataclass(frozen=True)
class Join:
    """Columns taken from another table; they are blank where that is missing."""

    table: Filled
    on: Filled | dict[str, str]  # a column in both, or own column to theirs
    # New column to an expression over the other table's, or ``min``, ``max`` or ``count``.
    take: Annotated[Mapping[str, str], AfterValidator(_alike)]

    @property
    def pairs(self) -> dict[str, str]:
        """Own column to the matching column of the other table."""
        return {self.on: self.on} if isinstance(self.on, str) else self.on


@dataclass(frozen=True)
class Table:
    """One table of a hospital, published or not.

    The attributes from ``file`` on are steps of a declaration in a file, which make ``prepare``.

    Attributes:
        name: As published, with its folder where there is one (``hosp/admissions``). Files are
            found in either case, as ``.csv`` or ``.csv.gz``.
        columns: Column to kind, lower case; others are not read.
        key: Columns that identify a row.
        required: Whether the source cannot be built without it.
        optional: Columns that may be absent; they are blank then.
        prepare: Joins and derived columns; without it the rows are used as read. Its result has
            ``subject_id``, and ``visit_id`` where the table has the stay.
        aside: Reason to condition, in order: rows that give no event. Rows that give none because a
            column is blank get the reason ``blank COLUMN``.
        notes: Name to condition: rows that a rule changed, counted in the log.
        checks: Forbidden states.
        ranges: Column to its least and greatest allowed number.
        usual: Reasons to set rows aside that are normal in published data.
        describes: Template of codes to the column with their descriptions; ``LAB//{itemid}`` also
            describes ``LAB//50801//mmHg``. It fills ``metadata/codes.parquet`` and drops no event.
        unused: The purpose of a table without facts: the reason that its rows give no event.
        file: Its file or table of a database, without ending; its name in the declaration by
            default.
        subject: Column of the subject.
        visit: Column of the stay.
        in_a_stay: Whether a row that names no stay gives no event.
        derived: New columns, in order, as expressions over earlier ones.
        never_blank: Columns that must be filled in most rows.
    """

    name: str
    columns: Annotated[Mapping[str, Kind], Field(min_length=1)]
    facts: tuple[Fact, ...] = ()
    key: tuple[str, ...] = ()
    required: bool = False
    optional: frozenset[str] = frozenset()
    prepare: Prepare | None = None
    aside: Mapping[str, Condition] = field(default_factory=dict)
    notes: Mapping[str, Condition] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    ranges: Mapping[str, tuple[Bound, Bound]] = field(default_factory=dict)
    usual: frozenset[str] = frozenset()
    describes: Mapping[str, str] = field(default_factory=dict)
    unused: str = "describes codes"
    file: Filled | None = None
    subject: str | None = None
    visit: str | None = None
    in_a_stay: bool = False
    joins: tuple[Join, ...] = ()
    derived: Mapping[str, Expression] = field(default_factory=dict)
    never_blank: tuple[str, ...] = ()
    format: Format = PLAIN

    @property
    def has_steps(self) -> bool:
        """True if its rows get columns besides those that are read."""
        return bool(self.facts or self.derived or self.joins)


@dataclass(frozen=True)
class People:
    """The table with one row a subject, and the column that identifies it."""

    table: Filled
    id: Filled


@dataclass(frozen=True)
class Stays:
    """The table with one row a hospital stay, or a stay in a unit."""

    table: Filled
    id: Filled  # column that identifies a stay
    subject: Filled  # column of its subject
    # Column of the hospital stay, as an integer, if this is a table of stays in a unit.
    visit: Filled | None = None
    # Column that each row of another table gets from its stay, in order, to an expression over the
    # columns of this one and over earlier ones, such as those of ``subject``.
    gives: Mapping[str, Expression] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One published data set of hospital events."""

    name: str  # as in the catalogue of data sets
    tables: tuple[Table, ...]
    stays_in_order: bool = True  # whether the order of one subject's stays is known
    # Function that reads tables which are not CSV files: root to pairs of a table and its batches
    # or Parquet files; ``None`` where that root holds CSV files after all.
    reads: Callable[[Path], Batches | None] | None = None
    # The same for data without outcomes, whose file may be missing.
    reads_unlabelled: Callable[[Path], Batches | None] | None = None
    # Columns that are blank, or absent, in data without outcomes.
    later: frozenset[str] = frozenset()
    # Published tables that are left out on purpose, with the reason.
    not_read: Mapping[str, str] = field(default_factory=dict)
    # Whether each row carries the time it became available, so that its family of codes need not.
    dated_by_row: bool = False
    # Function that returns the source read in another way, where there are several.
    with_options: "Callable[..., Source] | None" = None
    # Name to the function for what ``prepare`` of several tables reads under this name, computed
    # once, in order; ``None`` where its tables are absent.
    shared: Mapping[str, Callable[[Frames], Frame | None]] = field(default_factory=dict)
    title: str = ""  # name of the data on pages and cards, where it differs from the catalogue's
    notes: tuple[str, ...] = ()  # sentences on what is read and what is not

    @property
    def data_set(self) -> DataSet:
        """Its entry in the catalogue."""
        return lookup(self.name)


def without_outcomes(source: Source) -> Source:
    """Return the source for people without known outcomes: columns of these may be absent."""
    # A file without outcomes would fail the check that they are not blank.
    excused = {f"blank {column}" for column in source.later}
    tables = tuple(
        replace(
            table,
            optional=table.optional | (source.later & set(table.columns)),
            checks=tuple(check for check in table.checks if check.problem not in excused),
        )
        for table in source.tables
    )
    return replace(source, tables=tables, reads=source.reads_unlabelled or source.reads)


def filled(template: str) -> nw.Expr:
    """Fill a template such as ``ICD9CM//{icd9_code}``; null where a column of it is blank."""
    pieces: list[nw.Expr] = []
    end = 0
    for match in PLACEHOLDER.finditer(template):
        if literal := template[end : match.start()]:
            pieces.append(nw.lit(literal))
        column = nw.col(match["column"]).cast(nw.String)
        blank = match["blank"]
        # ``concat_str`` is null if one part is null, so a blank column gives no code.
        pieces.append(column if blank is None else nw.coalesce(column, nw.lit(blank)))
        end = match.end()
    if literal := template[end:]:
        pieces.append(nw.lit(literal))
    return pieces[0] if len(pieces) == 1 else nw.concat_str(pieces)
