"""Why did a run's network say what it said? Some held-out examples explained, and codes ranked."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.errors import RunError, UnknownNameError, unknown_name
from sequela.evaluation.attribution import (
    STEPS,
    Attribution,
    attribute_signal,
    attribute_visits,
    contrast,
)
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.subgroups import SMALLEST_CELL
from sequela.runs import records, signals
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FOLDS, FoldsFolder
from sequela.runs.network import stored_network
from sequela.sequences.flat import Sequences
from sequela.sequences.visit_batches import VisitDataset, visit_loader

_BATCH = 64
_TWO = 2
Attribute = Callable[[int, Tensor], Attribution]


@dataclass(frozen=True)
class CodeAt:
    """A code in the record of an example.

    Attributes:
        code: Its name; ``UNKNOWN`` where the vocabulary lacks it.
        visit: Which of the example's steps, from 1.
        days_before: From the step to the prediction.
    """

    code: str
    visit: int
    days_before: float


@dataclass(frozen=True)
class Explained:
    """One example.

    Attributes:
        example_id: As in ``predictions.parquet``.
        why: Why it was chosen.
        part: Of the split.
        label: The true class.
        chances: Class to the probability that the model gives it.
        numbers: Name of a number of the model, for example ``logit of seizure``, to what moved it:
            values (n_chans, n_times) of a segment, (code,) of a record.
        signal: float32 (n_chans, n_times) in µV, of a segment.
        codes: Those of a record, in the order of the values.
    """

    example_id: str
    why: str
    part: str
    label: str
    chances: Mapping[str, float]
    numbers: Mapping[str, Attribution]
    signal: NDArray[np.float32] | None = None
    codes: tuple[CodeAt, ...] = ()


@dataclass(frozen=True)
class CodeImportance:
    """How much a code moves the held-out predictions.

    Attributes:
        code: Its name.
        subjects: Held-out subjects who have it.
        mean_absolute: Mean absolute attribution over all held-out examples.
        mean: Mean attribution over those that have it.
    """

    code: str
    subjects: int
    mean_absolute: float
    mean: float


@dataclass(frozen=True)
class Importance:
    """The codes of the held-out part by importance.

    Attributes:
        what: The number that they move.
        codes: The most important first; none of fewer than 10 subjects.
        suppressed: Codes of fewer subjects.
        examples: Held-out examples.
        median_error: Median relative completeness error of the examples.
        largest_error: The largest.
    """

    what: str
    codes: tuple[CodeImportance, ...]
    suppressed: int
    examples: int
    median_error: float
    largest_error: float


@dataclass(frozen=True)
class Explanation:
    """What moved the predictions of a run.

    Attributes:
        run: Whose.
        origin: Where the data were found, in words.
        sfreq: In Hz, of signals.
        examples: Those that were asked for, or chosen.
        importance: Of codes, where the run reads records.
    """

    run: RunFolder
    origin: str
    sfreq: float | None
    examples: tuple[Explained, ...]
    importance: Importance | None


def explain(
    path: Path,
    *,
    examples: Sequence[str] = (),
    classes: Sequence[str] = (),
    root: Path | None = None,
    steps: int | None = None,
) -> Explanation:
    """Explain predictions of a run's network by integrated gradients.

    The data are read again, and must be those that the run was made of.

    Args:
        path: Run folder.
        examples: Ids as in ``predictions.parquet``; if none, telling held-out ones are chosen.
        classes: Whose logits are explained. If none: of two classes the log-odds of the second; of
            more the predicted class and the true one.
        root: Where the data lie, if not where they are looked for by themselves.
        steps: Of the integral; if not given, as many as make the completeness error small.

    Raises:
        UnknownNameError: If an example or a class does not exist.
        SettingError: If the run's model is a floor.
        RunError: If the run is damaged or not finished, is of folds, or the data are others.
        MissingExtraError: If captum is not installed.
    """
    torch.set_num_threads(1)
    if (path / FOLDS).exists():
        first = FoldsFolder(path).runs[0].path
        raise RunError(f"{path}: each fold has a model of its own: name one, for example {first}")
    folder = RunFolder(path)
    folder.require_complete()
    header, model = stored_network(folder, "an explanation")
    for name in classes:
        if name not in header["classes"]:
            raise unknown_name("class", name, header["classes"])
    predictions = folder.predictions
    wanted = _rows(predictions, examples) if examples else telling(predictions)
    work = path.with_name(f".{path.name}.explain")
    try:
        if folder.settings.cohort is None:
            data = signals.load(folder.settings, root)
            _check_same(folder, data.digest, data.origin)
            return _of_signals(folder, model, data, wanted, classes, steps)
        loaded = records.load(folder.settings, root, work)
        _check_vocabulary(folder, header["vocabulary"], loaded)
        _check_same(folder, loaded.digest, loaded.origin)
        return _of_visits(folder, model, loaded, wanted, classes, steps)
    finally:
        shutil.rmtree(work, ignore_errors=True)  # records of patients: no longer than needed


def telling(predictions: Predictions) -> dict[int, str]:
    """Rows of held-out examples that tell most about a model, each with why it was chosen."""
    names = predictions.classes
    inside = predictions.split == "held_out"
    label = predictions.label
    chance = predictions.probabilities
    if len(names) == _TWO:
        happened, not_so = inside & (label == 1), inside & (label == 0)
        asked = [
            (happened, chance[:, 1], f"{names[1]}, and had the highest chance of it"),
            (not_so, chance[:, 1], f"{names[0]}, and had the highest chance of “{names[1]}”"),
            (happened, -chance[:, 1], f"{names[1]}, and had the lowest chance of it"),
        ]
    else:
        right = predictions.predicted == label
        asked = [
            (inside & right, chance.max(1), "the most confident prediction that is right"),
            (inside & ~right, chance.max(1), "the most confident prediction that is wrong"),
        ]
    chosen: dict[int, str] = {}
    for among, by, why in asked:
        if among.any():
            chosen.setdefault(int(np.where(among, by, -np.inf).argmax()), why)
    return chosen


def _rows(predictions: Predictions, examples: Sequence[str]) -> dict[int, str]:
    place = {name: row for row, name in enumerate(predictions.example_id.tolist())}
    for name in examples:
        if name not in place:
            raise UnknownNameError(
                f"no example '{name}' in this run: ids stand in its predictions.parquet, for "
                f"example '{predictions.example_id[0]}'"
            )
    return {place[name]: "asked for" for name in examples}


def _check_same(folder: RunFolder, digest: str, origin: str) -> None:
    if folder.json("split.json")["data_sha256"] != digest:
        raise RunError(
            f"{folder.path} was made of other data than those found now ({origin}): name the same "
            "data with --root"
        )


def _check_vocabulary(folder: RunFolder, stored: Sequence[str], records: records.VisitData) -> None:
    found = records.sequences.vocabulary
    if tuple(stored) != found:
        raise RunError(
            f"{folder.path} knows {len(stored):,} codes, and the data found now "
            f"({records.origin}) give {len(found):,} or others: name its data with --root"
        )


def _of_signals(
    folder: RunFolder,
    model: nn.Module,
    data: signals.SignalData,
    wanted: Mapping[int, str],
    classes: Sequence[str],
    steps: int | None,
) -> Explanation:
    def attribute(row: int, weights: Tensor) -> Attribution:
        return attribute_signal(model, data.scaled[row], weights, steps)

    found = [
        _explained(folder.predictions, row, why, classes, attribute)
        | {"signal": data.segments.signal[row]}
        for row, why in wanted.items()
    ]
    examples = tuple(Explained(**each) for each in found)
    return Explanation(folder, data.origin, data.segments.sfreq, examples, None)


def _of_visits(
    folder: RunFolder,
    model: nn.Module,
    data: records.VisitData,
    wanted: Mapping[int, str],
    classes: Sequence[str],
    steps: int | None,
) -> Explanation:
    dataset = VisitDataset(data.sequences)

    def attribute(row: int, weights: Tensor) -> Attribution:
        return attribute_visits(model, dataset[[row]], weights, steps)[0]

    found = [
        _explained(folder.predictions, row, why, classes, attribute)
        | {"codes": codes_of(data.sequences, row)}
        for row, why in wanted.items()
    ]
    examples = tuple(Explained(**each) for each in found)
    return Explanation(folder, data.origin, None, examples, _importance(model, data))


def _explained(
    predictions: Predictions, row: int, why: str, classes: Sequence[str], attribute: Attribute
) -> dict[str, Any]:
    """What is said of an example, whatever it is made of."""
    names = predictions.classes
    label = names[predictions.label[row]]
    usual = (names[predictions.predicted[row]], label) if len(names) > _TWO else names[1:]
    asked = dict.fromkeys(classes or usual)
    return {
        "example_id": str(predictions.example_id[row]),
        "why": why,
        "part": str(predictions.split[row]),
        "label": label,
        "chances": dict(zip(names, predictions.probabilities[row].tolist(), strict=True)),
        "numbers": {
            number_of(names, name): attribute(row, contrast(len(names), names.index(name)))
            for name in asked
        },
    }


def number_of(classes: Sequence[str], name: str) -> str:
    """What is explained, in words.

    Example:
        >>> number_of(("survived", "died"), "died"), number_of(("a", "b", "c"), "b")
        ('log-odds of died', 'logit of b')
    """
    return f"{'log-odds' if len(classes) == _TWO else 'logit'} of {name}"


def codes_of(sequences: Sequences, example: int) -> tuple[CodeAt, ...]:
    """The codes of an example in their order, with their step and how long ago it was."""
    first = int(sequences.step_offsets[example])
    asked = sequences.prediction_time[example]
    return tuple(
        CodeAt(
            code,
            visit + 1,
            float((asked - sequences.step_time[first + visit]) / np.timedelta64(1, "D")),
        )
        for visit, codes in enumerate(sequences.codes_of(example))
        for code in codes
    )


def _importance(model: nn.Module, data: records.VisitData) -> Importance:
    """Mean absolute attributions of the codes over the held-out part."""
    rows = data.rows("held_out")
    sequences = data.sequences
    size = len(sequences.vocabulary)
    absolute, summed, present = np.zeros(size), np.zeros(size), np.zeros(size)
    whose: set[tuple[int, int]] = set()
    errors = []
    for batch in visit_loader(VisitDataset(sequences, rows), batch_size=_BATCH):
        found = attribute_visits(model, batch, contrast(_TWO, 1), STEPS)
        for example, one in zip(rows[batch.order.numpy()].tolist(), found, strict=True):
            first, last = sequences.code_offsets[sequences.step_offsets[[example, example + 1]]]
            codes = np.asarray(sequences.codes[first:last])
            at = np.bincount(codes, one.values, size)  # a code in several visits counts together
            there = np.unique(codes)
            absolute[there] += np.abs(at[there])
            summed[there] += at[there]
            present[there] += 1
            subject = int(sequences.subject_id[example])
            whose.update((subject, code) for code in there.tolist())
            errors.append(one.relative_error)
    subjects = np.bincount([code for _, code in whose], minlength=size)
    shown = np.flatnonzero(subjects >= SMALLEST_CELL)
    order = shown[np.argsort(-absolute[shown], kind="stable")]
    return Importance(
        number_of(data.classes, data.classes[1]),
        tuple(
            CodeImportance(
                sequences.vocabulary[i],
                int(subjects[i]),
                float(absolute[i] / len(rows)),
                float(summed[i] / present[i]),
            )
            for i in order
        ),
        int(((subjects > 0) & (subjects < SMALLEST_CELL)).sum()),
        len(rows),
        float(np.median(errors)),
        float(np.max(errors)),
    )
