"""Any run's model applied to data that were not split for it: nothing is learnt again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, logit
from tests.records import write_labels
from tests.runs.challenge import write_set
from tests.runs.conftest import Ask, Place, Train
from tests.runs.folders import short

from sequela.analysis.evaluate import evaluate_run, predict_other
from sequela.analysis.explain import explain
from sequela.analysis.package import write_package
from sequela.cohort.labels import SCHEMA
from sequela.config import CohortSettings, Options, RunSettings
from sequela.datasets.catalog import Modality
from sequela.errors import ModelError, RunError, SettingError
from sequela.models import reference, stored
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS, lookup
from sequela.runs import fit
from sequela.runs.data import load_again
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE, BaselineModel, open_model
from sequela.sequences.featurisers import SCORES
from sequela.studies.settings import run_settings

OF_SIGNALS = [name for name in [*MODELS, *REFERENCE_MODELS] if lookup(name).reads_of(Modality.EEG)]
OF_RECORDS = [
    name
    for name in [*MODELS, *REFERENCE_MODELS]
    if lookup(name).reads_of(Modality.RECORDS) and name not in (*SCORES, "cox")
]
"""Scores are read where they are let in (``test_severity.py``), times in other tests."""
EVERYTHING = """
import torch
from torch import nn


class Net(nn.Module):
    reads = ("values", "gaps", "codes", "static", "features:counts")

    def __init__(self, *, n_channels, n_codes, n_static, n_features, n_outputs):
        super().__init__()
        self.rest = nn.Linear(2 * n_channels + n_static + n_features + 1, n_outputs)
        self.codes = nn.EmbeddingBag(n_codes, n_outputs, mode="sum", include_last_offset=True)

    def forward(self, values, mask, gaps, codes, offsets, static, features, batch_sizes):
        first = batch_sizes[0]
        of_visits = torch.cat([values, mask.float(), gaps[:, None]], 1)[:first]
        rest = self.rest(torch.cat([of_visits, static, features], 1))
        return rest + self.codes(codes, offsets)[:first]
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A set-a to train on and a set-b of other people, in the layout of PhysioNet 2012."""
    root = tmp_path_factory.mktemp("challenge")
    return {
        "a": write_set(root / "a", "a", range(132_000, 132_090), seed=0),
        "b": write_set(root / "b", "b", range(142_000, 142_040), seed=1),
    }


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first twenty of set-b, of the same numbers."""
    return write_set(tmp_path_factory.mktemp("few"), "b", range(142_000, 142_020), seed=1)


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where what is made of other data stays for the next model, by a name of these data."""
    root = tmp_path_factory.mktemp("works")
    return lambda name: root / name


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A class that reads all that records hold."""
    file = tmp_path_factory.mktemp("net") / "net.py"
    file.write_text(EVERYTHING, "utf-8")
    return f"{file}:Net"


@pytest.fixture(scope="module")
def of_sets(
    sets: dict[str, Path], net: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], RunFolder]:
    """A run on set-a, made once; ``Net`` is the class that reads everything."""
    root = tmp_path_factory.mktemp("of-sets")
    made: dict[str, RunFolder] = {}

    def train(model: str) -> RunFolder:
        if model not in made:
            settings = run_settings(
                net if model == "Net" else model,
                "physionet2012",
                Options.of(min_subjects=3, epochs=1),
            )
            folder = root / model
            made[model] = fit.train(settings, folder, root=sets["a"], work=root / "work")
        return made[model]

    return train


def check_held_out_are_the_same(folder: RunFolder, root: Path | None, work: Path) -> Any:
    """A run's own data as other data: just the held-out part, and the probabilities on record."""
    data, found = predict_other(folder, folder.settings.data, root, work, trust_code=True)
    recorded = folder.predictions.part("held_out")
    assert sorted(found.example_id.tolist()) == sorted(recorded.example_id.tolist())
    place = {id_: i for i, id_ in enumerate(found.example_id.tolist())}
    rows = [place[id_] for id_ in recorded.example_id.tolist()]
    np.testing.assert_allclose(found.probabilities[rows], recorded.probabilities, atol=1e-6)
    np.testing.assert_array_equal(found.label[rows], recorded.label)
    return data


