"""Reference models on records, each against a plain way to the same numbers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from tests.runs.conftest import Ask, Load, Train

from sequela.errors import RunError
from sequela.integrity.verify import verify
from sequela.models import reference, stored
from sequela.runs.data import Examples
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE
from sequela.sequences.featurisers import LEAST_EXAMPLES, Features
from sequela.sequences.intervals import Intervals

Arrays = dict[str, NDArray[Any]]


def of_subjects(folder: RunFolder, loaded: Examples) -> NDArray[np.float32]:
    """Probabilities in the order of the sequences."""
    found = folder.predictions
    assert found.example_id.tolist() == loaded.predictions(found.probabilities).example_id.tolist()
    return found.probabilities


def test_the_prevalence_is_that_of_the_training_part(
    asked: Ask, opened: Load, trained: Train
) -> None:
    settings = asked("prevalence")
    folder, loaded = trained(settings), opened(settings)
    training = loaded.arrays.label[loaded.part == 0]
    share = sum(training.tolist()) / len(training)
    assert of_subjects(folder, loaded) == pytest.approx(
        np.tile([1 - share, share], (len(loaded.arrays), 1)), abs=1e-6
    )
    assert folder.metrics["parts"]["held_out"]["auroc"] == 0.5
    assert (folder.facts["operations"], folder.facts["macs"]) == (0, 0)


@pytest.mark.parametrize("model", ["logistic-regression", "boosting", "summaries-boosting"])
def test_a_run_is_counted_with_its_features_on_the_patient_of_the_networks(
    model: str, asked: Ask, opened: Load, trained: Train
) -> None:
    settings = asked(model, bins=5)
    folder, loaded = trained(settings), opened(settings)
    account, facts = folder.account, folder.facts
    assert account is not None
    for name in ("parameters", "operations", "macs"):
        assert getattr(account, name) == facts[name]
    assert facts["inference_us"] > 0
    verify(folder)
    given = loaded.inputs(("codes",))
    steps = int(given.example[-1].sum())  # those of a network's account
    header, _ = stored.read(folder.path / FILE)
    assert steps == loaded.inputs(tuple(header["reads"]), standardise=False).steps
    assert account.inputs == f"one example of {steps} steps"
    channels, columns = given.shape["n_channels"], account.layers[0].operations
    measured = 6 * channels + 12 * channels * steps
    scores = {"logistic-regression": 0, "boosting": measured}
    if model in scores:
        assert columns == scores[model]
    else:
        described = loaded.inputs(("features:summaries",), standardise=False).features
        assert columns == measured + 11 * described.shape[1]


def test_features_of_one_patient_alone_are_those_of_all(asked: Ask, opened: Load) -> None:
    loaded = opened(asked("summaries-boosting", bins=5))
    given: Any = loaded.inputs(("features:summaries",), standardise=False)
    row = given._typical
    alone = Features.of(given.reads, given.alone, np.arange(1), given.state, standardise=False)
    assert alone is not None
    np.testing.assert_array_equal(alone.table[0], np.asarray(given.features)[row])


def dense(loaded: Examples) -> NDArray[np.float64]:
    """Which codes each example has: (example, code)."""
    table = np.zeros((len(loaded.arrays), len(loaded.arrays.vocabulary)))
    place = {code: index for index, code in enumerate(loaded.arrays.vocabulary)}
    for example in range(len(table)):
        for step in loaded.arrays.codes_of(example):
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
        label, part = loaded.arrays.label, loaded.part
        losses = {}
        for penalty in reference.INVERSE_PENALTIES:
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
        _, arrays = stored.read(folder.path / FILE)
        logit = features @ arrays["weight"][0] + arrays["bias"][0]
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(expected[:, 1], abs=1e-3)
    assert len(chosen) > 1  # or it was no choice


def table_of(loaded: Examples, codes: Arrays) -> NDArray[np.float32]:
    """The columns that the stored file names."""
    counts = dense(loaded)
    columns = [counts.sum(1, keepdims=True), counts[:, codes["features:counts:codes"]]]
    if loaded.arrays.header["settings"]["demographics"]:
        columns.append(loaded.arrays.age[:, None])
    return np.hstack(columns).astype(np.float32)


@pytest.mark.slow(but="mimic3-said2")
@pytest.mark.parametrize(
    ("data", "said"),
    [("eicu", {}), ("mimic3", {"task": "report-2019"}), ("mimic3", {"demographics": True})],
)
def test_the_stored_boosting_gives_the_predictions(
    data: str, said: dict[str, Any], asked: Ask, opened: Load, trained: Train
) -> None:
    settings = asked("boosting", data, **said)
    folder, loaded = trained(settings), opened(settings)
    _, arrays = stored.read(folder.path / FILE)
    boosting = reference.loaded(arrays["skops"].tobytes())
    table = table_of(loaded, arrays)
    expected = boosting.predict_proba(table).astype(np.float32)
    np.testing.assert_array_equal(of_subjects(folder, loaded), expected)
    in_training = (dense(loaded)[loaded.part == 0] > 0).sum(0)
    assert (in_training[arrays["features:counts:codes"]] >= LEAST_EXAMPLES).all()
    assert boosting.n_iter_ > 1
    assert folder.metrics["parameters"] == 22 * boosting.n_iter_


def boosted(loaded: Examples) -> dict[str, NDArray[Any]]:
    given = loaded.inputs(("features:counts",), standardise=False)
    rows = (loaded.rows("train"), loaded.rows("tuning"))
    examples = reference.Examples(given.features, loaded.labels, *rows, 2)
    return dict(reference.REFERENCE_MODELS["boosting"].fit(examples, 0))


def test_boosting_stops_by_the_tuning_part_and_is_the_same_bytes_again(
    asked: Ask, opened: Load
) -> None:
    """With the held_out labels turned round, nothing of the model changes."""
    settings = asked("boosting", "eicu")
    first = boosted(opened(settings))
    turned = opened(settings)
    flipped = np.array(turned.arrays.label)
    flipped[turned.part == 2] ^= True
    object.__setattr__(turned.arrays, "label", flipped)
    assert boosted(turned)["skops"].tobytes() == first["skops"].tobytes()


def test_a_teacher_predicts_patients_that_it_was_not_fitted_on() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 1, 0])
    groups = np.array([*"aabccdefghij"])
    fits = []

    def fit_(of: reference.Examples, _: int) -> Arrays:
        assert not {*groups[of.train]} & {*groups[of.tuning]}
        assert {*labels[of.train].tolist()} == {0, 1}
        fits.append(of.tuning)
        return {"rows": of.train}

    def predict(arrays: Any, table: Any) -> NDArray[Any]:
        assert not {*table[:, 0].astype(int).tolist()} & {*arrays["rows"].tolist()}
        return np.full((len(table), 2), 0.5)

    entry = reference.ReferenceModel("Stub", ("codes",), fit_, predict, lambda _: 0)
    table, rows = np.arange(12, dtype=np.float32)[:, None], np.arange(11)
    of = reference.Examples(table, labels, rows, rows[:0], 2)
    found = reference.cross_fitted(entry, of, groups, 0)
    assert found is not None
    assert found.tolist() == [[0.5, 0.5]] * 11 + [[0, 0]]
    assert np.sort(np.concatenate(fits)).tolist() == rows.tolist()
    rare = reference.Examples(table, np.eye(12, dtype=np.int64)[0], rows, rows[:0], 2)
    assert reference.cross_fitted(entry, rare, groups, 0) is None


@pytest.mark.parametrize(("late", "classes"), [(1, 5), (4, None)])
def test_a_teacher_of_times_needs_events_before_the_last_horizon(
    late: int, classes: int | None
) -> None:
    """Nobody need stay without an event."""
    time, event = np.full(12, 5.0), np.repeat([1, 2], [7, 5])
    time[-late:] = 99.0
    times = reference.Times(time, event, Intervals((7, 14), 2))
    table, rows = np.arange(12, dtype=np.float32)[:, None], np.arange(12)
    of = reference.Examples(table, event, rows, rows[:0], 5, times=times)
    entry = reference.REFERENCE_MODELS["prevalence"]
    found = reference.cross_fitted(entry, of, rows.astype(str), 0)
    assert (None if found is None else found.shape[1]) == classes


def test_only_the_types_that_boosting_needs_are_read() -> None:
    with pytest.raises(RunError, match=r"train it again") as caught:
        reference.loaded(skops.io.dumps(Path))
    assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="is a LogisticRegression, expected"):
        reference.loaded(skops.io.dumps(LogisticRegression()))
    with pytest.raises(RunError, match="cannot be read"):
        reference.loaded(b"no zip")


BOOSTING = """
import sys
from sklearn.ensemble import HistGradientBoostingClassifier
from sequela.models import reference
model = HistGradientBoostingClassifier(max_iter=1).fit([[0], [1]] * 30, [0, 1] * 30)
reference.loaded(reference.dumped(model))
print([name for name in sys.modules if name.endswith("torch")])
"""


@pytest.mark.slow
def test_boosting_is_stored_and_read_without_torch() -> None:
    assert subprocess.check_output([sys.executable, "-c", BOOSTING]) == b"[]\n"
