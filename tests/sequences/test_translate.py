"""Sequences of other data in a model's words."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.errors import SettingError
from sequela.sequences.flat import LAYOUT, Sequences
from sequela.sequences.translate import translated

WORDS = ("UNKNOWN", "a", "b", "c", "d")


def sequences(steps: list[list[int]], bins: int = 0) -> Sequences:
    """One example of these steps."""
    arrays = {name: np.empty(0, np.dtype(kind)) for name, (kind, _) in LAYOUT.items()}
    arrays["codes"] = np.array([c for step in steps for c in sorted(set(step))], np.int32)
    arrays["code_offsets"] = np.cumsum([0, *(len(set(step)) for step in steps)])
    arrays["step_offsets"] = np.array([0, len(steps)])
    arrays["step_time"] = np.zeros(len(steps), "datetime64[us]")
    arrays["value_offsets"] = np.zeros(len(steps) + 1, np.int64)
    header = {"vocabulary": list(WORDS), "settings": {"bins": bins}, "channels": []}
    return Sequences(folder=Path("nowhere"), header=header, **arrays)


@given(
    st.lists(st.lists(st.integers(1, 4)), min_size=1, max_size=6),
    st.lists(st.sampled_from("abcdef"), unique=True),
)
def test_each_step_as_words(steps: list[list[int]], known: list[str]) -> None:
    vocabulary = ["UNKNOWN", *sorted(known)]
    found = translated(sequences(steps), vocabulary)
    expected = [
        sorted({vocabulary.index(WORDS[c]) if WORDS[c] in known else 0 for c in step})
        for step in steps
    ]
    assert [
        found.codes[first:end].tolist()
        for first, end in zip(found.code_offsets, found.code_offsets[1:], strict=False)
    ] == expected
    assert found.vocabulary == tuple(vocabulary)


def test_quantiles_of_other_data_are_refused() -> None:
    with pytest.raises(SettingError, match="quantiles of its own training data"):
        translated(replace(sequences([[1]]), header=sequences([[1]], bins=4).header), WORDS)
