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
from typing import Any

import narwhals as nw
import pyarrow as pa

PLACEHOLDER = re.compile(r"\{(?P<column>\w+)(?:\|(?P<blank>[^}]*))?\}")

Frames = Mapping[str, nw.LazyFrame[Any]]
Prepare = Callable[[nw.LazyFrame[Any], Frames], nw.LazyFrame[Any]]
Batches = Iterator[tuple[str, pa.RecordBatchReader | list[Path]]]


FIRST_TIME = datetime(1700, 1, 1)
LAST_TIME = datetime(2261, 12, 31, 23, 59, 59)
"""The last supported time: MIMIC shifts births to 1800 and stays to 2210; nanoseconds go to April
2262."""
MOST_NUMBER = 3.4028234663852886e38
"""The largest float32, the type of the numbers of events."""


class Kind(StrEnum):
    """The kind of values in a column of a published table."""

    INTEGER = "a whole number of at most 64 bits"
    NUMBER = "a number, not above 3.4e38"
    TEXT = "text"
    TIME = "a time of 1700 to 2261 as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"


@dataclass(frozen=True)
class Fact:
    """A kind of event in the rows of a table.

    Attributes:
        what: The fact in words, for the documentation.
        code: Template of the code: ``ICD9CM//{icd9_code}``. A row whose column is blank gives no
            such event; ``{column|WORD}`` replaces a blank by WORD.
        time: Column with the time at which the fact was known; ``None`` for a static fact.
        known: That time in words, for the documentation.
        why: The reason for that time, for the documentation.
        value: Column with the number, if the fact is a measurement.
        where: Rows with the fact, besides those whose columns are filled; all by default.
        static_where_blank: A blank time makes the event static instead of none.
    """

    what: str
    code: str
    time: str | None
    known: str
    why: str
    value: str | None = None
    where: nw.Expr | None = None
    static_where_blank: bool = False

    def needs(self) -> tuple[str, ...]:
        """Return the columns that must not be blank for a row to give this event."""
        parts = [match["column"] for match in self._parts() if match["blank"] is None]
        timed = [self.time] if self.time and not self.static_where_blank else []
        return tuple(dict.fromkeys([*parts, *timed]))

    def conditions(self) -> list[nw.Expr]:
        """Return the conditions of a row that gives this event."""
        conditions = [~nw.col(column).is_null() for column in self.needs()]
        return conditions if self.where is None else [*conditions, self.where]

    def code_expression(self) -> nw.Expr:
        """Return the code of a row, as text."""
        return filled(self.code)

    def _parts(self) -> Iterator[re.Match[str]]:
        return PLACEHOLDER.finditer(self.code)


@dataclass(frozen=True)
class Check:
    """A forbidden state of the rows.

    Attributes:
        problem: Description of the problem.
        where: The rows that have it.
        show: Column that identifies a row in the message.
        share: Share of the rows that published data are known to have; more than this is an error.
        remedy: What to do about it.
        among: The rows of which it is a share; all by default.
    """

    problem: str
    where: nw.Expr
    show: str
    remedy: str
    share: float = 0.0
    among: nw.Expr | None = None


MOST_BLANK = 0.5  # share of the rows


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


def in_order(early: str, late: str, show: str, share: float) -> Check:
    """Require the order of two times of a row."""
    return Check(
        f"{late} before {early}",
        nw.col(late) < nw.col(early),
        show,
        f"correct the two, or check whether the names {early} and {late} were swapped",
        share,
    )


@dataclass(frozen=True)
class Table:
    """One published table.

    Attributes:
        name: As published, with its folder where there is one (``hosp/admissions``). Files are
            found in either case, as ``.csv`` or ``.csv.gz``.
        columns: Column to kind, lower case; others are not read.
        facts: The events of its rows.
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
    """

    name: str
    columns: Mapping[str, Kind]
    facts: tuple[Fact, ...] = ()
    key: tuple[str, ...] = ()
    required: bool = False
    optional: frozenset[str] = frozenset()
    prepare: Prepare | None = None
    aside: Mapping[str, nw.Expr] = field(default_factory=dict)
    notes: Mapping[str, nw.Expr] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    usual: frozenset[str] = frozenset()
    describes: Mapping[str, str] = field(default_factory=dict)
    unused: str = "describes codes"


@dataclass(frozen=True)
class Source:
    """One published data set of hospital events.

    Attributes:
        name: As in the catalogue of data sets.
        tables: The tables to read.
        stays_in_order: Whether the order of one subject's stays is known.
        reads: Function that reads tables which are not CSV files: root to pairs of a table and its
            batches or Parquet files; ``None`` where that root holds CSV files after all.
        reads_unlabelled: The same for data without outcomes, whose file may be missing.
        later: Columns that are blank, or absent, in data without outcomes.
        not_read: Published tables that are left out on purpose, with the reason.
        dated_by_row: Whether each row carries the time it became available, so that its family of
            codes need not.
        leaks: How the data leak the outcome, where the tables are read so on purpose.
        ways: Function that returns the source read in another way, where there are several.
        title: Name of the data on pages and cards, where it differs from the catalogue's.
    """

    name: str
    tables: tuple[Table, ...]
    stays_in_order: bool = True
    reads: Callable[[Path], Batches | None] | None = None
    reads_unlabelled: Callable[[Path], Batches | None] | None = None
    later: frozenset[str] = frozenset()
    not_read: Mapping[str, str] = field(default_factory=dict)
    dated_by_row: bool = False
    leaks: str = ""
    ways: "Callable[..., Source] | None" = None
    title: str = ""


def without_outcomes(source: Source) -> Source:
    """Return the source for people without known outcomes: columns of these may be absent."""
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
        pieces.append(column if blank is None else nw.coalesce(column, nw.lit(blank)))
        end = match.end()
    if literal := template[end:]:
        pieces.append(nw.lit(literal))
    return pieces[0] if len(pieces) == 1 else nw.concat_str(pieces)


def end_of_day(column: str) -> nw.Expr:
    """Return the last second of a date, by which a fact dated without a time is known."""
    return end_of(nw.col(column))


def end_of(day: nw.Expr) -> nw.Expr:
    """Return the last second of the days of an expression."""
    return day.dt.offset_by("1d").dt.offset_by("-1s")


def number_in(text: nw.Expr, decimal: str = ".") -> nw.Expr:
    """Read the number in a text, with an exponent or not; null where it is not a number.

    Args:
        text: Spaces around a number do not count.
        decimal: The decimal mark, ``.`` or ``,``; the other one is not part of a number.
    """
    mark = re.escape(decimal)
    form = rf"^\s*[+-]?([0-9]+({mark}[0-9]*)?|{mark}[0-9]+)([eE][+-]?[0-9]{{1,2}})?\s*$"
    plain = text.str.strip_chars().str.replace_all(decimal, ".", literal=True)
    number = nw.when(text.str.contains(form)).then(plain).cast(nw.Float64())
    return nw.when(number.abs() <= MOST_NUMBER).then(number)