@pytest.mark.parametrize("model", ["boosting", "values-lstm"])
def test_as_many_deaths_are_predicted_as_happened(
    model: str,
    of_sets: Callable[[str], RunFolder],
    sets: dict[str, Path],
    works: Callable[[str], Path],
) -> None:
    """By a network for those that it learnt from, by trees out of fold, where they overfit."""
    folder = of_sets(model)
    fitted, data = open_model(folder), load_again(folder, sets["a"], works("own"))
    known = data.rows("train+tuning")
    died = data.labels[known].sum()
    if model == "values-lstm":
        predicted = fitted.probabilities_of(data)[known, 1].sum()
        assert predicted == pytest.approx(died, rel=0.01)
        return
    assert isinstance(fitted, BaselineModel)
    (start,) = reference.loaded(fitted.arrays["skops"].tobytes())._baseline_prediction.ravel()
    intercept = start - logit(data.labels[data.rows("train")].mean())
    assert abs(intercept) > 0.01
    table = data.inputs(fitted.reads, fitted.state, standardise=False).features
    examples = reference.Examples(table, data.labels, known, known[:0], 2)
    found = reference.cross_fitted(reference.TEACHER, examples, data.marked, 0, fit._FOLDS)
    assert found is not None
    predicted = expit(logit(found[known, 1].astype(float)) + intercept).sum()
    assert predicted == pytest.approx(died, rel=0.01)


@pytest.mark.slow(but="mlp-baseline")
@pytest.mark.parametrize("model", OF_SIGNALS)
def test_on_signals(model: str, trained: Train, synthetic: Path, tmp_path: Path) -> None:
    check_held_out_are_the_same(trained(short(model)), synthetic, tmp_path)


@pytest.mark.slow(but="visits-baseline")
@pytest.mark.parametrize("model", [name for name in OF_RECORDS if name != "values-lstm"])
def test_on_codes(
    model: str, asked: Ask, trained: Train, place: Place, works: Callable[[str], Path]
) -> None:
    folder = trained(asked(model, "eicu", epochs=1))
    check_held_out_are_the_same(folder, place("eicu"), works("eicu"))


@pytest.mark.slow(but="Net")
@pytest.mark.parametrize("model", [*OF_RECORDS, "Net"])
def test_on_values(
    model: str,
    of_sets: Callable[[str], RunFolder],
    sets: dict[str, Path],
    works: Callable[[str], Path],
) -> None:
    """Measurements as quintiles, as summaries and as they are, of channels that some lack."""
    folder = of_sets(model)
    data = check_held_out_are_the_same(folder, sets["a"], works("own"))
    assert (data.arrays.codes > 0).any()
    assert len(data.arrays.values)


@pytest.mark.slow(but="Net")
@pytest.mark.parametrize("model", [*OF_RECORDS, "Net"])
def test_on_other_people(
    model: str,
    of_sets: Callable[[str], RunFolder],
    sets: dict[str, Path],
    few: Path,
    works: Callable[[str], Path],
) -> None:
    """One stay's numbers do not depend on who else is in the data: nothing is learnt from them."""
    folder = of_sets(model)
    _, everybody = predict_other(folder, "physionet2012", sets["b"], works("all"), trust_code=True)
    data, found = predict_other(folder, "physionet2012", few, works("few"), trust_code=True)
    assert data.set_aside == 0
    assert (len(everybody.label), len(found.label)) == (40, 20)
    np.testing.assert_allclose(found.probabilities, everybody.probabilities[:20], atol=1e-6)


def test_a_measurement_is_split_where_the_training_part_split_it(
    of_sets: Callable[[str], RunFolder], sets: dict[str, Path], tmp_path: Path
) -> None:
    """Every bin of set-b by hand, from the edges that the model's file holds."""
    folder = of_sets("visits-baseline")
    header, _ = stored.read(folder.path / FILE)
    edges = dict(zip(header["channels"], header["edges"], strict=True))
    assert {len(ends) for ends in edges.values()} == {4}
    data, _ = predict_other(folder, "physionet2012", sets["b"], tmp_path)
    sequences, seen = data.arrays, 0
    for example in range(len(sequences)):
        for step, codes in enumerate(sequences.codes_of(example)):
            place = sequences.step_offsets[example] + step
            first, end = sequences.value_offsets[place : place + 2]
            names = [sequences.channel_names[i] for i in sequences.channels[first:end]]
            for name, value in zip(names, sequences.values[first:end].tolist(), strict=True):
                code = f"{name}//Q{1 + sum(edge < value for edge in edges[name])}"
                assert (code if code in sequences.vocabulary else "UNKNOWN") in codes
                seen += code in sequences.vocabulary
    assert seen > 300


