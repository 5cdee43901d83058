"""What makes a run's numbers too good: looked for in every run, and said wherever it is shown."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.cohort import leakage
from sequela.cohort.finding import Finding
from sequela.cohort.split import PARTS
from sequela.runs.records import VisitData
from sequela.runs.signals import SignalData
from sequela.sequences.scaling import Scaling
from sequela.sequences.tables import bag_of_codes

OF_SIGNALS = (
    "recordings in two parts, parts of one class, identical and nearly identical segments in two "
    "parts, samples that tell the class by themselves, scaling fitted on other parts"
)
OF_VISITS = (
    "deaths on record before the prediction, discharge codes of a stay that had not ended, "
    "subjects in two parts, parts of one class, identical records in two parts, codes that tell "
    "the outcome by themselves, a vocabulary of other parts, steps after the prediction"
)
_TOLERANCE = 1e-6


def audit(data: SignalData | VisitData) -> list[Finding]:
    """All checks that fit the data; an empty list means that nothing was found.

    The parts share no subject or recording and no identical or nearly identical example; each class
    stands in each part; no column or code tells the class alone; scaling and vocabulary are of the
    training part; nothing that is read was known after the prediction.
    """
    if isinstance(data, SignalData):
        return _of_signals(data)
    return _of_visits(data)


def _of_signals(data: SignalData) -> list[Finding]:
    segments, label = data.segments, data.labels
    samples = segments.signal.reshape(len(segments), -1).astype(np.float64)
    rows, group = _in_parts(data.part, samples), _in_parts(data.part, segments.recording_id)
    names = [f"sample {index}" for index in range(samples.shape[1])]
    return [
        *leakage.overlapping_groups(group, "recording"),
        *leakage.one_class(_in_parts(data.part, label), data.classes),
        *leakage.identical_rows(rows),
        *leakage.near_identical_rows(rows, group),
        *leakage.telling_columns(samples, names, label, data.classes, segments.recording_id),
        *_foreign_scaling(data),
    ]


def _of_visits(data: VisitData) -> list[Finding]:
    sequences, label = data.sequences, data.labels
    subject = sequences.subject_id.astype(np.str_)
    counts = np.diff(sequences.code_offsets[sequences.step_offsets])
    example = np.repeat(np.arange(len(label)), counts)
    codes = sequences.codes.astype(np.int64)
    known = bag_of_codes(sequences, np.arange(len(label)))[:, 1:]  # the first is the unknown code
    return [
        *data.cohort.leaks,
        *leakage.overlapping_groups(_in_parts(data.part, subject), "subject"),
        *leakage.one_class(_in_parts(data.part, label), data.classes),
        *leakage.identical_records({name: known[data.rows(name)] for name in PARTS}),
        *leakage.telling_codes(example, codes, sequences.vocabulary, label, data.classes, subject),
        *_foreign_vocabulary(data, example, codes),
        *_later_steps(data),
    ]


def _in_parts(part: NDArray[np.int64], values: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
    return {name: values[part == index] for index, name in enumerate(PARTS)}


def _foreign_scaling(data: SignalData) -> list[Finding]:
    fitted = Scaling.fit(data.segments.signal[data.part == PARTS.index("train")])
    ours, theirs = (np.array([scaling.mean, scaling.std]) for scaling in (data.scaling, fitted))
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


def _foreign_vocabulary(
    data: VisitData, example: NDArray[np.int64], codes: NDArray[np.int64]
) -> list[Finding]:
    """Known codes that no training example has."""
    seen = np.zeros(len(data.sequences.vocabulary), np.bool_)
    seen[codes[data.part[example] == PARTS.index("train")]] = True
    foreign = np.flatnonzero(~seen[1:]) + 1  # the first is the unknown code
    if not len(foreign):
        return []
    named = ", ".join(data.sequences.vocabulary[index] for index in foreign[:3])
    return [
        Finding(
            "vocabulary of other parts",
            f"{len(foreign)} known codes stand in no training example, for example {named}",
            "vocabulary",
            "leak",
            "learn the vocabulary from the training part alone",
        )
    ]


def _later_steps(data: VisitData) -> list[Finding]:
    sequences = data.sequences
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
