"""The table of predictions for new examples, and the list of exceptions.

The table has the columns of ``predictions.parquet``. Labels are null. ``split`` is ``train`` for
recordings or patients of the model's training or validation set, else ``held_out``.
"""

import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from sequela.disclosure import INTERNAL
from sequela.errors import DataError, SettingError
from sequela.evaluation.predictions import CLASSES_KEY, HORIZONS_KEY
from sequela.files import require_file, scratch_beside, whole, writing
from sequela.formats.arrays import Array
from sequela.models.reference import Arrays
from sequela.sequences.intervals import Intervals
from sequela.serving.drift import Drift
from sequela.serving.overlap import Overlap
from sequela.serving.served_model import ServedModel

_FORMULA = r"^([=@\t\r]|[+-](?:[\d.]*[^\d.]|$))"
"""A text that a spreadsheet would run as a formula; -5 is a number."""
_HEADER = ("what", "id", "group", "subject", "place", "reason")
_ROWS = 1 << 14  # number of rows that are written at once


def overlap_in_words(model: ServedModel, *, names: bool) -> str:
    """Return the reason why an example is listed as known, as part of a sentence."""
    how = "content or name" if names else "content"
    return f"in the training or validation set, by {how}{model.facts.takes.same_time}"


def listed_path(out: Path) -> Path:
    """Return the path of the list: ``predictions.listed.csv`` for ``predictions.parquet``."""
    return out.with_name(f"{out.stem}.listed.csv")


def require_outputs(out: Path, inputs: Sequence[Path | None]) -> None:
    """Make sure, before any work, that both files can be written."""
    for path in (out, listed_path(out)):
        require_file(path, ".parquet", ".csv")
        sources = [source.resolve() for source in inputs if source and source.exists()]
        # Resolved, as a link or another spelling may name the same file.
        if path.resolve() in sources:
            raise SettingError(f"--out {out}: would replace the input {path}: name another file")


class _Csv(pacsv.CSVWriter):  # type: ignore[misc]
    """A table as text, whose columns of probabilities have the names of the classes."""

    def __init__(self, out: Path, schema: pa.Schema) -> None:
        classes = json.loads(schema.metadata[CLASSES_KEY])
        probabilities = {f"p_{number}": f"p_{name}" for number, name in enumerate(classes)}
        self.columns = [probabilities.get(name, name) for name in schema.names]
        renamed = [field.with_name(name) for field, name in zip(schema, self.columns, strict=True)]
        super().__init__(out, pa.schema(renamed))

    def write_table(self, table: pa.Table) -> None:
        for place, column in enumerate(table.schema):
            if pa.types.is_string(column.type):
                safe = pc.replace_substring_regex(table[place], _FORMULA, r"'\1")
                table = table.set_column(place, column, safe)
        super().write_table(table.rename_columns(self.columns))


def over_time(intervals: Intervals | None, probabilities: Array) -> dict[str, pa.Array]:
    """Return columns (example,) of times to an event: risks, and the quartiles of the time.

    ``risk_365`` is the probability of the event by day 365 (``rival_risk_365`` that of a competing
    event), and ``days_50`` the day by which it comes with a probability of 50 %; null if that is
    beyond the last horizon.
    """
    if intervals is None:
        return {}
    columns: dict[str, pa.Array] = {}
    for cause, name in enumerate(("risk", "rival_risk")[: intervals.causes], 1):
        risks = intervals.risk(probabilities, cause).T.astype(np.float32)
        days = [f"{name}_{day:g}" for day in intervals.horizons]
        columns |= dict(zip(days, map(pa.array, risks), strict=True))
    for percent in (25, 50, 75):
        day = intervals.quantile(probabilities, percent / 100).astype(np.float32)
        columns[f"days_{percent}"] = pa.array(day, mask=np.isinf(day))
    return columns


def table_file(partial: Path, schema: pa.Schema, out: Path) -> pacsv.CSVWriter | pq.ParquetWriter:
    """Open a table that will be named ``out``: csv if the name ends so, else Parquet."""
    if out.suffix.lower() == ".csv":
        return _Csv(partial, schema)
    return pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True)