def test_the_class_that_was_trained_is_built_again_where_it_is_trusted(
    net: str, of_sets: Callable[[str], RunFolder], sets: dict[str, Path]
) -> None:
    folder, file, root = of_sets("Net"), Path(net.removesuffix(":Net")), sets["a"]
    with pytest.raises(RunError, match=r"would run code.*add --trust-code"):
        evaluate_run(folder.path, root=root)
    with pytest.raises(SettingError, match="class of your own, and a package has no code"):
        write_package(folder.path, file.with_name("net.zip"), root=root)
    found = evaluate_run(folder.path, root=root, trust_code=True)
    assert found["loss"] == pytest.approx(folder.test["loss"], abs=1e-6)
    assert folder.json("cost.json")["layers"][0]["name"] == "features:counts"
    with pytest.raises(ModelError, match="Net has no MultiHotLinear, whose codes are explained"):
        explain(folder.path, root=root, trust_code=True)
    file.write_text(EVERYTHING.replace("+ 1, n_outputs", "+ 2, n_outputs"), "utf-8")
    with pytest.raises(RunError, match=r"has changed since it was trained.*train it again"):
        evaluate_run(folder.path, root=root, trust_code=True)
    file.unlink()
    with pytest.raises(ModelError, match=r"net\.py"):
        evaluate_run(folder.path, root=root, trust_code=True)
    file.write_text(EVERYTHING, "utf-8")


def test_data_without_measurements_are_refused(
    net: str, asked: Ask, place: Place, records_work: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=r"have none \(n_channels is 0\)"):
        fit.train(asked(net, "eicu"), tmp_path, root=place("eicu"), work=records_work)
    assert not list(tmp_path.iterdir())


def test_other_data_without_a_channel_of_the_model(
    of_sets: Callable[[str], RunFolder], sets: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "set-b").mkdir()
    for path in sorted((sets["b"] / "set-b").iterdir()):
        (tmp_path / "set-b" / path.name).write_text(
            "".join(f"{line}\n" for line in path.read_text("utf-8").splitlines()[:5])
            + "01:00,Albumin,3\n",
            "utf-8",
        )
    (tmp_path / "Outcomes-b.txt").write_bytes((sets["b"] / "Outcomes-b.txt").read_bytes())
    found = evaluate_run(of_sets("visits-baseline").path, root=tmp_path)
    assert found["examples"] == 40
    assert found["unknown_codes"] > 0


def labelled(root: Path, write_meds: Callable[..., Path], first: int) -> tuple[Path, Path]:
    """MEDS data of 40 people, and a label file of their own."""
    rng = np.random.default_rng(first)
    people = range(first, first + 40)
    rows = [
        (one, f"2020-01-0{1 + day}", f"LAB//{kind}", None, float(rng.normal(one % 2, 1)))
        for one in people
        for day in range(3)
        for kind in "ab"
    ]
    write_meds(root, rows)
    labels = pa.table(
        [
            pa.array([*people], pa.int64()),
            pa.array([np.datetime64("2020-02-01", "us")] * 40),
            pa.array([one % 2 == 0 for one in people]),
        ],
        schema=SCHEMA,
    )
    write_labels(labels, root / "labels.parquet")
    return root, root / "labels.parquet"


def test_a_run_on_the_labels_of_a_file_asks_for_those_of_the_other_data(
    write_meds: Callable[..., Path], of_sets: Callable[[str], RunFolder], tmp_path: Path
) -> None:
    root, labels = labelled(tmp_path / "here", write_meds, 0)
    there, others = labelled(tmp_path / "there", write_meds, 100)
    settings = RunSettings(
        model="boosting",
        data="meds",
        split="subject",
        cohort=CohortSettings(labels=str(labels), bins=3),
    )
    folder = fit.train(settings, tmp_path / "run", root=root)
    with pytest.raises(SettingError, match=r"name the label file of these data with --labels"):
        evaluate_run(folder.path, root=there)
    found = evaluate_run(folder.path, root=there, labels=others)
    assert (found["examples"], found["subjects_set_aside_as_trained_or_tuned_on"]) == (40, 0)
    own = evaluate_run(folder.path, root=root, labels=labels)
    assert own["examples"] == 8
    with pytest.raises(SettingError, match=r"has the task in-hospital.*leave --labels out"):
        evaluate_run(of_sets("boosting").path, labels=labels)
