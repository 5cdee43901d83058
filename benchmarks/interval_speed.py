"""2,000 bootstrap resamples of 10,000 predictions, beside a plain loop over scikit-learn.

python benchmarks/interval_speed.py [--groups 1000] [--examples 10000] [--resamples 2000]
"""

import argparse
import time

import numpy as np
import sklearn.metrics

from sequela.evaluation.curves import precision_recall_curve, roc_curve
from sequela.evaluation.intervals import Bootstrap, metric_interval
from sequela.evaluation.metrics import METRICS
from sequela.evaluation.predictions import Predictions

LOOPS = 100
PLAIN = {
    "accuracy": lambda label, score: sklearn.metrics.accuracy_score(label, score > 0.5),
    "auroc": sklearn.metrics.roc_auc_score,
    "average_precision": sklearn.metrics.average_precision_score,
    "log_loss": sklearn.metrics.log_loss,
}


def predictions(examples: int, groups: int) -> Predictions:
    rng = np.random.default_rng(0)
    group = np.arange(examples) % groups
    label = (rng.random(examples) < 0.1).astype(np.int64)
    score = 1 / (1 + np.exp(2 - rng.normal(size=examples) - 1.5 * label))
    return Predictions(
        example_id=np.arange(examples).astype(np.str_),
        group_id=group.astype(np.str_),
        subject_id=group.astype(np.str_),
        split=np.full(examples, "held_out"),
        label=label,
        probabilities=np.stack([1 - score, score], axis=1).astype(np.float32),
        classes=("no", "yes"),
    )


def plain_seconds(name: str, made: Predictions, resamples: int) -> float:
    """Seconds of a loop that draws groups and calls scikit-learn, from its first 100 rounds."""
    rng = np.random.default_rng(0)
    groups = int(made.group_index.max()) + 1
    members = np.split(np.argsort(made.group_index), np.cumsum(np.bincount(made.group_index))[:-1])
    score = made.score.astype(np.float64)
    started = time.perf_counter()
    for _ in range(LOOPS):
        rows = np.concatenate([members[group] for group in rng.integers(groups, size=groups)])
        PLAIN[name](made.label[rows], score[rows])
    return (time.perf_counter() - started) / LOOPS * resamples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=1_000)
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parser.parse_args()
    made = predictions(options.examples, options.groups)
    how = Bootstrap(resamples=options.resamples)
    for name in sorted(METRICS.keys() & PLAIN.keys()):
        started = time.perf_counter()
        metric_interval(name, made, np.random.default_rng(0), how)
        ours = time.perf_counter() - started
        plain = plain_seconds(name, made, options.resamples)
        print(f"{name:<18} {ours:6.2f} s, plain loop {plain:6.1f} s, {plain / ours:.0f} times")
    for curve in (roc_curve, precision_recall_curve):
        started = time.perf_counter()
        curve(made, np.random.default_rng(0), how)
        print(f"{curve.__name__:<22} {time.perf_counter() - started:.2f} s, area and band")


if __name__ == "__main__":
    main()
