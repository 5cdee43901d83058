"""Explanations of small real runs."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.runs.conftest import Ask, Load, Train
from tests.runs.folders import short

from sequela.analysis.explain import explain, informative
from sequela.config import SMALLEST_CELL, RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import RunError, SettingError, UnknownNameError
from sequela.models import stored
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import seal


@pytest.fixture(scope="module")
def of_signals(trained: Train) -> RunFolder:
    training = TrainingSettings(epochs=1, batch_size=256)
    return trained(RunSettings(model="cnn-baseline", data="bonn", training=training))


@pytest.fixture(scope="module")
def of_records(asked: Ask, trained: Train, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    copy = tmp_path_factory.mktemp("explain") / "run"
    return RunFolder(Path(shutil.copytree(trained(asked(epochs=2)).path, copy)))


@pytest.fixture(scope="module")
def root(excerpt_events: Callable[[str], Path]) -> Path:
    return excerpt_events("mimic3")


def test_held_out_segments_are_chosen_and_explained(of_signals: RunFolder, synthetic: Path) -> None:
    found = explain(of_signals.path, root=synthetic)
    assert found.importance is None
    right, wrong = found.examples
    assert max(right.chances, key=right.chances.__getitem__) == right.label
    assert max(wrong.chances, key=wrong.chances.__getitem__) != wrong.label
    assert list(wrong.numbers)[1] == f"logit of {wrong.label}"
    for each in found.examples:
        assert each.part == "held_out"
        assert each.signal is not None
        assert each.signal.shape == (1, 178)
        for name, one in each.numbers.items():
            # The logits give the stored probabilities, so it is the stored model.
            assert name.startswith("logit of ")
            assert one.values.shape == each.signal.shape
            assert one.error <= max(0.01 * abs(one.difference), 1e-3)
    predicted, true = wrong.numbers.values()
    ratio = np.log(max(wrong.chances.values()) / wrong.chances[wrong.label])
    assert predicted.reached - true.reached == pytest.approx(ratio, abs=1e-3)


def test_examples_and_classes_can_be_named(of_signals: RunFolder, synthetic: Path) -> None:
    (each,) = explain(
        of_signals.path, examples=["S001/02"], classes=["eyes open"], root=synthetic, steps=4
    ).examples
    assert (each.example_id, each.label, each.why) == ("S001/02", "seizure", "named with --example")
    (one,) = each.numbers.values()
    assert (list(each.numbers), one.steps) == (["logit of eyes open"], 4)


def test_unknown_names_are_refused(of_signals: RunFolder, synthetic: Path) -> None:
    with pytest.raises(UnknownNameError, match="no example 'S001/99' in this run: its"):
        explain(of_signals.path, examples=["S001/99"], root=synthetic)
    with pytest.raises(UnknownNameError, match="did you mean 'eyes open'"):
        explain(of_signals.path, classes=["eyes opn"], root=synthetic)


def test_other_data_are_refused(of_signals: RunFolder) -> None:
    with pytest.raises(RunError, match="was trained on other data than those found now"):
        explain(of_signals.path, root=EXCERPTS / "bonn.parquet")


def test_a_reference_model_is_refused(trained: Train, synthetic: Path) -> None:
    with pytest.raises(
        SettingError, match="majority-class is a baseline model, but an explanation needs"
    ):
        explain(trained(short("majority-class")).path, root=synthetic)


def test_each_code_of_a_record_is_told_with_its_visit(of_records: RunFolder, root: Path) -> None:
    found = explain(of_records.path, root=root)
    assert 1 < len(found.examples) <= 3
    for each in found.examples:
        ((name, one),) = each.numbers.items()
        assert name == "log-odds of died"
        assert len(each.codes) == len(one.values)
        chance = each.chances["died"]
        assert one.reached == pytest.approx(np.log(chance / (1 - chance)), abs=1e-3)
        assert one.error <= max(0.01 * abs(one.difference), 1e-6)
        assert all(at.days_before >= 0 for at in each.codes)
        assert [at.visit for at in each.codes] == sorted(at.visit for at in each.codes)
    assert not [*of_records.path.parent.glob(".*explain")]


def test_visits_are_counted_and_dated(asked: Ask, opened: Load) -> None:
    data = opened(asked())
    sequences = data.arrays
    example = int(sequences.lengths.argmax())
    expected = sequences.codes_of(example)
    assert len(expected) > 1
    found = data.inputs(("codes",)).describe_example(example)["codes"]
    told = [[at.code for at in found if at.visit == n] for n in range(1, len(expected) + 1)]
    assert told == expected
    first = sequences.step_offsets[example]
    for at in found:
        ago = sequences.prediction_time[example] - sequences.step_time[first + at.visit - 1]
        assert at.days_before == ago / np.timedelta64(1, "D")


def test_importance_is_the_mean_over_the_held_out_part(of_records: RunFolder, root: Path) -> None:
    predictions = of_records.predictions.part("held_out")
    ids = predictions.example_id.tolist()
    found = explain(of_records.path, examples=ids, root=root, steps=64, hide_below=10)
    totals: dict[str, list[float]] = {}
    who: dict[str, set[str]] = {}
    for each, subject in zip(found.examples, predictions.subject_id.tolist(), strict=True):
        (one,) = each.numbers.values()
        of_example: dict[str, float] = {}
        for at, value in zip(each.codes, one.values.tolist(), strict=True):
            of_example[at.code] = of_example.get(at.code, 0.0) + value
        for code, value in of_example.items():
            totals.setdefault(code, []).append(value)
            who.setdefault(code, set()).add(subject)
    importance = found.importance
    assert importance is not None
    enough = {code for code in totals if len(who[code]) >= SMALLEST_CELL}
    assert {row.code for row in importance.codes} == enough
    assert enough
    assert importance.suppressed == len(totals) - len(enough) > 0
    assert importance.examples == len(ids)
    for row in importance.codes:
        values = totals[row.code]
        assert row.subjects == len(who[row.code])
        assert row.mean == pytest.approx(np.mean(values), abs=1e-9)
        assert row.mean_absolute == pytest.approx(np.abs(values).sum() / len(ids), abs=1e-9)
    assert [r.mean_absolute for r in importance.codes] == sorted(
        (r.mean_absolute for r in importance.codes), reverse=True
    )


def test_another_vocabulary_is_refused(of_records: RunFolder, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(of_records.path, copy)
    file = copy / "model.safetensors"
    header, tensors = stored.read(file)
    header["vocabulary"][-1] = "DX//of another hospital"
    stored.write(file, tensors, header)
    seal(copy)
    with pytest.raises(RunError, match="was trained on other data than those found now"):
        explain(copy, root=root)
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_what_tells_most_is_chosen_by_its_chance(of_records: RunFolder) -> None:
    predictions = of_records.predictions
    rows = list(informative(predictions))
    chance = predictions.probabilities[:, 1]
    inside = predictions.split == "held_out"
    died = inside & (predictions.label == 1)
    assert chance[rows[0]] == chance[died].max()
    assert chance[rows[1]] == chance[inside & (predictions.label == 0)].max()
    assert chance[rows[-1]] == chance[died].min()
    nobody = replace(predictions, split=np.full(predictions.n_examples, "train"))
    assert informative(nobody) == {}
