"""Rows of one table: checked, turned into events, or set aside with a reason."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import Any

import narwhals as nw

from sequela.errors import DataError, form_of
from sequela.formats.csv_files import line_of
from sequela.tables.account import TableAccount
from sequela.tables.declarations import (
    FIRST_TIME,
    LAST_TIME,
    Check,
    Condition,
    Fact,
    Frame,
    Kind,
    Source,
    Table,
    filled,
)
from sequela.tables.declared.expressions import MOST_NUMBER, expression
from sequela.tables.engine import Engine
from sequela.tables.tables import Tables

BOUNDS = {Kind.TIME: (FIRST_TIME, LAST_TIME), Kind.NUMBER: (-MOST_NUMBER, MOST_NUMBER)}

# The names of columns that are added to those of a hospital have a space, which theirs have not.
_REASON = "reason to set aside"
_CODE = "described code"
_WORDS = "words of the code"
NO_FACT = "holds none of the declared facts"
# The share of a table's rows that may be set aside for reasons that are not usual.
MOST_ASIDE = 0.05
FEW_FACTS = 2  # the joins of a table with more facts are done once and kept, not once for each fact


@dataclass(frozen=True)
class TableRows:
    """The rows of one table, ready to become events."""

    table: Table
    place: str
    file: Path | None
    read: Frame
    frame: Frame
    rows_read: int

    def survey(self) -> tuple[TableAccount, dict[str, str]]:
        """Count the rows, not yet their events, and collect descriptions of codes, in one pass."""
        if self.table.key:
            self._check_key()
        # All counts come from one query, grouped by the reason: each pass reads and joins again.
        groups = self._groups()
        for number, check in enumerate(self.table.checks):
            among = "rows" if check.among is None else f"among {number}"
            broken = sum(group[f"check {number}"] for group in groups)
            rows = sum(group[among] for group in groups)
            if broken > check.share * rows:
                raise self._broken(check, broken, rows)
        reasons: Counter[str | None] = Counter()
        for group in groups:
            reasons[group[_REASON]] += group["rows"]
        used = reasons.pop(None, 0)
        aside = {str(reason): n for reason, n in sorted(reasons.items(), key=str)}
        totals = {
            name: sum(group[f"note {number}"] for group in groups)
            for number, name in enumerate(self.table.notes)
        }
        notes = {name: n for name, n in totals.items() if n}
        # A join on a key that occurs twice multiplies rows, which the sum of all reasons shows.
        joined = used + sum(aside.values())
        if joined != self.rows_read:
            raise DataError(
                f"{self.place}: joined to another table, its {self.rows_read:,} rows become "
                f"{joined:,}: a key is in that table more than once; expected it once: take "
                "min(...), max(...) or count() of its columns, or remove the copies"
            )
        counts = TableAccount(self.table.name, self.place, self.rows_read, used, aside, 0, 0, notes)
        return counts, self._words(groups)

    def _groups(self) -> list[dict[str, Any]]:
        """Count rows, also with each note and check, by code and reason to be set aside."""
        described = dict[str, nw.Expr]()
        for template, column in self._described():
            described = {_CODE: filled(template), _WORDS: nw.col(column)}
        counted: dict[str, Condition] = {
            f"note {i}": where for i, where in enumerate(self.table.notes.values())
        }
        for i, check in enumerate(self.table.checks):
            counted[f"check {i}"] = check.where
            if check.among is not None:
                counted[f"among {i}"] = check.among
        frame = self.frame.with_columns(**{_REASON: self._reason(), **described})
        groups = frame.group_by(_REASON, *described).agg(rows=nw.len(), **_sums(counted))
        rows = groups.collect("pyarrow").to_native().to_pylist()
        numbers = ("rows", *counted)  # sums come as decimals
        return [{**row, **{name: int(row[name]) for name in numbers}} for row in rows]

    def _described(self) -> list[tuple[str, str]]:
        """Return templates and columns of the codes that the joined rows describe: one, or none."""
        columns = self.table.columns
        pairs = [
            (code, words) for code, words in self.table.describes.items() if words not in columns
        ]
        return pairs if len(pairs) == 1 else []

    def events(self, number: int) -> Iterator[Frame]:
        """Yield the events of each fact: MEDS columns, ``visit_id`` and the ``table`` number."""
        # A condition with a blank column is undecided, and such a row is not set aside.
        used = _where(self.frame, [~holds(where) for where in self.table.aside.values()])
        blank_time = nw.lit(None, nw.Datetime("us"))
        for fact in self.table.facts:
            value = nw.col(fact.value) if fact.value else nw.lit(None, nw.Float64())
            yield _where(used, conditions_of(fact)).select(
                subject_id="subject_id",
                time=nw.col(fact.time) if fact.time else blank_time,
                code=filled(fact.code),
                numeric_value=value.cast(nw.Float32()),  # the type of MEDS 0.4
                visit_id="visit_id",
                table=nw.lit(number, nw.Int32()),
            )

    def _reason(self) -> nw.Expr:
        """Return the reason that a row is set aside; null for a row that is used."""
        # Built from the inside out: the last condition that is added is tested first.
        reason = nw.lit(NO_FACT if self.table.facts else self.table.unused)
        # A column that each fact needs explains why its row gives no event; one that only some
        # facts need does not.
        shared = [set(fact.needs()) for fact in self.table.facts]
        needed = set.intersection(*shared) if shared else set()
        for column in sorted(needed, reverse=True):
            blank = nw.col(column).is_null()
            reason = nw.when(blank).then(nw.lit(f"blank {column}")).otherwise(reason)
        if self.table.facts:
            used = reduce(or_, map(gives_event, self.table.facts))
            reason = nw.when(used).then(nw.lit(None, nw.String())).otherwise(reason)
        for name, where in reversed(list(self.table.aside.items())):
            reason = nw.when(holds(where)).then(nw.lit(name)).otherwise(reason)
        return reason

    def _words(self, groups: list[dict[str, Any]]) -> dict[str, str]:
        """Return codes with their description, from a table that describes codes."""
        words: dict[str, str] = {}
        surveyed = self._described()
        for template, column in self.table.describes.items():
            described = groups
            if (template, column) not in surveyed:
                rows = self.read if column in self.table.columns else self.frame
                codes = rows.select(**{_CODE: filled(template), _WORDS: nw.col(column)}).unique()
                described = codes.collect("pyarrow").to_native().to_pylist()
            pairs = {(row[_CODE], row[_WORDS]) for row in described}
            # Sorted, so that each engine picks the same words for a code that has several.
            for code, text in sorted(pair for pair in pairs if None not in pair):
                words.setdefault(code, text)
        return words

    def check_share(self, counts: TableAccount, allowed: Collection[str]) -> None:
        """Check that few rows were set aside: otherwise the columns are probably wrong."""
        # Few published rows are set aside for unusual reasons; many mean a wrong column.
        table = self.table
        usual = {*table.usual, NO_FACT}
        reasons = {why: rows for why, rows in counts.set_aside.items() if why not in usual}
        aside = sum(reasons.values())
        if not table.facts or table.name.lower() in allowed or aside <= MOST_ASIDE * counts.rows:
            return
        why = max(reasons, key=reasons.__getitem__)
        raise DataError(
            f"{self.place}: {aside:,} of {counts.rows:,} rows would be set aside, most of them "
            f"since {why}; expected at most {MOST_ASIDE:.0%}: see whether columns are named right "
            "and all tables are of one release, or run with --allow-set-aside "
            f"{table.name}"
        )

    def _check_key(self) -> None:
        # A repeated key would multiply the rows of each table that is joined on it.
        groups = self.read.group_by(*self.table.key).agg(copies=nw.len())
        twice = groups.filter(nw.col("copies") > 1).sort(*self.table.key).head(1)
        for row in twice.collect("pyarrow").to_native().to_pylist():
            copies = row.pop("copies")
            key = " and ".join(row)
            raise DataError(
                f"{self.place}: {copies} rows have the same {key}{self._first(row)}; "
                "expected one: remove the copies, or fetch the table again"
            )

    def _broken(self, check: Check, rows: int, total: int) -> DataError:
        first = self.frame.filter(expression(check.where)).select(nw.col(check.show).min())
        value = first.collect("pyarrow").to_native()[check.show][0].as_py()
        allowed = (
            f"expected at most {check.share:.1%} of the rows" if check.share else "expected none"
        )
        among = self._first({check.show: value}, f"the {check.show} of one is first on ")
        return DataError(
            f"{self.place}: {check.problem} in {rows} of {total} rows{among}; {allowed}: "
            f"{check.remedy}"
        )

    def _first(self, row: Mapping[str, object], words: str = "the first is ") -> str:
        """Name in brackets the line of the file with the first of these values, if it is there."""
        line = line_of(self.file, row, self.table.format)
        return f" ({words}line {line})" if line else ""


def prepared(source: Source, tables: Tables, engine: Engine) -> list[TableRows]:
    """Return the rows of each table, joined to those of the others."""
    declared = [table for table in source.tables if table.name in tables.frames]
    # Ranges are checked before joins, so that expressions only meet numbers in range.
    counts = [_check_ranges(table, tables) for table in declared]
    frames = dict(tables.frames)
    for name, compute in source.shared.items():
        if (shared := compute(frames)) is not None:
            frames[name] = engine.keep(shared, name)
    rows = []
    for table, count in zip(declared, counts, strict=True):
        read = frames[table.name]
        frame = table.prepare(read, frames) if table.prepare else read
        if "visit_id" not in frame.collect_schema().names():
            # The events of all tables are concatenated, so each table needs this column.
            frame = frame.with_columns(visit_id=nw.lit(None, nw.Int64()))
        if table.prepare and len(table.facts) > FEW_FACTS:
            frame = engine.keep(frame, f"prepared {table.name}")
        place, file = tables.places[table.name], tables.files.get(table.name)
        rows.append(TableRows(table, place, file, read, frame, count))
    return rows


def _check_ranges(table: Table, tables: Tables) -> int:
    """Check the bounds of the columns, and return the number of rows."""
    rows, file, ranges = (
        tables.frames[table.name],
        tables.files.get(table.name),
        out_of_range(table),
    )
    # One query counts all columns, since each pass reads the whole table.
    outside = _sums({f"outside {column}": where for column, (where, _) in ranges.items()})
    (counts,) = rows.select(rows=nw.len(), **outside).collect("pyarrow").to_native().to_pylist()
    for column, (where, expected) in ranges.items():
        if not counts[f"outside {column}"]:
            continue
        first = rows.filter(where).select(nw.col(column).cast(nw.String())).head(1)
        value = first.collect("pyarrow").to_native()[column][0].as_py()
        line = line_of(file, {column: value}, table.format)
        at = f", line {line}" if line else ""
        raise DataError(
            f"{file or tables.places[table.name]}{at}: column '{column}' holds a value of the form "
            f"{form_of(value)}; expected {expected}: correct it, leave it blank, or fetch the "
            "table again"
        )
    return int(counts["rows"])


def out_of_range(table: Table) -> dict[str, tuple[nw.Expr, str]]:
    """Return for each column with bounds the rows outside of them, and the bounds in words."""
    kinds = {name: BOUNDS[kind] for name, kind in table.columns.items() if kind in BOUNDS}
    bounds: dict[str, tuple[object, object]] = {**kinds, **table.ranges}
    return {
        c: ((nw.col(c) < least) | (nw.col(c) > most), f"{least} to {most}")
        for c, (least, most) in bounds.items()
    }


def _where(rows: Frame, conditions: Collection[nw.Expr]) -> Frame:
    return rows.filter(*conditions) if conditions else rows


def _sums(conditions: Mapping[str, Condition]) -> dict[str, nw.Expr]:
    return {
        name: nw.when(expression(where)).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
        for name, where in conditions.items()
    }


def gives_event(fact: Fact) -> nw.Expr:
    """Return the condition of a row that gives an event of a fact, false where undecided."""
    return reduce(and_, conditions_of(fact) or [nw.lit(value=True)])


def conditions_of(fact: Fact) -> list[nw.Expr]:
    """Return the conditions of a row that gives an event of a fact, false where undecided."""
    conditions = [~nw.col(column).is_null() for column in fact.needs()]  # always decided
    return conditions if fact.where is None else [*conditions, holds(fact.where)]


def holds(condition: Condition) -> nw.Expr:
    """Return the condition, false where it cannot be decided because a column is blank."""
    # SQL has three truth values: a filter and its negation both drop unknown rows.
    return nw.coalesce(expression(condition), nw.lit(value=False))
