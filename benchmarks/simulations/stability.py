"""The stability of a risk where the truth is known: the numbers of `sequela plan` against it.

Patients have yes-or-no predictors, half of which change the risk. For each size and number of
predictors, studies are drawn: a table is trained with `logistic-regression`, and refitted on
resampled patients. The truth comes from another program (scikit-learn on arrays): models of 300
fresh samples of the same size against the model of 100,000 patients, on the same new patients.

    python benchmarks/simulations/stability.py [--studies 6] [--refits 100] [--write]
    python benchmarks/simulations/stability.py --runs RUN... [--refits 200] [--write]

The second compares the models of the folds of finished runs, and refits the baseline models among
them; the data must be where they were. ``--write`` writes ``stability.json`` next to this file, and
the tables of docs/contributing/simulations.md.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from section import write_section
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_curve

from sequela.analysis.stability import of_models, of_refits
from sequela.config import Options
from sequela.models.reference import INVERSE_PENALTIES, REFERENCE_MODELS
from sequela.runs import fit
from sequela.runs.data import load_again
from sequela.runs.find import find_runs
from sequela.studies.settings import own_signals, run_settings

DESIGNS = ((1_000, 4), (4_000, 4), (16_000, 4), (200, 30))
"""Patients of a study, of whom 60 % are the training set, and predictors."""
FRESH, MANY, NEW = 300, 100_000, 2_000
Values = NDArray[np.float64]


def drawn(patients: int, predictors: int, rng: np.random.Generator) -> tuple[Values, Values]:
    """Draw predictors (patient, predictor) and outcomes (patient,)."""
    x = (rng.random((patients, predictors)) < 0.4).astype(np.float64)
    effects = np.where(np.arange(predictors) % 2, 0, np.sqrt(4 / predictors))
    risk = expit(-1.2 + (x - 0.4) @ effects)
    return x, (rng.random(patients) < risk).astype(np.float64)


def fitted(patients: int, predictors: int, new: Values, rng: np.random.Generator) -> Values:
    """Return risks and alarms (2, new patient) of a model of a fresh sample."""
    x, y = drawn(patients, predictors, rng)
    tables, n_train = np.hstack([x, 1 - x]), int(0.6 * patients)  # a column for each word
    end = n_train + int(0.2 * patients)
    train, tuning = slice(n_train), slice(n_train, end)
    models = [
        LogisticRegression(C=c, max_iter=1000).fit(tables[train], y[train])
        for c in INVERSE_PENALTIES
    ]
    losses = [log_loss(y[tuning], m.predict_proba(tables[tuning])) for m in models]
    model = models[int(np.argmin(losses))]
    false, true, thresholds = roc_curve(
        y[tuning], model.predict_proba(tables[tuning])[:, 1], drop_intermediate=False
    )
    risk = model.predict_proba(np.hstack([new, 1 - new]))[:, 1]
    return np.stack([risk, risk >= thresholds[np.argmax(true - false)]])


def truth(patients: int, predictors: int) -> tuple[float, float]:
    """Return the difference and the share of changed alarms against the model of many patients."""
    rng = np.random.default_rng([patients, predictors])
    new, _ = drawn(NEW, predictors, rng)
    best = fitted(MANY, predictors, new, rng)
    fresh = [abs(fitted(patients, predictors, new, rng) - best) for _ in range(FRESH)]
    difference, changed = np.mean(fresh, axis=(0, 2)).tolist()
    return difference, changed


def study(patients: int, predictors: int, seed: int, refits: int) -> tuple[float, float]:
    """Return the same numbers as `sequela plan` computes them for one study."""
    x, y = drawn(patients, predictors, np.random.default_rng([seed, patients, predictors]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "patients.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["patient", *(f"x{i}" for i in range(predictors)), "died"])
            for i, (row, event) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
                words = ["high" if value else "low" for value in row]
                table.writerow([f"P{i:06d}", *words, "yes" if event else "no"])
        options, root = Options.of(label="died", id="patient", seed=seed), folder / "patients.csv"
        signals = own_signals("table", options.signals, root)
        settings = run_settings("logistic-regression", "table", options, signals)
        run = fit.train(settings, folder / "run", root=root, work=folder / "work")
        data = load_again(run, root, folder / "work")
        stability = of_refits(run, data, refits=refits)
    assert stability  # noqa: S101 - of a baseline model
    return stability["difference"], stability["changed"]


def simulated(studies: int, refits: int) -> list[dict[str, float]]:
    """Return and print the numbers of each design."""
    rows = []
    for patients, predictors in DESIGNS:
        numbers = np.array([study(patients, predictors, seed, refits) for seed in range(studies)])
        difference, changed = truth(patients, predictors)
        means, spreads = numbers.mean(axis=0).tolist(), numbers.std(axis=0, ddof=1).tolist()
        row: dict[str, float] = {"patients": patients, "predictors": predictors}
        row |= {"studies": studies, "refits": refits}
        row |= {"difference": means[0], "difference_sd": spreads[0], "true_difference": difference}
        row |= {"changed": means[1], "changed_sd": spreads[1], "true_changed": changed}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def of_runs(paths: list[Path], refits: int) -> dict[str, list[dict[str, object]]]:
    """Return and print the stability of runs by their title and data."""
    rows: dict[str, list[dict[str, object]]] = {}
    for run in find_runs(paths):
        with tempfile.TemporaryDirectory() as work:
            found = [of_models(run)]
            if run.settings.model in REFERENCE_MODELS:
                data = load_again(run.first, None, Path(work))
                found.append(of_refits(run.first, data, refits=refits))
        name = f"{run.path.parent.name}/{run.path.name}"
        rows[name] = [s.model_dump(exclude={"bins"}) for s in found if s]
        print(name, json.dumps(rows[name]), flush=True)
    return rows


SIMULATED = """\
Simulated tables, by `python benchmarks/simulations/stability.py --write`: the mean over studies of
what `sequela plan` prints for a logistic regression, and the truth: models of fresh patients
against the model of 100,000. The difference halves with four times the patients. The share of
changed alarms depends on thresholds from few patients, so it varies between studies.

