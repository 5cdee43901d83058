"""Finished runs made into one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from tests.cli.calls import ran, status
from tests.runs.folders import edit

from sequela.analysis.compare import compare
from sequela.analysis.ensemble import make_ensemble
from sequela.analysis.evaluate import evaluate_run, predict_other
from sequela.analysis.explain import explain
from sequela.config import RunSettings, TrainingSettings
from sequela.cost import record
from sequela.errors import RunError, SettingError
from sequela.integrity.openings import LEDGER
from sequela.integrity.verify import verify
from sequela.models.registry import UPDATED
from sequela.report.card import build_card
from sequela.report.commands import commands
from sequela.report.entry import Entry
from sequela.runs import fit
from sequela.runs.find import find_runs, open_run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate
from sequela.runs.manifest import seal
from sequela.runs.model import (
    MeanModel,
    averaged,
    has_network,
    in_one_file,
    members_of,
    model_of,
    title,
)
from sequela.serving.onnx_graph import graph_of
from sequela.serving.served_model import OnnxModel

SHORT = TrainingSettings(epochs=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def runs(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, a reference model, and runs of another split, on one data set."""
    out = tmp_path_factory.mktemp("members")
    for name, model, seed in (
        ("small", "mlp-baseline", 0),
        ("large", "mlp-improved", 0),
        ("floor", "logistic-regression", 0),
        ("elsewhere", "mlp-baseline", 1),
    ):
        settings = RunSettings(model=model, data="bonn", seed=seed, training=SHORT)
        fit.train(settings, out / name, root=synthetic)
    return out


@pytest.fixture(scope="module")
def ensemble(runs: Path) -> RunFolder:
    made = make_ensemble([runs / "small", runs / "large", runs / "floor"], runs / "ensemble")
    assert isinstance(made, RunFolder)
    assert made.complete
    assert not (runs / LEDGER).exists()  # making one opens nothing
    return made


def test_probabilities_are_averaged(runs: Path, ensemble: RunFolder) -> None:
    members = [RunFolder(runs / name).predictions for name in ("small", "large", "floor")]
    mean = np.mean([each.probabilities for each in members], axis=0)
    np.testing.assert_allclose(ensemble.predictions.probabilities, mean, atol=1e-6)
    np.testing.assert_array_equal(ensemble.predictions.split, members[0].split)
    assert (runs / "small" / "split.json").read_bytes() == (
        ensemble.path / "split.json"
    ).read_bytes()  # with the proof and the fingerprints of the data
    verify(ensemble, intervals=True)


def test_scaled_logits_are_the_same_in_a_file(runs: Path) -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.uniform(0.5, 1.5, 5), rng.normal(0, 1, 5)
    tensors, header = in_one_file([RunFolder(runs / "small")], "arithmetic")
    plain = model_of(header, tensors)
    logits = {"weight": weight.tolist(), "bias": bias.tolist(), "horizons": []}
    scaled = model_of({**header, "model": UPDATED, "logits": logits}, tensors)
    assert isinstance(scaled, MeanModel)
    inputs = {"signal": rng.normal(0, 80, (7, 1, 178)).astype(np.float32)}
    expected = softmax(weight * np.log(plain.probabilities(inputs)) + bias, axis=1)
    np.testing.assert_allclose(scaled.probabilities(inputs), expected, atol=1e-6)
    file = OnnxModel("file", graph_of(scaled).SerializeToString())
    np.testing.assert_allclose(file.probabilities(inputs), expected, atol=1e-6)


