"""scikit-learn's own checks, and its tools around the classifiers."""

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from joblib.externals import loky
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.api.conftest import quick, quick_visits

from sequela import SignalClassifier, VisitClassifier
from sequela.config import TrainingSettings
from sequela.errors import DataError, MissingGroupsWarning
from sequela.models.defaults import DEFAULTS
from sequela.models.registry import lookup_network
from sequela.models.spectral import SpectralMLP

pytestmark = pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")

Visits = list[list[list[str]]]


@parametrize_with_checks(  # type: ignore[untyped-decorator] # untyped library
    [
        SignalClassifier(
            "mlp-improved",
            model_settings={"hidden": 32},
            epochs=8,
            learning_rate=1e-2,
            batch_size=16,
        ),
    ],
)
def test_check_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def signals() -> tuple[Any, Any, Any]:
    """Noise, and in one class a wave; ten groups of six segments."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(10), 6)
    y = np.array(["calm", "seizure"])[groups % 2]
    X = rng.normal(size=(60, 32)) + np.outer(y == "seizure", 2 * np.sin(np.arange(32)))
    return X, y, groups


@pytest.fixture(scope="module")
def visits() -> tuple[Visits, list[str], list[int]]:
    """Patients with one to four visits; who has I50 in the last one dies."""
    rng = np.random.default_rng(0)
    X, y = [], []
    for _ in range(60):
        died = rng.random() < 0.5
        codes = [rng.choice(["E11", "J06", "N17", "Z00"], size=2).tolist() for _ in range(4)]
        X.append([*codes[: rng.integers(0, 4)], ["I50" if died else "J45", codes[3][0]]])
        y.append("died" if died else "lived")
    return X, y, [i // 2 for i in range(60)]


def test_pipeline_and_grid_search_by_group(signals: Any) -> None:
    X, y, groups = signals
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), quick().set_fit_request(groups=True))
        grid = {"signalclassifier__learning_rate": np.array([1e-7, 1e-2])}
        search = GridSearchCV(pipeline, grid, cv=GroupKFold(3)).fit(X, y, groups=groups)
    assert search.best_params_ == {"signalclassifier__learning_rate": 1e-2}
    assert search.score(X, y) > 0.9


def test_a_refit_learns_from_the_tuning_part_too(signals: Any) -> None:
    X, y, groups = signals
    first = quick(epochs=6).fit(X, y, groups)
    again = quick(epochs=6, refit=True).fit(X, y, groups)
    losses = [[record.loss for record in each.history_] for each in (first, again)]
    assert losses[0] == losses[1]
    assert not np.allclose(first.predict_proba(X), again.predict_proba(X))
    assert again.score(X, y) > 0.6


@pytest.mark.slow  # a pickled copy in this process is in test_check_estimator
def test_cross_validation_in_another_process_is_that_in_this(signals: Any) -> None:
    X, y, _ = signals
    how: dict[str, Any] = {"cv": 3, "method": "predict_proba"}
    here = cross_val_predict(quick(), X, y, **how)
    workers = loky.get_reusable_executor(max_workers=1)  # what scikit-learn starts with n_jobs
    there = workers.submit(cross_val_predict, quick(), X, y, **how).result()
    workers.shutdown()
    np.testing.assert_array_equal(here, there)
    assert np.mean((here[:, 1] > 0.5) == (y == "seizure")) > 0.9


def test_calibration(signals: Any) -> None:
    X, y, _ = signals
    calibrated = CalibratedClassifierCV(quick(), cv=StratifiedKFold(3)).fit(X, y)
    assert calibrated.predict_proba(X).shape == (60, 2)
    assert calibrated.score(X, y) > 0.9


def test_visits_in_cross_validation(visits: Any) -> None:
    X, y, _ = visits
    assert cross_val_score(quick_visits(), X, y, cv=3).mean() > 0.9
    few = quick_visits(epochs=3)
    plain = cross_val_predict(few, X, y, cv=2, method="predict_proba")
    for form in ("object array", "pandas", "polars"):
        proba = cross_val_predict(few, as_form(X, form), y, cv=2, method="predict_proba")
        np.testing.assert_array_equal(proba, plain)


def test_visits_in_search_and_calibration(visits: Any) -> None:
    X, y, _ = visits
    search = GridSearchCV(quick_visits(), {"min_subjects": [1, 61]}, cv=2, error_score=0.0)
    with pytest.warns(sklearn.exceptions.FitFailedWarning, match="lower min_subjects"):
        search.fit(X, y)
    assert search.best_params_ == {"min_subjects": 1}
    calibrated = CalibratedClassifierCV(search.best_estimator_, cv=2).fit(X, y)
    assert calibrated.score(X, y) > 0.9


def as_form(X: Visits, form: str) -> Any:
    import pandas as pd  # type: ignore[import-untyped]
    import polars as pl

    if form == "object array":
        array = np.empty(len(X), object)
        array[:] = X
        return array
    return {"pandas": pd.Series, "polars": pl.Series}[form](X)


def test_parameters_and_clone() -> None:
    for one in (quick(class_weight={"calm": 1.0}), quick_visits(min_subjects=4)):
        other = clone(one)
        assert other is not one
        assert other.get_params() == one.get_params()
        assert other.set_params(epochs=3).epochs == 3
    with pytest.raises(ValueError, match="'speed'"):
        quick().set_params(speed=9)


@pytest.mark.parametrize("kind", [SignalClassifier, VisitClassifier])
def test_training_settings_are_parameters(kind: type[SignalClassifier | VisitClassifier]) -> None:
    """With their sentences; weights of classes are scikit-learn's, one precision."""
    of_runs = {"crops", "gain", "second_target", "distil"}  # they need recordings, or records
    names = set(TrainingSettings.model_fields) - {"class_weights", "mixed_precision"} - of_runs
    parameters = inspect.signature(kind).parameters
    documented = " ".join((kind.__doc__ or "").split())
    for name in names:
        field = TrainingSettings.model_fields[name]
        assert parameters[name].default is None  # the value of the model itself
        assert getattr(kind("mlp-baseline")._training_settings(), name) == field.default
        assert f"{name}: {field.description}" in documented
    assert set(kind().get_params()) == set(parameters)