| patients | inputs | difference of the risk | truth | alarms that change | truth |
|---:|---:|---|---:|---|---:|
"""
REAL = """
Runs of `sequela reproduce`, `stability.py --runs ... --write`: refits of the first fold of baseline
models, and pairs of models of the five folds. The demos have few events, so alarms change often.

| run | refits | difference | alarms that change | folds | difference | alarms that change |
|---|---:|---:|---:|---:|---:|---:|
"""


def page(results: dict[str, Any]) -> str:
    """Return the tables of the page."""
    designs, runs = [], []
    for row in results["designs"]:
        numbers = (
            f"{row['difference']:.4f} (SD {row['difference_sd']:.4f})",
            f"{row['true_difference']:.4f}",
            f"{100 * row['changed']:.0f} % (SD {100 * row['changed_sd']:.0f})",
            f"{100 * row['true_changed']:.0f} %",
        )
        designs.append(f"| {row['patients']:,} | {row['predictors']} | {' | '.join(numbers)} |\n")
    for name, of_run in results["runs"].items():
        cells = {"refits": [""] * 3, "folds": [""] * 3}
        for row in of_run:
            shares = f"{row['difference']:.3f}", f"{100 * row['changed']:.0f} %"
            cells[row["source"]] = [f"{row['models']}", *shares]
        runs.append(f"| {name} | {' | '.join(cells['refits'] + cells['folds'])} |\n")
    return "".join([SIMULATED, *designs, REAL, *runs])


def main() -> None:
    """Simulate, or read runs, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--refits", type=int)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    file = Path(__file__).with_suffix(".json")
    results = json.loads(file.read_text("utf-8")) if file.exists() else {"designs": [], "runs": {}}
    if options.runs:
        results["runs"] |= of_runs(options.runs, options.refits or 200)
    else:
        results["designs"] = simulated(options.studies, options.refits or 100)
    if options.write:
        file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        write_section("stability", page(results))


if __name__ == "__main__":
    main()
