"""The rows of a declared table, with the columns from other tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import narwhals as nw

from sequela.tables.declarations import Frames, Join, Kind, Prepare, Table
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.expressions import expression, total, totalled

Frame = nw.LazyFrame[Any]


@dataclass(frozen=True)
class Prepared:
    """A ``declarations.Prepare`` for the rows of a table: it adds columns from other tables."""

    declared: Declaration
    said: Table

    def __call__(self, frame: Frame, frames: Frames) -> Frame:
        """Return the rows after all steps."""
        for _, step in self.steps():
            frame = step(frame, frames)
        return frame

    def steps(self) -> Iterator[tuple[str, Prepare]]:
        """Yield keys in the declaration, and their steps, in order."""
        yield "visit", self._with_stay
        yield "subject", self._with_subject
        for join in self.said.joins:
            yield f"joins ({join.table})", partial(self._joined, join=join)
        for column, text in self.said.derived.items():
            yield f"derived.{column}", partial(_computed, column=column, text=text)
        for fact in self.said.facts:
            for text in fact.computed():
                yield f"facts ({fact.code})", partial(_computed, column=text, text=text)

    def _with_stay(self, frame: Frame, frames: Frames) -> Frame:
        """Add ``visit_id``, ``stay_subject`` and the columns from the stay."""
        stays, visit = self.declared.stays, self.declared.visit_of(self.said)
        if visit is None:
            return frame
        if stays is None:
            return frame.with_columns(visit_id=nw.col(visit))
        rows = frames[self.declared.file_of(stays.table)]
        given = {column: expression(text) for column, text in stays.gives.items()}
        found = rows.select(nw.col(stays.id).alias(visit), stay_subject=stays.subject, **given)
        frame = frame.join(found, on=visit, how="left")
        if self.declared.kind_of(stays) is Kind.INTEGER:
            return frame.with_columns(visit_id=nw.col(visit))
        return frame.join(_numbers(rows, stays.id, visit, "visit_id"), on=visit, how="left")

    def _with_subject(self, frame: Frame, frames: Frames) -> Frame:
        """Add ``subject_id``, and ``known_subject``, null for an unknown subject."""
        people = self.declared.people
        subject = self.declared.subject_of(self.said) or "stay_subject"
        if people is None:
            return frame.with_columns(subject_id=nw.col(subject))
        rows = frames[self.declared.file_of(people.table)]
        if self.declared.kind_of(people) is Kind.INTEGER:
            known = rows.select(nw.col(people.id).alias(subject), known_subject=people.id)
            frame = frame.join(known, on=subject, how="left")
            return frame.with_columns(subject_id=nw.col(subject))
        known = _numbers(rows, people.id, subject, "known_subject")
        frame = frame.join(known, on=subject, how="left")
        return frame.with_columns(subject_id=nw.col("known_subject"))

    def _joined(self, frame: Frame, frames: Frames, *, join: Join) -> Frame:
        other = frames.get(self.declared.file_of(join.table))
        if other is None:
            return frame.with_columns(**dict.fromkeys(join.take, nw.lit(None)))
        taken = {column: total(text) for column, text in join.take.items()}
        keys = [nw.col(theirs).alias(own) for own, theirs in join.pairs.items()]
        made = {c: of if of is not None else nw.lit(1) for c, (_, of) in taken.items()}
        found = other.select(*keys, **made)
        if any(name for name, _ in taken.values()):
            totals = {column: totalled(name, column) for column, (name, _) in taken.items()}
            found = found.group_by(*join.pairs).agg(**totals)
        return frame.join(found, on=list(join.pairs), how="left")


def _computed(frame: Frame, _: Frames, *, column: str, text: str) -> Frame:
    return frame.with_columns(expression(text).alias(column))


def _numbers(rows: Frame, column: str, named: str, number: str) -> Frame:
    """Assign each text of a column its place in sorted order, counted from 1."""
    ids = rows.select(nw.col(column).alias(named)).filter(~nw.col(named).is_null()).unique()
    counted = ids.with_row_index(number, order_by=named)
    return counted.with_columns((nw.col(number).cast(nw.Int64()) + 1).alias(number))
