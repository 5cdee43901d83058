"""The rows behind a picture, as a table and as a file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sequela.errors import SettingError
from sequela.files import whole

Rows = Sequence[Mapping[str, Any]]


def as_table(rows: Rows) -> pa.Table:
    """Make a table with each column that any row has, null where a row lacks it.

    Example:
        >>> as_table([{"epoch": 1}, {"epoch": 2, "loss": 0.5}]).to_pydict()
        {'epoch': [1, 2], 'loss': [None, 0.5]}
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def write(path: Path, forms: Mapping[str, Callable[[], bytes]], rows: Rows) -> Path:
    """Write a picture or its rows in the format of the suffix, completely or not at all.

    The suffix is one of ``forms``, whose functions return the content, or for the rows ``.csv`` or
    ``.parquet``.
    """
    suffix = path.suffix.lower()
    known = [*forms, ".csv", ".parquet"]
    if suffix not in known:
        what = f"'{suffix}'" if suffix else "no suffix"
        raise SettingError(
            f"a figure cannot be saved as '{path.name}': it has {what}, expected one of "
            f"{', '.join(known)}"
        )
    content = forms[suffix]() if suffix in forms else b""
    with whole(path) as partial:
        match suffix:
            case ".csv":
                pa_csv.write_csv(as_table(rows), partial)
            case ".parquet":
                pq.write_table(as_table(rows), partial)
            case _:
                partial.write_bytes(content)
    return path
