from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequela.errors import DataError, RunError, UnknownNameError
from sequela.evaluation.predictions import Predictions, joined

Make = Callable[..., Predictions]
ARRAYS: dict[str, Any] = {
    "example_id": ["a", "b"],
    "group_id": ["g", "h"],
    "subject_id": ["", ""],
    "split": ["train", "held_out"],
    "label": [0, 1],
    "probabilities": [[0.5, 0.5], [0.25, 0.75]],
    "classes": ["x", "y"],
}


def equal(one: Predictions, other: Predictions) -> bool:
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Predictions)
    )


def test_a_file_gives_back_what_was_written(make_predictions: Make, tmp_path: Path) -> None:
    made = make_predictions(classes=3)
    subject_id = made.subject_id.copy()
    subject_id[:5] = ""
    made = replace(made, subject_id=subject_id, classes=("tumour area", "x", "é"))
    made.write(tmp_path / "predictions.parquet")
    assert equal(Predictions.read(tmp_path / "predictions.parquet"), made)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]


def test_the_columns_are_those_documented(make_predictions: Make, tmp_path: Path) -> None:
    make_predictions(classes=3).write(tmp_path / "p.parquet")
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.names == ["id", "group", "subject", "split", "label", "p_0", "p_1", "p_2"]
    assert schema.field("p_0").type == pa.float32()
    assert schema.field("label").type == pa.int64()


def test_nobody_identified_is_null_in_the_file(make_predictions: Make, tmp_path: Path) -> None:
    made = make_predictions()
    replace(made, subject_id=np.full(made.n_examples, "")).write(tmp_path / "p.parquet")
    assert pq.read_table(tmp_path / "p.parquet")["subject"].null_count == made.n_examples


def test_the_same_predictions_give_the_same_bytes(make_predictions: Make, tmp_path: Path) -> None:
    make_predictions().write(tmp_path / "one.parquet")
    make_predictions().write(tmp_path / "two.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_a_failed_write_leaves_the_old_file(
    make_predictions: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.parquet"
    make_predictions().write(path)
    before = path.read_bytes()

    def full_disk(_: object, partial: Path, **__: object) -> None:
        partial.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="no space"):
        make_predictions(seed=1).write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 10, 3000])
def test_a_cut_file_is_damaged(make_predictions: Make, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "p.parquet"
    make_predictions().write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match="damaged"):
        Predictions.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        Predictions.read(tmp_path / "p.parquet")


def test_another_parquet_file_is_refused(make_predictions: Make, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(RunError, match="not a file of predictions"):
        Predictions.read(path)
    make_predictions().write(path)
    pq.write_table(pq.read_table(path).drop_columns(["p_1"]), path)
    with pytest.raises(RunError, match="p_1"):
        Predictions.read(path)


def test_a_file_with_bad_numbers_is_damaged(make_predictions: Make, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    make_predictions().write(path)
    table = pq.read_table(path)
    index = table.column_names.index("p_0")
    wrong = pa.array(np.full(table.num_rows, np.nan, np.float32))
    pq.write_table(table.set_column(index, "p_0", wrong), path)
    with pytest.raises(RunError, match="finite"):
        Predictions.read(path)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("probabilities", [[0.5, 0.4], [0.5, 0.5]], "example 1 has probabilities that do not"),
        ("probabilities", [[0.5, 0.5], [np.nan, 0.5]], "example 2 has a probability that is not"),
        ("probabilities", [[0.5, 0.5], [1.5, -0.5]], "example 2 has a negative"),
        ("probabilities", [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], "expected \\(2, 2\\)"),
        ("label", [0, 2], "example 2 has a label outside 0..1"),
        ("label", [-1, -1], "example 1 has a label outside 0..1 \\(as have 1 others\\)"),
        ("label", [0.0, 1.0], "expected indices"),
        ("label", [0], "label has shape \\(1,\\), expected \\(2,\\)"),
        ("split", ["train", "test"], "example 2 has a split"),
        ("group_id", ["g", ""], "example 2 has no group"),
        ("example_id", ["a", "a"], "id of example 2 occurs twice"),
        ("classes", ["x", "x"], "different names"),
        ("classes", ["x"], "two or more"),
    ],
)
def test_what_does_not_fit_is_refused(field: str, value: list[Any], complaint: str) -> None:
    Predictions(**ARRAYS)
    with pytest.raises(DataError, match=complaint):
        Predictions(**ARRAYS | {field: value})


