"""How often the 95 % intervals of a cross-validated recipe hold the truth, by simulation.

Groups of examples are drawn again and again, half of them of each class; two learners are trained
in five folds, with a tuning part that they do not use. The truth is the mean performance of all
models that were trained so, each on 20,000 new groups: with 300, the truth itself was off by 0.5 to
0.9 standard errors. Prints the table of docs/decisions/0014-recipe-intervals.md, with the mean
claimed variance over the variance between the simulations:

    python benchmarks/recipe_coverage.py [--simulations 100] [--groups 50 200 400] \
        [--processes 2] [--sizes sessions]

A group has five examples, or as many as a session of Bonn has recordings: 1 to 16, in 42 of 99 one
or two.
"""

import argparse
import csv
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier

from sequela.evaluation.intervals import Bootstrap
from sequela.evaluation.metrics import statistic_of
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recipe import (
    Judged,
    Place,
    RecipeNumber,
    difference_across_folds,
    metric_across_folds,
)
from sequela.signals import bonn

INPUTS, EACH, FOLDS, REPEATS, SEEDS = 8, 5, 5, 2, 2
NEW_GROUPS = 20_000
HOW = Bootstrap(resamples=300, classes_fixed=True)
NAMES = ("accuracy", "auroc")
DESIGNS: dict[str, Callable[[Place], bool]] = {
    "5 folds": lambda place: place.repeat == 0 and place.seed == 0,
    "5 folds, 2 seeds": lambda place: place.repeat == 0,
    "5 folds, 2 repeats": lambda place: place.seed == 0,
}
Array = NDArray[np.float64]


class Drawn(NamedTuple):
    """Examples of groups: inputs (example, input), group (example,) and class (group,)."""

    x: Array
    group: NDArray[np.int64]
    label: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        """Inputs, class and group of the examples of some groups."""
        there = np.isin(self.group, rows)
        return self.x[there], self.label[self.group[there]], self.group[there]


def sizes_of(name: str) -> NDArray[np.int64]:
    """How many examples groups have, to draw from."""
    if name == "even":
        return np.array([EACH])
    with bonn.SESSIONS.open(encoding="utf-8", newline="") as file:
        return np.array(list(Counter(row["session"] for row in csv.DictReader(file)).values()))


def drawn(groups: int, rng: np.random.Generator, sizes: NDArray[np.int64]) -> Drawn:
    """New groups; a part of the signal is not linear."""
    label = np.arange(groups) % 2
    own = rng.normal(size=(groups, INPUTS))
    own[:, 0] += label
    own[:, 1] += 0.6 * label * np.sign(own[:, 2])
    group = np.repeat(np.arange(groups), rng.choice(sizes, groups))
    return Drawn(own[group] + rng.normal(size=(len(group), INPUTS)), group, label)


def judge(model: Any, data: Drawn, rows: NDArray[np.int64]) -> Predictions:
    """Predict some groups."""
    x, label, of = data.of(rows)
    risk = model.predict_proba(x)[:, 1]
    group = np.char.mod("%d", of)
    return Predictions(
        example_id=np.char.add(np.char.mod("%d.", np.arange(len(group))), group),
        group_id=group,
        subject_id=np.full(len(group), ""),
        split=np.full(len(group), "held_out"),
        label=label,
        probabilities=np.stack([1 - risk, risk], axis=1),
        classes=("no", "yes"),
    )


def learner(name: str, seed: int) -> Any:
    if name == "LDA":
        return LinearDiscriminantAnalysis()
    return MLPClassifier((8,), solver="lbfgs", alpha=0.1, max_iter=25, random_state=seed)


