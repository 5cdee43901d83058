"""Coverage of the intervals of group differences, and false findings, in simulated studies.

The true metric of each group is integrated, so the truth is known. Run:
``python benchmarks/simulations/groups.py``, and with ``--write`` to store the figures.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from sequela.evaluation.group_differences import group_differences
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions

STUDIES, PATIENTS, THRESHOLD = 800, 1_500, 0.25
RESAMPLES, SEEDS = 1_000, (1, 2)
SHARES = {
    "two groups, equal": (0.5, 0.5),
    "two groups, 1 to 9": (0.1, 0.9),
    "four groups, equal": (0.25, 0.25, 0.25, 0.25),
    "four groups, 1 to 10": (0.05, 0.15, 0.3, 0.5),
}
# Mean and spread of the predicted logit, and intercept and slope of the true one, of each group.
SAME = (-1.5, 1.0, 0.0, 1.0)
TRUTHS = {
    "no difference": (SAME, SAME, SAME, SAME),
    "one group differs": ((-1.2, 0.8, 0.3, 0.8), SAME, SAME, SAME),
    "all differ": (
        (-1.2, 0.8, 0.3, 0.8),
        SAME,
        (-1.4, 0.9, 0.1, 0.9),
        (-1.7, 1.2, -0.15, 1.15),
    ),
}


def true_metrics(mean: float, spread: float, intercept: float, slope: float) -> dict[str, float]:
    """Integrate the metrics of a group over its predicted logits."""
    quantile = (np.arange(20_000) + 0.5) / 20_000
    line = mean + spread * norm.ppf(quantile)
    risk = expit(intercept + slope * line)
    below = np.cumsum(1 - risk) - (1 - risk) / 2
    return {
        "auroc": float((risk * below).sum() / risk.sum() / (1 - risk).sum()),
        "o_e": float(risk.sum() / expit(line).sum()),
        "calibration_slope": slope,
        "alarm_rate": float(norm.sf((logit(THRESHOLD) - mean) / spread)),
    }


def study(
    shares: tuple[float, ...], groups: tuple[tuple[float, ...], ...], rng: np.random.Generator
) -> tuple[Predictions, NDArray[np.str_]]:
    """Simulate a test set and the group of each patient."""
    group = rng.choice(len(shares), PATIENTS, p=shares)
    mean, spread, intercept, slope = np.array(groups)[group].T
    line = rng.normal(mean, spread)
    label = (rng.random(PATIENTS) < expit(intercept + slope * line)).astype(np.int64)
    ids, risk = np.arange(PATIENTS).astype(str), expit(line)
    split = np.full(PATIENTS, "held_out")
    chances = np.stack([1 - risk, risk], axis=1)
    return Predictions(ids, ids, ids, split, label, chances, ("no", "yes")), group.astype(str)


def cell(size: str, truth: str, studies: int, seed: int) -> dict[str, object]:
    """Return the coverage and the share of significant differences by metric."""
    rng = np.random.default_rng(seed)
    groups = TRUTHS[truth][: len(SHARES[size])]
    true = [true_metrics(*group) for group in groups]
    covered: dict[str, list[bool]] = {name: [] for name in true[0]}
    significant: dict[str, list[bool]] = {name: [] for name in true[0]}
    for number in range(studies):
        predictions, column = study(SHARES[size], groups, rng)
        # Two attributes that say nothing are tested too, so that Holm's correction has work.
        none = {f"none {n}": rng.integers(3, size=PATIENTS).astype(str) for n in range(2)}
        run = predictions, {"group": column, **none}, THRESHOLD
        records: list[Any] = group_differences([run], number, Bootstrap(resamples=RESAMPLES))
        for name, values in records[0]["differences"].items():
            difference = true[int(values["worst"])][name] - true[int(values["best"])][name]
            low, high = values["difference_ci"]
            covered[name].append(low <= difference <= high)
            tests = records if truth == "no difference" else records[:1]
            p_values = [record["differences"][name]["corrected_p"] for record in tests]
            significant[name].append(min(p_values) < 0.05)
    return {
        "groups": size,
        "truth": truth,
        "seed": seed,
        "studies": studies,
        "coverage": {name: round(float(np.mean(hits)), 4) for name, hits in covered.items()},
        "significant": {name: round(float(np.mean(p)), 4) for name, p in significant.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    cells = []
    for size, truth, seed in product(SHARES, TRUTHS, SEEDS):
        cells.append(cell(size, truth, options.studies // len(SEEDS), seed))
        print(json.dumps(cells[-1]), flush=True)
    if options.write:
        Path(__file__).with_suffix(".json").write_text(json.dumps(cells, indent=1) + "\n")


if __name__ == "__main__":
    main()