def test_arrays_cannot_be_written_to_and_the_callers_can() -> None:
    label = np.zeros(2, dtype=np.int64)
    made = Predictions(**ARRAYS | {"label": label})
    with pytest.raises(ValueError, match="read-only"):
        made.label[0] = 1
    label[0] = 1


def test_a_part_holds_its_examples_only(make_predictions: Make) -> None:
    made = make_predictions()
    split = np.resize(["train", "tuning", "held_out"], made.n_examples)
    made = replace(made, split=split)
    tuning = made.part("tuning")
    assert tuning.example_id.tolist() == made.example_id[1::3].tolist()
    assert np.array_equal(tuning.probabilities, made.probabilities[1::3])
    with pytest.raises(UnknownNameError, match="did you mean 'held_out'"):
        made.part("heldout")


def test_a_class_against_the_rest(make_predictions: Make) -> None:
    made = make_predictions(classes=4)
    binary = made.against_rest("class 2")
    assert binary.classes == ("not class 2", "class 2")
    assert np.array_equal(binary.score, made.probabilities[:, 2])
    assert np.array_equal(binary.label == 1, made.label == 2)
    named = replace(made, classes=("rest", *made.classes[1:])).against_rest("rest")
    assert named.classes == ("not rest", "rest")
    with pytest.raises(DataError, match="4 classes"):
        made.score  # noqa: B018
    with pytest.raises(UnknownNameError, match="class 3"):
        made.against_rest("class3")


def test_by_group_is_the_mean_of_a_group(make_predictions: Make) -> None:
    made = make_predictions(classes=3, groups=11, one_class_per_group=True)
    shuffled = made.where(np.random.default_rng(1).permutation(made.n_examples))
    whole = shuffled.by_recording()
    assert whole.example_id.tolist() == sorted(set(made.group_id.tolist()))
    for index, group in enumerate(whole.group_id):
        rows = made.group_id == group
        mean = made.probabilities[rows].astype(float).mean(axis=0)
        assert np.allclose(whole.probabilities[index], mean, atol=1e-6)
        assert {whole.label[index]} == set(made.label[rows].tolist())
        assert {whole.subject_id[index]} == set(made.subject_id[rows].tolist())


def test_a_recording_of_two_labels_has_no_single_answer(make_predictions: Make) -> None:
    with pytest.raises(DataError, match="recording of example 4 holds more than one label"):
        make_predictions().by_recording()


def test_recordings_of_a_session_have_an_answer_each(
    make_predictions: Make, tmp_path: Path
) -> None:
    plain = make_predictions()
    ids = np.array(
        [f"{group}{label}" for group, label in zip(plain.group_id, plain.label, strict=True)]
    )
    made = replace(plain, recording_id=ids)
    made.write(tmp_path / "p.parquet")
    again = Predictions.read(tmp_path / "p.parquet")
    assert again.recording_id is not None
    np.testing.assert_array_equal(again.recording_id, ids)
    whole = again.where(np.arange(plain.n_examples)).by_recording()
    assert whole.example_id.tolist() == sorted(set(ids))
    assert set(whole.group_id) == set(plain.group_id)
    parts = [made.where(plain.label == label) for label in np.unique(plain.label)]
    assert joined(parts).by_recording().example_id.tolist() == sorted(set(ids))


def test_joined_parts_are_one_in_the_order_of_ids(make_predictions: Make) -> None:
    whole = make_predictions()
    half = np.arange(whole.n_examples) % 2 == 0
    again = joined([whole.where(~half), whole.where(half)])
    order = np.argsort(whole.example_id, kind="stable")
    np.testing.assert_array_equal(again.example_id, whole.example_id[order])
    np.testing.assert_array_equal(again.probabilities, whole.probabilities[order])
    with pytest.raises(DataError, match="one part or more"):
        joined([])
    with pytest.raises(DataError, match="of the same classes"):
        joined([whole, replace(whole, classes=("a", "b"))])
    with pytest.raises(ValueError, match=r"twice|two"):
        joined([whole, whole])