def test_a_classifier_of_ones_own_needs_no_list_of_parameters() -> None:
    class Mine(SignalClassifier):
        """Mine."""

    assert Mine.__doc__ == "Mine."
    assert Mine(epochs=3).get_params()["epochs"] == 3


def test_auto_is_the_default_model_and_its_name_is_saved(
    signals: tuple[Any, Any, Any], visits: tuple[Visits, list[str], list[int]], tmp_path: Path
) -> None:
    X, y, _ = signals
    fitted = quick(model="auto", epochs=2).fit(X, y)
    assert isinstance(fitted.module_, SpectralMLP)
    assert fitted.get_params()["model"] == "auto"
    fitted.save(tmp_path / "auto.safetensors")
    again = SignalClassifier.load(tmp_path / "auto.safetensors")
    assert again.model == "spectral-mlp"  # so it is, whatever the default of another version
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    codes = quick_visits(model="auto", epochs=1).fit(*visits[:2])
    assert isinstance(codes.module_, type(lookup_network(DEFAULTS["visits"].model).build()))


def test_without_a_name_it_is_the_default_model_with_its_own_training(
    signals: tuple[Any, Any, Any],
) -> None:
    X, y, groups = signals
    default = SignalClassifier(random_state=0, epochs=3)
    assert isinstance(default.fit(X, y, groups=groups).module_, SpectralMLP)
    own = lookup_network("spectral-mlp").training
    used = SignalClassifier()._training_settings()
    assert used == own.model_copy(update={"crops": False})
    assert SignalClassifier(epochs=7)._training_settings().epochs == 7
    assert SignalClassifier("mlp-improved")._training_settings() == TrainingSettings()
    assert VisitClassifier()._named() == DEFAULTS["visits"].model
    by_gain = quick(model="spectral-mlp", epochs=3, refit=False).fit(X, y, groups=groups)
    again = quick(model="spectral-mlp", epochs=3, refit=False).fit(X, y, groups=groups)
    np.testing.assert_array_equal(by_gain.predict_proba(X), again.predict_proba(X))


@pytest.mark.filterwarnings("always::sequela.errors.MissingGroupsWarning")
def test_missing_groups_are_warned_about(
    signals: tuple[Any, Any, Any], visits: tuple[Visits, list[str], list[int]]
) -> None:
    X, y, groups = signals
    for fit in (
        lambda: quick(epochs=1).fit(X, y),
        lambda: quick_visits(epochs=1).fit(*visits[:2]),
        lambda: cross_val_score(quick(epochs=1), X, y, cv=2),
    ):
        with pytest.warns(MissingGroupsWarning, match="Pass groups, the recording or patient"):
            fit()
    with pytest.warns(MissingGroupsWarning) as caught:
        quick(epochs=1).fit(X, y)
    assert (len(caught), caught[0].filename) == (1, __file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(epochs=1).fit(X, y, groups=groups)
        quick(epochs=1, tuning_fraction=None).fit(X, y)
        with sklearn.config_context(enable_metadata_routing=True):
            routed = quick(epochs=1).set_fit_request(groups=True)
            cross_val_score(routed, X, y, cv=StratifiedGroupKFold(2), params={"groups": groups})


def test_times_to_an_event_are_refused(signals: tuple[Any, Any, Any]) -> None:
    X, _, groups = signals
    y = np.zeros(60, [("event", bool), ("time", float)])
    with pytest.raises(DataError, match="y has times to an event: train on them with `sequela tr"):
        quick(epochs=1).fit(X, y, groups=groups)
