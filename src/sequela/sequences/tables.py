"""Sequences as tables for models that know no order: bags of codes, summaries of measurements."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sequela.sequences.flat import Sequences, spans

SUMMARIES = ("last", "min", "max", "mean", "count")


def bag_of_codes(
    sequences: Sequences,
    examples: NDArray[np.int64],
    count: Literal["steps", "presence"] = "steps",
) -> csr_array:
    """In how many steps of an example each code stands.

    Args:
        sequences: Where the examples are.
        examples: int64 (row,), which to take.
        count: ``presence`` gives 1 instead of the number of steps.

    Returns:
        float32 (row, code of the vocabulary), sparse, indices sorted.
    """
    first, end = (sequences.code_offsets[sequences.step_offsets[examples + i]] for i in (0, 1))
    codes = sequences.codes[spans(first, end - first)]
    shape = (len(examples), len(sequences.vocabulary))
    rows = np.concatenate(([0], np.cumsum(end - first)))
    bag = csr_array((np.ones(len(codes), np.float32), codes, rows), shape=shape)
    bag.sum_duplicates()
    if count == "presence":
        bag.data[:] = 1
    return bag


def summaries(sequences: Sequences, examples: NDArray[np.int64]) -> NDArray[np.float32]:
    """Last, least, greatest and mean value of each channel, and how many there are.

    Args:
        sequences: Where the examples are.
        examples: int64 (row,), which to take.

    Returns:
        float32 (row, channel * 5), ordered as :func:`summary_names`. Without a measurement the
        count is 0 and the others are NaN.
    """
    n_channels = len(sequences.channel_names)
    first, end = (sequences.value_offsets[sequences.step_offsets[examples + i]] for i in (0, 1))
    taken = spans(first, end - first)
    rows = np.repeat(np.arange(len(examples)), end - first)
    key = rows * n_channels + sequences.channels[taken]
    order = np.argsort(key, kind="stable")  # within a channel the values stay in order of time
    key, values = key[order], sequences.values[taken][order]
    cells, starts, counts = np.unique(key, return_index=True, return_counts=True)
    out = np.full((len(examples) * n_channels, len(SUMMARIES)), np.nan, np.float32)
    out[:, SUMMARIES.index("count")] = 0
    if len(cells):
        sums = np.add.reduceat(values.astype(np.float64), starts)
        out[cells] = np.column_stack(
            [
                values[starts + counts - 1],
                np.minimum.reduceat(values, starts),
                np.maximum.reduceat(values, starts),
                sums / counts,
                counts,
            ]
        )
    return out.reshape(len(examples), n_channels * len(SUMMARIES))


def summary_names(sequences: Sequences) -> list[str]:
    """Names of the columns of :func:`summaries`, for example ``LAB//50912 last``."""
    return [f"{channel} {what}" for channel in sequences.channel_names for what in SUMMARIES]


def last_values(
    sequences: Sequences, steps: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The channels of some steps as a dense table with its mask.

    Args:
        sequences: Where the steps are.
        steps: int64 (row,), which to take, for example
            ``np.arange(*sequences.step_offsets[example : example + 2])``.

    Returns:
        float32 (row, channel), the last value measured in the step, 0 where there is none; and bool
        (row, channel), whether there is one.
    """
    first, end = sequences.value_offsets[steps], sequences.value_offsets[steps + 1]
    taken = spans(first, end - first)
    rows, channels = np.repeat(np.arange(len(steps)), end - first), sequences.channels[taken]
    values = np.zeros((len(steps), len(sequences.channel_names)), np.float32)
    mask = np.zeros(values.shape, np.bool_)
    values[rows, channels] = sequences.values[taken]  # the last of equal places stays
    mask[rows, channels] = True
    return values, mask


def days_since_last_step(sequences: Sequences, example: int) -> NDArray[np.float32]:
    """float32 (step,), days from each step of an example to the next; 0 for the first."""
    first, end = sequences.step_offsets[example], sequences.step_offsets[example + 1]
    times = sequences.step_time[first:end]
    days = np.diff(times, prepend=times[:1]) / np.timedelta64(1, "D")
    return days.astype(np.float32)