def simulate(
    groups: int, simulation: int, new: Drawn, sizes: NDArray[np.int64]
) -> tuple[dict[str, list[Judged]], dict[str, list[list[float]]]]:
    """Train and judge all models of one draw of the data, and judge them on new groups."""
    data = drawn(groups, np.random.default_rng([groups, simulation]), sizes)
    label = data.label
    said: dict[str, list[Judged]] = {"LDA": [], "net": []}
    true: dict[str, list[list[float]]] = {"LDA": [], "net": []}
    fresh = new.label[new.group]
    for repeat in range(REPEATS):
        deal = StratifiedKFold(FOLDS, shuffle=True, random_state=simulation * REPEATS + repeat)
        for fold, (rest, held_out) in enumerate(deal.split(label, label)):
            train, tuning = train_test_split(
                rest, test_size=0.25, stratify=label[rest], random_state=simulation
            )
            for name, judged in said.items():
                for seed in range(SEEDS if name == "net" and repeat == 0 else 1):
                    number = ((simulation * REPEATS + repeat) * FOLDS + fold) * SEEDS + seed
                    model = learner(name, number)
                    model.fit(*data.of(train)[:2])
                    place = Place(repeat, fold, seed)
                    parts = (judge(model, data, rows) for rows in (held_out, tuning))
                    judged.append(Judged(next(parts), place, next(parts)))
                    risk = model.predict_proba(new.x)[:, 1]
                    accuracy = np.mean((risk > 0.5) == fresh)
                    true[name].append([float(accuracy), float(roc_auc_score(fresh, risk))])
    return said, true


def intervals(said: dict[str, list[Judged]], seed: int) -> dict[tuple[str, str, str], RecipeNumber]:
    """By design, learner (or difference) and metric."""
    found = {}
    for design, belongs in DESIGNS.items():
        some = {name: [j for j in all_ if belongs(j.place)] for name, all_ in said.items()}
        for metric in NAMES:
            rng = np.random.default_rng(seed)
            for name, judged in some.items():
                if name == "net" or "seeds" not in design:
                    found[design, name, metric] = metric_across_folds(metric, judged, rng, HOW)
            if "seeds" not in design:
                of = partial(statistic_of, metric)
                (apart,) = difference_across_folds(some["net"], some["LDA"], of, rng, HOW)
                found[design, "net - LDA", metric] = apart
    return found


def one(
    groups: int, simulation: int, new: Drawn, sizes: NDArray[np.int64]
) -> tuple[dict[tuple[str, str, str], RecipeNumber], dict[str, list[list[float]]]]:
    """One simulation: its intervals, and how its models do on new groups."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    said, performance = simulate(groups, simulation, new, sizes)
    return intervals(said, simulation), performance


def report(groups: int, simulations: int, processes: int, sizes: NDArray[np.int64]) -> None:
    started = time.perf_counter()
    new = drawn(NEW_GROUPS, np.random.default_rng(2026), sizes)
    found, true = defaultdict(list), defaultdict(list)
    work = (joblib.delayed(one)(groups, number, new, sizes) for number in range(simulations))
    for numbers, performance in joblib.Parallel(processes)(work):
        for key, number in numbers.items():
            found[key].append(number)
        for name, values in performance.items():
            true[name].append(np.mean(values, axis=0))
    truth = {name: np.mean(values, axis=0) for name, values in true.items()}
    truth["net - LDA"] = truth["net"] - truth["LDA"]
    for (design, name, metric), kept in found.items():
        value = truth[name][NAMES.index(metric)]
        made = [number.interval for number in kept if number.interval]
        held = sum(each.low <= value <= each.high for each in made)
        sure = stats.binomtest(held, len(kept)).proportion_ci()
        width = np.median([each.high - each.low for each in made])
        claimed = np.mean([number.variance.total for number in kept if number.variance])
        ratio = claimed / np.var([number.value for number in kept], ddof=1)
        print(
            f"| {groups} | {design} | {name} | {metric} | {value:.3f} | "
            f"{100 * held / len(kept):.1f} % ({100 * sure.low:.0f} to {100 * sure.high:.0f}) | "
            f"{width:.3f} | {ratio:.2f} |",
            flush=True,
        )
    print(f"{groups} groups: {simulations} simulations, {time.perf_counter() - started:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=100)
    parser.add_argument("--groups", type=int, nargs="+", default=[50, 200, 400])
    parser.add_argument("--sizes", choices=("even", "sessions"), default="even")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    print("| groups | design | learner | number | truth | held (95 %) | median width | variance |")
    for groups in options.groups:
        report(groups, options.simulations, options.processes, sizes_of(options.sizes))


if __name__ == "__main__":
    main()
