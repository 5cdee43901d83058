"""Run folders that were damaged or mixed up."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.runs.conftest import Train
from tests.runs.folders import edit, short

from sequela.analysis.evaluate import evaluate_run
from sequela.errors import RunError, SequelaError, SettingError, SplitError
from sequela.models import stored
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import MANIFEST, seal
from sequela.runs.record import RunRecord


@pytest.fixture(scope="module")
def original(trained: Train) -> Path:
    return trained(short()).path


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def test_a_run_tells_what_it_is(original: Path) -> None:
    folder = RunFolder(original)
    assert folder.complete
    assert folder.settings.model == "mlp-baseline"
    assert folder.metrics["parameters"] == 2949
    assert [(r.epoch, r.part) for r in folder.history] == [(1, "train"), (1, "tuning")]
    assert folder.environment["torch_threads"] == 1
    assert folder.predictions.n_examples == 1150
    assert sorted(p.name for p in original.iterdir()) == [
        "INTERNAL.md",
        "checkpoint",
        "config.toml",
        "cost.json",
        "environment.json",
        "history.jsonl",
        "manifest.json",
        "metrics.json",
        "model.safetensors",
        "predictions.parquet",
        "split.json",
    ]


def test_the_time_of_one_example_is_measured_of_networks(original: Path) -> None:
    assert 1 < RunFolder(original).facts["inference_us"] < 1e6  # µs
    metrics = dict(RunFolder(original).metrics)
    del metrics["inference_us"]
    earlier = RunFolder(original)
    earlier.__dict__["metrics"] = RunRecord.model_validate(metrics)
    assert earlier.facts["inference_us"] is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", 3, "has seed = 3, but split.json was made with 0"),
        ("split", "row", "has unit = 'row', but split.json was made with 'recording'"),
        ("folds", 5, r"has fractions = \[0.6\d*, 0.2\d*, 0.2\], but"),
        ("fractions", (0.5, 0.3, 0.2), r"split.json was made with \[0.6, 0.2, 0.2\]"),
        ("model", "mlp-improved", "metrics.json was made with 'mlp-baseline'"),
        ("data", "uci-seizure", "metrics.json was made with 'bonn'"),
    ],
)
def test_settings_that_are_not_what_the_run_did(
    copied: Path, name: str, value: Any, said: str
) -> None:
    settings = RunFolder(copied).settings.model_copy(update={name: value})
    (copied / "config.toml").write_text(settings.to_toml(), "utf-8")
    with pytest.raises(RunError, match=said):
        _ = RunFolder(copied).settings


def move_an_id(record: Any) -> None:
    ids = record["ids"]["recording"]
    ids["held_out"].append(ids["train"][0])


def move_an_id_and_state_it(record: Any) -> None:
    move_an_id(record)
    record["proof"]["ids_in_two_parts"]["recording"]["train and held_out"] = 1


def exchange_parts(record: Any) -> None:
    ids = record["ids"]["recording"]
    ids["tuning"], ids["held_out"] = ids["held_out"], ids["tuning"]


@pytest.mark.parametrize(
    "tamper",
    [
        move_an_id,
        move_an_id_and_state_it,
        lambda record: record["ids"]["recording"]["held_out"].pop(),
        exchange_parts,
    ],
)
def test_a_tampered_split_cannot_be_evaluated(tamper: Callable[[Any], None], copied: Path) -> None:
    edit(copied / "split.json", tamper)
    with pytest.raises(RunError, match=r"split\.json: was changed after the folder was finished"):
        evaluate_run(copied)
    seal(copied)  # as a forger would
    with pytest.raises(SplitError):
        evaluate_run(copied)


@pytest.mark.parametrize("unit", ["recording", "row"])
def test_predictions_of_another_split_cannot_be_evaluated(
    unit: str, tmp_path: Path, synthetic: Path
) -> None:
    settings = short("majority-class", split=unit)
    one, other = (
        fit.train(
            settings.model_copy(update={"seed": seed}), tmp_path / f"run{seed}", root=synthetic
        ).path
        for seed in range(2)
    )
    assert evaluate_run(one)["leaks"] is (unit == "row")
    shutil.copy(other / "predictions.parquet", one)
    with pytest.raises(RunError, match=r"predictions\.parquet: was changed"):
        evaluate_run(one)
    seal(one)
    with pytest.raises(SplitError, match=r"the (row|session) ids .* belong to different runs"):
        evaluate_run(one)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("split.json", b"{", "damaged"),
        ("split.json", None, "split.json: not found"),
        ("predictions.parquet", b"PAR1", "predictions.parquet"),
        ("predictions.parquet", None, "predictions.parquet"),
        ("config.toml", None, "expected a run folder"),
        ("config.toml", b"seed = 3", "not a run's settings"),
        ("metrics.json", None, "metrics.json: not found"),
        ("metrics.json", b"", r"metrics\.json: damaged"),
        ("model.safetensors", None, r"model\.safetensors: not found"),
        ("model.safetensors", b"no tensors", r"model\.safetensors: damaged"),
    ],
)
def test_a_damaged_run_cannot_be_evaluated(
    name: str, content: bytes | None, message: str, copied: Path, synthetic: Path
) -> None:
    of_model: dict[str, Any] = (
        {"data": "bonn", "root": synthetic} if name == "model.safetensors" else {}
    )
    said = "is missing" if content is None else "was changed"
    if content is None:
        (copied / name).unlink()
    else:
        (copied / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name}: {said}|expected a run folder"):
        evaluate_run(copied, **of_model)
    seal(copied)  # what the manifest does not find, the file itself tells
    with pytest.raises(SequelaError, match=message) as caught:
        evaluate_run(copied, **of_model)
    assert "\n" not in str(caught.value)


def test_nothing_new_to_evaluate_on(copied: Path, synthetic: Path, tmp_path: Path) -> None:
    """Data of recordings that were all trained or tuned on."""
    seen = RunFolder(copied).predictions
    root = Path(shutil.copytree(synthetic, tmp_path / "data"))
    for recording_id in set(seen.part("held_out").group_id.tolist()):
        (root / recording_id[0] / f"{recording_id}.txt").unlink()
    with pytest.raises(
        SettingError,
        match="all 40 recordings of bonn, or recordings of the same time, are in the training",
    ):
        evaluate_run(copied, data="bonn", root=root)


def test_settings_of_a_model_that_do_not_exist_are_refused_before_writing(
    tmp_path: Path, synthetic: Path
) -> None:
    with pytest.raises(SettingError, match="does not take these settings"):
        fit.train(short(model_settings={"width": 3}), tmp_path / "run", root=synthetic)
    assert not (tmp_path / "run").exists()


def test_the_scaling_is_fitted_on_the_training_part_only(original: Path, synthetic: Path) -> None:
    header, _ = stored.read(original / "model.safetensors")
    train = set(RunFolder(original).predictions.part("train").group_id.tolist())
    samples = np.concatenate(
        [np.loadtxt(synthetic / name[0] / f"{name}.txt")[: 23 * 178] for name in train]
    )
    assert len(train) == 30
    assert header["scaling"]["mean"] == [pytest.approx(samples.mean())]
    assert header["scaling"]["std"] == [pytest.approx(samples.std())]
    assert header["config"] == {"n_chans": 1, "n_times": 178, "n_outputs": 5, "hidden": 16}


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_goes_on_with_the_data_it_was_begun_on_only(
    copied: Path,
    synthetic: Path,
    tmp_path: Path,
    finished: bool,  # noqa: FBT001
) -> None:
    if not finished:
        (copied / MANIFEST).unlink()
    other = Path(shutil.copytree(synthetic, tmp_path / "other"))
    changed = other / "S" / "S001.txt"
    lines = changed.read_text("utf-8").splitlines()
    changed.write_text("\n".join([str(int(lines[0]) + 1), *lines[1:]]) + "\n", "utf-8")
    before = (copied / "split.json").read_bytes()
    settings = RunFolder(copied).settings
    with pytest.raises(RunError, match="started on other data"):
        fit.train(settings, copied, root=other, resume=True)
    assert (copied / "split.json").read_bytes() == before
    assert fit.train(settings, copied, root=synthetic, resume=True).complete


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("metrics.json", lambda r: r["parts"]["held_out"].update(accuracy_ci=[0.1]), "accuracy_ci"),
        ("metrics.json", lambda r: r["parts"]["held_out"].update(loss="0.5"), "valid number"),
        ("metrics.json", lambda r: r["parts"]["tuning"].pop("confusion"), "tuning.*confusion or"),
        ("metrics.json", lambda r: r["data"].update(classes="ab"), r"data\.classes"),
        ("metrics.json", lambda r: r.pop("split"), "split"),
        ("metrics.json", lambda r: r["parts"]["held_out"].pop("loss"), "loss = None, but the pred"),
        ("split.json", lambda r: r["ids"]["recording"]["train"].append(None), "an id, or the name"),
        ("split.json", lambda r: r["n_examples"].update(train=True), "not a whole number"),
        ("split.json", lambda r: r.update(seed="0"), "not a whole number"),
    ],
)  # fmt: skip
def test_json_of_another_kind_that_was_sealed_again_is_refused_in_one_line(
    name: str, change: Callable[[Any], object], said: str, copied: Path
) -> None:
    edit(copied / name, change)
    seal(copied)
    with pytest.raises((RunError, SplitError), match=said):
        evaluate_run(copied)
