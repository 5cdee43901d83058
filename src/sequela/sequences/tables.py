"""Sequences as tables for models without order: bags of codes, summaries of measurements."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sequela.cohort.attributes import FAMILIES
from sequela.sequences.flat import Sequences, spans

SUMMARIES = ("last", "min", "max", "mean", "count", "first", "deviation", "slope")


def bag_of_codes(
    sequences: Sequences,
    examples: NDArray[np.int64],
    count: Literal["steps", "presence"] = "steps",
) -> csr_array:
    """Count in how many steps of an example each code occurs.

    Args:
        sequences: The sequences with the examples.
        examples: int64 (row,), the examples to use.
        count: ``presence`` returns 1 instead of the number of steps.

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
    """Summarise the measurements of each channel: ``SUMMARIES``.

    The deviation is of the values themselves; the slope, by least squares over the times of the
    steps, is a change per day, and 0 where all values have one time.

    Args:
        sequences: The sequences with the examples.
        examples: int64 (row,), the examples to use.

    Returns:
        float32 (row, channel * 8), ordered as :func:`summary_names`. Without a measurement the
        count is 0 and the others are NaN.
    """
    n_channels = len(sequences.channel_names)
    first_step, end_step = (sequences.step_offsets[examples + i] for i in (0, 1))
    steps = spans(first_step, end_step - first_step)
    first, end = (sequences.value_offsets[each] for each in (first_step, end_step))
    taken = spans(first, end - first)
    rows = np.repeat(np.arange(len(examples)), end - first)
    of_step = sequences.value_offsets[steps + 1] - sequences.value_offsets[steps]
    end_time = np.repeat(sequences.step_time[end_step - 1], end - first)
    days = (np.repeat(sequences.step_time[steps], of_step) - end_time) / np.timedelta64(1, "D")
    key = rows * n_channels + sequences.channels[taken]
    order = np.argsort(key, kind="stable")  # within a channel the values stay in order of time
    key, days = key[order], days[order]
    values = sequences.values[taken][order].astype(np.float64)
    cells, starts, counts = np.unique(key, return_index=True, return_counts=True)
    out = np.full((len(examples) * n_channels, len(SUMMARIES)), np.nan, np.float32)
    out[:, SUMMARIES.index("count")] = 0
    if len(cells):

        def mean(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
            averaged: NDArray[np.float64] = np.add.reduceat(numbers, starts) / counts
            return averaged

        middle = mean(values)
        away = values - np.repeat(middle, counts)
        when = days - np.repeat(mean(days), counts)
        spread = mean(when**2)
        out[cells] = np.column_stack(
            [
                values[starts + counts - 1],
                np.minimum.reduceat(values, starts),
                np.maximum.reduceat(values, starts),
                middle,
                counts,
                values[starts],
                np.sqrt(mean(away**2)),
                np.divide(mean(away * when), spread, out=np.zeros(len(cells)), where=spread > 0),
            ]
        )
    return out.reshape(len(examples), n_channels * len(SUMMARIES))


def summary_names(sequences: Sequences) -> list[str]:
    """Name the columns of :func:`summaries`, for example ``LAB//50912 last``."""
    return [f"{channel} {what}" for channel in sequences.channel_names for what in SUMMARIES]


def last_values(
    sequences: Sequences, steps: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the channels of some steps as a dense table with its mask.

    Args:
        sequences: The sequences with the steps.
        steps: int64 (row,), the steps to use, for example
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


def channel_scales(
    sequences: Sequences, examples: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """Compute ``mean`` and ``deviation`` of each channel over all measurements of some examples.

    Returns:
        float32 (channel,) each; 0 and 1 for a channel without measurements, and a deviation of 1
        for a constant one.
    """
    first, end = (sequences.value_offsets[sequences.step_offsets[examples + i]] for i in (0, 1))
    taken = spans(first, end - first)
    channels, values = sequences.channels[taken], sequences.values[taken].astype(np.float64)
    size = len(sequences.channel_names)
    n = np.maximum(np.bincount(channels, minlength=size), 1)
    mean = np.bincount(channels, values, minlength=size) / n
    deviation = np.sqrt(np.bincount(channels, (values - mean[channels]) ** 2, minlength=size) / n)
    return {
        "mean": mean.astype(np.float32),
        "deviation": np.where(deviation > 0, deviation, 1).astype(np.float32),
    }


def static_names(sequences: Sequences) -> list[str]:
    """Return ``age``, then each code of the vocabulary for a sex."""
    family = f"{FAMILIES['sex']}//"
    return ["age", *(code for code in sequences.vocabulary if code.startswith(family))]


def static_table(sequences: Sequences) -> NDArray[np.float32]:
    """Return age and sex of each example, as far as the sequences hold them.

    Returns:
        float32 (example, column), ordered as :func:`static_names`: years, NaN where the age is not
        known; and 1 where the example has the code of a sex, else 0.
    """
    table = np.empty((len(sequences), len(static_names(sequences))), np.float32)
    table[:, 0] = sequences.age
    place = [sequences.vocabulary.index(code) for code in static_names(sequences)[1:]]
    present = bag_of_codes(sequences, np.arange(len(sequences)), "presence")
    table[:, 1:] = present[:, place].toarray()
    return table
