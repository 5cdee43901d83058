"""Drift of new data from the training data of a model.

The file of a model has only statistics of its data: mean and deviation of samples and measurements,
shares of patients with a frequent code, and the distribution of the predicted probabilities on the
test set, without its labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sequela.config import SMALLEST_CELL
from sequela.datasets.catalog import Modality
from sequela.evaluation.predictions import Predictions
from sequela.sequences.flat import Sequences, spans
from sequela.serving.model_facts import (
    ModelFacts,
    ProbabilityShares,
    RecordsFacts,
    SignalFacts,
    TrainingStatistics,
)

_BINS = 10  # tenths, as in credit scoring, where the index comes from
_LEAST_SHARE = 1e-4  # in place of 0, whose logarithm is infinite
_MOVED = 0.25  # population stability index above which a distribution has changed (Siddiqi 2006)
_FEWEST_EXAMPLES = 100  # number of examples below which the distribution is not compared
# A deviation this many times larger or smaller: a wrong unit or gain, not other people.
_SPREAD = 2.0
_CODES_APART = 0.1  # a change of a share of patients that a sentence reports
_NAMED = 5  # codes or measurements in sentences, the furthest from training first
# Measurements from which a mean is compared: its error is below a fifth of a deviation.
_VALUES = 30


def probability_shares(predictions: Predictions) -> ProbabilityShares | None:
    """Describe the distribution of probabilities.

    It is ``None`` for too few recordings or patients for two bins of ten.
    """
    # A bin holds at least ten recordings or patients on average, so that its share reveals nobody.
    bins = min(_BINS, len(np.unique(predictions.group_id)) // SMALLEST_CELL)
    if bins < 2:  # noqa: PLR2004 - one bin has no distribution
        return None
    places = np.linspace(0, 1, bins + 1)[1:-1]  # inner ends of bins of equal size
    ends = np.quantile(predictions.probabilities, places, axis=0).T.round(4)  # (class, end)
    shares = _counts(predictions.probabilities, ends) / predictions.n_examples
    return ProbabilityShares(ends=ends.tolist(), shares=shares.round(4).tolist())


def training_statistics(data: Mapping[str, Any]) -> TrainingStatistics:
    """Describe the training data of a run on records."""
    # Shares of rare codes would reveal few patients in a published file.
    patients, sequences = data["parts"]["train"]["subjects"], data["sequences"]
    return TrainingStatistics(
        codes={
            row["code"]: round(row["training_subjects"] / patients, 3)
            for row in sequences["frequent"]
            if row["training_subjects"] >= SMALLEST_CELL
        },
        with_measurements=round(sequences["with_measurements"], 3),
        steps=round(sequences["steps"], 2),
    )


def _counts(probabilities: NDArray[np.float32], ends: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.stack(
        [
            np.bincount(np.searchsorted(end, column, "right"), minlength=len(end) + 1)
            for end, column in zip(ends, probabilities.T, strict=True)
        ]
    )


@dataclass
class Drift:
    """Statistics of new examples, to compare with those of the training data."""

    about: ModelFacts
    examples: int = 0
    predicted: NDArray[np.int64] = field(init=False)
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    having: dict[str, int] = field(default_factory=dict)
    patients: int = 0
    steps: int = 0
    measured: int = 0

    def __post_init__(self) -> None:
        self.predicted = np.zeros(len(self.about.classes), np.int64)
        answers = self.about.answers
        self._ends = np.array(answers.ends, np.float64) if answers else None
        self._before = np.maximum(answers.shares, _LEAST_SHARE) if answers else np.empty(0)
        self._counts = np.zeros_like(self._before)

    def say(self, probabilities: NDArray[np.float32]) -> None:
        """Count predicted probabilities."""
        self.examples += len(probabilities)
        self.predicted += np.bincount(probabilities.argmax(1), minlength=len(self.predicted))
        if self._ends is not None:
            self._counts += _counts(probabilities, self._ends)

    def see_signal(self, signal: NDArray[np.float32]) -> None:
        """Count samples (example, channel, time) in µV."""
        self._add(
            # Sums of ones, of samples and of squares give mean and deviation of any amount of data
            # in one pass. Double precision keeps their difference exact enough.
            n=np.full(signal.shape[1], signal.shape[0] * signal.shape[2], np.float64),
            sum=signal.sum((0, 2), dtype=np.float64),
            squares=np.einsum("ect,ect->c", signal, signal, dtype=np.float64),
        )

    def see_records(self, sequences: Sequences) -> None:
        """Count codes, steps and measurements of all examples of some patients."""
        self.steps += len(sequences.step_time)
        values = np.diff(sequences.value_offsets[sequences.step_offsets])
        self.measured += int(np.count_nonzero(values))
        size = len(sequences.channel_names)
        channels, numbers = sequences.channels, sequences.values.astype(np.float64)
        self._add(
            n=np.bincount(channels, minlength=size).astype(np.float64),
            sum=np.bincount(channels, numbers, minlength=size).astype(np.float64),
        )
        # A patient with a code in each of ten stays counts once, as in the statistics of training.
        subjects, subject = np.unique(sequences.subject_id, return_inverse=True)
        self.patients += len(subjects)
        of_step = np.repeat(subject, sequences.lengths)  # (step,)
        of_code = np.repeat(of_step, np.diff(sequences.code_offsets))  # (code,)
        frequent = self.about.takes.training.codes
        for place, name in enumerate(sequences.vocabulary):
            if name in frequent:
                having = len(np.unique(of_code[sequences.codes == place]))
                self.having[name] = self.having.get(name, 0) + having

    def _add(self, **sums: NDArray[np.float64]) -> None:
        for name, total in sums.items():
            self.sums[name] = self.sums.get(name, np.zeros_like(total)) + total

    @property
    def stability(self) -> list[float] | None:
        """The population stability index for each class; ``None`` for few examples."""
        if self._ends is None or self.examples < _FEWEST_EXAMPLES:
            return None
        # The sum over bins of the change of the share times the log ratio of both shares: 0 if
        # nothing moved. An empty bin has a least share, as the ratio would be infinite.
        after = np.maximum(self._counts / self.examples, _LEAST_SHARE)
        moved = (after - self._before) * np.log(after / self._before)  # (class, bin)
        return [float(index) for index in moved.sum(1)]

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics for programs."""
        stability, classes = self.stability, self.about.classes
        statistics: dict[str, Any] = {
            "predicted": dict(zip(classes, self.predicted.tolist(), strict=True)),
            "stability": stability
            and dict(zip(classes, np.round(stability, 4).tolist(), strict=True)),
        }
        if self.about.kind is Modality.EEG:
            return {**statistics, "channels": self._channels(self.about.takes)}
        return {**statistics, "records": self._records(self.about.takes)}

    def _channels(self, signal: SignalFacts) -> list[dict[str, float]]:
        # Its scaling is of median and interquartile range, which do not compare.
        if not self.examples or signal.preparation.standardise:
            return []
        scaling = signal.scaling
        # Variance = E[x²] - E[x]²; rounding may make it negative for a flat channel.
        mean = self.sums["sum"] / self.sums["n"]
        std = np.sqrt(np.maximum(self.sums["squares"] / self.sums["n"] - mean**2, 0))
        rows = zip(mean.tolist(), std.tolist(), scaling.mean, scaling.std, strict=True)
        names = ("mean", "deviation", "training_mean", "training_deviation")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _records(self, records: RecordsFacts) -> dict[str, object]:
        training, scales = records.training, records.values
        patients = max(self.patients, 1)
        codes = {
            name: {"share": round(self.having.get(name, 0) / patients, 3), "training": share}
            for name, share in training.codes.items()
        }
        values = {}
        if scales and self.sums:
            n = self.sums["n"]
            mean = self.sums["sum"] / np.maximum(n, 1)
            values = {
                records.channels[i]: {
                    "mean": float(mean[i]),
                    "training_mean": scales.mean[i],
                    "training_deviation": scales.deviation[i],
                }
                for i in np.flatnonzero(n >= _VALUES).tolist()
            }
        return {
            "patients": self.patients,
            "steps": round(self.steps / max(self.examples, 1), 2),
            "training_steps": training.steps,
            "with_measurements": round(self.measured / max(self.examples, 1), 3),
            "training_with_measurements": training.with_measurements,
            "codes": codes,
            "values": values,
        }

    def sentences(self) -> Iterator[str]:
        """Yield sentences on the drift."""
        statistics = self.to_dict()
        if statistics["stability"] is not None:
            name, most = max(statistics["stability"].items(), key=lambda channel: float(channel[1]))
            moved = "drift" if most > _MOVED else "no drift"
            yield (
                f"drift: {moved} in the predicted probabilities compared with the test set "
                f"(population stability index {most:.2f} for {name}; drift is above {_MOVED})"
            )
        for number, channel in enumerate(statistics.get("channels", ()), 1):
            yield _spread_of(number, channel)
        if "records" in statistics:
            yield from _of_records(statistics["records"])


