"""The table of predictions for new examples, and the list of exceptions.

The table has the columns of ``predictions.parquet``. Labels are null. ``split`` is ``train`` for
recordings or patients of the model's training or validation set, else ``held_out``.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequela.errors import DataError, SettingError
from sequela.evaluation.disclosure import INTERNAL
from sequela.evaluation.predictions import CLASSES_KEY
from sequela.files import require_file, scratch_beside, whole, writing

LISTED = ".listed.csv"
HEADER = ("what", "id", "group", "subject", "place", "reason")
NOT_SCORED, KNOWN = "not scored", "known"
_ROWS = 1 << 14
"""Number of rows that are written at once."""


def seen_in_words(*, signal: bool, of: str = "") -> str:
    """Return the reason why an example is known, as part of a sentence."""
    same_time = ", or recorded at the same time" * signal
    return f"in the training or validation set{of}, by content or name{same_time}"


def listed_path(out: Path) -> Path:
    """Return the path of the list: ``predictions.listed.csv`` for ``predictions.parquet``."""
    return out.with_name(out.stem + LISTED)


def require_outputs(out: Path, inputs: Sequence[Path | None]) -> None:
    """Make sure, before any work, that both files can be written.

    Raises:
        SettingError: If one of them is an input.
        OutputError: If one of them is a folder.
    """
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
        super().write_table(table.rename_columns(self.columns))


def table_file(partial: Path, schema: pa.Schema, out: Path) -> Any:
    """Open a table that will be named ``out``: csv if the name ends so, else Parquet."""
    if out.suffix.lower() == ".csv":
        return _Csv(partial, schema)
    return pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True)


@dataclass
class Scored:
    """The table and the list during prediction.

    Attributes:
        work: Folder for unfinished files.
        classes: Names of the classes.
        signal: Whether examples are segments of recordings.
    """

    work: Path
    classes: Sequence[str]
    signal: bool = False
    examples: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        names = ("id", "group", "subject", "split", *("recording",) * self.signal)
        fields = [(name, pa.string()) for name in names]
        answers = [(f"p_{k}", pa.float32()) for k in range(len(self.classes))]
        self.schema = pa.schema([*fields, ("label", pa.int64()), *answers])
        self._rows: list[pa.RecordBatch] = []
        self._open = ExitStack()
        self._table = self._open.enter_context(pq.ParquetWriter(self._path, self.schema))
        self._file = self._open.enter_context(
            self._list_path.open("w", encoding="utf-8", newline="")
        )
        self._list = csv.writer(self._file, lineterminator="\n")
        self._list.writerow(HEADER)

    @property
    def _path(self) -> Path:
        return self.work / "scored.parquet"

    @property
    def _list_path(self) -> Path:
        return self.work / "listed.csv"

    def add(
        self,
        ids: Sequence[str],
        groups: Sequence[str],
        subjects: Sequence[str | None],
        probabilities: NDArray[np.float32],
        recordings: Sequence[str] = (),
    ) -> None:
        """Add predictions, float32 (example, class), and for segments their recordings."""
        nothing = pa.nulls(len(ids), pa.int64())
        columns = [pa.array(each, pa.string()) for each in (ids, groups, subjects)]
        split = pa.array(["held_out"] * len(ids), pa.string())
        said = [pa.array(np.ascontiguousarray(column)) for column in probabilities.T]
        of = [pa.array(recordings, pa.string())] * self.signal
        batch = pa.record_batch([*columns, split, *of, nothing, *said], schema=self.schema)
        self._rows.append(batch)
        self.examples += len(ids)
        if sum(batch.num_rows for batch in self._rows) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_batches(self._rows).combine_chunks())
            self._rows = []

    def refuse(
        self, reason: str, *, id_: str = "", group: str = "", subject: str = "", place: str = ""
    ) -> None:
        """List an example that cannot be scored.

        Args:
            reason: The reason, as part of a sentence.
            id_: The id of the example, if it has one.
            group: Its recording or subject.
            subject: Its subject.
            place: Its place in the data.
        """
        self.unscored[reason] += 1
        self._list.writerow((NOT_SCORED, id_, group, subject, place, reason))

    def recognise(self, groups: Iterable[str]) -> None:
        """Mark groups of the model's training or validation set."""
        self.seen.update(groups)

    def finish(self, partial: Path, about: Mapping[str, Any], out: Path) -> int:
        """Write the table with marked groups; :meth:`keep` writes the list.

        Args:
            partial: The file.
            about: Its metadata by key.
            out: The later name of the file.

        Returns:
            The number of examples in the training or validation set.
        """
        self._flush()
        self._table.close()
        metadata = {
            CLASSES_KEY: json.dumps(list(self.classes), ensure_ascii=False).encode(),
            b"sequela.internal": INTERNAL.encode(),
            **{f"sequela.{key}".encode(): json.dumps(each).encode() for key, each in about.items()},
        }
        schema, seen, known = self.schema.with_metadata(metadata), pa.array([*self.seen]), 0
        with pq.ParquetFile(self._path) as file, table_file(partial, schema, out) as final:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number).cast(schema)
                known += self._mark(table, seen, final)
        self._open.close()
        return known

    def _mark(self, table: pa.Table, seen: pa.Array, final: Any) -> int:
        """Write some rows; rows of known groups are marked and listed."""
        import pyarrow.compute as pc

        which = pc.is_in(table["group"], seen.cast(pa.string()))
        place = table.column_names.index("split")
        split = pc.if_else(which, "train", "held_out")
        final.write_table(table.set_column(place, table.schema.field(place), split))
        rows = table.filter(which).select(["id", "group", "subject"]).to_pylist()
        for row in rows:
            why = seen_in_words(signal=self.signal)
            self._list.writerow((KNOWN, row["id"], row["group"], row["subject"] or "", "", why))
        return len(rows)

    def keep(self, out: Path) -> None:
        """Copy the list to its final place."""
        shutil.copyfile(self._list_path, out)


