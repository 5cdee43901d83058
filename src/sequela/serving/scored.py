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
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequela.disclosure.disclosure import INTERNAL
from sequela.errors import DataError, SettingError
from sequela.evaluation.predictions import CLASSES_KEY, HORIZONS_KEY
from sequela.files import require_file, scratch_beside, whole, writing
from sequela.sequences.intervals import Intervals
from sequela.serving.drift import Drift
from sequela.serving.known import Known
from sequela.serving.served import ServedModel

LISTED = ".listed.csv"
_FORMULA = r"^([=@\t\r]|[+-](?:[\d.]*[^\d.]|$))"
"""A text that a spreadsheet would run as a formula; -5 is a number."""
HEADER = ("what", "id", "group", "subject", "place", "reason")
NOT_SCORED, KNOWN = "not scored", "known"
_ROWS = 1 << 14
"""Number of rows that are written at once."""


def seen_in_words(model: ServedModel, *, names: bool = True, of: str = "") -> str:
    """Return the reason why an example is known, as part of a sentence."""
    same_time, how = model.facts.takes.same_time, "content or name" if names else "content"
    return f"in the training or validation set{of}, by {how}{same_time}"


def listed_path(out: Path) -> Path:
    """Return the path of the list: ``predictions.listed.csv`` for ``predictions.parquet``."""
    return out.with_name(out.stem + LISTED)


def require_outputs(out: Path, inputs: Sequence[Path | None]) -> None:
    """Make sure, before any work, that both files can be written."""
    for each in (out, listed_path(out)):
        require_file(each, ".parquet", ".csv")
        if any(given and given.exists() and given.resolve() == each.resolve() for given in inputs):
            raise SettingError(f"--out {out}: would replace the input {each}: name another file")


class _Csv(pacsv.CSVWriter):  # type: ignore[misc]
    """A table as text, whose columns of probabilities have the names of the classes."""

    def __init__(self, out: Path, schema: pa.Schema) -> None:
        classes = json.loads(schema.metadata[CLASSES_KEY])
        probabilities = {f"p_{number}": f"p_{name}" for number, name in enumerate(classes)}
        self.columns = [probabilities.get(name, name) for name in schema.names]
        named = [field.with_name(name) for field, name in zip(schema, self.columns, strict=True)]
        super().__init__(out, pa.schema(named))

    def write_table(self, table: pa.Table) -> None:
        for place, column in enumerate(table.schema):
            if pa.types.is_string(column.type):
                safe = pc.replace_substring_regex(table[place], _FORMULA, r"'\1")
                table = table.set_column(place, column, safe)
        super().write_table(table.rename_columns(self.columns))


def over_time(intervals: Intervals | None, probabilities: NDArray[Any]) -> dict[str, pa.Array]:
    """Return columns (example,) of times to an event: risks, and the quartiles of the time.

    ``risk_365`` is the probability of the event by day 365 (``rival_risk_365`` that of a competing
    event), and ``days_50`` the day by which it comes with a probability of 50 %; null if that is
    beyond the last horizon.
    """
    if intervals is None:
        return {}
    found: dict[str, pa.Array] = {}
    for cause, name in enumerate(("risk", "rival_risk")[: intervals.causes], 1):
        risks = intervals.risk(probabilities, cause).T.astype(np.float32)
        days = [f"{name}_{day:g}" for day in intervals.horizons]
        found |= dict(zip(days, map(pa.array, risks), strict=True))
    for percent in (25, 50, 75):
        day = intervals.quantile(probabilities, percent / 100).astype(np.float32)
        found[f"days_{percent}"] = pa.array(day, mask=np.isinf(day))
    return found


def table_file(partial: Path, schema: pa.Schema, out: Path) -> Any:
    """Open a table that will be named ``out``: csv if the name ends so, else Parquet."""
    if out.suffix.lower() == ".csv":
        return _Csv(partial, schema)
    return pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True)


