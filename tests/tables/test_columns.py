"""Arrow columns as NumPy arrays and back, against pyarrow's own conversions."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from sequela.datasets.catalog import EXCERPTS
from sequela.formats.columns import column_of, nulls_of, text_column_of, values_of

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "bool": (pa.bool_(), st.booleans()),
    "time": (pa.timestamp("us"), st.integers(-(2**50), 2**50)),
}


@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_there_and_back(data: st.DataObject, name: str) -> None:
    kind, element = KINDS[name]
    lists = data.draw(st.lists(st.lists(st.none() | element, max_size=20), max_size=3))
    column = pa.chunked_array(lists, kind)
    if data.draw(st.booleans()):
        first = data.draw(st.integers(0, len(column)))
        column = column.combine_chunks().slice(first)  # it begins inside its buffers
    nulls = nulls_of(column)
    assert nulls.tolist() == [value is None for value in column.to_pylist()]
    values = values_of(column)
    assert values.dtype == kind.to_pandas_dtype()
    given = column.drop_null().cast(pa.int64()) if name == "time" else column.drop_null()
    known = values[~nulls]
    assert (known.view(np.int64) if name == "time" else known).tolist() == given.to_pylist()
    back = column_of(values.copy(), nulls)
    assert back.type == kind
    assert back.to_pylist() == column.to_pylist()
    assert column_of(values[~nulls]).to_pylist() == column.drop_null().to_pylist()


@given(st.lists(st.none() | st.text(), max_size=20))
def test_text(texts: list[str | None]) -> None:
    column = text_column_of(texts)
    assert column.to_pylist() == texts
    column.validate(full=True)
    assert column.null_count == texts.count(None)


PATH = """
import sys
from pathlib import Path
import numpy as np
from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import report_2019
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

root, out = Path(sys.argv[1]), Path(sys.argv[2])
build(source_of("mimic3"), root, out / "events", tables=["DIAGNOSES_ICD"])
cohort = select_cohort(open_events(out / "events"), report_2019())
from sequela.sequences.build import build_sequences
from sequela.tables.meds_events import read_splits
splits = read_splits(out / "events")
part = [splits[subject] for subject in cohort.labels["subject_id"].to_pylist()]
build_sequences(cohort, np.array(part), out / "sequences")
heavy = ("pandas", "polars", "pyspark", "scipy", "sklearn", "torch")
print([name for name in heavy if name in sys.modules])
"""


def test_the_path_to_sequences_loads_nothing_heavy(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PATH, str(EXCERPTS / "mimic3"), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
    assert np.load(tmp_path / "sequences/codes.npy").size > 0
