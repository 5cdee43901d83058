"""Sequences as tables for models without order: bags of codes, summaries of measurements."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sequela.datasets.codes import SEX
from sequela.listeners import broadcast
from sequela.sequences.flat import Sequences, spans
from sequela.sequences.scaling import LEVELS, quantiles

if TYPE_CHECKING:
    from scipy.sparse import csc_array, csr_array

SUMMARIES = ("last", "min", "max", "mean", "count", "first", "deviation", "slope")  # of a channel
Floats: TypeAlias = NDArray[np.float32]
_VALUES = 1 << 22  # measurements that are summarised at once, to limit memory


@dataclass(frozen=True, eq=False)
class SparseTable:
    """A table (row, column) in memory without the cells that a record without events has too."""

    cells: "csr_array"  # float32 (row, column), the other cells; zeros and NaN may be among them
    empty: NDArray[np.float32]  # (column,), the cells that are left out; NaN where missing

    @property
    def shape(self) -> tuple[int, int]:
        """The number of rows and of columns."""
        return int(self.cells.shape[0]), len(self.empty)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        """Return rows ``[rows]``, or all rows of a range of columns ``[:, first:end]``, dense."""
        if isinstance(key, tuple):
            rows, columns, data = _cells_of(self._by_column, np.arange(self.shape[1])[key[1]])
            dense = np.tile(self.empty[key[1]], (len(self), 1))
        else:
            lines = np.arange(len(self))[key]
            columns, rows, data = _cells_of(self.cells, lines)
            dense = np.tile(self.empty, (len(lines), 1))
        dense[rows, columns] = data
        return dense

    def toarray(self) -> NDArray[np.float32]:
        """Return all cells: float32 (row, column)."""
        return self[:]

    def mapped(self, change: Callable[[Floats, NDArray[np.integer]], Floats]) -> "SparseTable":
        """Return the table after a change of its numbers, which is given their columns too."""
        from scipy.sparse import csr_array

        cells = self.cells
        data = change(cells.data, cells.indices)
        changed = csr_array((data, cells.indices, cells.indptr), shape=cells.shape)
        return SparseTable(changed, change(self.empty, np.arange(len(self.empty))))

    @cached_property
    def _by_column(self) -> "csc_array":
        return self.cells.tocsc()


def _cells_of(
    cells: "csr_array | csc_array", lines: NDArray[np.int64]
) -> tuple[NDArray[np.integer], NDArray[np.integer], Floats]:
    """Return the cells of some rows, or columns: their place in a line, their line, and data."""
    first = cells.indptr[lines].astype(np.int64)
    counts = cells.indptr[lines + 1] - first
    indices = spans(first, counts)
    return cells.indices[indices], np.repeat(np.arange(len(lines)), counts), cells.data[indices]


def bag_of_codes(
    sequences: Sequences, examples: NDArray[np.int64], count: Literal["steps", "presence"] = "steps"
) -> "csr_array":
    """Count in how many steps of an example each code occurs.

    float32 (row, code of the vocabulary), sparse, indices sorted. ``presence`` returns 1 instead of
    the number of steps.
    """
    from scipy.sparse import csr_array

    first, end = (sequences.code_offsets[sequences.step_offsets[examples + i]] for i in (0, 1))
    codes = sequences.codes[spans(first, end - first)]
    shape = (len(examples), len(sequences.vocabulary))
    # The codes of an example follow each other, so they are the cells of a row as they are.
    rows = np.concatenate(([0], np.cumsum(end - first)))
    bag = csr_array((np.ones(len(codes), np.float32), codes, rows), shape=shape)
    bag.sum_duplicates()  # a code in several steps has several cells
    if count == "presence":
        bag.data[:] = 1
    return bag


def summaries(sequences: Sequences, examples: NDArray[np.int64]) -> SparseTable:
    """Summarise the measurements of each channel: ``SUMMARIES``.

    The deviation is of the values themselves; the slope, by least squares over the times of the
    steps, is a change per day, and 0 where all values have one time. float32 (row, channel * 8),
    ordered as :func:`summary_names`. Without a measurement the count is 0 and the others are NaN;
    the cells of such channels are left out.
    """
    from scipy.sparse import csr_array, vstack

    n_channels, width = len(sequences.channel_names), len(SUMMARIES)
    empty = np.full((n_channels, width), np.nan, np.float32)
    empty[:, SUMMARIES.index("count")] = 0
    per_example = -(-len(sequences.values) // max(len(sequences), 1))
    step = max(1, _VALUES // max(per_example, 1))
    parts = []
    for first in range(0, max(len(examples), 1), step):
        rows = examples[first : first + step]
        cells, numbers = _summarised(sequences, rows)
        row, channel = np.divmod(cells, max(n_channels, 1))
        ends = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(rows)))))
        columns = (channel[:, None] * width + np.arange(width)).astype(np.int32)
        shape = (len(rows), n_channels * width)
        parts.append(csr_array((numbers.ravel(), columns.ravel(), ends * width), shape=shape))
        finished = (first + len(rows)) * per_example
        broadcast("on_rows", "summarising measurements", finished, len(examples) * per_example)
    return SparseTable(vstack(parts, format="csr"), empty.ravel())


def _summarised(
    sequences: Sequences, examples: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats]:
    """Return measured channels, ``row * channels + channel``, (cell,); and (cell, summary)."""
    n_channels = len(sequences.channel_names)
    first_step, end_step = (sequences.step_offsets[examples + i] for i in (0, 1))
    steps = spans(first_step, end_step - first_step)
    first, end = sequences.value_offsets[first_step], sequences.value_offsets[end_step]
    measured = spans(first, end - first)
    rows = np.repeat(np.arange(len(examples)), end - first)
    of_step = sequences.value_offsets[steps + 1] - sequences.value_offsets[steps]
    end_time = np.repeat(sequences.step_time[end_step - 1], end - first)
    days = (np.repeat(sequences.step_time[steps], of_step) - end_time) / np.timedelta64(1, "D")
    # Measurements are sorted by cell (row and channel), so that each sum is over one run of them.
    key = rows * n_channels + sequences.channels[measured]
    order = np.argsort(key, kind="stable")  # within a channel the values stay in order of time
    key, days = key[order], days[order]  # (measurement,)
    values = sequences.values[measured][order].astype(np.float64)
    starts = np.flatnonzero(np.diff(key, prepend=-1))  # (cell,)
    counts = np.diff(starts, append=len(key))

    def mean(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over the measurements of each cell."""
        return np.asarray(np.add.reduceat(numbers, starts) / counts)

    if not len(starts):
        return key, np.empty((0, len(SUMMARIES)), np.float32)
    middle = mean(values)
    away = values - np.repeat(middle, counts)  # (measurement,)
    when = days - np.repeat(mean(days), counts)  # centred, so that the slope needs no intercept
    spread = mean(when**2)  # 0 where all values have one time
    columns = [  # as in SUMMARIES
        values[starts + counts - 1],
        np.minimum.reduceat(values, starts),
        np.maximum.reduceat(values, starts),
        middle,
        counts,
        values[starts],
        np.sqrt(mean(away**2)),
        np.divide(mean(away * when), spread, out=np.zeros(len(starts)), where=spread > 0),
    ]
    return key[starts], np.column_stack(columns).astype(np.float32)


