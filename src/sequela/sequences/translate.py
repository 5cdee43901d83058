"""Sequences of other data in the words of a trained model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sequela.errors import SettingError
from sequela.sequences.flat import Sequences


def translated(sequences: Sequences, vocabulary: Sequence[str]) -> Sequences:
    """The same examples with the codes of another vocabulary; what that lacks is its unknown code.

    Args:
        sequences: Cut with a vocabulary of their own that lacks nothing (``min_subjects`` 1, all
            examples in the training part).
        vocabulary: Codes by index; the first stands for all others.

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
        header={**sequences.header, "vocabulary": list(vocabulary)},
        codes=(pairs % len(vocabulary)).astype(np.int32),
        code_offsets=np.concatenate(([0], np.cumsum(counts))),
    )
