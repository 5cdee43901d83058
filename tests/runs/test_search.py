"""Settings searched: on the training and validation set alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from tests.runs.folders import interrupt

from sequela import files
from sequela.analysis import tune as searches
from sequela.analysis.space import changed, defaults_of, space_of, within
from sequela.analysis.tune import FILE, Search, tune
from sequela.config import Options, RunSettings
from sequela.errors import OutputError, RunError, SettingError, UnknownNameError
from sequela.integrity.openings import LEDGER
from sequela.integrity.verify import verify
from sequela.models.registry import lookup_network
from sequela.runs import fit
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.studies.settings import run_settings

MODEL = "mlp-baseline"


def asked(model: str = MODEL, **training: Any) -> RunSettings:
    return run_settings(model, "bonn", Options.of(**{"epochs": 2, **training}))


@pytest.fixture(scope="module")
def tuned(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The run of a search of four trials."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    return tune(asked(), out, trials=4, root=synthetic)


def search_of(examples: Examples, storage: Path) -> Search:
    entry = lookup_network(MODEL)
    space = space_of(entry, asked())
    return Search(asked(), entry, examples, examples.inputs(entry.reads), space, storage)


@pytest.fixture
def searched(recordings: Examples, tmp_path: Path) -> Callable[..., Search]:
    """A search on the data, or on others."""
    return lambda of=recordings, storage=tmp_path / "trials": search_of(of, storage)


@pytest.fixture(scope="module")
def whole(recordings: Examples, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The record of twenty trials without an interruption."""
    return search_of(recordings, tmp_path_factory.mktemp("whole") / "trials").run(20)


def losses(found: dict[str, Any]) -> list[Any]:
    return [(each["state"], each["loss"], each["values"]) for each in found["trials"]]


@pytest.mark.parametrize(
    "model", ["gru-improved", "visits-improved", "spectral-mlp", "values-lstm"]
)
def test_usual_ranges_hold_the_defaults(model: str) -> None:
    entry = lookup_network(model)
    settings = RunSettings(model=model, data="bonn", training=entry.training)
    space, defaults = space_of(entry, settings), defaults_of(entry, settings)
    assert within(space, defaults) == {name: defaults[name] for name in space}
    assert {"learning_rate", "batch_size", "schedule"} < set(space)


def test_a_range_is_read() -> None:
    entry = lookup_network("gru-improved")
    said = ["learning-rate=1e-4..1e-1", "hidden=8..64", "layers=1..3", "class_weights=true,false"]
    space = space_of(entry, asked("gru-improved"), said)
    assert space["learning_rate"] == FloatDistribution(1e-4, 1e-1, log=True)
    assert space["hidden"] == IntDistribution(8, 64)
    assert space["layers"] == IntDistribution(1, 3)
    assert getattr(space["class_weights"], "choices", None) == (True, False)
    settings = changed(asked("gru-improved"), {"hidden": 9, "class_weights": True})
    assert settings.model_settings == {"hidden": 9}
    assert settings.training.class_weights


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("hidden", "expected NAME=LOW..HIGH"),
        ("hiden=1..2", "did you mean 'hidden'"),
        ("hidden=64..8", "a higher number"),
        ("hidden=1.5..8", "whole numbers"),
        ("hidden=a..b", "expected NAME=LOW..HIGH"),
        ("hidden=8,true", "two values or more"),
        ("schedule=1..2", "expected values such as"),
        ("schedule=constant,cosine", "setting schedule = 'cosine' cannot be used"),
        ("learning_rate=-1..1", "setting learning_rate = -1.0 cannot be used"),
    ],
)
def test_a_range_that_cannot_be_is_refused(said: str, message: str) -> None:
    with pytest.raises((SettingError, UnknownNameError), match=message):
        space_of(lookup_network(MODEL), asked(), [said])


def test_a_search_ends_in_a_run_like_any_other(tuned: RunFolder) -> None:
    found = tuned.json(FILE)
    best = found["trials"][found["best"]]
    assert len(found["trials"]) == 4
    assert found["trials"][0]["values"] == {n: found["defaults"][n] for n in found["space"]}
    kept = min(record.loss for record in tuned.history if record.part == "tuning")
    assert kept == best["loss"] == min(t["loss"] for t in found["trials"] if t["loss"] is not None)
    assert tuned.settings.training.learning_rate == best["values"]["learning_rate"]
    assert tuned.settings.model_settings == {"hidden": best["values"]["hidden"]}
    assert not (tuned.path / LEDGER).exists()
    verify(tuned)


