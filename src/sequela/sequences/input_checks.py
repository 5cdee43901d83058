"""Leak checks on the inputs of a run: segments or sequences that are split."""

from collections.abc import Iterator
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csr_array, hstack

from sequela.audit import cells, column_checks, overlaps, small_models, window_checks
from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput, Floats, Ints, Labels
from sequela.datasets.codes import family_of
from sequela.sequences.feature_tables import (
    SUMMARIES,
    SparseTable,
    bag_of_codes,
    summaries,
    summary_names,
)
from sequela.sequences.flat import Sequences
from sequela.sequences.scaling import Scaling
from sequela.signals import simultaneous
from sequela.signals.segments import Segments, first_minutes

# On the open hospital data nothing passes 0.69, 0.73 and 0.81 (decision 18).
AUROC_OF_FORM = 0.8  # report a small tree of counts and times from this AUROC on, out of fold
AUROC_OF_TREE = 0.85  # report a small tree that also reads codes from this AUROC on
AUROC_OF_CODES = column_checks.REVEALING_AUROC  # the same for a logistic regression of codes
_OF_VALUES = 5  # of the summaries: last, least, greatest, mean and count
_RARE = 3  # examples with a code, from which a model reads it
_HOUR = np.timedelta64(1, "h")
_TOLERANCE = 1e-6  # relative, between two fits of a scaling on the same rows
_IN_ANY_SPLIT: WeakKeyDictionary[Segments, tuple[list[Finding], Ints]] = WeakKeyDictionary()
"""What reveals the class in segments, and the pairs (pair, 2) of simultaneous recordings: folds of
a study divide the same segments."""


def find_in_segments(data: AuditInput) -> list[Finding]:
    """Find copies across parts, samples that reveal the class, and a scaling of other parts."""
    segments, (parts,) = cast("Segments", data.segments), data.splits
    starts, beginnings = first_minutes(segments)
    if segments not in _IN_ANY_SPLIT:
        recordings, people = (
            Labels(segments.label, segments.classes, ids)
            for ids in (segments.recording_id, segments.independent)
        )
        form = segments.sfreq, segments.channels or ()
        revealing = window_checks.by_class(segments.signal, recordings, people, *form)
        _IN_ANY_SPLIT[segments] = revealing, simultaneous.pairs(beginnings, segments.sfreq)
    revealing, pairs = _IN_ANY_SPLIT[segments]
    part = np.full(len(segments), "", dtype="<U8")
    for name, rows in parts.items():
        part[rows] = name
    ends = [*starts[1:].tolist(), len(part)]
    part_of_recording = [
        str(part[first]) if len(np.unique(part[first:end])) == 1 else ""
        for first, end in zip(starts.tolist(), ends, strict=True)
    ]
    fitted = Scaling.fit(segments.signal, parts["train"], robust=data.scaling.robust)
    return [
        *overlaps.simultaneous_recordings(pairs, part_of_recording),
        *window_checks.between_parts(segments.signal, parts, segments.recording_id),
        *revealing,
        *([] if data.is_update else _foreign_scaling(data.scaling, fitted)),
    ]


def find_in_sequences(data: AuditInput) -> list[Finding]:
    """Find copies across parts, codes that reveal the outcome, foreign codes, and later steps."""
    sequences: Sequences = data.records
    (parts,) = data.splits
    everybody = np.arange(len(sequences))
    in_test = np.isin(everybody, parts["held_out"])
    label = sequences.label.astype(np.int64)
    labels = Labels(label, data.classes, sequences.subject_id)
    present = csr_array(bag_of_codes(sequences, everybody, "presence"))
    in_vocabulary = present[:, 1:]  # the first is the unknown code
    names = sequences.vocabulary
    values, bound = summaries(sequences, everybody), column_checks.REVEALING_VALUE
    judged, last = np.flatnonzero(~in_test), values[:, :: len(SUMMARIES)]
    spaced = column_checks.spaced_by_class(label, len(data.classes))
    return [
        *overlaps.identical_records({name: in_vocabulary[rows] for name, rows in parts.items()}),
        *column_checks.revealing_codes(present, names, labels),
        *column_checks.revealing_columns(
            values, summary_names(sequences), labels, bound=bound, measured=True
        ),
        *column_checks.pure_codes(present, names, labels),
        *_revealing_models(sequences, present, labels, judged),
        *_revealing_together(sequences, present, values, labels, small_models.at_most(judged)),
        *column_checks.averaged_labels(last, sequences.channel_names, labels),
        *cells.by_class(
            np.asarray(last[spaced], np.float64),
            sequences.channel_names,
            labels[spaced],
            tested=in_test[spaced],
        ),
        *([] if data.is_update else _foreign_codes(sequences, parts["train"])),
        *_later_steps(sequences),
    ]