def summary_names(sequences: Sequences) -> list[str]:
    """Name the columns of :func:`summaries`, for example ``LAB//50912 last``."""
    return [" ".join(pair) for pair in product(sequences.channel_names, SUMMARIES)]


def last_values(
    sequences: Sequences, steps: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the channels of some steps as a dense table with its mask.

    float32 (row, channel), the last value measured in the step, 0 where there is none; and bool
    (row, channel), whether there is one.
    """
    first, end = sequences.value_offsets[steps], sequences.value_offsets[steps + 1]
    measured = spans(first, end - first)
    rows, channels = np.repeat(np.arange(len(steps)), end - first), sequences.channels[measured]
    values = np.zeros((len(steps), len(sequences.channel_names)), np.float32)
    mask = np.zeros(values.shape, np.bool_)
    values[rows, channels] = sequences.values[measured]  # the last of equal places stays
    mask[rows, channels] = True
    return values, mask


def channel_scales(
    sequences: Sequences, examples: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Compute quantiles, mean and deviation of each channel over measurements of some examples.

    ``quantiles`` are float32 (channel, 101), NaN for a channel without measurements; ``mean`` and
    ``deviation`` (channel,), 0 and 1 for it, and a deviation of 1 for a constant one.
    """
    first, end = (sequences.value_offsets[sequences.step_offsets[examples + i]] for i in (0, 1))
    measured = spans(first, end - first)
    channels, values = sequences.channels[measured], sequences.values[measured]
    values = values[np.argsort(channels, kind="stable")].astype(np.float64)
    ends = np.cumsum([0, *np.bincount(channels, minlength=len(sequences.channel_names))])
    by_channel = [values[start:end] for start, end in pairwise(ends)]
    ranked = [quantiles(measurements[:, None]) for measurements in by_channel]  # each (1, 101)
    ranked_array = np.array(ranked, np.float32).reshape(-1, LEVELS)
    mean = np.array([m.mean() if len(m) else 0.0 for m in by_channel])
    deviation = np.array([m.std() if len(m) else 0.0 for m in by_channel])
    return {"quantiles": ranked_array, **scales_of(mean, deviation)}


def scales_of(
    mean: NDArray[np.floating], deviation: NDArray[np.floating]
) -> dict[str, NDArray[np.float32]]:
    """Return means and deviations (column,) as float32; a deviation of 0 becomes 1."""
    deviation = np.where(deviation > 0, deviation, 1)
    return {"mean": mean.astype(np.float32), "deviation": deviation.astype(np.float32)}


def static_names(sequences: Sequences) -> list[str]:
    """Return ``age``, then each code of the vocabulary for a sex."""
    family = f"{SEX}//"
    return ["age", *(code for code in sequences.vocabulary if code.startswith(family))]


def static_table(sequences: Sequences) -> NDArray[np.float32]:
    """Return age and sex of each example, as far as the sequences hold them.

    float32 (example, column), ordered as :func:`static_names`: years, NaN where the age is not
    known; and 1 where the example has the code of a sex, else 0.
    """
    table = np.empty((len(sequences), len(static_names(sequences))), np.float32)
    table[:, 0] = sequences.age
    place = [sequences.vocabulary.index(code) for code in static_names(sequences)[1:]]
    present = bag_of_codes(sequences, np.arange(len(sequences)), "presence")
    table[:, 1:] = present[:, place].toarray()
    return table
