"""Sample sizes and learning curves where the truth is known, and the plans of real runs.

    python benchmarks/simulations/plan.py [--write]
    python benchmarks/simulations/plan.py --runs RUN RUN [--write]

The first command draws studies of the planned size, fits a logistic regression by maximum
likelihood, and averages its calibration slope in the population; draws evaluations, and compares
the widths of their intervals with those that are promised; and counts how often the interval of the
gain of doubling contains the true gain. The second reads what ``sequela plan`` wrote. ``--write``
writes ``plan.json`` next to this file, and the tables of docs/contributing/simulations.md.
"""

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from section import write_section

from sequela.evaluation import statistic
from sequela.evaluation.planned import curve_of
from sequela.evaluation.sample_size import WIDTHS, cox_snell, for_classes, for_evaluation
from sequela.evaluation.statistic import resampled_weights
from sequela.models.reference import dealt
from sequela.runs.find import open_run

Floats = NDArray[np.float64]
RESULTS = Path(__file__).with_suffix(".json")
STUDIES, RESAMPLES, ROUNDS = 500, 300, 4
DESIGNS = (  # parameters, share with the event, AUROC
    (10, 0.3, 0.7),
    (10, 0.1, 0.75),
    (20, 0.3, 0.75),
    (20, 0.1, 0.8),
    (30, 0.5, 0.75),
    (30, 0.12, 0.8),
    (20, 0.3, 0.9),
)
EVALUATIONS = ((0.3, 0.75), (0.12, 0.8), (0.05, 0.85))
LEARNING = ((400, 20, 0.3, 0.75), (1600, 20, 0.1, 0.8), (3200, 10, 0.3, 0.75))  # first, patients
RIDGE = 5.0  # of the models of learning curves: few patients are perfectly separated
VALIDATION = 600  # patients of a learning curve's validation set
NODES = np.linspace(-6, 6, 601)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()  # of a normal distribution


def fitted(
    table: Floats, outcome: Floats, weights: Floats | None = None, ridge: float = 0.0
) -> Floats:
    """Return intercept and slopes of a logistic regression by (penalised) maximum likelihood."""
    table = np.column_stack([np.ones(len(table)), table])
    weights = np.ones(len(table)) if weights is None else weights
    estimates = np.zeros(table.shape[1])
    penalty = np.append(0, np.full(table.shape[1] - 1, ridge))
    for _ in range(25):
        risk = expit(table @ estimates)
        information = (table * (weights * risk * (1 - risk))[:, None]).T @ table + np.diag(penalty)
        score = table.T @ (weights * (outcome - risk)) - penalty * estimates
        step = np.linalg.solve(information, score)
        estimates += step
        if abs(step).max() < 1e-8:
            break
    return estimates


def area(risk: Floats) -> float:
    """Return the AUROC of rising scores with these risks, weighted like the nodes."""
    cases, others = WEIGHTS * risk, WEIGHTS * (1 - risk)
    return float((cases * (np.cumsum(others) - others / 2)).sum() / (cases.sum() * others.sum()))


