"""Claims judged on predictions whose answer is known."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from sequela.config import RunSettings
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import operating_points, summarise
from sequela.report.discussion import confusions
from sequela.runs.folder import RunFolder
from sequela.sources.bonn import CLASSES as CLASS_NAMES
from sequela.studies import mortality
from sequela.studies.claims import Claim
from sequela.studies.seizure import AREAS, CLAIMS
from sequela.studies.verdicts import FAILS, HOLDS, UNKNOWN, asymmetry, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_GROUPS, N_EACH = 80, 10


@dataclass
class Judged:
    """As much of a run as a verdict asks for."""

    settings: RunSettings
    predictions: Predictions
    metrics: dict[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        recorded = "recordings" in self.metrics["data"]
        example = "segment" if recorded else "patient"
        return {"classes_fixed": recorded, "example": example, **self.metrics["data"]}

    @property
    def test(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.metrics["parts"]["held_out"])


def made(model: str, accuracy: float, train_accuracy: float | None = None) -> RunFolder:
    """A run whose predictions are right with a given chance."""
    rng = np.random.default_rng(3)
    n = 2 * N_GROUPS * N_EACH
    group = np.repeat(np.arange(2 * N_GROUPS), N_EACH)
    label = group % 5
    part = np.where(group < N_GROUPS, "train", "held_out")
    chance = np.where(part == "train", train_accuracy or accuracy, accuracy)
    guess = np.where(rng.random(n) < chance, label, (label + rng.integers(1, 5, n)) % 5)
    probabilities = np.full((n, 5), 0.1, np.float32)
    probabilities[np.arange(n), guess] = 0.6
    predictions = Predictions(
        example_id=np.arange(n).astype(str),
        group_id=group.astype(str),
        subject_id=np.full(n, ""),
        split=part,
        label=label,
        probabilities=probabilities,
        classes=CLASS_NAMES,
    )

    def numbers(name: str) -> dict[str, Any]:
        chosen = predictions.part(name)
        right: NDArray[np.bool_] = chosen.predicted == chosen.label
        mean = float(right.mean())
        recall = [float(right[chosen.label == c].mean()) for c in range(5)]
        return {
            "accuracy": mean,
            "accuracy_ci": [mean - 0.03, mean + 0.03],
            "per_class_recall": recall,
        }

    parts = {name: numbers(name) for name in ("train", "held_out")}
    metrics = {"parts": parts, "data": {"recordings": 160, "classes": list(CLASS_NAMES)}}
    judged = Judged(RunSettings(model=model, data="bonn"), predictions, metrics)
    return cast("RunFolder", judged)


def verdict(key: str, before: RunFolder, after: RunFolder) -> str:
    claim = Claim(key, ("mlp-baseline", "mlp-improved"), "", "", classes=AREAS)
    return judge(claim, {"mlp-baseline": before, "mlp-improved": after}).verdict


@pytest.mark.parametrize("key", ["accuracy-rises", "loss-falls", "classes-better"])
def test_directions(key: str) -> None:
    worse, better = made("mlp-baseline", 0.4), made("mlp-improved", 0.8)
    assert verdict(key, worse, better) == HOLDS
    assert verdict(key, better, worse) == FAILS
    assert verdict(key, worse, worse) == UNKNOWN


def test_the_diagonal_rises_only_if_every_class_does() -> None:
    worse, better = made("mlp-baseline", 0.4), made("mlp-improved", 0.8)
    assert verdict("diagonal-rises", worse, better) == HOLDS
    better.metrics["parts"]["held_out"]["per_class_recall"][2] = 0.0
    assert verdict("diagonal-rises", worse, better) == UNKNOWN


def test_overfitting_is_the_gap_to_training() -> None:
    gap, none = made("mlp-baseline", 0.5, 0.9), made("mlp-improved", 0.5, 0.5)
    assert verdict("less-overfitting", gap, none) == HOLDS
    assert verdict("less-overfitting", none, gap) == FAILS


def test_underfitting_is_worse_on_its_own_data_than_another_on_unseen() -> None:
    assert verdict("underfits", made("mlp-baseline", 0.5), made("mlp-improved", 0.7)) == HOLDS
    assert verdict("underfits", made("mlp-baseline", 0.9), made("mlp-improved", 0.7)) == FAILS


def test_similar_is_surely_within_three_points() -> None:
    same = made("mlp-baseline", 0.7)
    assert verdict("similar-best", same, same) == HOLDS
    assert verdict("similar-best", made("mlp-baseline", 0.4), made("mlp-improved", 0.8)) == FAILS


@pytest.mark.parametrize(
    ("relation", "value", "expected"),
    [
        ("about", 0.7, HOLDS),
        ("about", 0.25, FAILS),
        ("below", 0.9, HOLDS),
        ("below", 0.5, FAILS),
        ("above", 0.5, HOLDS),
        ("above", 0.7, UNKNOWN),
    ],
)
def test_levels(relation: Any, value: float, expected: str) -> None:
    claim = Claim("level", ("mlp-baseline",), "", "", "accuracy", relation, value)
    assert judge(claim, {"mlp-baseline": made("mlp-baseline", 0.7)}).verdict == expected


def test_asymmetry_of_known_matrices() -> None:
    symmetric = np.array([[5.0, 2.0], [2.0, 7.0]])
    one_sided = np.array([[5.0, 4.0], [0.0, 7.0]])
    half = np.array([[5.0, 3.0], [1.0, 7.0]])
    assert asymmetry(np.stack([symmetric, one_sided, half])) == pytest.approx([0, 1, 0.5])


def test_every_claim_can_be_judged_or_says_what_is_missing() -> None:
    runs = {name: made(name, 0.6) for claim in CLAIMS for name in claim.models}
    assert {judge(claim, runs).verdict for claim in CLAIMS} <= {HOLDS, FAILS, UNKNOWN}
    for claim in CLAIMS:
        assert judge(claim, {}).verdict == UNKNOWN


def test_confusions_name_the_pairs() -> None:
    found = confusions([[9, 1, 0], [0, 5, 5], [0, 4, 6]], ["a", "b", "c"])
    assert found == (
        "Most frequent confusions: b / c (90% of all errors) and a / b (10% of all errors)."
    )
    assert confusions([[1, 0], [0, 1]], ["a", "b"]) == "It made no error."


# Mortality: two classes, the rarer one second ------------------------------------------------


def dying(found: float, spared: float, *, deaths: int = 150, others: int = 850) -> RunFolder:
    """A run that finds a share of those who died, and raises no alarm for a share of the others."""
    died = np.arange(deaths + others) < deaths
    place = np.where(died, np.arange(len(died)), np.arange(len(died)) - deaths)
    alarm = np.where(died, place < found * deaths, place >= spared * others)
    score = np.where(alarm, 0.8, 0.2) + np.where(died, 0.05, 0) * (found + spared > 1)
    names = np.char.mod("s%04d", np.arange(len(died)))
    # Each part the same: what is chosen on the one is right on the other.
    both = {name: np.tile(column, 2) for name, column in (("died", died), ("score", score))}
    predictions = Predictions(
        example_id=np.concatenate([names, np.char.add(names, "t")]),
        group_id=np.concatenate([names, np.char.add(names, "t")]),
        subject_id=np.concatenate([names, np.char.add(names, "t")]),
        split=np.repeat(["held_out", "tuning"], len(died)),
        label=both["died"].astype(np.int64),
        probabilities=np.stack([1 - both["score"], both["score"]], axis=1),
        classes=("survived", "died"),
    )
    held_out = summarise(predictions.part("held_out"), seed=0, recordings=False)
    held_out["operating_points"] = operating_points(predictions, seed=0, aim="youden")
    metrics = {"parts": {"held_out": held_out}, "data": {"classes": ["survived", "died"]}}
    judged = Judged(RunSettings(model="visits-improved", data="eicu"), predictions, metrics)
    return cast("RunFolder", judged)


def of_mortality(key: str, run: RunFolder, **more: Any) -> str:
    claim = Claim(key, ("visits-improved",), "", "", **more)
    return judge(claim, {"visits-improved": run}).verdict


@pytest.mark.parametrize(
    ("found", "spared", "expected"),
    [
        (0.0, 1.0, HOLDS),  # always "survived"
        (0.3, 0.95, HOLDS),
        (0.5, 0.9, UNKNOWN),
        (0.9, 0.9, FAILS),
        (1.0, 0.0, FAILS),  # always "died": whatever that is, it is not blind to the dead
    ],
)
def test_blind_is_to_miss_most_of_the_dead(found: float, spared: float, expected: str) -> None:
    assert of_mortality("blind", dying(found, spared)) == expected


@pytest.mark.parametrize(
    ("found", "spared", "expected"),
    [
        (0.95, 0.95, HOLDS),
        (0.95, 0.4, FAILS),
        (0.2, 0.99, FAILS),
        (0.74, 0.95, UNKNOWN),
        (0.95, 0.74, UNKNOWN),
    ],
)
def test_both_classes_need_both_surely(found: float, spared: float, expected: str) -> None:
    assert of_mortality("both-classes", dying(found, spared), value=0.73) == expected


@pytest.mark.parametrize(
    ("found", "spared", "relation", "value", "expected"),
    [
        (0.95, 0.95, "about", 0.8, FAILS),
        (0.95, 0.95, "above", 0.8, HOLDS),
        (0.95, 0.95, "below", 0.8, FAILS),
        (0.5, 0.5, "about", 0.5, HOLDS),
        (0.5, 0.5, "above", 0.5, UNKNOWN),
        (0.5, 0.5, "above", 0.8, FAILS),
    ],
)
def test_levels_of_the_auroc(
    found: float, spared: float, relation: Any, value: float, expected: str
) -> None:
    run = dying(found, spared)
    claim = {"number": "auroc", "relation": relation, "value": value}
    assert of_mortality("level", run, **claim) == expected
    verdict = judge(Claim("level", ("visits-improved",), "", "", **claim), {"visits-improved": run})
    assert f"{run.test['auroc']:.2f}" in verdict.why


def test_very_few_dead_decide_nothing() -> None:
    few = dying(1.0, 0.9, deaths=1, others=99)
    assert few.test["operating_points"][0]["sensitivity"] == 1
    assert of_mortality("blind", few) == UNKNOWN
    assert of_mortality("both-classes", few, value=0.73) == UNKNOWN
    assert of_mortality("level", few, number="auroc", relation="above", value=0.8) == UNKNOWN


def test_every_claim_on_mortality_can_be_judged_or_says_what_is_missing() -> None:
    runs = {name: dying(0.5, 0.9) for name in ("visits-baseline", "visits-improved")}
    judged = [judge(claim, runs) for claim in mortality.CLAIMS]
    assert {v.verdict for v in judged} <= {HOLDS, FAILS, UNKNOWN}
    assert len(judged) >= 5
    assert all(v.why for v in judged)
    assert {judge(claim, {}).verdict for claim in mortality.CLAIMS} == {UNKNOWN}
