"""Stability of a risk, against plain loops and plain fits."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from tests.runs.conftest import Ask, Load, Train
from tests.runs.folders import short

from sequela.analysis import stability
from sequela.analysis.stability import Stability, of_models, of_refits, of_run
from sequela.errors import RunError
from sequela.evaluation.decision import choose_threshold
from sequela.evaluation.planned import Plan
from sequela.models.reference import INVERSE_PENALTIES
from sequela.runs import fit
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder
from sequela.runs.signals import Recordings
from sequela.sequences.featurisers import Features

Validated = Callable[[str], FoldsFolder]
REFITS = 3


def with_predictions(folder: RunFolder, **changes: Any) -> RunFolder:
    """The run with other columns in its predictions."""
    changed = RunFolder(folder.path)
    vars(changed)["predictions"] = replace(folder.predictions, **changes)
    return changed


def in_one(run: FoldsFolder, *folders: RunFolder) -> FoldsFolder:
    """Several runs of one training procedure."""
    together = FoldsFolder(run.path)
    vars(together)["runs"] = [*folders]
    return together


@pytest.fixture(scope="module")
def plain(asked: Ask, opened: Load, trained: Train) -> tuple[RunFolder, Examples]:
    settings = asked("logistic-regression")
    return trained(settings), opened(settings)


@pytest.fixture(scope="module")
def refits(plain: tuple[RunFolder, Examples]) -> Stability:
    found = of_refits(*plain, refits=REFITS)
    assert found is not None
    return found


@pytest.mark.parametrize("model", ["logistic-regression", "visits-baseline"])
def test_models_of_folds_are_compared_in_pairs(model: str, cross_validated: Validated) -> None:
    run = cross_validated(model)
    risks: dict[str, list[tuple[float, bool]]] = {}
    for fold in run.runs:
        test, at = fold.predictions.part("held_out"), fold.test.operating_points[1].threshold
        for id_, score in zip(test.example_id.tolist(), test.score.tolist(), strict=True):
            risks.setdefault(id_, []).append((score, score >= at))
    pairs = [[*combinations(of_one, 2)] for of_one in risks.values()]
    assert {len(of_one) for of_one in pairs} == {1}, "two repeats"
    found = of_models(run)
    assert found is not None
    assert (found.source, found.models, found.bins) == ("folds", 4, [])
    apart = [np.mean([abs(a[0] - b[0]) for a, b in of_one]) for of_one in pairs]
    changed = [np.mean([a[1] != b[1] for a, b in of_one]) for of_one in pairs]
    assert found.difference == pytest.approx(np.mean(apart))
    assert found.changed == pytest.approx(np.mean(changed))
    first, bound = found.sentences(run.data)
    assert first == (
        f"The risk of one stay differs by {found.difference:.3f} on average, and its alarm in "
        f"{100 * np.mean(changed):.1f} % of cases, between two of 4 models of folds."
    )
    assert bound == "This is a lower bound as far as they share training subjects."


def test_one_cross_validation_is_compared_on_validation_sets(cross_validated: Validated) -> None:
    run = cross_validated("logistic-regression")
    first, second = run.runs[:2]
    sets = [
        {
            id_: score
            for name in ("tuning", "held_out")
            for id_, score in zip(
                fold.predictions.part(name).example_id.tolist(),
                fold.predictions.part(name).score.tolist(),
                strict=True,
            )
        }
        for fold in (first, second)
    ]
    shared = sets[0].keys() & sets[1].keys()
    found = of_models(in_one(run, first, second))
    assert found is not None
    assert shared
    assert found.difference == pytest.approx(
        np.mean([abs(sets[0][i] - sets[1][i]) for i in shared])
    )


def test_one_model_has_nothing_to_compare_with(plain: tuple[RunFolder, Examples]) -> None:
    assert of_models(plain[0]) is None
    assert of_run(plain[0], 1) == []


def seeds_of(run: FoldsFolder, *folders: RunFolder) -> FoldsFolder:
    """Seeds of one split."""
    for seed, folder in enumerate(folders):
        update = {"seed": seed, "split_seed": run.settings.seed_of_split}
        vars(folder)["settings"] = run.settings.model_copy(update=update)
    return in_one(run, *folders)


def test_seeds_with_constant_predictions_do_not_differ(cross_validated: Validated) -> None:
    run = cross_validated("logistic-regression")
    chances = np.full_like(run.first.predictions.probabilities, 0.5)
    same = [with_predictions(run.first, probabilities=chances) for _ in range(2)]
    found = of_models(seeds_of(run, *same), smallest=10)
    assert found is not None
    assert (found.difference, found.changed) == (0, 0)


def test_few_people_with_another_alarm_are_hidden(cross_validated: Validated) -> None:
    run = cross_validated("logistic-regression")
    chances = np.full_like(run.first.predictions.probabilities, 0)
    chances[:, 0] = 1
    other = chances.copy()
    person = np.flatnonzero(run.first.predictions.split == "held_out")[0]
    other[person] = 0, 1
    seeds = seeds_of(run, *(with_predictions(run.first, probabilities=p) for p in (chances, other)))
    found, n_people = of_models(seeds, smallest=10), run.first.test.examples
    assert found is not None
    assert found.difference == pytest.approx(1 / n_people)
    assert found.changed is None
    assert "and its alarm in a hidden share of cases," in found.sentences(run.data)[0]
    shown = of_models(seeds)
    assert shown is not None
    assert shown.changed == pytest.approx(1 / n_people)
    none = of_models(seeds, smallest=n_people + 1)
    assert none is not None
    assert none.sentences(run.data) == ["Stability is hidden: too few subjects."]


def test_seeds_are_compared_on_the_examples_of_both(cross_validated: Validated) -> None:
    run = cross_validated("logistic-regression")
    split = run.first.predictions.split.copy()
    split[np.flatnonzero(split == "held_out")[0]] = "train"
    found = of_models(
        seeds_of(run, RunFolder(run.first.path), with_predictions(run.first, split=split))
    )
    assert found is not None
    assert (found.models, found.difference) == (2, 0)


def test_refits_are_plain_fits_of_drawn_patients(
    plain: tuple[RunFolder, Examples], refits: Stability
) -> None:
    folder, data = plain
    table = data.inputs(("features:presence",), standardise=False).features
    test, apart, changed = folder.predictions.part("held_out"), [], []
    at = folder.test.operating_points[1].threshold
    for number in range(REFITS):
        rng = np.random.default_rng([folder.settings.seed, number])
        train, tuning = (stability._drawn(data, part, rng) for part in ("train", "tuning"))
        models = [
            LogisticRegression(C=c, max_iter=1000).fit(table[train], data.labels[train])
            for c in INVERSE_PENALTIES
        ]
        losses = [
            log_loss(data.labels[tuning], m.predict_proba(table[tuning]), labels=[0, 1])
            for m in models
        ]
        best = models[int(np.argmin(losses))]
        scores = best.predict_proba(table[data.rows("held_out")])[:, 1]
        drawn = folder.predictions.drawn(tuning, best.predict_proba(table[tuning]))
        threshold = choose_threshold(drawn, "youden").value
        apart.append(abs(scores - test.score).mean())
        changed.append(((scores >= threshold) != (test.score >= at)).mean())
    assert refits.difference == pytest.approx(np.mean(apart), abs=1e-6)
    assert refits.changed == pytest.approx(np.mean(changed), abs=1e-6)
    assert refits.source == "refits"
    (sentence,) = refits.sentences(folder.data)
    assert sentence.endswith("between the model and 3 refits on resampled subjects.")


def test_outcomes_of_the_test_set_are_not_read(
    plain: tuple[RunFolder, Examples], refits: Stability
) -> None:
    folder, data = plain
    label = folder.predictions.label.copy()
    held_out = data.rows("held_out")
    label[held_out] = 1 - label[held_out]
    arrays = replace(data.arrays, label=label.astype(bool))
    flipped = replace(data, arrays=arrays)
    assert of_refits(with_predictions(folder, label=label), flipped, refits=REFITS) == refits


def test_no_bin_has_few_people(
    plain: tuple[RunFolder, Examples], refits: Stability, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = plain
    test = folder.predictions.part("held_out")
    people = len(np.unique(test.subject_id))
    assert 1 <= len(refits.bins) <= test.n_examples // 10
    for row in refits.bins:
        assert row["low"] <= row["middle"] <= row["high"]
    monkeypatch.setattr(stability, "SMALLEST_CELL", people + 1)
    found = of_refits(folder, data, refits=2)
    assert found is not None
    assert (found.difference, found.changed, found.bins) == (None, None, [])


def test_features_are_learnt_from_the_drawn_patients(
    asked: Ask, opened: Load, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, rows = asked("boosting", bins=5), list[Any]()
    learn = Features.of

    def spied(*arguments: Any, **more: Any) -> Features | None:
        rows.append(arguments[2])
        return learn(*arguments, **more)

    data = opened(settings)
    folder = trained(settings)
    monkeypatch.setattr(Features, "of", spied)
    assert of_refits(folder, data, refits=1) is not None
    drawn = stability._drawn(data, "train", np.random.default_rng([settings.seed, 0]))
    assert any(np.array_equal(drawn, of_one) for of_one in rows)


def test_a_stable_and_an_unstable_model_are_told_apart(cross_validated: Validated) -> None:
    rng, test = np.random.default_rng(0), cross_validated("logistic-regression").first.predictions
    ids, risk = np.arange(500), np.linspace(0.1, 0.6, 500)
    persons = test.drawn(ids % test.n_examples, np.stack([1 - risk, risk], axis=1))
    persons = replace(persons, subject_id=persons.example_id)
    found = []
    for spread in (0.01, 0.1):
        models = [(persons, 0.3)]
        for noise in rng.normal(0, spread, (200, 500)):
            chances = np.stack([1 - risk - noise, risk + noise], axis=1).clip(0, 1)
            models.append((replace(persons, probabilities=chances), 0.3))
        one = stability._compared("refits", models, 10)
        assert one is not None
        assert (one.models, len(one.bins)) == (200, 20)
        found.append((one.difference, one.changed))
    # The mean of |N(0, s)| is s sqrt(2 / pi); an alarm changes at a density of 2 by as much in all.
    for spread, (difference, changed) in zip((0.01, 0.1), found, strict=True):
        assert difference == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.03)
        assert changed == pytest.approx(2 * spread * np.sqrt(2 / np.pi), rel=0.1)


def test_networks_are_not_refitted(asked: Ask, opened: Load, trained: Train) -> None:
    settings = asked()
    assert of_refits(trained(settings), opened(settings)) is None


def test_windows_are_drawn_by_recording_within_classes(
    recordings: Recordings, synthetic: Path, tmp_path: Path
) -> None:
    run = fit.train(short("logistic-regression"), tmp_path / "run", root=synthetic)
    found = of_refits(run, recordings, refits=2)
    assert found is not None
    (sentence,) = found.sentences(run.data)
    assert sentence.startswith("The probability of the predicted class of one segment differs by ")
    assert ", and its predicted class in " in sentence
    rows = recordings.rows("train")
    drawn = stability._drawn(recordings, "train", np.random.default_rng(0))
    assert np.array_equal(
        np.bincount(recordings.labels[drawn]), np.bincount(recordings.labels[rows])
    )


def test_a_resample_without_a_class_is_drawn_again() -> None:
    label = np.zeros(20, np.int64)
    label[3:5] = 1
    data: Any = SimpleNamespace(
        times=None, labels=label, groups=np.arange(20) // 2, classes_fixed=False,
        rows=lambda _: np.arange(20),
    )  # fmt: skip
    for seed in range(30):
        drawn = stability._drawn(data, "train", np.random.default_rng(seed))
        assert len(drawn) == 20
        assert set(label[drawn]) == {0, 1}
        assert (
            np.bincount(drawn[::2] // 2, minlength=10)
            == np.bincount(drawn, minlength=20).reshape(10, 2).T
        ).all()


def test_the_plan_of_a_run_is_read(
    plain: tuple[RunFolder, Examples], refits: Stability, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    for name in ("settings", "predictions", "metrics"):
        vars(folder)[name] = getattr(plain[0], name)
    plan = Plan("patients", "with the event", (), (), stability=refits.model_dump())
    vars(folder)["plan"] = plan
    assert of_run(folder, 1) == of_run(folder, 10) == [refits]
    (hidden,) = of_run(folder, 11)
    assert (hidden.difference, hidden.bins) == (None, [])
    vars(folder)["plan"] = replace(plan, stability={**refits.model_dump(), "models": "many"})
    with pytest.raises(RunError, match=r"plan\.json: damaged \(models"):
        of_run(folder, 1)
    vars(folder)["plan"] = replace(plan, stability=None)
    assert of_run(folder, 1) == []
