"""Columns of Arrow tables as NumPy arrays, and back.

pyarrow's own conversions import pandas wherever it is installed, which takes longer than reading a
small hospital's tables.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
Column: TypeAlias = pa.Array | pa.ChunkedArray


def values_of(column: Column) -> NDArray[Any]:
    """Return the numbers, times (as ``datetime64[us]``) or truth values of a column, read-only.

    Where the column is null, the array is undefined: see :func:`nulls_of`.

    Example:
        >>> values_of(pa.chunked_array([[1, 2], [3]]))
        array([1, 2, 3])
    """
    array = _one(column)
    data = array.buffers()[1]
    if pa.types.is_boolean(array.type):
        return _bits(data, array)
    kind = _kind(array.type)
    # A slice shares the buffer of its column, and its offset counts values, not bytes.
    return np.frombuffer(data or b"", kind, len(array), array.offset * kind.itemsize)


def _kind(kind: pa.DataType) -> np.dtype[np.generic]:
    """Return NumPy's type; older pyarrow imports pandas for this."""
    if pa.types.is_timestamp(kind):
        return np.dtype(f"datetime64[{kind.unit}]")
    return np.dtype(_FLOATS.get(str(kind), str(kind)))


def nulls_of(column: Column) -> NDArray[np.bool_]:
    """Return where a column is null.

    Example:
        >>> nulls_of(pa.array([1, None, 3]))
        array([False,  True, False])
    """
    array = _one(column)
    if not array.null_count:
        return np.zeros(len(array), np.bool_)
    return ~_bits(array.buffers()[0], array)


def column_of(values: NDArray[Any], nulls: NDArray[np.bool_] | None = None) -> pa.Array:
    """Make a column of numbers, times or truth values.

    Args:
        values: (row,).
        nulls: (row,), true where the column will be null; nowhere by default.

    Example:
        >>> column_of(np.array([True, False, True]), np.array([False, False, True])).to_pylist()
        [True, False, None]
    """
    valid = None if nulls is None else pa.py_buffer(np.packbits(~nulls, bitorder="little"))
    if values.dtype == np.bool_:
        kind, data = pa.bool_(), np.packbits(values, bitorder="little")
    else:
        kind, data = pa.from_numpy_dtype(values.dtype), np.ascontiguousarray(values)
    data = data.view(np.uint8)  # datetime64 does not expose a buffer
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(data)])


def text_column_of(texts: Sequence[str | None]) -> pa.StringArray:
    """Make a column of text.

    Example:
        >>> text_column_of(["a", None, "bc"]).to_pylist()
        ['a', None, 'bc']
    """
    # Arrow's column of text is a buffer of bytes, and the position at which each text ends.
    written = [b"" if text is None else text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, written)]).astype(np.int32)
    filled = np.array([text is not None for text in texts], np.bool_)
    valid = np.packbits(filled, bitorder="little")
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(ends), pa.py_buffer(b"".join(written)), pa.py_buffer(valid)
    )


def _one(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _bits(data: pa.Buffer, array: pa.Array) -> NDArray[np.bool_]:
    packed = np.frombuffer(data, np.uint8)
    # A slice may begin within a byte, so the bits before it are unpacked as well.
    end = array.offset + len(array)
    return np.unpackbits(packed, count=end, bitorder="little")[array.offset :].view(np.bool_)