def test_a_search_that_is_asked_for_again_is_there(tuned: RunFolder, synthetic: Path) -> None:
    said: list[object] = []
    found = tune(asked(), tuned.path, trials=4, root=synthetic, on_trial=lambda *a: said.append(a))
    assert found.path == tuned.path
    assert said == []
    with pytest.raises(RunError, match=r"search of 4 trials .* remove it to continue"):
        tune(asked(), tuned.path, trials=5, root=synthetic)


def test_what_mattered_is_said(whole: dict[str, Any], searched: Callable[..., Search]) -> None:
    finished = [trial for trial in whole["trials"] if trial["state"] == "finished"]
    assert len(finished) >= 10
    assert set(whole["mattered"]) == set(searched().space)
    assert sum(whole["mattered"].values()) == pytest.approx(1)


def test_the_held_out_part_is_never_seen(
    searched: Callable[..., Search], whole: dict[str, Any], recordings: Examples
) -> None:
    rows, segments = recordings.rows("held_out"), recordings.arrays
    signal, label = np.array(segments.signal), segments.label.copy()
    signal[rows], label[rows] = np.nan, 0
    blinded = replace(recordings, arrays=replace(segments, signal=signal, label=label))
    assert losses(searched(blinded).run(3)) == losses(whole)[:3]


def test_a_search_goes_on_as_if_never_interrupted(
    searched: Callable[..., Search], whole: dict[str, Any]
) -> None:
    search = searched()
    search.run(4)
    assert losses(search.run(7)) == losses(whole)[:7]


def test_a_trial_that_was_interrupted_does_not_count(
    searched: Callable[..., Search], tmp_path: Path
) -> None:
    whole = searched(storage=tmp_path / "whole.trials").run(2)
    search = searched()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sequela.runs.learner.Learner.learn", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search.run(2)
    assert losses(search.run(2)) == losses(whole)
    assert [each["state"] for each in whole["trials"]] == ["finished", "finished"]


def test_a_trial_that_fails_is_told(
    searched: Callable[..., Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner_of = fit.learner_of

    def refuse(settings: RunSettings, *more: Any) -> Any:
        if settings.training != asked().training:
            raise SettingError("too wide\nfor this")
        return learner_of(settings, *more)

    monkeypatch.setattr("sequela.runs.fit.learner_of", refuse)
    found = searched().run(3)
    assert [each["state"] for each in found["trials"]] == ["finished", "failed", "failed"]
    assert found["trials"][1]["why"] == "too wide for this"
    assert found["best"] == 0


def test_the_trial_of_a_killed_process_is_given_up(searched: Callable[..., Search]) -> None:
    search = searched()
    search.run(1)
    optuna.load_study(study_name=search.name, storage=searches._opened(search.storage)).ask()
    found = search.run(2)
    assert [each["number"] for each in found["trials"]] == [0, 2]
    names = {path.name for path in search.storage.parent.iterdir()}
    assert names == {search.storage.name}


def test_another_search_of_the_same_name_is_refused(searched: Callable[..., Search]) -> None:
    search = searched()
    search.run(1)
    other = replace(search, settings=asked(epochs=3))
    with pytest.raises(SettingError, match=r"differs in the settings \(training\)"):
        other.run(2)
    narrower = replace(search, space=space_of(search.entry, asked(), ["hidden=8..64"]))
    with pytest.raises(SettingError, match=r"searched settings \(batch_size\)"):
        narrower.run(2)


def test_a_file_of_others_is_left_alone(searched: Callable[..., Search], tmp_path: Path) -> None:
    for name, content in (("notes.txt", "no trials\n"), ("own.jsonl", '{"id": 1}\n'), ("7", "7")):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(SettingError, match=rf"{name} cannot be used .found other content"):
            searched(storage=path).run(1)
        assert path.read_text() == content
    (tmp_path / "edited").write_text('{"op_code": 0}\nby hand\n{"op_code": 0}\n')
    with pytest.raises(SettingError, match=r"edited cannot be used .found other content"):
        searched(storage=tmp_path / "edited").run(1)
    with pytest.raises(SettingError, match=r"cannot be used .Is a directory"):
        searched(storage=tmp_path).run(1)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_is_taken_is_refused(tmp_path: Path, synthetic: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty; choose another --out"):
        tune(asked(), tmp_path, trials=1, root=synthetic)


def test_a_second_search_for_one_folder_is_refused(
    tmp_path: Path, synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.0)
    out = tmp_path / "run"
    with files.held(out), pytest.raises(OutputError, match="another process writes to it"):
        tune(asked(), out, trials=1, root=synthetic)
    assert list(tmp_path.iterdir()) == []
