"""Rows of one table: checked, turned into events, or set aside with a reason."""

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

import narwhals as nw

from sequela.errors import DataError
from sequela.sources.declarations import Check, Fact, Frames, Table, filled
from sequela.sources.engine import Engine

Frame = nw.LazyFrame[Any]

FEW_FACTS = 2  # the joins of a table with more are done once and kept, not once for each fact


@dataclass(frozen=True)
class RowCounts:
    """What becomes of the rows of a table: see ``TableAccount``."""

    read: int
    used: int
    set_aside: dict[str, int]
    notes: dict[str, int]


@dataclass(frozen=True)
class TableRows:
    """The rows of one table, ready to become events.

    Attributes:
        table: The declaration.
        place: Where it was read.
        read: The rows as read.
        frame: The rows with joined and derived columns.
    """

    table: Table
    place: str
    read: Frame
    frame: Frame

    @classmethod
    def of(cls, table: Table, place: str, frames: Frames, engine: Engine) -> "TableRows":
        """The rows of ``table``, joined to those of the others in ``frames``."""
        read = frames[table.name]
        frame = table.prepare(read, frames) if table.prepare else read
        if "visit_id" not in frame.collect_schema().names():
            frame = frame.with_columns(visit_id=nw.lit(None, nw.Int64()))
        if table.prepare and len(table.facts) > FEW_FACTS:
            frame = engine.keep(frame, f"prepared {table.name}")
        return cls(table, place, read, frame)

    def check(self) -> None:
        """See that the key is unique and that nothing is there that must not be.

        Raises:
            DataError: A row breaks a rule of the table.
        """
        if self.table.key:
            self._check_key()
        checks = self.table.checks
        if not checks:
            return
        found = self._count({str(i): check.where for i, check in enumerate(checks)})
        for i, check in enumerate(checks):
            if found[str(i)] > check.share * found["rows"]:
                raise self._broken(check, found[str(i)], found["rows"])

    def events(self, fact: Fact, number: int) -> Frame:
        """The events of one fact: MEDS columns, ``visit_id``, and ``table`` with ``number``."""
        kept = [~holds(where) for where in self.table.aside.values()]
        conditions = [*kept, *(holds(condition) for condition in fact.conditions())]
        chosen = self.frame.filter(*conditions) if conditions else self.frame
        blank_time = nw.lit(None, nw.Datetime("us"))
        value = nw.col(fact.value) if fact.value else nw.lit(None, nw.Float64())
        return chosen.select(
            subject_id="subject_id",
            time=nw.col(fact.time) if fact.time else blank_time,
            code=fact.code_expression(),
            numeric_value=value.cast(nw.Float32()),
            visit_id="visit_id",
            table=nw.lit(number, nw.Int32()),
        )

    def counts(self) -> RowCounts:
        """What becomes of the rows."""
        table = self.read.select(rows=nw.len()).collect("pyarrow").to_native()
        reasons = self.reasons()
        used = reasons.pop(None, 0)
        aside = {str(reason): n for reason, n in sorted(reasons.items(), key=str)}
        return RowCounts(int(table["rows"][0].as_py()), used, aside, self.notes())

    def reasons(self) -> dict[str | None, int]:
        """Reason to the number of rows set aside; ``None`` to the number of rows used."""
        other = "holds none of the declared facts" if self.table.facts else self.table.unused
        reason = nw.lit(other)
        shared = [set(fact.needs()) for fact in self.table.facts]
        needed = set.intersection(*shared) if shared else set()
        for column in sorted(needed, reverse=True):
            blank = nw.col(column).is_null()
            reason = nw.when(blank).then(nw.lit(f"blank {column}")).otherwise(reason)
        for fact in self.table.facts:
            conditions = [holds(condition) for condition in fact.conditions()]
            gives = reduce(and_, conditions, nw.lit(value=True))
            reason = nw.when(gives).then(nw.lit(None, nw.String())).otherwise(reason)
        for name, where in reversed(list(self.table.aside.items())):
            reason = nw.when(holds(where)).then(nw.lit(name)).otherwise(reason)
        counts = self.frame.with_columns(reason=reason).group_by("reason").agg(rows=nw.len())
        found = counts.collect("pyarrow").to_native().to_pylist()
        return {row["reason"]: row["rows"] for row in found}

    def notes(self) -> dict[str, int]:
        """Rule to the number of rows that it changed, where there are any."""
        if not self.table.notes:
            return {}
        found = self._count(dict(self.table.notes))
        return {name: found[name] for name in self.table.notes if found[name]}

    def words(self) -> dict[str, str]:
        """Code to its description, from a table that describes codes."""
        words: dict[str, str] = {}
        for template, column in self.table.describes.items():
            pairs = self.read.select(code=filled(template), words=nw.col(column)).unique()
            named = pairs.filter(~nw.col("code").is_null(), ~nw.col("words").is_null())
            for row in named.sort("code", "words").collect("pyarrow").to_native().to_pylist():
                words.setdefault(row["code"], row["words"])
        return words

    def _count(self, conditions: dict[str, nw.Expr]) -> dict[str, int]:
        sums = [
            nw.when(where).then(nw.lit(1)).otherwise(nw.lit(0)).sum().alias(name)
            for name, where in conditions.items()
        ]
        table = self.frame.select(nw.len().alias("rows"), *sums).collect("pyarrow").to_native()
        return {name: int(value or 0) for name, value in table.to_pylist()[0].items()}

    def _check_key(self) -> None:
        groups = self.read.group_by(*self.table.key).agg(copies=nw.len())
        twice = groups.filter(nw.col("copies") > 1).sort(*self.table.key).head(1)
        for row in twice.collect("pyarrow").to_native().to_pylist():
            copies = row.pop("copies")
            key = ", ".join(f"{column} {value}" for column, value in row.items())
            raise DataError(
                f"{self.place}: {copies} rows have {key}; expected one: remove the copies, or "
                "fetch the table again"
            )

    def _broken(self, check: Check, rows: int, total: int) -> DataError:
        first = self.frame.filter(check.where).select(nw.col(check.show).min())
        value = first.collect("pyarrow").to_native()[check.show][0].as_py()
        allowed = (
            f"expected at most {check.share:.1%} of the rows" if check.share else "expected none"
        )
        return DataError(
            f"{self.place}: {check.problem} in {rows} of {total} rows ({check.show} {value}); "
            f"{allowed}: {check.remedy}"
        )


def holds(condition: nw.Expr) -> nw.Expr:
    """The condition, false where it cannot be decided because a column is blank."""
    return nw.coalesce(condition, nw.lit(value=False))
