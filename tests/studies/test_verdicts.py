"""Claims judged on predictions whose answer is known."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from tests.records import part_of, sequences_of

from sequela.config import RunSettings
from sequela.errors import DataError, SettingError, UnknownNameError
from sequela.evaluation.metrics import accuracy
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import operating_points, summarise
from sequela.models.defaults import DEFAULTS
from sequela.runs.folder import RunFolder
from sequela.runs.record import DataRecord, Numbers, Parts, RunRecord
from sequela.signals.bonn import CLASSES as CLASS_NAMES
from sequela.studies import verdicts
from sequela.studies.claims import Claim, read, to_toml
from sequela.studies.registry import STUDIES
from sequela.studies.statistics import STATISTICS, asymmetry
from sequela.studies.study import Study
from sequela.studies.verdicts import (
    ANSWERS,
    CONTRADICTED,
    DEPENDS,
    FAILS,
    HOLDS,
    OPEN,
    SUPPORTED,
    UNDECIDABLE,
    UNSTABLE,
    UNTESTABLE,
    Verdict,
    by_chance,
    judge,
    tally,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLAIMS = STUDIES["seizure"].claims
AREAS = ("tumour area", "healthy area")
N_GROUPS, N_EACH = 80, 10


@dataclass
class Judged:
    """As much of a run as a verdict asks for."""

    settings: RunSettings
    predictions: Predictions
    parts: dict[str, Numbers]
    described: dict[str, Any]

    @property
    def data(self) -> DataRecord:
        recorded = "recordings" in self.described
        counts = np.bincount(self.predictions.part("held_out").label).tolist()
        return part_of(DataRecord, classes_fixed=recorded, counts=counts, **self.described)

    @property
    def metrics(self) -> RunRecord:
        return part_of(RunRecord, data=self.data, parts=part_of(Parts, **self.parts))

    @property
    def runs(self) -> "list[Judged]":
        return [self]

    @property
    def test(self) -> Numbers:
        return self.parts["held_out"]


def made(right: float, right_in_training: float | None = None, *, seed: int = 3) -> RunFolder:
    """A run whose predictions are right with a given chance."""
    rng = np.random.default_rng(seed)
    n = 3 * N_GROUPS * N_EACH
    group = np.repeat(np.arange(3 * N_GROUPS), N_EACH)
    label = group % 5
    part = np.array(["train", "held_out", "tuning"])[group // N_GROUPS]
    chance = np.where(part == "train", right_in_training or right, right)
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

    def numbers(name: str) -> Numbers:
        chosen = predictions.part(name)
        hit: NDArray[np.bool_] = chosen.predicted == chosen.label
        mean = float(hit.mean())
        recall = [float(hit[chosen.label == c].mean()) for c in range(5)]
        interval = [mean - 0.03, mean + 0.03]
        return part_of(Numbers, accuracy=mean, accuracy_ci=interval, per_class_recall=recall)

    parts = {name: numbers(name) for name in ("train", "held_out")}
    data = {"unit": "recording", "recordings": 160, "classes": list(CLASS_NAMES)}
    judged = Judged(RunSettings(model="mlp-baseline", data="bonn"), predictions, parts, data)
    return cast("RunFolder", judged)


BOTH = ("mlp-baseline", "mlp-improved")


def claim(statistic: str, models: tuple[str, ...] = BOTH, **more: Any) -> Claim:
    said = {"id": "c", "claim": "c", "estimand": "e", "population": "p", "relation": "above"}
    return Claim(statistic=statistic, models=models, **{**said, "value": 0.0, **more})


def verdict(asked: Claim, *runs: RunFolder) -> str:
    (found,) = judge([asked], dict(zip(asked.models, runs, strict=True)))
    return found.verdict


SIMILAR = claim("change", relation="about", margin=0.03)
AREA = claim("recall change", classes=AREAS)


@pytest.mark.parametrize(
    ("asked", "first", "second", "expected"),
    [
        (claim("change"), (0.4,), (0.8,), HOLDS),
        (claim("change"), (0.8,), (0.4,), FAILS),
        (claim("change"), (0.4,), (0.4,), OPEN),
        (AREA, (0.4,), (0.8,), HOLDS),
        (AREA, (0.8,), (0.4,), FAILS),
        (AREA, (0.4,), (0.4,), OPEN),
        (claim("change", metric="loss", relation="below"), (0.4,), (0.8,), HOLDS),
        # Overfitting is the gap to training.
        (claim("gap change", relation="below"), (0.5, 0.9), (0.5, 0.5), HOLDS),
        (claim("gap change", relation="below"), (0.5, 0.5), (0.5, 0.9), FAILS),
        # Underfitting is to be worse on its own data than another model on unseen ones.
        (claim("held-out over training"), (0.5,), (0.7,), HOLDS),
        (claim("held-out over training"), (0.9,), (0.7,), FAILS),
        (SIMILAR, (0.7,), (0.7,), HOLDS),
        (SIMILAR, (0.4,), (0.8,), FAILS),
    ],
)
def test_two_models(
    asked: Claim, first: tuple[float, ...], second: tuple[float, ...], expected: str
) -> None:
    """Of one chance to be right, or of another one in training."""
    assert verdict(asked, made(*first), made(*second)) == expected


@pytest.mark.parametrize(
    ("relation", "value", "margin", "expected"),
    [
        ("about", 0.7, 0.1, HOLDS),
        ("about", 0.7, 0.01, UNDECIDABLE),  # the interval is wider than the margin
        ("about", 0.25, 0.05, FAILS),
        ("about", 0.65, 0.05, OPEN),
        ("about", 0.62, 0.06, OPEN),
        ("below", 0.9, 0, HOLDS),
        ("below", 0.5, 0, FAILS),
        ("below", 0.67, 0.1, HOLDS),  # within the margin
        ("above", 0.5, 0, HOLDS),
        ("above", 0.7, 0, OPEN),
        ("above", 0.73, 0.1, HOLDS),
        ("above", 0.9, 0, FAILS),
    ],
)
def test_levels(relation: Any, value: float, margin: float, expected: str) -> None:
    asked = claim(
        "level", BOTH[:1], metric="accuracy", relation=relation, value=value, margin=margin
    )
    (answer,) = judge([asked], {BOTH[0]: made(0.7)})
    assert answer.verdict == expected
    by_interval = {HOLDS: SUPPORTED, FAILS: CONTRADICTED}
    assert answer.interval_verdict == by_interval.get(expected, OPEN)


def test_only_primary_claims_are_corrected_or_all_where_none_is() -> None:
    """A claim with a p-value just below 0.05 is supported, and does not hold among others."""
    run = {"mlp-baseline": made(0.7)}
    measured = accuracy(run["mlp-baseline"].predictions.part("held_out"))
    edge = next(
        value
        for value in np.arange(measured - 0.06, measured, 0.0005)
        if judge([claim("level", BOTH[:1], value=value)], run)[0].verdict == OPEN
    )
    one = claim("level", BOTH[:1], value=float(edge) - 0.0005)
    other, primary = (one.model_copy(update={"id": "o", "primary": flag}) for flag in (False, True))
    for claims, family, expected in (
        ([one], 0, [HOLDS]),
        ([one, other], 0, [OPEN, OPEN]),
        ([one, primary], 1, [SUPPORTED, HOLDS]),
        ([one, primary], 4, [SUPPORTED, OPEN]),  # three primary claims are in another study
    ):
        answers = judge(claims, run, family)
        assert [answer.verdict for answer in answers] == expected
        corrected = "but not after the correction" in answers[-1].reason
        assert corrected == (expected[-1] == OPEN)


@pytest.mark.parametrize(("relation", "at_half"), [("above", 1.0), ("about", 1.41)])
def test_a_claim_with_a_power_below_one_half_cannot_be_decided(
    relation: Any, at_half: float
) -> None:
    """One bound: a power of 50 % needs 1.645 standard errors; two bounds need 1.645 + 0.674."""
    run = made(0.7)
    measured = accuracy(run.predictions.part("held_out"))
    half = 1.645 * (measured * (1 - measured) / (N_GROUPS * N_EACH)) ** 0.5
    for share, label in ((0.85, "cannot be decided with 80 recordings"), (1.15, "")):
        margin = share * at_half * half  # the lower bound is the measured number: no answer
        more = {"relation": relation, "value": measured + margin, "margin": margin}
        (answer,) = judge([claim("level", BOTH[:1], **more)], {BOTH[0]: run})
        assert (answer.verdict, answer.label) == (UNDECIDABLE if label else OPEN, label)


@pytest.mark.slow
def test_at_most_one_in_twenty_answers_is_wrong() -> None:
    """Where the truth is the bound itself, 5 % of the runs support the claim, 5 % contradict it."""
    claims = [claim("level", BOTH[:1], value=0.7), claim("level", BOTH[:1], id="p", primary=True)]
    answers = []
    for seed in range(400):
        run = made(0.7, seed=seed)
        vars(run)["settings"] = run.settings.model_copy(update={"resamples": 400})
        answers.append(judge(claims, {BOTH[0]: run})[0].verdict)
    for answer in (SUPPORTED, CONTRADICTED):
        assert 0.02 < answers.count(answer) / len(answers) < 0.08  # 2.8 standard errors


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"statistic": "chnage"}, UnknownNameError, "did you mean 'change'"),
        ({"statistic": "level"}, SettingError, "names 2 model"),
        ({"metric": "acuracy"}, UnknownNameError, "acuracy"),
    ],
)
def test_a_claim_about_nothing_is_refused(
    wrong: dict[str, Any], error: type[Exception], words: str
) -> None:
    run = made(0.5)
    with pytest.raises(error, match=words):
        verdict(claim(**{"statistic": "change", **wrong}), run, run)


def test_asymmetry_of_known_matrices() -> None:
    symmetric = np.array([[5.0, 2.0], [2.0, 7.0]])
    one_sided = np.array([[5.0, 4.0], [0.0, 7.0]])
    half = np.array([[5.0, 3.0], [1.0, 7.0]])
    assert asymmetry(np.stack([symmetric, one_sided, half])) == pytest.approx([0, 1, 0.5])


def test_every_claim_can_be_judged_or_says_what_is_missing() -> None:
    for claims, run, answers in (
        (CLAIMS, made(0.6), {HOLDS, SUPPORTED, CONTRADICTED, UNDECIDABLE, OPEN}),
        (STUDIES["mortality"].claims, dying(0.5, 0.9), {*ANSWERS}),
    ):
        vars(run)["described"]["sequences"] = sequences_of(share_of_one=0.0)
        found = judge(claims, {name: run for each in claims for name in each.models})
        given = {each.verdict for each in found}
        assert given <= answers
        assert len(found) >= 5
        assert all(each.why for each in found)
        assert {each.verdict for each in judge(claims, {})} == {UNTESTABLE}


def test_a_tally_is_a_sentence_of_one_and_of_many() -> None:
    one, *others = (Verdict(claim, OPEN, "") for claim in CLAIMS[3:6])
    found = [replace(one, verdict=HOLDS), *others]
    assert tally(found) == "1 holds, 2 have no answer"
    assert by_chance(found).startswith("2 claims were not corrected: at most 0.1 wrong answers")
    untestable = [replace(each, verdict=UNTESTABLE) for each in found]
    assert (tally(untestable), by_chance(untestable)) == ("3 cannot be tested here", "")


def test_no_two_claims_share_a_number() -> None:
    """One number, one claim: another claim on it would be counted twice."""
    for claims in (CLAIMS, STUDIES["mortality"].claims):
        numbers = [(each.statistic, each.metric, each.models, each.classes) for each in claims]
        assert len(set(numbers)) == len(numbers)
        assert {each.statistic for each in claims} <= set(STATISTICS)


def test_what_is_primary_and_what_depends_on_the_share_of_deaths_is_declared() -> None:
    claims = [*CLAIMS, *STUDIES["mortality"].claims]
    numbers = {(c.models[-1], c.statistic, c.metric, c.relation) for c in claims if c.primary}
    rises = {(f"{kind}-improved", "change", "accuracy", "above") for kind in ("mlp", "cnn", "gru")}
    assert numbers == rises | {("visits-improved", "level", "auroc", "about")}
    for c in STUDIES["mortality"].claims:  # by the kind of the number
        level = c.statistic == "level" and c.metric in ("loss", "accuracy")
        depends = level or c.statistic == "recall at 0.5"
        assert c.prevalence == ((0.2, 0.5) if depends else (0.0, 1.0))


def test_a_declaration_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "claims.toml"
    path.write_text(to_toml(CLAIMS), encoding="utf-8")
    assert read(path) == CLAIMS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("margin = 0.1", "margin = 0.0"), "needs a margin"),
        (("relation = ", "relations = "), "relation"),
        (("mlp-improved-loss", "mlp-baseline-loss"), "names two claims"),
        (("[[claim]]", "[[claims]]"), "claim"),
        (("value = 1.6", "value = nan"), "finite"),
    ],
)
def test_a_wrong_declaration_is_refused(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    path = tmp_path / "claims.toml"
    path.write_text(to_toml(CLAIMS).replace(*change), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read(path)


# Mortality: two classes, the rarer one second ------------------------------------------------


def dying(
    found: float, spared: float, *, deaths: int = 150, others: int = 850, apart: float = 0.05
) -> RunFolder:
    """A run that finds a share of those who died, and raises no alarm for a share of the others."""
    died = np.arange(deaths + others) < deaths
    place = np.where(died, np.arange(len(died)), np.arange(len(died)) - deaths)
    alarm = np.where(died, place < found * deaths, place >= spared * others)
    score = np.where(alarm, 0.8, 0.2) + np.where(died, apart, 0) * (found + spared > 1)
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
    parts = {"held_out": Numbers.model_validate(held_out)}
    data = {"unit": "subject", "classes": ["survived", "died"]}
    judged = Judged(RunSettings(model="visits-improved", data="eicu"), predictions, parts, data)
    return cast("RunFolder", judged)


LSTM = ("visits-improved",)


FEW_DEATHS = claim("recall at 0.5", LSTM, relation="below", value=0.5)
BOTH_CLASSES = claim("smaller recall", LSTM, value=0.73)


@pytest.mark.parametrize(
    ("asked", "found", "spared", "expected"),
    [
        (FEW_DEATHS, 0.0, 1.0, HOLDS),  # always "survived"
        (FEW_DEATHS, 0.3, 0.95, HOLDS),
        (FEW_DEATHS, 0.5, 0.9, OPEN),
        (FEW_DEATHS, 0.9, 0.9, FAILS),
        (FEW_DEATHS, 1.0, 0.0, FAILS),  # always "died": it does not miss the dead
        (BOTH_CLASSES, 0.95, 0.95, HOLDS),
        (BOTH_CLASSES, 0.95, 0.4, FAILS),
        (BOTH_CLASSES, 0.2, 0.99, FAILS),
        (BOTH_CLASSES, 0.74, 0.95, OPEN),
        (BOTH_CLASSES, 0.95, 0.74, OPEN),
    ],
)
def test_recalls_of_one_model(asked: Claim, found: float, spared: float, expected: str) -> None:
    run = dying(found, spared, apart=0.05 if asked is FEW_DEATHS else 0.0)
    assert verdict(asked, run) == expected


@pytest.mark.parametrize(
    ("found", "spared", "relation", "value", "margin", "expected"),
    [
        (0.95, 0.95, "about", 0.8, 0.05, FAILS),
        (0.95, 0.95, "above", 0.8, 0, HOLDS),
        (0.95, 0.95, "below", 0.8, 0, FAILS),
        (0.5, 0.5, "about", 0.5, 0.1, HOLDS),
        (0.5, 0.5, "above", 0.5, 0, OPEN),
        (0.5, 0.5, "above", 0.8, 0, FAILS),
    ],
)
def test_levels_of_the_auroc(
    found: float, spared: float, relation: Any, value: float, margin: float, expected: str
) -> None:
    run = dying(found, spared)
    asked = claim("level", LSTM, metric="auroc", relation=relation, value=value, margin=margin)
    (answer,) = judge([asked], {LSTM[0]: run})
    assert answer.verdict == expected
    assert f"{run.test['auroc']:.2f}" in answer.why


def test_very_few_dead_are_not_asked() -> None:
    few = dying(1.0, 0.9, deaths=10, others=90)
    asked = claim("level", LSTM, metric="auroc", value=0.8, fewest=50)
    (answer,) = judge([asked], {LSTM[0]: few})
    assert (answer.verdict, "10 examples" in answer.why) == (UNTESTABLE, True)


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_number_is_weighted_to_the_prevalence_of_the_report(metric: str) -> None:
    """As if each death counted as often as it would there, with the odds that it would have."""
    run = dying(0.9, 0.6)
    asked = claim("level", LSTM, metric=metric, value=0.1, prevalence=(0.2, 0.5))
    (answer,) = judge([asked], {LSTM[0]: run})
    test = run.predictions.part("held_out")
    counts = run.data["counts"]
    for share in (0.2, 0.5):
        odds = test.score / (1 - test.score) * (share / (1 - share)) * counts[0] / counts[1]
        chance = np.where(test.label == 1, odds, 1) / (1 + odds)
        value = -np.log(chance) if metric == "loss" else chance > 0.5
        by_class = [value[test.label == label].mean() for label in (0, 1)]
        expected = (1 - share) * by_class[0] + share * by_class[1]
        shown = f"{100 * expected:.1f} %" if metric == "accuracy" else f"{expected:.2f}"
        assert f"{shown} (90 % interval" in answer.why
        assert f"at a prevalence of {100 * share:.0f} %" in answer.why
    (as_is,) = judge([asked], {LSTM[0]: dying(0.9, 0.6, deaths=300)})
    assert "prevalence" not in as_is.why


@pytest.mark.parametrize(
    "number",
    [
        claim("recall at 0.5", LSTM, relation="below", value=0.5),  # at 20 % few are found
        claim("level", LSTM, metric="loss", relation="about", value=0.56, margin=0.01),
    ],
)
def test_both_prevalences_must_give_the_same_answer(number: Claim) -> None:
    """Numbers on both sides of the claimed value contradict it at neither share in between."""
    asked = number.model_copy(update={"prevalence": (0.2, 0.5)})
    (answer,) = judge([asked], {LSTM[0]: dying(0.3, 0.95, apart=0.05)})
    assert (answer.verdict, answer.interval_verdict) == (DEPENDS, OPEN)
    assert answer.label == "depends on the share of “died”"


def test_only_means_over_examples_can_be_weighted() -> None:
    asked = claim("level", LSTM, metric="auprc", value=0.1, prevalence=(0.2, 0.5))
    with pytest.raises(UnknownNameError, match="weighted to a prevalence"):
        judge([asked], {LSTM[0]: dying(0.9, 0.6)})


def test_without_recurrence_no_recurrent_model_is_tested() -> None:
    run = dying(0.9, 0.9)
    asked = claim("level", LSTM, metric="auroc", untestable=("no recurrence",))
    for share, expected in ((0.9, UNTESTABLE), (0.1, HOLDS)):
        vars(run)["described"]["sequences"] = sequences_of(share_of_one=share)
        assert verdict(asked, run) == expected


def test_models_that_predict_nobody_are_not_similar() -> None:
    nobody, some = dying(0.0, 1.0), dying(0.5, 0.9)
    asked = claim(
        "change", metric="loss", relation="about", margin=1.0, untestable=("one class predicted",)
    )
    assert verdict(asked, nobody, nobody) == UNTESTABLE
    assert verdict(asked, nobody, some) != UNTESTABLE


# Beside each other --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reruns", "expected"),
    [
        (0.5, {HOLDS: 4, OPEN: 1}, (HOLDS, 4)),
        (0.5, {HOLDS: 3, OPEN: 2}, (UNSTABLE, 3)),
        (0.9, {HOLDS: 5}, (UNSTABLE, 0)),
        (0.7, {OPEN: 2, UNDECIDABLE: 2, HOLDS: 1}, (OPEN, 4)),  # none of four has an answer
        (0.7, {HOLDS: 5}, (UNSTABLE, 0)),
    ],
)
def test_reruns_count_on_the_same_data_only(
    value: float, reruns: dict[str, int], expected: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(0.7)
    vars(run)["described"] |= {"name": "bonn", "examples": 800}
    asked = claim("level", BOTH[:1], value=value)
    study = Study("own", "t", "h", claims=(asked,))
    known = {"c": [*Counter(reruns).elements()]}
    monkeypatch.setattr(verdicts, "measured_reruns", lambda *_: known)
    monkeypatch.setattr(verdicts, "planned_leak", lambda _: "")
    (found,) = verdicts.judge_study(study, [[run]])
    assert (found.verdict, found.reruns, found.by_row) == (expected[0], (expected[1], 5), None)
    assert found.to_dict()["same_in_reruns"] == [expected[1], 5]
    assert found.to_dict()["by_row"] is None
    longer = {"mlp-baseline": run.settings.training.model_copy(update={"epochs": 1000})}
    (quick,) = verdicts.judge_study(replace(study, training=longer), [[run]])
    assert (quick.reruns, quick.verdict == UNSTABLE) == (None, False)


class ComparedError(Exception):
    """Ends the test where the models are compared."""


def test_the_best_baseline_model_need_not_be_one_of_the_study(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []

    def compare(runs: list[RunFolder]) -> None:
        compared.extend(run.settings.model for run in runs)
        raise ComparedError

    monkeypatch.setattr(verdicts, "planned_leak", lambda _: "")
    monkeypatch.setattr(verdicts, "default_for", lambda _: DEFAULTS["values"])
    monkeypatch.setattr(verdicts, "compare_opened", compare)
    runs = []
    for model, auroc in (("values-lstm", 0.8), ("prevalence", 0.5), ("summaries-boosting", 0.7)):
        runs.append(dying(0.5, 0.9))
        vars(runs[-1])["settings"] = RunSettings(model=model, data="eicu")
        vars(runs[-1])["parts"] = {"held_out": part_of(Numbers, auroc=auroc)}
    with pytest.raises(ComparedError):
        verdicts.default_model(STUDIES["mortality"], runs)
    assert compared == ["values-lstm", "summaries-boosting"]