@dataclass
class PredictionTable:
    """The predictions of a model for new data: the table and the list while they are made.

    ``comparable`` are groups that would have been recognised by their content.
    """

    model: ServedModel
    overlap: Overlap
    out: Path
    work: Path
    examples: int = 0  # number of scored examples
    unscored: Counter[str] = field(default_factory=Counter)  # number of other examples by reason
    trained: set[str] = field(default_factory=set)  # groups of the training or validation set
    comparable: set[str] = field(default_factory=set)
    unchecked: int = 0  # number of written examples that could not be recognised

    def __post_init__(self) -> None:
        self.drift, self._columns = Drift(self.model.facts), self.model.facts.takes.columns
        names = ("id", "group", "subject", "split", *self._columns)
        fields = [(name, pa.string()) for name in names]
        answers = [(f"p_{k}", pa.float32()) for k in range(len(self.model.classes))]
        self._intervals = self.model.facts.intervals
        timed = over_time(self._intervals, np.empty((0, len(self.model.classes))))
        answers += [(name, pa.float32()) for name in timed]
        self.schema = pa.schema([*fields, ("label", pa.int64()), *answers])
        self._rows: list[pa.RecordBatch] = []
        self._path, self._list_path = self.work / "scored.parquet", self.work / "listed.csv"
        self._open = ExitStack()
        self._table = self._open.enter_context(pq.ParquetWriter(self._path, self.schema))
        self._file = self._open.enter_context(
            self._list_path.open("w", encoding="utf-8", newline="")
        )
        self._list = csv.writer(self._file, lineterminator="\n")
        self._list.writerow(_HEADER)

    @classmethod
    @contextmanager
    def open(cls, model: ServedModel, overlap: Overlap, out: Path) -> Iterator[Self]:
        """Open a table and a list, which are deleted unless :meth:`write` is called."""
        with writing(out), scratch_beside(out) as work:
            scored = cls(model, overlap, out, work)
            with scored._open:
                yield scored

    def score(
        self,
        inputs: Arrays,
        ids: Sequence[str],
        groups: Sequence[str],
        subjects: Sequence[str | None],
        recordings: Sequence[str] = (),
    ) -> None:
        """Predict for examples, and for segments name their recordings."""
        probabilities = self.model.probabilities(inputs, ids)
        nothing = pa.nulls(len(ids), pa.int64())  # labels
        columns = [pa.array(values, pa.string()) for values in (ids, groups, subjects)]
        columns.append(pa.repeat(pa.scalar("held_out", pa.string()), len(ids)))
        columns += [pa.array(recordings, pa.string()) for _ in self._columns]
        columns.append(nothing)
        columns += [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
        columns += over_time(self._intervals, probabilities).values()
        batch = pa.record_batch(columns, schema=self.schema)
        self._rows.append(batch)
        self.examples += len(ids)
        # Each batch as a row group of its own would make a large file.
        if sum(batch.num_rows for batch in self._rows) >= _ROWS:
            self._flush()
        self.drift.say(probabilities)

    def _flush(self) -> None:  # a row group a batch would make a large file
        if self._rows:
            self._table.write_table(pa.Table.from_batches(self._rows).combine_chunks())
            self._rows = []

    def refuse(
        self, reason: str, *, id_: str = "", group: str = "", subject: str = "", place: str = ""
    ) -> None:
        """List an example that cannot be scored."""
        self.unscored[reason] += 1
        self._list_row("not scored", id_, group, subject, place, reason)

    def _list_row(self, *cells: str) -> None:
        self._list.writerow([re.sub(_FORMULA, r"'\1", cell) for cell in cells])

    def recognise(self, groups: Iterable[str], comparable: Iterable[str] = ()) -> None:
        """Mark groups of the model's training or validation set, and those that were compared."""
        self.trained.update(groups)
        self.comparable.update(comparable)

    def write(self, report: Mapping[str, object]) -> int:
        """Write table and list, completely or not at all, and count the known examples."""
        if not self.examples:
            reasons = "; ".join(f"{n:,}: {why}" for why, n in self.unscored.most_common(3))
            raise DataError(
                f"nothing could be scored ({reasons or 'there is no example'}): nothing is "
                "written; check the data"
            )
        # A group may be recognised after some of its rows were written, so the column of the split
        # is filled in a second pass, a row group at a time.
        self._flush()
        self._table.close()
        schema, count = self.schema.with_metadata(self._metadata(report)), 0
        trained, comparable = (
            pa.array(sorted(groups), pa.string()) for groups in (self.trained, self.comparable)
        )
        with whole(self.out) as partial, whole(listed_path(self.out)) as listed:
            with pq.ParquetFile(self._path) as file, table_file(partial, schema, self.out) as final:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number).cast(schema)
                    is_trained = pc.is_in(table["group"], trained)
                    count += self._list_trained(table.filter(is_trained))
                    split = pc.if_else(is_trained, "train", "held_out")
                    # Without ids, a group that is too short to be recognised may be of the training
                    # set: its split is unknown, not held_out.
                    if not self.overlap.hash_of_ids:
                        is_compared = pc.is_in(table["group"], comparable)
                        is_certain = pc.or_(is_trained, is_compared)
                        split = pc.if_else(is_certain, split, pa.scalar(None, pa.string()))
                        self.unchecked += split.null_count
                    place = table.column_names.index("split")
                    final.write_table(table.set_column(place, schema.field(place), split))
            self._file.flush()
            shutil.copyfile(self._list_path, listed)
        return count

    def _metadata(self, report: Mapping[str, object]) -> dict[bytes, bytes]:
        classes = json.dumps(self.model.classes, ensure_ascii=False)
        metadata = {CLASSES_KEY: classes.encode()}
        if self._intervals is not None:
            metadata[HORIZONS_KEY] = json.dumps(self.model.facts.horizons).encode()
        return {
            **metadata,
            b"sequela.internal": INTERNAL.encode(),
            b"sequela.model": json.dumps(self.model.facts.run.sha256).encode(),
            b"sequela.report": json.dumps(report).encode(),
        }

    def _list_trained(self, table: pa.Table) -> int:
        reason = overlap_in_words(self.model, names=self.overlap.hash_of_ids is not None)
        for row in table.select(["id", "group", "subject"]).to_pylist():
            self._list_row("known", row["id"], row["group"], row["subject"] or "", "", reason)
        return int(table.num_rows)
