"""The evaluation of a classifier on unseen examples, with intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sequela.analysis.foreign_inputs import read
from sequela.api.facts import Measured, Method, Rows
from sequela.api.survival import group_ids
from sequela.errors import DataError, SettingError, warn_without_groups
from sequela.evaluation.metrics import reported
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import Numbers, summarise
from sequela.figures.figure import FAINT, FIRST, INK, SECOND, Figure
from sequela.figures.matrices import confusion_matrix

_BINARY = 2  # classes for which AUROC and average precision are defined
_NARROW = "several draws of the bootstrap: intervals are too narrow"
_COLOURS = (
    f"--ink:{INK};--faint:{FAINT};--first:{FIRST};--second:{SECOND};--paper:#fff;background:#fff"
)


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Measured):
    """The predictions of a classifier, and their metrics.

    Attributes:
        predictions: Probabilities and true classes, for all of :mod:`sequela.evaluation`.
        numbers: As :func:`sequela.evaluation.summary.summarise` returns them.
    """

    predictions: Predictions
    numbers: Numbers

    def _measured(self) -> tuple[Rows, Method]:
        event = self.predictions.classes[-1]
        rows = [
            {
                "number": m.title + (f" of {event}" if m.needs == "two classes" else ""),
                "value": self.numbers[m.key],
                **dict(zip(("low", "high"), self.numbers.get(f"{m.key}_ci") or (), strict=False)),
            }
            for m in reported(self.numbers)
        ]
        recalls = zip(self.predictions.classes, self.numbers["per_class_recall"], strict=True)
        rows += [{"number": f"recall of {name}", "value": recall} for name, recall in recalls]
        return rows, self.numbers["interval"]

    @property
    def confusion(self) -> Figure:
        """A figure of the shares of each true class by predicted class."""
        return confusion_matrix(self.numbers["confusion"], self.predictions.classes)

    @property
    def _title(self) -> str:
        examples, groups = self.numbers["examples"], self.numbers["groups"]
        return f"{examples:,} examples in {groups:,} groups"

    def _below(self) -> str:
        # Notebooks have no style sheet of ours, so the colours travel with the figure.
        return f'<div style="{_COLOURS}">{self.confusion.svg("confusion")}</div>'


def evaluate(
    model: Any,
    X: object,
    y: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    event: object = None,
    recordings: ArrayLike | bool = False,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a fitted classifier, with intervals over subjects.

    Args:
        model: A classifier of this package or scikit-learn, or a pipeline: with ``predict_proba``.
        X: Examples that the model was not trained on.
        y: Their classes (example,).
        groups: Subject, session or recording of each (example,), which the bootstrap draws whole;
            ``None`` makes each example a group.
        event: The class of two that AUROC and average precision are about; by default the second of
            ``classes_``, as in scikit-learn.
        recordings: Recording of each (example,), or True where groups are recordings, if the number
            of recordings of each class was chosen: whole ones are evaluated too, by the mean of
            their probabilities, and groups are drawn within their class. For subjects who were not
            selected by class, this makes intervals too narrow.
        seed: Seed of the bootstrap.

    Raises:
        DataError: If a class was not in training, the arrays do not fit together, or a recording
            has examples of two classes.
        SettingError: If ``event`` is not one of two classes.

    Warns:
        MissingGroupsWarning: If ``groups`` is missing, unless each row is a recording.
        SeenExamplesWarning: If one of our classifiers was trained or validated on some of ``X``.

    Example:
        >>> from sklearn.dummy import DummyClassifier
        >>> y = np.array(["alive", "alive", "died", "alive"] * 10)
        >>> model = DummyClassifier(strategy="prior").fit(np.zeros((40, 1)), y)
        >>> evaluate(model, np.zeros((40, 1)), y, groups=np.arange(40) // 2).numbers["accuracy"]
        0.75
    """
    _require_classifier(model, y)
    if groups is None and recordings is not True:
        warn_without_groups(_NARROW)
    if hasattr(model, "warn_if_seen"):  # ours
        model.warn_if_seen(X, stacklevel=3)
    classes = np.asarray(model.classes_)
    labels, probabilities = _index(classes, np.asarray(y)), np.asarray(model.predict_proba(X))
    if event is not None:
        if len(classes) != _BINARY or event not in classes:
            names = classes.tolist()
            raise SettingError(f"event = {event!r}: expected one of two classes, not of {names}")
        if event == classes[0]:  # the event is the second class in all metrics
            classes, labels, probabilities = classes[::-1], 1 - labels, probabilities[:, ::-1]
    predictions = _predictions(classes, labels, probabilities, groups)
    if np.ndim(recordings):
        predictions = replace(predictions, recording_id=np.asarray(recordings).astype(np.str_))
    is_whole = bool(np.ndim(recordings) or recordings)
    return Evaluation(predictions, summarise(predictions, seed=seed, recordings=is_whole))


