"""Coverage of the intervals of group differences, and false findings, in simulated studies.

The true metric of each group is integrated, so the truth is known. With ``--runs``, groups of real
patients are compared; with ``--write``, the figures are written to the page.
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
from section import write_section

from sequela.evaluation.group_differences import group_differences
from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.predictions import Predictions
from sequela.runs.find import open_run
from sequela.runs.recipe import summarise_runs

RESULTS = Path(__file__).with_suffix(".json")
Row = dict[str, Any]
NAMES = {
    "auroc": "AUROC",
    "o_e": "observed / expected",
    "calibration_slope": "calibration slope",
    "alarm_rate": "alarm rate",
}
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


def cell(size: str, truth: str, studies: int) -> Row:
    """Return the coverage and the share of significant differences by metric."""
    groups = TRUTHS[truth][: len(SHARES[size])]
    true = [true_metrics(*group) for group in groups]
    covered: dict[str, list[bool]] = {name: [] for name in NAMES}
    significant: dict[str, list[bool]] = {name: [] for name in NAMES}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for number in range(studies // len(SEEDS)):
            predictions, column = study(SHARES[size], groups, rng)
            # Two attributes without a difference are tested too, so that p-values are corrected.
            columns = {f"none {n}": rng.integers(3, size=PATIENTS).astype(str) for n in range(2)}
            run = predictions, {"group": column, **columns}, THRESHOLD
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
        "coverage": {name: round(float(np.mean(hits)), 4) for name, hits in covered.items()},
        "significant": {name: round(float(np.mean(p)), 4) for name, p in significant.items()},
    }


def real(folders: list[str]) -> list[Row]:
    """Compare the groups of real patients in the folders of folds."""
    rows = []
    for folder in folders:
        run = open_run(Path(folder))
        for record in summarise_runs(run.runs)["test"]["group_differences"]:
            for name, values in record["differences"].items():
                row = {"data": run.data.title, "attribute": record["attribute"], "metric": name}
                rows.append(row | values)
    return rows


SIMULATED = """{studies} simulated studies a row, of {patients:,} test patients each. Coverage is
the share of 95 % intervals that contain the true difference of the two groups that a study names.
The last column is the share of studies with a significant difference (p < 0.05, corrected for three
attributes): where none is true, in any of the three. Each cell has AUROC, observed / expected,
calibration slope and alarm rate. `python benchmarks/simulations/groups.py --write` computes them.

| groups | truth | coverage, % | significant, % |
|---|---|---|---|
"""
REAL = """
Boosting on real patients, by folds (`python benchmarks/simulations/groups.py --write --runs
FOLDER...`, with folders of `sequela reproduce`). Attributes with fewer than two groups of 20 deaths
are left out: ethnicity and unit of the eICU demo.

| data | attribute | metric | worst | best | difference (95 % interval) | p, corrected |
|---|---|---|---|---|---|---|
"""


def page(results: dict[str, Any]) -> str:
    """Return the section of the page."""
    simulated, of_runs = [], []
    for row in results.get("simulated", []):
        cells = [row["groups"], row["truth"]]
        pair = (row["coverage"], row["significant"])
        cells += [", ".join(f"{100 * numbers[name]:.1f}" for name in NAMES) for numbers in pair]
        simulated.append(f"| {' | '.join(cells)} |")
    for row in results.get("real", []):
        cells = [row["data"], row["attribute"], NAMES[row["metric"]]]
        cells += [f"{row[f'{which}_value']:.2f} ({row[which]})" for which in ("worst", "best")]
        low, high = row["difference_ci"]
        cells += [f"{row['difference']:+.2f} ({low:+.2f} to {high:+.2f})"]
        of_runs.append(f"| {' | '.join([*cells, format(row['corrected_p'], '.3f')])} |")
    head = SIMULATED.format(studies=results.get("studies", STUDIES), patients=PATIENTS)
    return head + "\n".join(simulated) + "\n" + REAL + "\n".join(of_runs)


def main() -> None:
    """Simulate, or compare groups of real patients, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--runs", nargs="*")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if options.runs:
        results["real"] = real(options.runs)
    else:
        results |= {"studies": options.studies, "simulated": []}
        for size, truth in product(SHARES, TRUTHS):
            if truth != "all differ" or len(SHARES[size]) > 2:
                results["simulated"].append(cell(size, truth, options.studies))
                print(json.dumps(results["simulated"][-1]), flush=True)
    if options.write:
        # One row a line.
        text = (
            json.dumps(results).replace('{"groups"', '\n{"groups"').replace('{"data"', '\n{"data"')
        )
        RESULTS.write_text(text + "\n", "utf-8")
        write_section("groups", page(results))


if __name__ == "__main__":
    main()
