"""How often the 95 % bands of ROC and precision-recall curves hold the true curve, place by place.

Scores are normal, with the event's mean shifted, one stay per patient, so that the true curves are
known in closed form. Prints the table of docs/evaluation.md:

    python benchmarks/band_coverage.py
"""

import argparse

import numpy as np
from scipy.stats import norm

from sequela.evaluation.curves import precision_recall_curve, roc_curve
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions

SHIFT, FREQUENCY = 1.4, 0.15
RATES = np.array([0.05, 0.1, 0.2, 0.5, 0.8])
RECALLS = np.array([0.1, 0.25, 0.5, 0.75, 0.95])
LOOK_AT = Bootstrap(resamples=500)


def simulated(subjects: int, seed: int) -> Predictions:
    """One stay per patient; both classes occur."""
    rng = np.random.default_rng(seed)
    label = (rng.random(subjects) < FREQUENCY).astype(np.int64)
    label[:2] = 0, 1
    risk = norm.cdf(rng.normal(size=subjects) + SHIFT * label - 2)
    ids = np.char.mod("s%d", np.arange(subjects))
    return Predictions(
        example_id=ids,
        group_id=ids,
        subject_id=ids,
        split=np.full(subjects, "held_out"),
        label=label,
        probabilities=np.stack([1 - risk, risk], axis=1),
        classes=("alive", "died"),
    )


def held(subjects: int, simulations: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of simulations whose band held the truth, at RATES and at RECALLS; NaN for no band."""
    sensitivity = norm.cdf(SHIFT + norm.ppf(RATES))
    false = norm.cdf(norm.ppf(RECALLS) - SHIFT)
    precision = FREQUENCY * RECALLS / (FREQUENCY * RECALLS + (1 - FREQUENCY) * false)
    found = []
    for make, places, truth in (
        (roc_curve, RATES, sensitivity),
        (precision_recall_curve, RECALLS, precision),
    ):
        inside = []
        for seed in range(simulations):
            curve = make(simulated(subjects, seed), np.random.default_rng(seed), LOOK_AT)
            at = np.searchsorted(curve.band_x, places - 1e-9)
            low, high = curve.low[at], curve.high[at]
            inside.append(np.where(np.isnan(low), np.nan, (low <= truth) & (truth <= high)))
        given = ~np.isnan(inside)
        enough = given.mean(axis=0) > 0.5
        share = np.nansum(inside, axis=0) / np.maximum(given.sum(axis=0), 1)
        found.append(np.where(enough, share, np.nan))
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=500)
    simulations = parser.parse_args().simulations
    for name, places in (("false positive rate", RATES), ("recall", RECALLS)):
        print(f"{name}: {', '.join(f'{place:g}' for place in places)}")
    for subjects in (50, 200, 1_000):
        for kind, shares in zip(
            ("ROC", "precision-recall"), held(subjects, simulations), strict=True
        ):
            told = ["no band" if np.isnan(share) else f"{100 * share:.1f} %" for share in shares]
            print(f"| {kind} | {subjects:,} | {' | '.join(told)} |")


if __name__ == "__main__":
    main()
