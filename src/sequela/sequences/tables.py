"""Sequences as tables for models that know no order: bags of codes, summaries of measurements."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sequela.cohort.attributes import FAMILIES
from sequela.sequences.flat import Sequences, spans

SUMMARIES = ("last", "min", "max", "mean", "count")


def bag_of_codes(
    sequences: Sequences,
    examples: NDArray[np.int64],
    count: Literal["steps", "presence"] = "steps",
) -> csr_array:
    """In how many steps of an example each code occurs.

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


def channel_scales(
    sequences: Sequences, examples: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """``mean`` and ``deviation`` of each channel over all measurements of some examples.

    Returns:
        float32 (channel,) each; 0 and 1 of a channel that none of them has, and a deviation of 1 of
        one that does not vary.
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
    """``age``, then each code of the vocabulary that tells a sex."""
    family = f"{FAMILIES['sex']}//"
    return ["age", *(code for code in sequences.vocabulary if code.startswith(family))]


def static_table(sequences: Sequences) -> NDArray[np.float32]:
    """Who each example is, as far as the sequences hold it.

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
