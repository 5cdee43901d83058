"""How often the 95 % bands of ROC and precision-recall curves hold the true curve, place by place.

Scores are normal, with the event's mean shifted, one stay per patient, so that the true curves are
known in closed form. With ``--folds 5`` each fifth of the patients is judged by a model of its own,
which adds noise of its own to the scores and has a scale of its own, so that its scores cannot be
ranked with those of another. Prints the tables of docs/evaluation.md:

    python benchmarks/band_coverage.py
    python benchmarks/band_coverage.py --folds 5 --simulations 200
"""

import argparse
from dataclasses import replace

import numpy as np
from scipy.stats import norm

from sequela.evaluation.curves import (
    Curve,
    precision_recall_curve,
    precision_recall_over_models,
    roc_curve,
    roc_over_models,
)
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recipe import Judged, Place

SHIFT, FREQUENCY = 1.4, 0.15
NOISE = 0.5  # of a model, in standard deviations of the score
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


def validated(subjects: int, folds: int, seed: int) -> list[Judged]:
    """Five models, each of which judges a fifth of the patients, and tunes on another fifth."""
    rng = np.random.default_rng(seed)
    everybody = simulated(subjects, seed)
    score = norm.ppf(everybody.probabilities[:, 1].astype(np.float64))
    fold = np.empty(subjects, np.int64)
    for label in (0, 1):  # stratified, as folds are
        chosen = np.flatnonzero(everybody.label == label)
        fold[chosen] = rng.permutation(len(chosen)) % folds
    found = []
    for each in range(folds):
        noisy = score + NOISE * rng.normal(size=subjects)
        risk = norm.cdf(rng.uniform(0.5, 1.5) * noisy + rng.normal() / 2)
        said = replace(everybody, probabilities=np.stack([1 - risk, risk], axis=1))
        aside = said.where(fold == (each + 1) % folds)
        found.append(Judged(said.where(fold == each), Place(0, each, 0), aside))
    return found


def curve_of(kind: str, subjects: int, folds: int, seed: int) -> Curve:
    """One simulation."""
    rng = np.random.default_rng(seed)
    if folds:
        of_many = roc_over_models if kind == "ROC" else precision_recall_over_models
        return of_many(validated(subjects, folds, seed), rng, LOOK_AT)
    of_one = roc_curve if kind == "ROC" else precision_recall_curve
    return of_one(simulated(subjects, seed), rng, LOOK_AT)


def held(kind: str, subjects: int, simulations: int, folds: int) -> np.ndarray:
    """Shares of simulations whose band held the truth, at RATES or RECALLS; NaN for no band."""
    shift = SHIFT / np.sqrt(1 + NOISE**2) if folds else SHIFT
    places, truth = RATES, norm.cdf(shift + norm.ppf(RATES))
    if kind != "ROC":
        false = norm.cdf(norm.ppf(RECALLS) - shift)
        places = RECALLS
        truth = FREQUENCY * RECALLS / (FREQUENCY * RECALLS + (1 - FREQUENCY) * false)
    inside = []
    for seed in range(simulations):
        curve = curve_of(kind, subjects, folds, seed)
        at = np.searchsorted(curve.band_x, places - 1e-9)
        low, high = curve.low[at], curve.high[at]
        inside.append(np.where(np.isnan(low), np.nan, (low <= truth) & (truth <= high)))
    given = ~np.isnan(inside)
    share = np.nansum(inside, axis=0) / np.maximum(given.sum(axis=0), 1)
    return np.where(given.mean(axis=0) > 0.5, share, np.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=["ROC", "precision-recall"])
    parser.add_argument("--subjects", type=int, nargs="+", default=[50, 200, 1_000])
    options = parser.parse_args()
    for name, places in (("false positive rate", RATES), ("recall", RECALLS)):
        print(f"{name}: {', '.join(f'{place:g}' for place in places)}")
    for subjects in options.subjects:
        for kind in options.kinds:
            shares = held(kind, subjects, options.simulations, options.folds)
            told = ["no band" if np.isnan(share) else f"{100 * share:.1f} %" for share in shares]
            print(f"| {kind} | {subjects:,} | {' | '.join(told)} |", flush=True)


if __name__ == "__main__":
    main()
