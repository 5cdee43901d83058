"""Floors on records, each against a plain way to the same numbers."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression

from sequela.config import RunSettings
from sequela.errors import SettingError
from sequela.runs import fit, floors
from sequela.runs.folder import RunFolder
from sequela.runs.records import VisitData

Ask = Callable[..., RunSettings]
Load = Callable[[RunSettings], VisitData]
Train = Callable[[RunSettings], RunFolder]
Arrays = dict[str, NDArray[Any]]


def stored(folder: RunFolder) -> tuple[dict[str, Any], Arrays]:
    with safe_open(folder.path / "model.safetensors", framework="np") as file:
        header = json.loads(file.metadata()["sequela"])
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def of_subjects(folder: RunFolder, loaded: VisitData) -> NDArray[np.float32]:
    """Probabilities in the order of the sequences."""
    found = folder.predictions
    assert found.example_id.tolist() == loaded.predictions(found.probabilities).example_id.tolist()
    return found.probabilities


@pytest.mark.parametrize("data", ["mimic3", "eicu"])
def test_the_prevalence_is_that_of_the_training_part(
    data: str, asked: Ask, opened: Load, trained: Train
) -> None:
    settings = asked("prevalence", data)
    folder, loaded = trained(settings), opened(settings)
    training = loaded.sequences.label[loaded.part == 0]
    share = sum(training.tolist()) / len(training)
    assert of_subjects(folder, loaded) == pytest.approx(
        np.tile([1 - share, share], (len(loaded.sequences), 1)), abs=1e-6
    )
    assert folder.metrics["parts"]["held_out"]["auroc"] == 0.5
    assert folder.facts["operations"] is None


def dense(loaded: VisitData) -> NDArray[np.float64]:
    """Which codes each example has: (example, code)."""
    table = np.zeros((len(loaded.sequences), len(loaded.sequences.vocabulary)))
    place = {code: index for index, code in enumerate(loaded.sequences.vocabulary)}
    for example in range(len(table)):
        for step in loaded.sequences.codes_of(example):
            table[example, [place[code] for code in step]] += 1
    return table


def test_the_penalty_with_the_least_tuning_loss_is_taken(
    asked: Ask, opened: Load, trained: Train
) -> None:
    chosen = set()
    for said in ({"task": "report-2019"}, {"hindsight": True}, {}):
        settings = asked("logistic-regression", **said)
        folder, loaded = trained(settings), opened(settings)
        features = dense(loaded) > 0
        label, part = loaded.sequences.label, loaded.part
        losses = {}
        for penalty in floors.INVERSE_PENALTIES:
            model = LogisticRegression(C=penalty, max_iter=1000)
            model.fit(features[part == 0], label[part == 0])
            chance = model.predict_proba(features[part == 1])[:, 1]
            truth = label[part == 1]
            losses[penalty] = -np.mean(np.log(np.where(truth, chance, 1 - chance)))
        best = min(losses, key=lambda penalty: losses[penalty])
        chosen.add(best)
        model = LogisticRegression(C=best, max_iter=1000)
        model.fit(features[part == 0], label[part == 0])
        expected = model.predict_proba(features)
        assert of_subjects(folder, loaded) == pytest.approx(expected, abs=1e-3)
        _, arrays = stored(folder)
        logit = features @ arrays["weight"][0] + arrays["bias"][0]
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(expected[:, 1], abs=1e-3)
    assert len(chosen) > 1  # or it was no choice


def walk(arrays: Arrays, tree: int, row: NDArray[np.float32]) -> float:
    """What one stored tree says of one example, node by node."""
    first = int(arrays["nodes.offsets"][tree])
    node = first
    while arrays["nodes.left"][node] or arrays["nodes.right"][node]:  # a leaf has no children
        value = row[arrays["nodes.feature_idx"][node]]
        if np.isnan(value):
            left = bool(arrays["nodes.missing_go_to_left"][node])
        else:
            left = value <= arrays["nodes.num_threshold"][node]
        node = first + int(arrays["nodes.left" if left else "nodes.right"][node])
    return float(arrays["nodes.value"][node])


def table_of(header: dict[str, Any], arrays: Arrays, loaded: VisitData) -> NDArray[np.float32]:
    """The columns that the stored file names."""
    counts = dense(loaded)
    chosen = counts[:, arrays["columns.codes"]]
    columns = [counts.sum(1, keepdims=True), chosen]
    if header["sequences"]["demographics"]:
        columns.append(loaded.sequences.age[:, None])
    return np.hstack(columns).astype(np.float32)


@pytest.mark.parametrize(
    ("data", "said"),
    [("eicu", {}), ("mimic3", {"task": "report-2019"}), ("mimic3", {"demographics": True})],
)
def test_the_stored_trees_give_the_predictions(
    data: str, said: dict[str, Any], asked: Ask, opened: Load, trained: Train
) -> None:
    settings = asked("boosting", data, **said)
    folder, loaded = trained(settings), opened(settings)
    header, arrays = stored(folder)
    table = table_of(header, arrays, loaded)
    trees = len(arrays["nodes.offsets"]) - 1
    assert trees > 1
    probabilities = of_subjects(folder, loaded)
    for example in range(0, len(table), 1 + len(table) // 60):
        logit = arrays["bias"][0] + sum(walk(arrays, tree, table[example]) for tree in range(trees))
        assert probabilities[example, 1] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    in_training = (dense(loaded)[loaded.part == 0] > 0).sum(0)
    assert (in_training[arrays["columns.codes"]] >= floors.LEAST_IN_LEAF).all()


def test_boosting_stops_by_the_tuning_part(asked: Ask, opened: Load, trained: Train) -> None:
    """With the held_out labels turned round, nothing but the held_out numbers would change."""
    settings = asked("boosting", "eicu")
    loaded = opened(settings)
    arrays, probabilities = floors._boosting(loaded, 0)
    turned = opened(settings)
    flipped = np.array(turned.sequences.label)
    flipped[turned.part == 2] ^= True
    object.__setattr__(turned.sequences, "label", flipped)
    again, same = floors._boosting(turned, 0)
    np.testing.assert_array_equal(probabilities, same)
    np.testing.assert_array_equal(arrays["nodes.value"], again["nodes.value"])


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("boosting", "bonn", "boosting reads visits, but data set 'bonn' holds recordings"),
        ("prevalence", "bonn", "prevalence reads visits"),
        ("majority-class", "mimic3", "majority-class reads signal"),
        ("gru-improved", "mimic3", "gru-improved reads signal.*holds hospital records"),
        ("visits-improved", "bonn", "visits-improved reads visits"),
    ],
)
def test_a_floor_reads_what_it_reads(
    model: str, data: str, message: str, asked: Ask, tmp_path: Any
) -> None:
    with pytest.raises(SettingError, match=message) as caught:
        fit.train(asked(model, data), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_which_floors_a_page_shows() -> None:
    assert list(floors.reading("visits")) == ["prevalence", "logistic-regression", "boosting"]
    assert list(floors.reading("signal")) == ["majority-class", "logistic-regression"]
