"""Updates of a model: simulated hospitals whose difference is known, and real ones.

    python benchmarks/simulations/update.py [--write]
    python benchmarks/simulations/update.py --real [--write]

The first command draws hospitals that differ from the model in nothing, in the intercept, in the
slope, or in all coefficients, and counts the levels that the closed test of ``sequela update``
chooses. The second trains models on PhysioNet 2012 set A and on some hospitals of the eICU demo
(in $SEQUELA_DATA), and updates them for set B and for the other hospitals. ``--write`` writes
``update.json`` next to this file, and the tables of docs/contributing/simulations.md.
"""

import argparse
import json
import os
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from section import write_section

from sequela.evaluation.calibration import calibration_line
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import Choice, choose
from sequela.models import reference
from sequela.sequences.intervals import Intervals

Floats = NDArray[np.float64]
RESULTS = Path(__file__).with_suffix(".json")
HOSPITALS = 200
SIZES = (250, 500, 1000, 2000, 4000)  # local patients
EFFECTS = np.array([0.8, -0.6, 0.5, 0.4, -0.4, 0.3, 0.3, -0.2, 0.2, 0.1])  # of the model
START = -2.0  # its intercept, for 15 % with the event
MODEL = reference.REFERENCE_MODELS["summaries-logistic-regression"]
NUMBERS = ("o_e", "slope")
SHIFTS = ("none", "intercept", "intercept and slope", "refit")
DAYS = Intervals((1.0, 2.0, 3.0))
NEW = 20_000  # further patients, on whom the update is evaluated


def coefficients(shift: str, rng: np.random.Generator) -> tuple[float, Floats]:
    """Return the true intercept and effects of a hospital."""
    sign = rng.choice([-1, 1])
    match shift:
        case "intercept":
            return START + 0.6 * sign, EFFECTS
        case "intercept and slope":
            slope = 1 + 0.4 * sign
            return slope * START, slope * EFFECTS
        case "refit":
            return START, rng.permutation(EFFECTS)
    return START, EFFECTS


@dataclass
class Hospital:
    """Patients with ten characteristics, and the truth of their hospital."""

    rng: np.random.Generator
    intercept: float
    effects: Floats

    def patients(self, n: int) -> tuple[Floats, Predictions]:
        """Draw patients: their characteristics and the predictions of the model for them."""
        table = self.rng.normal(size=(n, len(EFFECTS)))
        chance = expit(START + table @ EFFECTS)
        happened = self.rng.random(n) < expit(self.intercept + table @ self.effects)
        return table, predictions(happened.astype(np.int64), np.stack([1 - chance, chance], 1))


def predictions(label: NDArray[np.int64], chances: Floats) -> Predictions:
    """Return predictions for a validation set of one stay for each patient."""
    ids = np.char.mod("p%d", np.arange(len(label)))
    split, classes = np.full(len(label), "tuning"), ("no", "yes")
    return Predictions(ids, ids, ids, split, label, chances.astype(np.float32), classes)


def refitted(table: Floats, tuning: Predictions) -> Predictions | None:
    """Predict each patient by the package's logistic regression, fitted on the others."""
    rows = np.arange(tuning.n_examples)
    examples = reference.Examples(table.astype(np.float32), tuning.label, rows, rows[:0], 2)
    crossed = reference.cross_fitted(MODEL, examples, tuning.group_id, 0)
    return None if crossed is None else replace(tuning, probabilities=crossed)


def of_classes(shift: str, n: int, seed: int) -> tuple[Choice, list[float]]:
    """Update the model for one hospital, and measure its calibration on further patients."""
    rng = np.random.default_rng([seed, n, SHIFTS.index(shift)])
    hospital = Hospital(rng, *coefficients(shift, rng))
    table, tuning = hospital.patients(n)
    choice = choose(tuning, partial(refitted, table, tuning), 1 + len(EFFECTS))
    _, new = hospital.patients(NEW)
    lines = [calibration_line(some) for some in (new, choice.scaling.apply(new))]
    ratios = [abs(float(np.log(line.observed / line.expected))) for line in lines]
    return choice, [*ratios, *[abs(line.slope - 1) for line in lines]]


def of_times(shift: str, n: int, seed: int) -> Choice:
    """Update a model of times to an event, whose hazards differ so, for one hospital."""
    rng = np.random.default_rng([seed, n, SHIFTS.index(shift), 1])
    start, effects = coefficients(shift, rng)
    table = rng.normal(size=(n, len(EFFECTS)))
    hazards, truth = expit(START - 0.5 + table @ EFFECTS), expit(start - 0.5 + table @ effects)
    chances, true_chances = (
        DAYS.from_hazards(np.stack([1 - h, h], 1)[:, None].repeat(3, axis=1))
        for h in (hazards, truth)
    )
    interval = (rng.random((n, 1)) > np.cumsum(true_chances, axis=1)).sum(axis=1)
    time = np.where(interval > 0, interval - rng.random(n), 3.5)
    followed = rng.uniform(1, 5, n)
    event = ((interval > 0) & (time <= followed)).astype(np.int64)
    made = predictions(np.zeros(n, np.int64), np.stack([1 - hazards, hazards], 1))
    timed = replace(
        made,
        label=DAYS.label(np.minimum(time, followed), event),
        probabilities=chances,
        classes=("none", "1", "2", "3"),
        time=np.minimum(time, followed),
        event=event,
        horizons=DAYS.horizons,
    )
    return choose(timed)


