"""Leak checks on segments or sequences that are split."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from sequela.cohort import overlaps, tells
from sequela.cohort.finding import Finding
from sequela.cohort.segments import Segments, first_minutes
from sequela.cohort.split import PARTS
from sequela.sequences.flat import Sequences
from sequela.sequences.scaling import Scaling
from sequela.sequences.tables import bag_of_codes, summaries, summary_names

IN_SEGMENTS = (
    "recordings of the same time in two parts, identical and nearly identical segments in two "
    "parts, samples that alone reveal the class, "
    "scaling fitted on other parts"
)
IN_SEQUENCES = (
    "identical records in two parts, codes and values that alone reveal the outcome, what small "
    "models of codes, counts and times predict, a vocabulary of other parts, steps after the "
    "prediction"
)
TOLD_BY_FORM, TOLD_BY_TREE, TOLD_BY_CODES = 0.8, 0.85, 0.9
"""The out-of-fold AUROCs from which counts and times, a small tree that also reads codes, or codes
together are reported. On the open hospital data nothing passes 0.69, 0.73 and 0.81
(``benchmarks/audit_bounds.py``)."""
_RARE = 3  # examples with a code, from which a model reads it
_TRAIN, _HELD_OUT = PARTS.index("train"), PARTS.index("held_out")
_HOUR = np.timedelta64(1, "h")
_LOOK = (
    "find the cause, for example with `sequela explain`; check that it is known at the "
    "time of prediction, and that cases and controls were recorded in the same way"
)
_TOLERANCE = 1e-6


def in_parts(part: NDArray[np.int64], values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    """Return the values (example, ...) of each part, by its name."""
    return {name: values[part == index] for index, name in enumerate(PARTS)}


def find_in_segments(
    segments: Segments, part: NDArray[np.int64], scaling: Scaling
) -> list[Finding]:
    """Find copies across parts, samples that reveal the class, and a scaling of other parts.

    Args:
        segments: All segments of a data set.
        part: int64 (segment,), index into ``PARTS``.
        scaling: The scaling of the models.
    """
    samples = segments.signal.reshape(len(segments), -1).astype(np.float64)
    rows, group = in_parts(part, samples), in_parts(part, segments.recording_id)
    names = [f"sample {index}" for index in range(samples.shape[1])]
    starts, beginnings = first_minutes(segments)
    ends = [*starts[1:].tolist(), len(part)]
    where = [
        PARTS[part[first]] if len(np.unique(part[first:end])) == 1 else ""
        for first, end in zip(starts.tolist(), ends, strict=True)
    ]
    return [
        *overlaps.simultaneous_recordings(beginnings, segments.sfreq, where),
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
    """Find copies across parts, codes that reveal the outcome, foreign codes, and later steps.

    Args:
        sequences: The sequences the models read.
        part: int64 (example,), index into ``PARTS``.
        classes: Names of the two classes.
    """
    everybody = np.arange(len(sequences))
    counts = np.diff(sequences.code_offsets[sequences.step_offsets])
    example = np.repeat(everybody, counts)
    codes = sequences.codes.astype(np.int64)
    label, subject = sequences.label.astype(np.int64), sequences.subject_id.astype(np.str_)
    present = csr_array(bag_of_codes(sequences, everybody, "presence"))
    known = present[:, 1:]  # the first is the unknown code
    names = sequences.vocabulary
    return [
        *overlaps.identical_records({n: known[part == i] for i, n in enumerate(PARTS)}),
        *overlaps.revealing_codes(example, codes, names, label, classes, subject),
        *overlaps.revealing_columns(
            summaries(sequences, everybody).astype(np.float64),
            summary_names(sequences),
            label,
            classes,
            subject,
        ),
        *tells.telling_codes(present, names, label, classes, subject),
        *_told(sequences, present, np.flatnonzero(part != _HELD_OUT), classes),
        *_foreign_vocabulary(sequences, codes[part[example] == _TRAIN]),
        *_later_steps(sequences),
    ]


@dataclass(frozen=True)
class SmallModel:
    """A small model that tests whether some inputs reveal the outcome.

    Attributes:
        words: Its inputs, with their verb.
        table: (example, column).
        model: See :func:`sequela.cohort.tells.told`.
        least: The AUROC from which it is reported.
    """

    words: str
    table: tells.Table
    model: Literal["tree", "logistic"]
    least: float


def small_models(
    sequences: Sequences, present: csr_array, rows: NDArray[np.int64]
) -> tuple[SmallModel, ...]:
    """Return the small models: of counts and times, of these and codes, and of codes.

    Args:
        sequences: The sequences the models of a run read.
        present: (example, code), 1 where the example has the code.
        rows: int64 (row,), the examples to use.
    """
    form = form_of(sequences)[rows]
    codes = present[rows]
    codes = codes[:, np.flatnonzero(codes.sum(axis=0) >= _RARE)]
    both = csr_array(hstack([codes, csr_array(form)], format="csr"))
    counts = "the number of codes, steps and values, and the prediction time, predict"
    return (
        SmallModel(counts, form, "tree", TOLD_BY_FORM),
        SmallModel("a small tree of codes, counts and times predicts", both, "tree", TOLD_BY_TREE),
        SmallModel("codes together predict", codes, "logistic", TOLD_BY_CODES),
    )


def _told(
    sequences: Sequences, present: csr_array, rows: NDArray[np.int64], classes: tuple[str, ...]
) -> list[Finding]:
    """Report small models that predict the outcome, cross-validated by subject."""
    label, subject = sequences.label[rows].astype(np.int64), sequences.subject_id[rows]
    found = []
    for asked in small_models(sequences, present, rows):
        auroc = tells.told(asked.table, label, subject, least=asked.least, model=asked.model)
        if auroc is not None:
            what = f"{asked.words} '{classes[1]}' with an AUROC of {auroc:.2f}, out of fold"
            found.append(
                Finding("inputs that tell the outcome", what, "inputs", "suspicion", _LOOK)
            )
    return found


def form_of(sequences: Sequences) -> NDArray[np.float64]:
    """Describe the size and times of an example, without its codes.

    Returns:
        float64 (example, 7): codes, steps and values; hours from the first fact, and from that of
        the last step, to the prediction; hour of the day, and day of seven, of the prediction.
    """
    asked = sequences.prediction_time
    first, end = sequences.step_offsets[:-1], sequences.step_offsets[1:]
    seconds = asked.astype("datetime64[s]").astype(np.int64)
    return np.column_stack(
        [
            np.diff(sequences.code_offsets[sequences.step_offsets]),
            sequences.lengths,
            np.diff(sequences.value_offsets[sequences.step_offsets]),
            (asked - sequences.step_time[first]) / _HOUR,
            (asked - sequences.step_time[end - 1]) / _HOUR,
            seconds % 86400 / 3600,
            seconds // 86400 % 7,
        ]
    ).astype(np.float64)


def _foreign_scaling(used: Scaling, fitted: Scaling) -> list[Finding]:
    ours, theirs = (np.array([scaling.mean, scaling.std]) for scaling in (used, fitted))
    if np.allclose(ours, theirs, rtol=_TOLERANCE):
        return []
    return [
        Finding(
            "scaling of other parts",
            "the scaling was not fitted on the training set",
            "scaling",
            "leak",
            "fit it on the training set alone",
        )
    ]


def _foreign_vocabulary(sequences: Sequences, in_training: NDArray[np.int64]) -> list[Finding]:
    """Find known codes that no training example has."""
    seen = np.zeros(len(sequences.vocabulary), np.bool_)
    seen[in_training] = True
    foreign = np.flatnonzero(~seen[1:]) + 1  # the first is the unknown code
    if not len(foreign):
        return []
    return [
        Finding(
            "vocabulary of other parts",
            f"{len(foreign)} known codes occur in no training example",
            "vocabulary",
            "leak",
            "learn the vocabulary from the training set alone",
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
            "build the sequences again, from events dated by the time they were known",
        )
    ]