class Population:
    """Patients with independent normal predictors of equal effect."""

    def __init__(self, parameters: int, prevalence: float, auroc: float) -> None:
        """Find the spread and the mean of the true logit by bisection."""
        low, high = 0.1, 6.0
        for _ in range(40):
            self.spread = (low + high) / 2
            self.mean = self._mean(prevalence)
            low, high = (self.spread, high) if area(self.risk()) < auroc else (low, self.spread)
        self.effects = np.full(parameters, self.spread / np.sqrt(parameters))

    def _mean(self, prevalence: float) -> float:
        low, high = -20.0, 20.0
        for _ in range(60):
            self.mean = (low + high) / 2
            is_low = WEIGHTS @ self.risk() < prevalence
            low, high = (self.mean, high) if is_low else (low, self.mean)
        return low

    def risk(self, correlation: float = 1.0) -> Floats:
        """Return the mean risk of patients at the nodes of a score with a correlation."""
        if correlation == 1:
            return np.asarray(expit(self.mean + self.spread * NODES))
        rest = np.sqrt(max(0.0, 1 - correlation**2)) * NODES[::4]
        logits = self.mean + self.spread * (correlation * NODES[:, None] + rest)
        return np.asarray(expit(logits) @ (WEIGHTS[::4] / WEIGHTS[::4].sum()))

    def draw(self, patients: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw predictors and outcomes."""
        table = rng.normal(size=(patients, len(self.effects)))
        return table, 1.0 * (rng.random(patients) < expit(self.mean + table @ self.effects))

    def judge(self, estimates: Floats) -> tuple[float, float]:
        """Return the calibration slope and the AUROC of a model in the population."""
        length = float(np.linalg.norm(estimates[1:]))
        risk = self.risk(float(estimates[1:] @ self.effects) / (length * self.spread))
        scores = estimates[0] + length * NODES
        return float(fitted(scores[:, None], risk, WEIGHTS)[1]), area(risk)


def shrinkage(parameters: int, prevalence: float, auroc: float, studies: int) -> dict[str, Any]:
    """Return the mean calibration slope of studies of the planned size."""
    population, patients = Population(parameters, prevalence, auroc), 1_000
    rng, shares = (
        np.random.default_rng([parameters, round(1000 * auroc)]),
        (1 - prevalence, prevalence),
    )
    new = auroc  # the mean AUROC of models of the planned size on new patients: that is expected
    for _ in range(ROUNDS):
        r2 = cox_snell(new, prevalence)
        patients = for_classes(parameters, shares, (r2,), r2)[0].patients  # for the shrinkage
        drawn = [fitted(*population.draw(patients, rng)) for _ in range(studies // 5)]
        new = float(np.mean([population.judge(estimates)[1] for estimates in drawn]))
    slopes = [population.judge(fitted(*population.draw(patients, rng)))[0] for _ in range(studies)]
    return {
        "parameters": parameters,
        "prevalence": prevalence,
        "auroc": auroc,
        "new": new,
        "patients": patients,
        "slope": float(np.mean(slopes)),
        "error": float(np.std(slopes) / np.sqrt(studies)),
    }


def widths(prevalence: float, auroc: float, studies: int) -> dict[str, Any]:
    """Return the widths of intervals in evaluations of the planned sizes, by their variation."""
    rng, by_name = np.random.default_rng(round(1000 * auroc)), dict[str, float]()
    variance = 2 * NormalDist().inv_cdf(auroc) ** 2
    mean = np.log(prevalence / (1 - prevalence)) - variance / 2
    for need, name in zip(for_evaluation(prevalence, auroc), WIDTHS, strict=True):
        values = []
        for _ in range(studies):
            outcome: Floats = (rng.random(need.patients) < prevalence).astype(np.float64)
            logit: Floats = rng.normal(mean + variance * outcome, np.sqrt(variance))
            if name == "O:E":
                values.append(np.log(outcome.mean() / expit(logit).mean()))
            elif name == "AUROC":
                group = np.arange(len(logit))
                values.append(float(statistic.auroc(outcome == 1, logit, group).estimate))
            else:
                values.append(fitted(logit[:, None], outcome)[1])
        half = 1.96 * float(np.std(values))
        by_name[name] = 2 * float(np.sinh(half)) if name == "O:E" else 2 * half
    return {"prevalence": prevalence, "auroc": auroc, "widths": by_name}


def curves(
    patients: int, parameters: int, prevalence: float, auroc: float, studies: int
) -> dict[str, Any]:
    """Count how often the interval of the gain of doubling contains the true gain."""
    population = Population(parameters, prevalence, auroc)
    rng, fit = np.random.default_rng([patients, parameters]), partial(fitted, ridge=RIDGE)
    truth = [
        np.mean([population.judge(fit(*population.draw(n, rng)))[1] for _ in range(studies)])
        for n in (patients, 2 * patients)
    ]
    gain, holds, flat = float(truth[1] - truth[0]), 0, 0
    for study in range(studies):
        table, outcome = population.draw(patients, rng)
        new, happened = population.draw(VALIDATION, rng)
        stratum = np.zeros(VALIDATION, np.int64)
        weights = np.concatenate(
            [np.ones((1, VALIDATION)), *resampled_weights(stratum, RESAMPLES, rng)]
        )
        tables = []
        for size in (8, 4, 2, 1):
            part = dealt(outcome.astype(np.int64), size, study)
            scores = [new @ fit(table[part == i], outcome[part == i])[1:] for i in range(size)]
            of_size = [
                statistic.auroc(happened == 1, s, np.arange(VALIDATION))(weights) for s in scores
            ]
            tables.append(np.array(of_size)[None])
        curve = curve_of("AUROC", float(outcome.sum()), tables, study)
        holds += curve.low <= gain <= curve.high
        flat += curve.low <= 0 <= curve.high
    design = {"patients": patients, "parameters": parameters, "prevalence": prevalence}
    return {
        **design,
        "auroc": auroc,
        "gain": gain,
        "holds": holds / studies,
        "flat": flat / studies,
    }


def real(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the plans of runs, by data set and model."""
    plans = {}
    for path in paths:
        run = open_run(path)
        if run.plan is None:
            raise SystemExit(f"{path}: no plan: run sequela plan")
        key = f"{run.settings.data}, {run.settings.model}"
        plans[key] = {
            "sentences": run.plan.sentences,
            "points": [vars(point) for point in run.plan.curve.points] if run.plan.curve else [],
        }
    return plans


def page(results: dict[str, Any]) -> str:
    """Return the tables of the page."""
    lines = [
        "| parameters | share with the event | AUROC: true, new | patients planned | mean slope |",
        "|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['parameters']} | {row['prevalence']:g} | {row['auroc']:g}, {row['new']:.3f} "
        f"| {row['patients']:,} | {row['slope']:.3f} ± {row['error']:.3f} |"
        for row in results["shrinkage"]
    ]
    promised = " | ".join(f"{name} ({width:g})" for name, width in WIDTHS.items())
    lines += ["", f"| share with the event | AUROC | {promised} |", "|---:|---:|---:|---:|---:|"]
    for row in results["widths"]:
        numbers = " | ".join(f"{row['widths'][name]:.3f}" for name in WIDTHS)
        lines.append(f"| {row['prevalence']:g} | {row['auroc']:g} | {numbers} |")
    lines += [
        "",
        "| patients | inputs | share with the event | AUROC | true gain | in the interval | flat |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['patients']:,} | {row['parameters']} | {row['prevalence']:g} "
        f"| {row['auroc']:g} | {row['gain']:.4f} | {row['holds']:.1%} | {row['flat']:.1%} |"
        for row in results["curves"]
    ]
    if plans := results.get("real"):
        lines += ["", "| run | plan |", "|---|---|"]
        lines += [f"| {key} | {' '.join(plan['sentences'])} |" for key, plan in plans.items()]
    return "\n".join(lines)


def main() -> None:
    """Run the simulations, or read the plans of runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="*", type=Path, default=[])
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if options.runs:
        results["real"] = real(options.runs)
    else:
        count = options.studies
        results["shrinkage"] = [shrinkage(*design, count) for design in DESIGNS]
        results["widths"] = [widths(*design, 2 * count) for design in EVALUATIONS]
        results["curves"] = [curves(*design, count // 2) for design in LEARNING]
    print(page(results))
    if options.write:
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        write_section("plans", page(results))


if __name__ == "__main__":
    main()
