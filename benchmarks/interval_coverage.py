"""How often the 95 % intervals hold the truth, by simulation.

Three kinds of data are drawn again and again at 50, 200 and 1,000 subjects; the truth is the number
on a million subjects. Target: 92-97 % where examples are clustered in subjects.

    python benchmarks/interval_coverage.py [--repeats 1000] [--subjects 50 200 1000]
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from sequela.errors import DataError
from sequela.evaluation import statistic
from sequela.evaluation.delong import delong_interval
from sequela.evaluation.intervals import Bootstrap, Interval, interval
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.resampling import class_strata
from sequela.evaluation.statistic import Statistic

TRUTH_SUBJECTS, TRUTH_ROUNDS = 100_000, 10


@dataclass(frozen=True)
class Sample:
    """Examples of some subjects: all arrays are (example,)."""

    subject: NDArray[np.int64]
    positive: NDArray[np.bool_]
    score: NDArray[np.float64]


def recordings(subjects: int, rng: np.random.Generator) -> Sample:
    """Ten segments of each recording, as many recordings of each class by design."""
    subject = np.repeat(np.arange(subjects), 10)
    positive = subject % 2 == 1
    own = rng.normal(size=subjects)[subject]
    return Sample(subject, positive, own + rng.normal(size=len(subject)) + 1.5 * positive)


def stays(subjects: int, rng: np.random.Generator) -> Sample:
    """One to eight stays of each patient, 13 % with the event, who differ in risk and in score."""
    subject = np.repeat(np.arange(subjects), rng.integers(1, 9, size=subjects))
    own = rng.normal(size=subjects)[subject]
    seen = 0.7 * own + rng.normal(size=len(subject))
    positive = rng.random(len(subject)) < expit(-3 + 1.2 * seen + own)
    return Sample(subject, positive, seen + 0.5 * rng.normal(size=len(subject)))


def patients(subjects: int, rng: np.random.Generator) -> Sample:
    """One stay of each patient, 10 % with the event: with 50 patients, five events."""
    positive = rng.random(subjects) < 0.1
    return Sample(np.arange(subjects), positive, rng.normal(size=subjects) + 1.4 * positive)


Design = Callable[[int, np.random.Generator], Sample]
DESIGNS: dict[str, tuple[Design, Bootstrap]] = {
    "recordings": (recordings, Bootstrap(classes_fixed=True)),
    "stays": (stays, Bootstrap()),
    "patients": (patients, Bootstrap()),
}


def probability(score: NDArray[np.float64]) -> NDArray[np.float64]:
    return expit(1.4 * score - 2.2)


def metrics(sample: Sample) -> dict[str, Statistic]:
    chance = probability(sample.score)
    right = (chance > 0.5) == sample.positive
    loss = -np.log(np.where(sample.positive, chance, 1 - chance))
    return {
        "accuracy": statistic.share(right, np.ones_like(right), sample.subject),
        "recall": statistic.share(right, sample.positive, sample.subject),
        "log loss": statistic.mean(loss, sample.subject),
        "AUROC": statistic.auroc(sample.positive, sample.score, sample.subject),
        "average precision": statistic.average_precision(
            sample.positive, sample.score, sample.subject
        ),
    }


def truth(design: Design) -> dict[str, float]:
    rng = np.random.default_rng(2026)
    rounds = [metrics(design(TRUTH_SUBJECTS, rng)) for _ in range(TRUTH_ROUNDS)]
    return {name: float(np.mean([one[name].estimate for one in rounds])) for name in rounds[0]}


def delong(sample: Sample) -> Interval:
    count = len(sample.subject)
    chance = probability(sample.score)
    return delong_interval(
        Predictions(
            example_id=np.arange(count).astype(np.str_),
            group_id=sample.subject.astype(np.str_),
            subject_id=np.full(count, ""),
            split=np.full(count, "held_out"),
            label=sample.positive.astype(np.int64),
            probabilities=np.stack([1 - chance, chance], axis=1),
            classes=("no", "yes"),
        )
    )


def found_in(sample: Sample, how: Bootstrap, rng: np.random.Generator) -> dict[str, Interval]:
    """All intervals that this sample gives; one without an event in two subjects gives few."""
    stratum = None
    if how.classes_fixed:
        stratum = class_strata(sample.positive.astype(np.int64), sample.subject)
    makers: dict[str, Callable[[], Interval]] = {
        name: lambda metric=metric: interval(metric, rng, how, stratum)  # type: ignore[misc]
        for name, metric in metrics(sample).items()
    }
    makers["AUROC, DeLong"] = lambda: delong(sample)
    found = {}
    for name, make in makers.items():
        try:
            found[name] = make()
        except DataError:
            continue
    return found


def report(name: str, subjects: int, repeats: int) -> None:
    design, how = DESIGNS[name]
    true = truth(design)
    true["AUROC, DeLong"] = true["AUROC"]
    rng = np.random.default_rng(subjects)
    started = time.perf_counter()
    kept: dict[str, list[Interval]] = {metric: [] for metric in true}
    for _ in range(repeats):
        for metric, one in found_in(design(subjects, rng), how, rng).items():
            kept[metric].append(one)
    seconds = time.perf_counter() - started
    for metric, all_found in kept.items():
        holds = sum(one.low <= true[metric] <= one.high for one in all_found)
        width = np.median([one.high - one.low for one in all_found])
        band = stats.binomtest(holds, len(all_found)).proportion_ci()
        print(
            f"{name:<11}{subjects:>6}  {metric:<18}{100 * holds / len(all_found):>6.1f} %"
            f"  ({100 * band.low:.1f}-{100 * band.high:.1f})  width {width:.3f}"
            f"  of {len(all_found)}",
            flush=True,
        )
    print(f"{name:<11}{subjects:>6}  {seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1_000)
    parser.add_argument("--subjects", type=int, nargs="+", default=[50, 200, 1_000])
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    options = parser.parse_args()
    print("data       subjects  number            held by 95 % intervals (of the simulation)")
    for name in options.designs:
        for subjects in options.subjects:
            report(name, subjects, options.repeats)


if __name__ == "__main__":
    main()