def _spread_of(number: int, channel: Mapping[str, float]) -> str:
    before = channel["training_deviation"] or 1.0
    ratio = channel["deviation"] / before
    shift = (channel["mean"] - channel["training_mean"]) / before
    # A wrong unit multiplies the deviation, a wrong reference or filter moves the mean.
    far = not 1 / _SPREAD <= ratio <= _SPREAD or abs(shift) > 1
    return (
        f"drift: channel {number} has a deviation of {channel['deviation']:.4g} µV (training: "
        f"{channel['training_deviation']:.4g} µV) and a mean of {channel['mean']:.4g} µV "
        f"(training: {channel['training_mean']:.4g} µV)"
        + ("; check unit, reference and filter" if far else "")
    )


def _of_records(records: Mapping[str, Any]) -> Iterator[str]:
    if records["training_steps"] is not None:
        yield (
            f"drift: {records['steps']:.1f} steps per example (training: "
            f"{records['training_steps']:.1f}); {records['with_measurements']:.0%} of examples "
            f"have a measurement (training: {records['training_with_measurements']:.0%})"
        )
    apart = {
        name: numbers
        for name, numbers in records["codes"].items()
        if abs(numbers["share"] - numbers["training"]) >= _CODES_APART
    }
    furthest = sorted(apart, key=lambda n: -abs(apart[n]["share"] - apart[n]["training"]))
    for name in furthest[:_NAMED]:
        share, before = (apart[name][key] for key in ("share", "training"))
        yield f"drift: {share:.0%} of patients have {name} (training: {before:.0%})"
    moved = {
        name: (numbers["mean"] - numbers["training_mean"]) / numbers["training_deviation"]
        for name, numbers in records["values"].items()
    }
    for name in sorted(moved, key=lambda n: -abs(moved[n]))[:_NAMED]:
        if abs(moved[name]) > 1:
            numbers = records["values"][name]
            yield (
                f"drift: {name} has a mean of {numbers['mean']:.4g} (training: "
                f"{numbers['training_mean']:.4g}); check its unit"
            )


def patients_of(sequences: Sequences, most: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows of whole patients, ``most`` patients at a time: int64 (row,)."""
    first = np.flatnonzero(np.diff(sequences.subject_id, prepend=sequences.subject_id[:1] - 1))
    ends = np.append(first, len(sequences))
    for begin in range(0, len(first), most):
        last = min(begin + most, len(first))
        yield spans(ends[begin : begin + 1], ends[last : last + 1] - ends[begin : begin + 1])
