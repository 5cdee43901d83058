"""How often the intervals of times to an event hold the truth, by simulation.

Patients have two covariates, age and a diagnosis. The event (death) has a constant hazard that
depends on both, a competing event (discharge) one that depends on age, and follow-up ends at a
hazard that depends on neither, or, in further designs, on the risk of death. A model with the right
covariates and other coefficients is evaluated by ``sequela.evaluate_survival`` on each cohort; the
truth is its number on 400,000 patients who are followed to the end. The last line of a design is
the share of cohorts in which the audit reports censoring that depends on the risk.

    python -m benchmarks.survival [--cohorts 400] [--patients 400]
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from sequela import evaluate_survival
from sequela.models.reference import Times
from sequela.runs.follow_up import dependent
from sequela.sequences.flat import Sequences
from sequela.sequences.intervals import Intervals

HORIZONS = (365.0, 1096.0, 1826.0)
CENSORING = {
    "independent": (0.0, 0.0),
    "weakly dependent": (0.35, 0.45),
    "dependent": (0.7, 0.9),
}
"""Coefficients of age and of the diagnosis in the hazard of the end of follow-up."""
DEATH, DISCHARGE, MODEL = (0.7, 0.9), (-0.3, 0.0), (0.5, 1.2)
TRUTH = 400_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Patients:
    """Covariates of patients, (patient, 2): standardised age, and 1 with the diagnosis."""

    covariates: Floats

    @classmethod
    def drawn(cls, count: int, rng: np.random.Generator) -> "Patients":
        """Draw patients, 30 % with the diagnosis."""
        return cls(np.column_stack([rng.normal(size=count), rng.random(count) < 0.3]))

    def hazard(self, days: float, coefficients: tuple[float, float]) -> Floats:
        """Events a day of each patient; ``days`` is the mean time at covariates of 0."""
        found: Floats = np.exp(self.covariates @ np.array(coefficients)) / days
        return found

    def outcomes(self, censoring: tuple[float, float] | None, rng: np.random.Generator) -> Floats:
        """Times and events, (patient, 2); without censoring, everyone is followed to an event."""
        hazards = [self.hazard(6000, DEATH), self.hazard(6000, DISCHARGE)]
        times = [rng.exponential(1 / each) for each in hazards]
        if censoring is not None:
            times.append(rng.exponential(1 / self.hazard(2500, censoring)))
        first = np.argmin(times, axis=0)
        return np.column_stack([np.min(times, axis=0), (first + 1) % 3])

    def risk(self) -> Floats:
        """Risk of death by each horizon as the model predicts it: (patient, horizon)."""
        death, discharge = self.hazard(6000, MODEL), self.hazard(6000, DISCHARGE)
        both = (death + discharge)[:, None]
        risk: Floats = death[:, None] / both * -np.expm1(-both * np.array(HORIZONS))
        return risk

    def sequences(self, label: NDArray[np.bool_]) -> Sequences:
        """The records that the audit reads: an age, and a code for those with the diagnosis."""
        count = len(self.covariates)
        ill = self.covariates[:, 1].astype(np.int64)
        one_each, at = np.arange(count + 1), np.zeros(count, "<M8[us]")
        return Sequences(
            folder=Path(),
            header={"vocabulary": ["", "DIAGNOSIS"], "channels": [], "parts": ["train"]},
            subject_id=np.arange(count),
            prediction_time=at,
            label=label,
            part=np.zeros(count, np.uint8),
            age=(60 + 12 * self.covariates[:, 0]).astype(np.float32),
            followed=np.zeros(count, np.float32),
            step_offsets=one_each,
            step_time=at,
            code_offsets=np.concatenate([[0], np.cumsum(ill)]),
            codes=np.ones(ill.sum(), np.int32),
            value_offsets=np.zeros(count + 1, np.int64),
            channels=np.zeros(0, np.int32),
            values=np.zeros(0, np.float32),
        )


def structured(outcomes: Floats) -> NDArray[np.void]:
    y = np.empty(len(outcomes), [("event", np.int64), ("time", np.float64)])
    y["time"], y["event"] = outcomes.T
    return y


def truth() -> dict[str, float]:
    """The numbers on many patients who are followed to the end."""
    rng = np.random.default_rng(2026)
    patients = Patients.drawn(TRUTH, rng)
    y = structured(patients.outcomes(None, rng))
    found = evaluate_survival(patients.risk(), None, y, groups=range(TRUTH), horizons=HORIZONS)
    return {
        name: np.asarray(each.estimate).item()
        for name, each in found.statistics().items()
        if name != "concordance (Harrell)"  # its true value depends on the censoring
    }


def report(design: str, true: dict[str, float], cohorts: int, count: int) -> None:
    """Print the coverage of each interval, and how often the audit reports the censoring."""
    rng = np.random.default_rng(count)
    holds, alarms, ends = defaultdict(list), 0, np.zeros(3)
    for _ in range(cohorts):
        patients = Patients.drawn(count, rng)
        outcomes = patients.outcomes(CENSORING[design], rng)
        time, event = outcomes[:, 0], outcomes[:, 1].astype(np.int64)
        by_then = np.where(time > HORIZONS[-1], 3, event)
        ends += np.bincount(by_then, minlength=4)[:3]
        found = evaluate_survival(
            patients.risk(), None, structured(outcomes), groups=range(count), horizons=HORIZONS
        ).numbers()
        for name, value in true.items():
            if bounds := found[name].interval:
                side = (bounds.low <= value <= bounds.high, found[name].value - value)
                holds[name].append(side)
        times = Times(time, event, Intervals(HORIZONS, 2))
        records = patients.sequences(by_then == 1)
        alarms += dependent(times, records, np.arange(count)) is not None
    shares = 100 * ends / (cohorts * count)
    print(
        f"{design} censoring, {cohorts} cohorts of {count} patients; by day {HORIZONS[-1]:g}: "
        f"{shares[1]:.0f} % died, {shares[2]:.0f} % were discharged, {shares[0]:.0f} % were lost"
    )
    for name, rows in holds.items():
        inside, error = np.array(rows).T
        band = stats.binomtest(int(inside.sum()), len(rows)).proportion_ci()
        print(
            f"  {name:<24}{true[name]:>7.3f}{error.mean():>+8.3f}{100 * inside.mean():>7.1f} %"
            f"  ({100 * band.low:.1f}-{100 * band.high:.1f})  of {len(rows)}"
        )
    print(f"  the audit reports dependent censoring in {100 * alarms / cohorts:.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=400)
    parser.add_argument("--patients", type=int, default=400)
    options = parser.parse_args()
    true = truth()
    print("  number                    true    bias  held by 95 % intervals (of the simulation)")
    for design in CENSORING:
        report(design, true, options.cohorts, options.patients)


if __name__ == "__main__":
    main()
