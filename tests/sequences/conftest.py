"""Sequences written from plain nested lists."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from sequela.sequences.flat import Sequences, open_sequences, writing_sequences

Nested = list[list[list[int]]]
Measured = list[list[list[tuple[int, float]]]]

codes = st.lists(st.integers(0, 8), unique=True, max_size=4).map(sorted)
nested_lists = st.lists(st.lists(codes, min_size=1, max_size=6), min_size=1, max_size=9)
values = st.tuples(st.integers(0, 2), st.integers(-4, 4).map(float))
measured_lists = st.lists(
    st.lists(st.lists(values, max_size=4), min_size=1, max_size=4), min_size=1, max_size=5
)


def written(
    folder: Path,
    nested: Nested,
    pieces: int = 1,
    digest: str = "d",
    vocabulary: str = "?abcdefgh",
    measured: Measured | None = None,
) -> Sequences:
    """Examples -> steps -> codes as stored sequences, written in so many pieces.

    Steps that measure something are a day apart, others at one time.
    """
    days = int(measured is not None)
    header = {"digest": digest, "parts": ["train"], "vocabulary": list(vocabulary)}
    header["channels"] = list("abc") if measured else []
    measured = measured or [[[] for _ in example] for example in nested]
    with writing_sequences(folder, header) as writer:
        for piece in np.array_split(np.arange(len(nested)), pieces):
            chosen = [nested[i] for i in piece]
            steps = [step for example in chosen for step in example]
            codes = [code for step in steps for code in step]
            read = [sorted(step, key=lambda v: v[0]) for i in piece for step in measured[i]]
            flat = [value for step in read for value in step]
            writer.append(
                examples={
                    "subject_id": piece,
                    "prediction_time": piece.astype("M8[us]"),
                    "label": piece % 2 == 1,
                    "part": np.zeros(len(piece)),
                    "age": np.full(len(piece), 50.0),
                    "followed": np.zeros(len(piece)),
                },
                steps_per_example=np.array([len(e) for e in chosen], np.int64),
                step_time=(days * np.arange(len(steps))).astype("M8[D]").astype("M8[us]"),
                codes_per_step=np.array([len(s) for s in steps], np.int64),
                codes=np.array(codes, np.int32),
                values_per_step=np.array([len(step) for step in read], np.int64),
                channels=np.array([channel for channel, _ in flat], np.int32),
                values=np.array([value for _, value in flat], np.float32),
            )
    return open_sequences(folder)


def write_measured(folder: Path, measured: Measured) -> Sequences:
    """Examples -> steps -> (channel, value) as stored sequences without codes."""
    return written(folder, [[[] for _ in e] for e in measured], vocabulary="", measured=measured)


@pytest.fixture(scope="session")
def write_nested() -> Callable[..., Sequences]:
    return written