def write_mean(tables: Sequence[Path], out: Path) -> int:
    """Write the mean of tables of the same examples, and one list of all exceptions.

    Returns:
        The number of examples in the training or validation set of any model.

    Raises:
        DataError: If the tables have different examples.
    """
    read = [pq.read_table(each) for each in tables]
    first = read[0]
    if any(not each["id"].equals(first["id"]) for each in read):
        raise DataError(
            "the models of the folds score different examples, so their probabilities have no "
            "mean: predict with one of them"
        )
    for place, name in enumerate(first.column_names):
        if name.startswith("p_"):
            mean = np.mean([each[name].to_numpy() for each in read], axis=0, dtype=np.float64)
            first = first.set_column(place, first.field(place), pa.array(mean.astype(np.float32)))
    seen = np.any([each["split"].to_numpy() == "train" for each in read], axis=0)
    place = first.column_names.index("split")
    split = pa.array(np.where(seen, "train", "held_out"), pa.string())
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


@contextmanager
def scoring(out: Path, classes: Sequence[str], *, signal: bool) -> Iterator[Scored]:
    """Open a table and a list, which are deleted unless :func:`write` is called."""
    with writing(out), scratch_beside(out) as work:
        scored = Scored(work, classes, signal)
        try:
            yield scored
        finally:
            scored._open.close()  # noqa: SLF001 - its own


def write(scored: Scored, out: Path, about: Mapping[str, Any]) -> int:
    """Write table and list, completely or not at all.

    Returns:
        The number of examples in the training or validation set.

    Raises:
        DataError: If nothing could be scored.
    """
    if not scored.examples:
        reasons = "; ".join(f"{n:,}: {why}" for why, n in scored.unscored.most_common(3))
        raise DataError(
            f"nothing could be scored ({reasons or 'there is no example'}): nothing is written; "
            "check the data"
        )
    with whole(out) as table, whole(listed_path(out)) as listed:
        known = scored.finish(table, about, out)
        scored.keep(listed)
    return known