def _require_classifier(model: object, y: ArrayLike) -> None:
    """Raise an error for times to an event, and for a model without probabilities of classes."""
    if np.asarray(y).dtype.names:
        raise DataError("y has times to an event: give it to sequela.evaluate_survival")
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise SettingError(
            f"model is of the type {type(model).__name__}: expected a fitted classifier with "
            "predict_proba and classes_, as scikit-learn's have"
        )


def _predictions(
    classes: Iterable[object],
    labels: NDArray[np.int64],
    probabilities: NDArray[Any],
    groups: ArrayLike | None,
) -> Predictions:
    """Return the predictions of a test set of rows; without groups each is a group."""
    example = np.char.mod("%d", np.arange(len(labels)))
    return Predictions(
        example_id=example,
        group_id=example if groups is None else group_ids(groups).astype(np.str_),
        subject_id=np.full(len(labels), ""),
        split=np.full(len(labels), "held_out"),
        label=labels,
        probabilities=probabilities,
        classes=tuple(str(name) for name in classes),
    )


def evaluate_predictions(
    path: Path,
    *,
    label: str | None = None,
    score: str | None = None,
    group: str | None = None,
    form: Sequence[str] = (),
) -> tuple[Evaluation, str]:
    """Evaluate the predictions of any model for two classes, in a file, as :func:`evaluate` does.

    Columns are recognised by their names, as ``sequela audit`` does. If the table has a split, the
    test set is evaluated. Returns also what the columns were taken for.
    """
    names = {"label": label, "probability": score, "group": group}
    columns = {role: [name] for role, name in names.items() if name}
    data, words = read([path], columns, {}, form=form)
    if data.label is None or data.score is None or len(data.classes) != _BINARY:
        raise DataError(
            f"{path}: {words[0].taken_for}; expected a label of two classes and the probability of "
            "the second: name them with --label and --score"
        )
    # The parts are in the order of training, validation and test.
    rows = [*data.splits[0].values()][-1] if data.splits else np.arange(len(data.label))
    rows = rows[np.isfinite(data.score[rows])]  # a model may have no answer
    groups = data.group[rows] if data.units else None  # patients, before recordings
    if groups is None:
        warn_without_groups(_NARROW)
    probabilities = np.column_stack([1 - data.score[rows], data.score[rows]])
    predictions = _predictions(data.classes, data.label[rows], probabilities, groups)
    numbers = summarise(predictions, seed=0, recordings=False)
    return Evaluation(predictions, numbers), words[0].taken_for


def _index(classes: NDArray[np.generic], y: NDArray[np.generic]) -> NDArray[np.int64]:
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise DataError(
            f"y holds {unknown.tolist()}, but the model was trained on {classes.tolist()}: "
            "evaluate on examples of these classes"
        )
    return np.searchsorted(classes, y).astype(np.int64)  # ``classes_`` of scikit-learn are sorted
