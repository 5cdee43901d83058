"""What makes numbers too good and can be seen in segments or sequences that are split."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort import overlaps
from sequela.cohort.finding import Finding
from sequela.cohort.segments import Segments
from sequela.cohort.split import PARTS
from sequela.sequences.flat import Sequences
from sequela.sequences.scaling import Scaling
from sequela.sequences.tables import bag_of_codes

IN_SEGMENTS = (
    "identical and nearly identical segments in two parts, samples that alone reveal the class, "
    "scaling fitted on other parts"
)
IN_SEQUENCES = (
    "identical records in two parts, codes that alone reveal the outcome, a vocabulary of "
    "other parts, steps after the prediction"
)
_TRAIN = PARTS.index("train")
_TOLERANCE = 1e-6


def in_parts(part: NDArray[np.int64], values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """The values (example, ...) of each part, by its name."""
    return {name: values[part == index] for index, name in enumerate(PARTS)}


def find_in_segments(
    segments: Segments, part: NDArray[np.int64], scaling: Scaling
) -> list[Finding]:
    """Copies across parts, samples that tell the class, and a scaling of other parts.

    Args:
        segments: All of a data set.
        part: int64 (segment,), index into ``PARTS``.
        scaling: What the models read the segments with.
    """
    samples = segments.signal.reshape(len(segments), -1).astype(np.float64)
    rows, group = in_parts(part, samples), in_parts(part, segments.recording_id)
    names = [f"sample {index}" for index in range(samples.shape[1])]
    return [
        *overlaps.identical_rows(rows),
        *overlaps.near_identical_rows(rows, group),
        *overlaps.revealing_columns(
            samples, names, segments.label, segments.classes, segments.recording_id
        ),
        *_foreign_scaling(scaling, Scaling.fit(segments.signal[part == _TRAIN])),
    ]


def find_in_sequences(
    sequences: Sequences, part: NDArray[np.int64], classes: tuple[str, ...]
) -> list[Finding]:
    """Copies across parts, codes that tell the outcome, foreign codes, and later steps.

    Args:
        sequences: What the models read.
        part: int64 (example,), index into ``PARTS``.
        classes: Names of the two classes.
    """
    everybody = np.arange(len(sequences))
    counts = np.diff(sequences.code_offsets[sequences.step_offsets])
    example = np.repeat(everybody, counts)
    codes = sequences.codes.astype(np.int64)
    label, subject = sequences.label.astype(np.int64), sequences.subject_id.astype(np.str_)
    known = bag_of_codes(sequences, everybody)[:, 1:]  # the first is the unknown code
    return [
        *overlaps.identical_records({n: known[part == i] for i, n in enumerate(PARTS)}),
        *overlaps.revealing_codes(example, codes, sequences.vocabulary, label, classes, subject),
        *_foreign_vocabulary(sequences, codes[part[example] == _TRAIN]),
        *_later_steps(sequences),
    ]


def _foreign_scaling(used: Scaling, fitted: Scaling) -> list[Finding]:
    ours, theirs = (np.array([scaling.mean, scaling.std]) for scaling in (used, fitted))
    if np.allclose(ours, theirs, rtol=_TOLERANCE):
        return []
    return [
        Finding(
            "scaling of other parts",
            "the scaling is not what the training part gives",
            "scaling",
            "leak",
            "fit it on the training part alone",
        )
    ]


def _foreign_vocabulary(sequences: Sequences, in_training: NDArray[np.int64]) -> list[Finding]:
    """Known codes that no training example has."""
    seen = np.zeros(len(sequences.vocabulary), np.bool_)
    seen[in_training] = True
    foreign = np.flatnonzero(~seen[1:]) + 1  # the first is the unknown code
    if not len(foreign):
        return []
    named = ", ".join(sequences.vocabulary[index] for index in foreign[:3])
    return [
        Finding(
            "vocabulary of other parts",
            f"{len(foreign)} known codes occur in no training example, for example {named}",
            "vocabulary",
            "leak",
            "learn the vocabulary from the training part alone",
        )
    ]


def _later_steps(sequences: Sequences) -> list[Finding]:
    asked = np.repeat(sequences.prediction_time, sequences.lengths)
    late = int((sequences.step_time > asked).sum())
    if not late:
        return []
    return [
        Finding(
            "events after the prediction",
            f"{late} steps begin after the prediction",
            "sequences",
            "leak",
            "build the sequences again, from events dated by when they were known",
        )
    ]
