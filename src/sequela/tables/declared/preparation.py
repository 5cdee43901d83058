"""The preparation of a declared table: its rows get columns from other tables, and derived ones."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import narwhals as nw

from sequela.tables.declarations import Frame, Frames, Join, Kind, Prepare, Stays, Table
from sequela.tables.declared.declaration import Declaration
from sequela.tables.declared.expressions import columns_in, expression, total, totalled

# The name of the rows that are joined to those of other tables, computed once in a build.
STAYS = "stays with what they give"
STAY_ID = "id of a stay"  # the column of these rows on which they are joined


def given_stays(declared: Declaration, stays: Stays, frames: Frames) -> Frame:
    """Return the columns that rows of other tables get from their stay."""
    rows = frames[declared.file_of(stays.table)]
    columns = {STAY_ID: nw.col(stays.id), "stay_subject": nw.col(stays.subject)}
    if stays.visit is not None:
        columns["visit_id"] = nw.col(stays.visit)
    extended = _extended(rows, stays.gives.items()).select(*stays.gives, **columns)
    # The events need integers, so ids of text are numbered.
    if stays.visit is None and declared.kind_of(stays) is Kind.TEXT:
        numbers = _numbers(rows, stays.id, STAY_ID, "visit_id")
        return extended.join(numbers, on=STAY_ID, how="left")
    return extended


@dataclass(frozen=True)
class Preparation:
    """A ``declarations.Prepare`` for the rows of a table: it adds columns from other tables."""

    declared: Declaration
    table: Table

    def __call__(self, frame: Frame, frames: Frames) -> Frame:
        """Return the rows after all steps."""
        # Joins come first, so that computed columns may read what they bring.
        for _, join in self._joins():
            frame = join(frame, frames)
        return _extended(frame, ((column, text) for _, column, text in self._computed()))

    def steps(self) -> Iterator[tuple[str, Prepare]]:
        """Yield keys in the declaration, and their steps, in order."""
        yield from self._joins()
        for key, column, text in self._computed():
            yield key, partial(_with_column, column=column, text=text)

    def _joins(self) -> Iterator[tuple[str, Prepare]]:
        yield "visit", self._with_stay
        yield "subject", self._with_subject
        for join in self.table.joins:
            yield f"joins ({join.table})", partial(self._joined, join=join)

    def _computed(self) -> Iterator[tuple[str, str, str]]:
        """Yield key, name and expression of each column that is computed from others."""
        for column, text in self.table.derived.items():
            yield f"derived.{column}", column, text
        for fact in self.table.facts:
            for text in fact.computed():
                yield f"facts ({fact.code})", text, text

    def _with_stay(self, frame: Frame, frames: Frames) -> Frame:
        """Add ``visit_id``, ``stay_subject`` and the columns from the stay."""
        stays, key = self.declared.stays, self.declared.visit_of(self.table)
        if key is None:
            return frame
        if stays is None:
            return frame.with_columns(visit_id=nw.col(key))
        # In a build these columns are computed once; a check of kinds has only empty tables.
        columns = frames[STAYS] if STAYS in frames else given_stays(self.declared, stays, frames)
        frame = frame.join(columns.rename({STAY_ID: key}), on=key, how="left")
        if stays.visit is not None or self.declared.kind_of(stays) is Kind.TEXT:
            return frame
        return frame.with_columns(visit_id=nw.col(key))

    def _with_subject(self, frame: Frame, frames: Frames) -> Frame:
        """Add ``subject_id``, and ``known_subject``, null for an unknown subject."""
        people = self.declared.people
        subject = self.declared.subject_of(self.table) or "stay_subject"
        if people is None:
            return frame.with_columns(subject_id=nw.col(subject))
        rows = frames[self.declared.file_of(people.table)]
        if self.declared.kind_of(people) is Kind.INTEGER:
            # A left join keeps rows about unknown people, with a null, for the log.
            ids = rows.select(nw.col(people.id).alias(subject), known_subject=people.id)
            frame = frame.join(ids, on=subject, how="left")
            return frame.with_columns(subject_id=nw.col(subject))
        ids = _numbers(rows, people.id, subject, "known_subject")
        frame = frame.join(ids, on=subject, how="left")
        return frame.with_columns(subject_id=nw.col("known_subject"))

    def _joined(self, frame: Frame, frames: Frames, *, join: Join) -> Frame:
        source = frames.get(self.declared.file_of(join.table))
        if source is None:  # a table that need not be there
            return frame.with_columns(**dict.fromkeys(join.take, nw.lit(None)))
        totals = {column: total(text) for column, text in join.take.items()}
        keys = [nw.col(theirs).alias(key) for key, theirs in join.pairs.items()]
        # ``count()`` has no argument: a column of ones takes its place in the group.
        values = {
            column: nw.lit(1) if value is None else value for column, (_, value) in totals.items()
        }
        # The expressions are computed first, and totalled under the names of the new columns.
        rows = source.select(*keys, **values)
        # A total has one row for each key, so the join cannot multiply the rows of the table.
        if any(name for name, _ in totals.values()):
            groups = rows.group_by(*join.pairs)
            rows = groups.agg(
                **{column: totalled(name, column) for column, (name, _) in totals.items()}
            )
        return frame.join(rows, on=list(join.pairs), how="left")


def _with_column(frame: Frame, _: Frames, *, column: str, text: str) -> Frame:
    return _extended(frame, [(column, text)])


def _extended(frame: Frame, columns: Iterable[tuple[str, str]]) -> Frame:
    """Add columns by expressions over earlier ones.

    An engine binds the whole plan again at each step, so columns that do not read each other are
    added in one step.
    """
    added = dict[str, nw.Expr]()
    for column, text in columns:
        # A step computes its columns at once, so a column that reads one comes later.
        if columns_in(text) & added.keys():
            frame, added = frame.with_columns(**added), {}
        added[column] = expression(text)
    return frame.with_columns(**added) if added else frame


def _numbers(rows: Frame, column: str, key: str, number: str) -> Frame:
    """Assign each text of a column, as ``key``, its place in sorted order, counted from 1."""
    # The place in sorted order is the same on each engine and in each build of the same ids.
    ids = rows.select(nw.col(column).alias(key)).filter(~nw.col(key).is_null()).unique()
    counted = ids.with_row_index(number, order_by=key)
    return counted.with_columns((nw.col(number).cast(nw.Int64()) + 1).alias(number))