def _revealing_models(
    sequences: Sequences, present: csr_array, labels: Labels, rows: Ints
) -> Iterator[Finding]:
    """Report small models that predict the outcome, cross-validated by subject.

    The models are of counts and times, of these and codes, and of codes. ``present`` is (example,
    code), 1 where the example has the code.
    """
    form, codes = form_of(sequences)[rows], present[rows]
    codes = codes[:, np.flatnonzero(codes.sum(axis=0) >= _RARE)]
    codes_and_form = csr_array(hstack([codes, csr_array(form)], format="csr"))
    counts = "the number of codes, steps and values, and the prediction time, predict"
    models: tuple[tuple[str, small_models.Table, small_models.Model, float], ...] = (
        (counts, form, "tree", AUROC_OF_FORM),
        ("a small tree of codes, counts and times predicts", codes_and_form, "tree", AUROC_OF_TREE),
        ("codes together predict", codes, "logistic", AUROC_OF_CODES),
    )
    for how, table, model, least in models:
        auroc = small_models.model_auroc(table, labels[rows], least=least, model=model)
        if auroc is not None:
            check, name = "inputs that tell the outcome", labels.classes[1]
            yield Finding.of(check, "inputs", how=how, auroc=auroc, name=name)


def _revealing_together(
    sequences: Sequences, present: csr_array, values: SparseTable, labels: Labels, rows: Ints
) -> list[Finding]:
    """Report codes and values that predict the outcome together, and one that outweighs others.

    ``present`` and ``values`` are (example, code) and (example, channel * 8).
    """
    present = present[rows]
    numbers = values[rows].astype(np.float64).reshape(len(rows), -1, len(SUMMARIES))
    codes = np.flatnonzero(present.sum(axis=0) >= _RARE)
    bins, column = small_models.binned(numbers[:, :, :_OF_VALUES].reshape(len(rows), -1))
    channels = np.array(sequences.channel_names, np.str_)[column // _OF_VALUES]
    names = np.concatenate([np.array(sequences.vocabulary, np.str_)[codes], channels])
    table = csr_array(hstack([present[:, codes], bins], format="csr"))
    families = np.array([family_of(name).name for name in names.tolist()], np.str_)
    return small_models.revealing_inputs(table, names, families, labels[rows])


def form_of(sequences: Sequences) -> Floats:
    """Describe the size and times of an example, without its codes.

    float64 (example, 7): codes, steps and values; hours from the first fact, and from that of the
    last step, to the prediction; hour of the day, and day of seven, of the prediction.
    """
    prediction_time = sequences.prediction_time
    first, end = sequences.step_offsets[:-1], sequences.step_offsets[1:]
    seconds = prediction_time.astype("datetime64[s]").astype(np.int64)
    codes = np.diff(sequences.code_offsets[sequences.step_offsets])
    values = np.diff(sequences.value_offsets[sequences.step_offsets])
    hours = [(prediction_time - sequences.step_time[step]) / _HOUR for step in (first, end - 1)]
    clock = [seconds % 86400 / 3600, seconds // 86400 % 7]  # wards may label by shift or weekday
    return np.column_stack([codes, sequences.lengths, values, *hours, *clock]).astype(np.float64)


def _foreign_scaling(used: Scaling, fitted: Scaling) -> list[Finding]:
    numbers, expected = (np.array([scaling.mean, scaling.std]) for scaling in (used, fitted))
    if np.allclose(numbers, expected, rtol=_TOLERANCE):  # sums of blocks may round otherwise
        return []
    return [Finding.of("scaling of other parts", "scaling")]


def _foreign_codes(sequences: Sequences, train: Ints) -> list[Finding]:
    """Find known codes that no training example has."""
    counts = np.diff(sequences.code_offsets[sequences.step_offsets])
    in_training = np.isin(np.repeat(np.arange(len(sequences)), counts), train)
    occurs = np.zeros(len(sequences.vocabulary), np.bool_)
    occurs[sequences.codes[in_training]] = True
    foreign = int((~occurs[1:]).sum())  # the first is the unknown code
    if not foreign:
        return []
    return [Finding.of("vocabulary of other parts", "vocabulary", foreign=foreign)]


def _later_steps(sequences: Sequences) -> list[Finding]:
    prediction_time = np.repeat(sequences.prediction_time, sequences.lengths)
    later = int((sequences.step_time > prediction_time).sum())
    if not later:
        return []
    return [Finding.of("events after the prediction", "sequences", counts={"steps": later})]