def test_geometric_mean(runs: Path, tmp_path: Path) -> None:
    pair = [runs / "small", runs / "floor"]
    made = make_ensemble(pair, tmp_path / "run", mean="geometric")
    one, two = (RunFolder(path).predictions.probabilities for path in pair)
    product = np.sqrt(one * two)
    expected = product / product.sum(1, keepdims=True)
    np.testing.assert_allclose(made.predictions.probabilities, expected, atol=1e-5)
    never = np.array([[0.0, 1.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    assert averaged(never, "geometric").tolist() == [[0.5, 0.5]]


def test_the_cost_is_the_sum(runs: Path, ensemble: RunFolder, tmp_path: Path) -> None:
    metrics = [RunFolder(runs / name).metrics for name in ("small", "large", "floor")]
    parameters = sum(each["parameters"] for each in metrics)
    assert ensemble.metrics["parameters"] == parameters
    for measured in ("train_seconds", "inference_us", "memory_bytes"):
        assert ensemble.metrics[measured] == sum(each[measured] for each in metrics)
    account = record.load(ensemble.path / "cost.json")
    assert account.parameters == parameters
    classes, softmax = 5, 3 * 5 - 1
    mean = 2 * softmax + 3 * classes + 2 * classes - 1
    assert account.operations == sum(each["operations"] for each in metrics) + mean
    assert ensemble.metrics["operations"] == account.operations
    assert ensemble.metrics["macs"] == account.macs == sum(each["macs"] for each in metrics)
    assert not account.lower_bound
    nested = make_ensemble([ensemble.path, runs / "floor"], tmp_path / "nested")
    assert nested.metrics["operations"] == (
        account.operations + metrics[2]["operations"] + 2 * classes + 2 * classes - 1
    )
    assert not has_network(RunFolder(runs / "floor").settings)
    assert has_network(nested.settings)


def test_a_member_of_an_earlier_version_is_not_counted(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "floor"
    shutil.copytree(runs / "floor", earlier)
    (earlier / "cost.json").unlink()
    uncounted = dict.fromkeys(("operations", "macs", "inference_us"))
    edit(earlier / "metrics.json", lambda metrics: metrics.update(uncounted))
    seal(earlier)
    verify(open_run(earlier))
    assert status("cost", earlier) == 2
    assert "whose operations were not counted: train it again" in capsys.readouterr().err
    made = make_ensemble([runs / "small", earlier], tmp_path / "run")
    assert {made.metrics[name] for name in uncounted} == {None}
    assert made.account is not None
    assert made.account.lower_bound
    assert [each.operation for each in made.account.unknown] == ["logistic-regression"]
    verify(made)
    card = build_card(made, tmp_path / "card.md").read_text("utf-8")
    assert "not counted: logistic-regression" in card
    alone = Entry(open_run(earlier))
    assert (alone.is_network, alone.run.account) == (False, None)


def test_it_stands_alone(runs: Path, ensemble: RunFolder, synthetic: Path, tmp_path: Path) -> None:
    """Moved away from its members, it says of the data what it said when it was made."""
    moved = tmp_path / "moved"
    shutil.copytree(ensemble.path, moved)
    assert evaluate_run(moved)["accuracy"] == ensemble.test["accuracy"]
    held_out = ensemble.predictions.part("held_out")
    _, again = predict_other(RunFolder(moved), "bonn", synthetic, tmp_path)
    order = [again.example_id.tolist().index(each) for each in held_out.example_id.tolist()]
    np.testing.assert_allclose(
        again.probabilities[order], held_out.probabilities, rtol=0, atol=1e-5
    )
    found = [members.run for members in members_of(RunFolder(moved).settings)]
    assert found == ["small", "large", "floor"]
    assert [run.path for run in find_runs([moved])] == [moved]


def test_an_ensemble_may_be_a_member(runs: Path, ensemble: RunFolder, tmp_path: Path) -> None:
    made = make_ensemble([ensemble.path, runs / "floor"], tmp_path / "run")
    assert title(made.settings) == (
        "Ensemble of Ensemble of MLP baseline, MLP improved and Logistic regression and Logistic "
        "regression"
    )
    first, second, last = commands([made])
    assert first == "# runs/1-ensemble: an ensemble; its own card lists its commands"
    assert second.startswith("sequela train logistic-regression ")
    assert last.startswith("sequela ensemble runs/1-ensemble runs/2-floor --out ")
    verify(made)


def test_what_is_said_of_it(runs: Path, ensemble: RunFolder, tmp_path: Path) -> None:
    entry = Entry(ensemble)
    assert entry.title == "Ensemble of MLP baseline, MLP improved and Logistic regression"
    assert entry.key == "ensemble-mlp-baseline-mlp-improved-logistic-regression"
    *members, last = commands([ensemble])
    assert [line.split(" --")[0] for line in members] == [
        f"sequela train {name}" for name in ("mlp-baseline", "mlp-improved", "logistic-regression")
    ]
    assert last == "sequela ensemble runs/1-small runs/2-large runs/3-floor --out ensemble"
    card = build_card(ensemble, tmp_path / "card.md").read_text("utf-8")
    assert "; sequela ensemble runs/1-small runs/2-large runs/3-floor --out ensemble |" in card
    assert "the arithmetic mean of their probabilities." in card
    assert f"{ensemble.metrics['operations']:,} (all arithmetic operations)" in card
    assert compare([RunFolder(runs / "small"), ensemble]).runs[1].model == "ensemble"
    with pytest.raises(
        SettingError, match="is an ensemble of 3 models, small, large, floor, but a trained model"
    ):
        explain(ensemble.path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["small"], "needs two runs or more, or one run of several seeds"),
        (["small", "elsewhere"], "of different splits"),
        (["small", "small"], "named twice"),
        (["small", "nothing"], "expected a run folder"),
    ],
)
def test_runs_that_cannot_be_averaged(
    runs: Path, tmp_path: Path, names: list[str], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        make_ensemble([runs / name for name in names], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_data_and_changed_runs_are_refused(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(runs / "large", other)
    edit(other / "split.json", lambda split: split.update(data_sha256="0" * 64))
    seal(other)
    with pytest.raises(RunError, match="have different data"):
        make_ensemble([runs / "small", other], tmp_path / "out")
    edit(other / "metrics.json", lambda record: record["parts"]["held_out"].update(accuracy=1.0))
    seal(other)
    with pytest.raises(RunError, match="the file was changed after the run"):
        make_ensemble([runs / "small", other], tmp_path / "out")
    with pytest.raises(RunError, match="is not empty"):
        make_ensemble([runs / "small", runs / "large"], runs / "floor")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_folds_and_seeds(synthetic: Path, tmp_path: Path) -> None:
    """Runs of folds are averaged fold by fold; one of several seeds over its seeds."""
    seeds = RunSettings(model="mlp-baseline", data="bonn", training=SHORT)
    cross_validate(seeds, tmp_path / "seeds", folds=2, seeds=2, root=synthetic)
    over = make_ensemble([tmp_path / "seeds"], tmp_path / "over")
    assert isinstance(over, FoldsFolder)
    assert (over.folds, over.seeds) == (2, 1)
    assert [run.path.name for run in over.runs] == ["fold-00", "fold-01"]
    assert over.split_ids == [
        RunFolder(tmp_path / "seeds" / f"fold-0{fold}.seed-00").split.ids for fold in (0, 1)
    ]
    said = [
        RunFolder(tmp_path / "seeds" / f"fold-01.seed-0{seed}").predictions.probabilities
        for seed in (0, 1)
    ]
    np.testing.assert_allclose(
        over.runs[1].predictions.probabilities, np.mean(said, axis=0), atol=1e-6
    )
    assert title(over.settings) == "Ensemble of MLP baseline (2 times)"
    assert over.runs[0].settings.seed == 0  # that of its first member
    floor = RunSettings(model="logistic-regression", data="bonn")
    cross_validate(floor, tmp_path / "floor", folds=2, root=synthetic)
    ran("ensemble", tmp_path / "over", tmp_path / "floor", "--out", tmp_path / "both")
    both = open_run(tmp_path / "both")
    verify(both, intervals=True)
    found = compare([both, over, open_run(tmp_path / "floor")])
    assert found.runs[1].difference is not None
    first, second = commands([over])[:2]
    assert "--seed 0 --split-seed 0 " in first
    assert "--seed 1 --split-seed 0 " in second
