"""Sequences of other data in the words of a trained model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sequela.errors import SettingError
from sequela.sequences.flat import Sequences


def translated(
    sequences: Sequences, vocabulary: Sequence[str], channels: Sequence[str] = ()
) -> Sequences:
    """The same examples with the codes of another vocabulary, and the channels of another model.

    A code that the vocabulary lacks is its unknown code; one that the model lacks is left out.

    Args:
        sequences: Cut with a vocabulary of their own that lacks nothing (``min_subjects`` 1, all
            examples in the training part).
        vocabulary: Codes by index; the first stands for all others.
        channels: Measured codes by index.

    Raises:
        SettingError: If measurements were split into quantiles, which are those of other data.
    """
    if sequences.header["settings"]["bins"]:
        raise SettingError(
            "the model reads measurements in quantiles of its own training data, which are not "
            "stored: it can be judged on its own data only"
        )
    places = {code: index for index, code in enumerate(vocabulary) if index}
    of_code = np.array([places.get(code, 0) for code in sequences.vocabulary], np.int64)
    codes = of_code[sequences.codes]
    step = np.repeat(np.arange(len(sequences.step_time)), np.diff(sequences.code_offsets))
    # Of a step each code once, rising: several may have become the unknown one.
    pairs = np.unique(step * len(vocabulary) + codes)
    counts = np.bincount(pairs // len(vocabulary), minlength=len(sequences.step_time))
    return replace(
        sequences,
        header={
            **sequences.header,
            "vocabulary": list(vocabulary),
            "channels": list(channels),
        },
        **_measured(sequences, channels),
        codes=(pairs % len(vocabulary)).astype(np.int32),
        code_offsets=np.concatenate(([0], np.cumsum(counts))),
    )


def _measured(sequences: Sequences, channels: Sequence[str]) -> dict[str, Any]:
    """The measurements of some channels, those of a step sorted by channel, then by time."""
    places = {name: index for index, name in enumerate(channels)}
    of_channel = np.array([places.get(name, -1) for name in sequences.channel_names], np.int64)
    channel = of_channel[sequences.channels]
    step = np.repeat(np.arange(len(sequences.step_time)), np.diff(sequences.value_offsets))
    kept = np.flatnonzero(channel >= 0)
    order = kept[np.lexsort((channel[kept], step[kept]))]  # stable: times stay in order
    counts = np.bincount(step[order], minlength=len(sequences.step_time))
    return {
        "channels": channel[order].astype(np.int32),
        "values": sequences.values[order],
        "value_offsets": np.concatenate(([0], np.cumsum(counts))),
    }
