"""Sequences written from plain nested lists."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sequela.sequences.flat import Sequences, SequencesWriter, open_sequences

Nested = list[list[list[int]]]


def written(folder: Path, nested: Nested, pieces: int = 1, digest: str = "d") -> Sequences:
    """Examples -> steps -> codes as stored sequences, written in so many pieces."""
    header = {"digest": digest, "parts": ["train"], "vocabulary": list("?abcdefgh"), "channels": []}
    with SequencesWriter(folder, header) as writer:
        for piece in np.array_split(np.arange(len(nested)), pieces):
            chosen = [nested[i] for i in piece]
            steps = [step for example in chosen for step in example]
            codes = [code for step in steps for code in step]
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
                step_time=np.zeros(len(steps), "M8[us]"),
                codes_per_step=np.array([len(s) for s in steps], np.int64),
                codes=np.array(codes, np.int32),
                values_per_step=np.zeros(len(steps), np.int64),
                channels=np.empty(0, np.int32),
                values=np.empty(0, np.float32),
            )
    return open_sequences(folder)


@pytest.fixture(scope="session")
def write_nested() -> Callable[..., Sequences]:
    return written
