"""The package of a study: what is in it, what it predicts, and what is refused."""

import json
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.calls import ran, refusal

from sequela.analysis.evaluate import predict_other
from sequela.analysis.package import (
    PROTOCOL,
    codes_of,
    columns_of,
    moments_of,
    open_package,
    packaged_run,
    write_package,
)
from sequela.analysis.release import seal_of
from sequela.datasets.catalog import DATA_SETS, EXCERPTS
from sequela.errors import SequelaError
from sequela.evaluation.metrics import auroc
from sequela.runs.data import load_again
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.model import open_model

EICU = EXCERPTS / "eicu"
Files = dict[str, bytes]


def contents(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_the_results_of_a_study_are_packaged(
    package: Path, record_runs: list[Run], tmp_path: Path
) -> None:
    """Three of six models: the others have weighted classes, or look at the future."""
    protocol, runs = (
        open_package(package, tmp_path),
        {run.settings.model: run.first for run in record_runs[:4]},
    )
    names = [model.name for model in protocol.models]
    assert sorted(names) == ["logistic-regression", "visits-baseline", "visits-improved"]
    assert [*contents(package)] == [
        PROTOCOL,
        *(f"{name}/{file}" for name in names for file in ("config.toml", "model.safetensors")),
    ]
    assert (protocol.name, protocol.data, protocol.example) == ("ward", "eicu", "stay")
    assert protocol.task is not None
    assert protocol.task["exclude"]
    run = runs["logistic-regression"]
    assert protocol.asks == run.data.question
    (model,) = (model for model in protocol.models if model.name == "logistic-regression")
    train, test = (run.predictions.part(part) for part in ("train", "held_out"))
    assert model.threshold == run.threshold
    assert model.training.patients == len(np.unique(train.subject_id))
    assert (model.training.examples, model.training.events) == (len(train.label), train.label.sum())
    assert model.training.auroc is not None
    assert model.training.auroc[0] == pytest.approx(auroc(test))
    logits = np.log(test.probabilities[:, 1] / test.probabilities[:, 0], dtype=np.float64)
    assert model.training.moments.names[0] == "logit"
    assert model.training.moments.mean[0] == pytest.approx(logits.mean(), rel=1e-4)
    assert model.training.moments.covariance[0][0] == pytest.approx(logits.var(ddof=1), rel=1e-4)


def test_the_same_study_gives_the_same_bytes(
    package: Path, record_runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next(r.path for r in record_runs if r.path.name == "logistic-regression")
    one, again = tmp_path / "one" / "ward.zip", tmp_path / "again" / "ward.zip"
    ran("share", str(run), "--study", one, "--site", "Here", "--root", EICU)
    write_package(run, again, lead="Here", root=EICU)
    assert again.read_bytes() == one.read_bytes()
    paths = {"all": package, "here": one}
    protocols = [open_package(path, tmp_path / name) for name, path in paths.items()]
    assert [protocol.lead for protocol in protocols] == [DATA_SETS["eicu"].title, "Here"]
    # Their releases can be compared: the question is the same, and the models differ.
    assert len({protocol.question for protocol in protocols}) == 1
    assert len({protocol.digest for protocol in protocols}) == 2
    assert f"digest: {protocols[1].digest}" in capsys.readouterr().out


def test_its_models_predict_as_those_of_the_runs(
    package: Path, record_runs: list[Run], tmp_path: Path
) -> None:
    """In the data of the training too: nobody can be recognised there, and nobody is set aside."""
    protocol = open_package(package, tmp_path / "models")
    folder = packaged_run(tmp_path / "models" / "visits-baseline")
    data, predictions = predict_other(folder, "eicu", EICU, tmp_path / "data")
    expected = record_runs[0].first.predictions
    assert data.set_aside == 0
    assert predictions.example_id.tolist() == expected.example_id.tolist()
    np.testing.assert_allclose(predictions.probabilities, expected.probabilities, atol=1e-6)
    # What the site computes of its patients is comparable to the lead's.
    part = [*expected.split].index("held_out")
    assert columns_of(data, predictions.probabilities)["age"][part] > 0
    assert codes_of(data, "held_out", 10).keys() == protocol.codes.keys()


def test_codes_have_the_shares_of_training_patients(
    package: Path, record_runs: list[Run], tmp_path: Path
) -> None:
    """Also not those that can be computed from others: a patient has one sex or one decade."""
    run = record_runs[0].first
    data = load_again(run, EICU, tmp_path / "data", open_model(run).header)
    people: dict[str, set[int]] = {}
    train = data.rows("train").tolist()
    for row in train:
        for code in {code for step in data.arrays.codes_of(row) for code in step}:
            people.setdefault(code, set()).add(int(data.arrays.subject_id[row]))
    total = len(np.unique(data.arrays.subject_id[train]))
    shares = open_package(package, tmp_path / "models").codes
    assert sorted(shares) == sorted(data.arrays.vocabulary[1:])
    counts = {code: len(people[code]) for code in shares}
    shown = {code: share for code, share in shares.items() if share is not None}
    assert len(shown) > 50
    assert shown == {code: round(counts[code] / total, 4) for code in shown}
    assert all(10 <= counts[code] <= total - 10 or counts[code] == total for code in shown)


def test_a_rest_of_few_hides_a_second_code() -> None:
    columns = {
        "logit": np.arange(40.0),
        "age": np.full(40, np.nan),
        "female": np.repeat([0, 1], [35, 5]),
    }
    moments = moments_of(columns, 10)
    assert moments.names == ("logit",)
    assert moments.examples == 40
    columns["female"] = np.repeat([0.0, 1.0], [25, 15])
    assert moments_of(columns, 10).names == ("logit", "female")


def reseal(files: Files, change: Callable[[dict[str, Any]], object]) -> Files:
    content = json.loads(files[PROTOCOL])
    change(content)
    content["seal"] = seal_of({key: value for key, value in content.items() if key != "seal"})
    return {**files, PROTOCOL: (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()}


def edited(files: Files, old: bytes, new: bytes, name: str = PROTOCOL) -> Files:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new, 1)}


MODEL = "visits-baseline/model.safetensors"
CONFIG = "visits-baseline/config.toml"
EDITS: dict[str, tuple[Callable[[Files], Files], str]] = {
    "threshold": (
        lambda files: edited(files, b'"smallest_cell": 10', b'"smallest_cell": 11'),
        "protocol.json was changed after it was written",
    ),
    "space": (lambda files: edited(files, b": ", b":  "), "protocol.json was changed"),
    "seal": (lambda files: edited(files, b'"seal": "', b'"seal": "0'), "was changed"),
    "question": (
        lambda files: reseal(files, lambda content: content.update(question="0" * 64)),
        "protocol.json was changed",
    ),
    "a smaller cell": (
        lambda files: reseal(files, lambda content: content["analysis"].update(smallest_cell=1)),
        "key 'analysis.smallest_cell' is 1",
    ),
    "format": (
        lambda files: reseal(files, lambda content: content.update(format=2)),
        "key 'format' is 2",
    ),
    "another key": (
        lambda files: reseal(files, lambda content: content.update(note="a note")),
        "key 'note'",
    ),
    "a key less": (
        lambda files: reseal(files, lambda content: content.pop("lead")),
        "key 'lead' is missing",
    ),
    "no model": (lambda files: reseal(files, lambda content: content.update(models=[])), "models"),
    "a model outside": (
        lambda files: reseal(files, lambda content: content["models"][0].update(name="../out")),
        "models",
    ),
    "weights": (lambda files: {**files, MODEL: files[MODEL][:-1] + b"\0"}, f"{MODEL} was changed"),
    "settings": (lambda files: edited(files, b"seed = 0", b"seed = 1", CONFIG), f"{CONFIG} was"),
    "a file less": (lambda files: {n: f for n, f in files.items() if n != MODEL}, "has or lacks"),
    "a file more": (lambda files: {**files, "notes.txt": b""}, "has or lacks 'notes.txt'"),
    "a file outside": (lambda files: {**files, "../out.txt": b""}, "has or lacks '../out.txt'"),
    "no protocol": (lambda files: {MODEL: files[MODEL]}, "protocol.json is not that of the pack"),
    "a list": (lambda files: {**files, PROTOCOL: b"[]"}, "protocol.json is not that of the pack"),
    "a huge file": (lambda files: {**files, "0": b"\0" * 2_000_001}, "has or lacks '0'"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_package_is_refused(edit: str, package: Path, tmp_path: Path) -> None:
    change, message = EDITS[edit]
    path = packed(tmp_path / "ward.zip", change(contents(package)))
    with pytest.raises(SequelaError, match=message) as error:
        open_package(path, tmp_path / "work")
    assert "\n" not in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["ward.zip"]


def test_what_is_no_package_is_refused(package: Path, tmp_path: Path) -> None:
    text, bomb, twice = (tmp_path / f"{name}.zip" for name in ("text", "bomb", "twice"))
    text.write_text("a text", "utf-8")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PROTOCOL, b" " * 30_000_000)
    shutil.copyfile(package, twice)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(MODEL, contents(package)[MODEL])
    for path, message in (
        (text, "is damaged"),
        (bomb, "more than 50 times its size"),
        (twice, "a file twice"),
        (tmp_path / "none.zip", "is not there"),
    ):
        with pytest.raises(SequelaError, match=message):
            open_package(path, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_what_cannot_be_packaged_is_refused(
    record_runs: list[Run],
    small_runs: list[RunFolder],
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refused = partial(refusal, capsys)
    out = tmp_path / "ward.zip"
    eicu = record_runs[0].path.parent
    hindsight = next(r.path for r in record_runs if r.path.name.endswith(".hindsight"))
    for path, message in (
        (small_runs[0].path, "predicts 5 classes"),
        (small_runs[4].path, "inflated by a leak"),
        (hindsight, "inflated by a leak"),
        (record_runs[-1].path, "each fold or seed has its own model"),
        (run, "train it with --min-subjects 10"),
        (eicu.parent, "has several questions"),
    ):
        assert message in refused("share", path, "--study", out)
    assert "--out" in refused("share", eicu, "--study", out, "--out", tmp_path / "out")
    assert "--study" in refused("share", eicu)
    assert "--model" in refused("share", eicu, "--study", out, "--model")
    assert "10 or more" in refused("share", eicu, "--study", out, "--hide-below", "5")
    assert ".zip" in refused("share", eicu, "--study", tmp_path / "ward")
    assert not [*tmp_path.iterdir()]
    out.touch()
    assert "exists already" in refused("share", eicu, "--study", out)
