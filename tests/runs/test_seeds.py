"""Split and weights are drawn apart, and several seeds of one split are one run."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tests.runs.folders import short

from sequela.analysis.compare import compare
from sequela.analysis.evaluate import evaluate_run
from sequela.errors import RunError, SettingError
from sequela.evaluation import metrics
from sequela.runs import fit
from sequela.runs.find import find_runs, named_runs
from sequela.runs.folder import places
from sequela.runs.folds import FoldsFolder, cross_validate
from sequela.runs.recipe import variance_in_words

SEEDS = 3


@pytest.fixture(scope="module")
def seeds(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> FoldsFolder:
    """One split, three seeds."""
    out = tmp_path_factory.mktemp("seeds") / "run"
    return cross_validate(short(seed=4), out, folds=0, seeds=SEEDS, root=synthetic)


def test_seeds_share_the_split_and_nothing_else(seeds: FoldsFolder) -> None:
    assert [run.path.name for run in seeds.runs] == ["seed-00", "seed-01", "seed-02"]
    assert [run.settings.seed for run in seeds.runs] == [4, 5, 6]
    assert {run.settings.seed_of_split for run in seeds.runs} == {4}
    assert all(run.split.ids == seeds.first.split.ids for run in seeds.runs)
    one, other = (run.predictions.probabilities for run in seeds.runs[:2])
    assert not np.array_equal(one, other)


def test_the_number_is_the_mean_over_seeds_and_its_variance_has_their_part(
    seeds: FoldsFolder,
) -> None:
    values = [metrics.accuracy(run.predictions.part("held_out")) for run in seeds.runs]
    assert seeds.test["accuracy"] == pytest.approx(np.mean(values))
    parts = seeds.test["variance"]["accuracy"]
    assert parts["seed"] == pytest.approx(np.var(values, ddof=1) / SEEDS, rel=1e-3)
    assert parts["split"] is None
    assert seeds.test["variance_why"] == {
        "split": "there is one split, so variation between splits is unknown"
    }
    assert (seeds.folds, seeds.repeats, seeds.seeds) == (0, 1, SEEDS)
    assert seeds.test["examples"] == seeds.first.test["examples"]
    assert seeds.predictions.n_examples == seeds.first.test["examples"]
    said = variance_in_words(seeds.test, metrics.METRICS["accuracy"])
    assert said.startswith("Variance of accuracy: data ")
    assert said.endswith("There is one split, so variation between splits is unknown.")


def test_their_mean_is_applied_to_other_data(seeds: FoldsFolder, synthetic: Path) -> None:
    """The recordings that none of them was trained on: those of the test set."""
    numbers = evaluate_run(seeds.path, root=synthetic)
    tests = [run.predictions.part("held_out") for run in seeds.runs]
    mean = np.mean([test.probabilities for test in tests], axis=0)
    assert numbers["accuracy"] == np.mean(mean.argmax(axis=1) == tests[0].label)
    assert numbers["accuracy"] not in [metrics.accuracy(test) for test in tests]
    assert (numbers["models"], numbers["openings"]["times"]) == (SEEDS, 1)
    assert numbers["sessions_set_aside_as_trained_or_tuned_on"] == 40


def test_they_are_one_run(seeds: FoldsFolder, synthetic: Path, tmp_path: Path) -> None:
    (found,) = find_runs([seeds.path.parent])
    assert isinstance(found, FoldsFolder)
    numbers = evaluate_run(seeds.path)
    assert numbers["accuracy_ci"] == seeds.test["accuracy_ci"]
    other = cross_validate(
        short("majority-class", seed=4), tmp_path / "other", folds=0, seeds=SEEDS, root=synthetic
    )
    compared = compare(named_runs([other.path, seeds.path]))
    assert compared.runs[1].difference
    assert compared.runs[1].difference.value == pytest.approx(
        seeds.test["accuracy"] - other.test["accuracy"]
    )
    with pytest.raises(RunError, match="one of a single model and the other of folds or seeds"):
        compare([other, seeds.first])


def test_no_seeds_are_refused(seeds: FoldsFolder, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--seeds is 0; expected 1 or more"):
        cross_validate(seeds.settings, tmp_path / "none", folds=0, seeds=0)


def test_each_fold_has_several_seeds(synthetic: Path, tmp_path: Path) -> None:
    run = cross_validate(short(), tmp_path / "run", folds=2, repeats=2, seeds=2, root=synthetic)
    assert [each.path.name for each in run.runs] == [
        f"fold-0{fold}.seed-0{seed}" for fold in range(4) for seed in range(2)
    ]
    assert [tuple(place) for place in places(run.runs)] == [*product(range(2), repeat=3)]
    assert (run.folds, run.repeats, run.seeds) == (2, 2, 2)
    assert run.test["accuracy_folds"] == 8
    assert run.test["examples"] == run.data["examples"]
    assert run.test["variance_why"] == {}
    parts = run.test["variance"]["accuracy"]
    assert all(part is not None and part >= 0 for part in parts.values())


def test_runs_of_one_split_are_compared_whatever_their_weights(
    synthetic: Path, tmp_path: Path
) -> None:
    one, other = (
        fit.train(short(seed=seed, split_seed=7), tmp_path / str(seed), root=synthetic)
        for seed in (1, 2)
    )
    assert one.split.seed == 7
    assert one.split.ids == other.split.ids
    found = compare([one, other])
    assert not found.runs[1].same
    moved = fit.train(short(seed=1), tmp_path / "own", root=synthetic)
    assert moved.split.ids != one.split.ids
    with pytest.raises(RunError, match=r"--split-seed \(or --seed\)"):
        compare([one, moved])


def test_folds_start_from_weights_of_their_own() -> None:
    folds = [short(seed=3).model_copy(update={"folds": 5, "fold": n}) for n in range(10)]
    assert len({each.seed_of_training for each in folds}) == 10
    assert {each.seed_of_split for each in folds} == {3}
    assert short(seed=3).seed_of_training == 3