def simulate(hospitals: int) -> list[dict[str, Any]]:
    """Count the chosen levels by shift and size."""
    rows = []
    for shift in SHIFTS:
        for n in SIZES:
            updated = [of_classes(shift, n, seed) for seed in range(hospitals)]
            chosen = Counter(choice.level for choice, _ in updated)
            names = ("o_e_before", "o_e_after", "slope_before", "slope_after")
            means = np.mean([numbers for _, numbers in updated], axis=0).round(3).tolist()
            events = float(np.mean([choice.events for choice, _ in updated]))
            row = {"outcome": "two classes", "shift": shift, "patients": n, "events": events}
            rows.append({**row, "chosen": dict(chosen), **dict(zip(names, means, strict=True))})
            print(json.dumps(rows[-1]), flush=True)
    for shift in SHIFTS[:3]:
        for n in SIZES:
            choices = [of_times(shift, n, seed) for seed in range(hospitals)]
            chosen = Counter(choice.level for choice in choices)
            events = float(np.mean([choice.events for choice in choices]))
            row = {"outcome": "times", "shift": shift, "patients": n, "events": events}
            rows.append({**row, "chosen": dict(chosen)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def real() -> list[dict[str, Any]]:
    """Update models of PhysioNet 2012 set A for set B, and of eICU hospitals for the others."""
    data = Path(os.environ["SEQUELA_DATA"])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["SEQUELA_OPENINGS"] = str(work / "openings.jsonl")
        for name in "ab":
            (work / name).mkdir()
            for path in data.glob(f"physionet2012/*-{name}*"):
                (work / name / path.name).symlink_to(path)
        stays = f"--data physionet2012 --root {work}"
        for model in ("summaries-logistic-regression", "boosting", "values-lstm"):
            command("train", model, *f"{stays}/a --out {work}/a-{model}".split())
            at = f"{work}/a-{model} --root {work}/b --out {work}/b-{model}"
            rows.append(updated(at, model, "PhysioNet 2012, set A to set B"))
        for model in ("logistic-regression", "boosting", "visits-improved"):
            hospitals = (
                "--data eicu --task in-hospital --hours 24 --split site --fractions 0.4 0.2 0.4"
            )
            command("train", model, *f"{hospitals} --out {work}/e-{model}".split())
            at = f"{work}/e-{model} --data eicu --out {work}/o-{model}"
            rows.append(updated(at, model, "eICU demo, some hospitals to others"))
    return rows


def command(*words: str) -> None:
    """Run a command of the package."""
    from sequela.cli.app import main

    with redirect_stdout(StringIO()):
        try:
            main([*words])
        except SystemExit as ended:
            if ended.code:
                raise


def updated(words: str, model: str, data: str) -> dict[str, Any]:
    """Update a run, and return the numbers before and after."""
    from sequela.runs.folder import RunFolder

    command("update", *words.split())
    record = RunFolder(Path(words.rsplit(maxsplit=1)[-1])).metrics.update
    if record is None:
        raise ValueError(f"{words}: no update")
    row = {"data": data, "model": model, **record.model_dump()}
    print(json.dumps(row), flush=True)
    return row


def within(numbers: dict[str, Any], name: str) -> str:
    """Format a number with its interval."""
    low, high = numbers[f"{name}_ci"]
    return f"{numbers[name]:.2f} ({low:.2f} to {high:.2f})"


SIMULATED = """{hospitals} simulated hospitals a row. The difference of the hospital is known, and
the closed test of `sequela update` chose these levels. The last columns are the mean errors before
and after on {new:,} further patients: of the logarithm of observed over expected events, and of the
slope. `python benchmarks/simulations/update.py --write` computes them.

| outcome | difference | patients | events | none | intercept | and slope | refit | O:E | slope |
|---|---|---:|---:|---:|---:|---:|---:|---|---|
"""
REAL = """
Real patients, by `python benchmarks/simulations/update.py --real --write`. Half of the new patients
are local; the numbers are from the other half, with 95 % intervals.

| data | model | local, events | level | O:E before | O:E after | slope before | slope after |
|---|---|---|---|---|---|---|---|
"""


def page(results: dict[str, Any]) -> str:
    """Return the section of the page."""
    count = results["hospitals"]
    simulated, real_ones = [], []
    for row in results["simulated"]:
        shares = [row["chosen"].get(name, 0) / count for name in SHIFTS]
        cells = [row["outcome"], row["shift"], f"{row['patients']:,}", f"{row['events']:.0f}"]
        cells += [f"{100 * share:.0f} %" for share in shares]
        for name in NUMBERS:
            sides = [row.get(f"{name}_{side}") for side in ("before", "after")]
            has_both = None not in sides and row["shift"] != "refit"  # a refit is not applied
            cells.append(", ".join(f"{side:.2f}" for side in sides) if has_both else "")
        simulated.append(f"| {' | '.join(cells)} |")
    for row in results.get("real", []):
        local = f"{row['patients']:,}, {row['events']:,}"
        cells = [row["data"], f"`{row['model']}`", local, row["level"]]
        cells += [within(row[side], name) for name in NUMBERS for side in ("before", "after")]
        real_ones.append(f"| {' | '.join(cells)} |")
    first = SIMULATED.format(hospitals=count, new=NEW) + "\n".join(simulated)
    return first + "\n" + REAL + "\n".join(real_ones)


def main() -> None:
    """Simulate, or update real models, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--hospitals", type=int, default=HOSPITALS)
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if options.real:
        results["real"] = real()
    else:
        results |= {"hospitals": options.hospitals, "simulated": simulate(options.hospitals)}
    if options.write:
        # A row is a line.
        rows = json.dumps(results).replace("}, {", "},\n{").replace("[{", "[\n{")
        RESULTS.write_text(rows + "\n", "utf-8")
        write_section("updates", page(results))


if __name__ == "__main__":
    main()