@dataclass
class Scored:
    """The predictions of a model for new data: the table and the list while they are made.

    Attributes:
        examples: Number of scored examples.
        unscored: Number of other examples by reason.
        seen: Groups of the training or validation set.
        checked: Groups that would have been recognised by their content.
        unchecked: Number of written examples that could not be recognised.
    """

    model: ServedModel
    known: Known
    out: Path
    work: Path
    examples: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)
    unchecked: int = 0

    def __post_init__(self) -> None:
        self.drift, self._own = Drift(self.model.facts), self.model.facts.takes.columns
        names = ("id", "group", "subject", "split", *self._own)
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
        self._list.writerow(HEADER)

    @classmethod
    @contextmanager
    def open(cls, model: ServedModel, known: Known, out: Path) -> Iterator[Self]:
        """Open a table and a list, which are deleted unless :meth:`write` is called."""
        with writing(out), scratch_beside(out) as work:
            scored = cls(model, known, out, work)
            with scored._open:
                yield scored

    def score(
        self,
        inputs: Mapping[str, NDArray[Any]],
        ids: Sequence[str],
        groups: Sequence[str],
        subjects: Sequence[str | None],
        recordings: Sequence[str] = (),
    ) -> None:
        """Predict for examples, and for segments name their recordings."""
        probabilities = self.model.probabilities(inputs, ids)
        nothing = pa.nulls(len(ids), pa.int64())
        columns = [pa.array(each, pa.string()) for each in (ids, groups, subjects)]
        split = pa.array(["held_out"] * len(ids), pa.string())
        said = [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
        said += over_time(self._intervals, probabilities).values()
        of = [pa.array(recordings, pa.string())] * len(self._own)
        batch = pa.record_batch([*columns, split, *of, nothing, *said], schema=self.schema)
        self._rows.append(batch)
        self.examples += len(ids)
        if sum(batch.num_rows for batch in self._rows) >= _ROWS:
            self._flush()
        self.drift.say(probabilities)

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_batches(self._rows).combine_chunks())
            self._rows = []

    def refuse(
        self, reason: str, *, id_: str = "", group: str = "", subject: str = "", place: str = ""
    ) -> None:
        """List an example that cannot be scored."""
        self.unscored[reason] += 1
        self._list_row(NOT_SCORED, id_, group, subject, place, reason)

    def _list_row(self, *cells: str) -> None:
        self._list.writerow([re.sub(_FORMULA, r"'\1", cell) for cell in cells])

    def recognise(self, groups: Iterable[str], checked: Iterable[str] = ()) -> None:
        """Mark groups of the model's training or validation set, and those that were compared."""
        self.seen.update(groups)
        self.checked.update(checked)

    def write(self, report: Mapping[str, Any]) -> int:
        """Write table and list, completely or not at all, and count the known examples."""
        if not self.examples:
            reasons = "; ".join(f"{n:,}: {why}" for why, n in self.unscored.most_common(3))
            raise DataError(
                f"nothing could be scored ({reasons or 'there is no example'}): nothing is "
                "written; check the data"
            )
        self._flush()
        self._table.close()
        schema, known = self.schema.with_metadata(self._metadata(report)), 0
        seen, checked = (pa.array(sorted(s), pa.string()) for s in (self.seen, self.checked))
        with whole(self.out) as partial, whole(listed_path(self.out)) as listed:
            with pq.ParquetFile(self._path) as file, table_file(partial, schema, self.out) as final:
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number).cast(schema)
                    which = pc.is_in(table["group"], seen)
                    known += self._list_known(table.filter(which))
                    split = pc.if_else(which, "train", "held_out")
                    if not self.known.named:
                        which = pc.or_(which, pc.is_in(table["group"], checked))
                        split = pc.if_else(which, split, pa.scalar(None, pa.string()))
                        self.unchecked += split.null_count
                    place = schema.get_field_index("split")
                    final.write_table(table.set_column(place, schema.field(place), split))
            self._file.flush()
            shutil.copyfile(self._list_path, listed)
        return known

    def _metadata(self, report: Mapping[str, Any]) -> dict[bytes, bytes]:
        timed = self._intervals is not None
        return {
            CLASSES_KEY: json.dumps(self.model.classes, ensure_ascii=False).encode(),
            **({HORIZONS_KEY: json.dumps(self.model.facts.horizons).encode()} if timed else {}),
            b"sequela.internal": INTERNAL.encode(),
            b"sequela.model": json.dumps(self.model.facts.run.sha256).encode(),
            b"sequela.report": json.dumps(report).encode(),
        }

    def _list_known(self, table: pa.Table) -> int:
        """List the examples of a table, all known, and return their number."""
        why = seen_in_words(self.model, names=self.known.named is not None)
        for row in table.select(["id", "group", "subject"]).to_pylist():
            self._list_row(KNOWN, row["id"], row["group"], row["subject"] or "", "", why)
        return int(table.num_rows)


def write_mean(tables: Sequence[Path], out: Path) -> int:
    """Write the mean of tables of the same examples, and one list; count the known examples."""
    read = [pq.read_table(each) for each in tables]
    first = read[0]
    if any(not each["id"].equals(first["id"]) for each in read):
        raise DataError(
            "the models of the folds score different examples, so their probabilities have no "
            "mean: predict with one of them"
        )
    metadata = first.schema.metadata
    classes = range(len(json.loads(metadata[CLASSES_KEY])))
    horizons = tuple(json.loads(metadata.get(HORIZONS_KEY, b"[]")))
    intervals = Intervals(horizons, (len(classes) - 1) // len(horizons)) if horizons else None
    for place, name in enumerate(first.column_names):
        if name.startswith("p_"):
            mean = np.mean([each[name].to_numpy() for each in read], axis=0, dtype=np.float64)
            first = first.set_column(place, first.field(place), pa.array(mean.astype(np.float32)))
    for name, column in over_time(
        intervals, np.stack([first[f"p_{k}"] for k in classes], 1)
    ).items():
        place = first.column_names.index(name)
        first = first.set_column(place, first.field(place), column)
    seen = np.any([each["split"].to_numpy() == "train" for each in read], axis=0)
    place = first.column_names.index("split")
    sure = np.all([table["split"].is_valid() for table in read], axis=0)
    split = pa.array(np.where(seen, "train", "held_out"), pa.string(), mask=~(seen | sure))
    first = first.set_column(place, first.field(place), split)
    lines = dict.fromkeys(
        line
        for each in tables
        for line in listed_path(each).read_text("utf-8").splitlines(keepends=True)
    )
    with writing(out), whole(out) as table, whole(listed_path(out)) as listed:
        with table_file(table, first.schema, out) as final:
            final.write_table(first)
        listed.write_text("".join(lines), encoding="utf-8")
    return int(seen.sum())
