"""What is particular to visits: the vocabulary, forms of X, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.api.conftest import quick_visits as quick
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela import SignalClassifier, VisitClassifier
from sequela.errors import DataError, RunError, SeenExamplesWarning, SettingError
from sequela.models.visits import MultiHotLinear

pytestmark = pytest.mark.filterwarnings("ignore::sequela.errors.MissingGroupsWarning")

X = [[["I50", "E11"], ["I50"]], [["J06"]], [["I50"]], [["J06"], ["Z00", "J06"]]] * 10
Y = ["died", "lived", "died", "lived"] * 10


class Summed(nn.Module):
    """The last state of an RNN over summed codes; what anyone may write."""

    def __init__(self, n_codes: int, n_outputs: int) -> None:
        super().__init__()
        self.embed = MultiHotLinear(n_codes, 8)
        self.rnn = nn.RNN(8, n_outputs)

    def forward(self, codes: Tensor, offsets: Tensor, batch_sizes: Tensor) -> Tensor:
        _, state = self.rnn(PackedSequence(self.embed(codes, offsets), batch_sizes))
        logits: Tensor = state[-1]
        return logits


def test_the_vocabulary_is_of_the_training_examples_alone() -> None:
    """Each patient has a code of their own: those of the tuning part must stay unknown."""
    own = [[[f"own {i}"], *visits] for i, visits in enumerate(X)]
    fitted = quick(epochs=1, tuning_fraction=0.25).fit(own, Y)
    known = [code for code in fitted.vocabulary_ if code.startswith("own")]
    assert len(known) == 30
    assert fitted.vocabulary_[0] == "UNKNOWN"
    assert list(fitted.vocabulary_[1:]) == sorted(fitted.vocabulary_[1:])
    assert isinstance(fitted.module_.fc1, MultiHotLinear)
    assert fitted.module_.fc1.n_codes == len(fitted.vocabulary_)


def test_rare_codes_are_unknown_by_group() -> None:
    rare = [[*visits, ["rare"]] if i < 8 else visits for i, visits in enumerate(X)]
    one_subject = [0] * 8 + list(range(1, 33))
    everything = {"epochs": 1, "tuning_fraction": None}
    assert "rare" in quick(**everything, min_subjects=8).fit(rare, Y).vocabulary_
    by_group = quick(**everything, min_subjects=2).fit(rare, Y, groups=one_subject)
    assert "rare" not in by_group.vocabulary_
    assert "I50" in by_group.vocabulary_
    with pytest.raises(DataError, match="lower min_subjects"):
        quick(min_subjects=99).fit(X, Y)


def test_unknown_codes_share_one_place_and_order_within_a_visit_says_nothing() -> None:
    fitted = quick().fit(X, Y)
    proba = fitted.predict_proba(
        [
            [["I50", "E11"], ["new"]],
            [["E11", "I50", "E11"], ["newer", "newest"]],
            [["I50", "E11"], []],
            [["I50", "E11"], ["UNKNOWN"]],
        ]
    )
    np.testing.assert_array_equal(proba[0], proba[1])
    np.testing.assert_array_equal(proba[0], proba[3])
    assert not np.array_equal(proba[0], proba[2])


def test_longer_and_shorter_sequences_come_back_in_their_order() -> None:
    fitted = quick().fit(X, Y)
    together = fitted.predict_proba(X[:4])
    np.testing.assert_allclose(together, [fitted.predict_proba([x])[0] for x in X[:4]], rtol=1e-12)
    assert fitted.predict(X[:4]).tolist() == Y[:4]


def test_the_order_of_visits_is_read() -> None:
    later = [[["A"], ["B"]], [["B"], ["A"]]] * 30
    fitted = quick(epochs=60).fit(later, [0, 1] * 30)
    assert fitted.score(later, [0, 1] * 30) == 1.0


@pytest.mark.parametrize("kind", ["lists", "module"])
def test_a_saved_classifier_answers_the_same(tmp_path: Path, kind: str) -> None:
    model: Any = Summed if kind == "module" else "visits-baseline"
    fitted = quick(model=model).fit(X, Y)
    fitted.save(tmp_path / "v.safetensors")
    given = {"model": Summed} if kind == "module" else {}
    loaded = VisitClassifier.load(tmp_path / "v.safetensors", **given)
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    assert loaded.get_params() == fitted.get_params()
    assert loaded.vocabulary_ == fitted.vocabulary_
    assert loaded.history_ == fitted.history_
    with pytest.raises(RunError, match="holds a VisitClassifier, expected a SignalClassifier"):
        SignalClassifier.load(tmp_path / "v.safetensors", **given)


def test_no_dense_vector_of_codes_is_formed() -> None:
    seen: list[tuple[Tensor, ...]] = []
    fitted = quick().fit(X, Y)
    with torch.no_grad():
        fitted.module_.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
        fitted.predict_proba(X)
    codes, offsets, batch_sizes = seen[0]
    assert len(codes) == sum(len(visit) for visits in X for visit in visits)
    assert len(offsets) == 1 + int(batch_sizes.sum()) == 1 + sum(len(visits) for visits in X)


def test_nesting_is_checked() -> None:
    lists = quick(epochs=1).fit(X, Y)
    with pytest.raises(DataError, match="for a table of numbers use a classifier of scikit-learn"):
        lists.predict(np.zeros((1, 2)))
    wrong: list[tuple[list[Any], str]] = [
        ([["I50"], ["J06"]], r"example 0 is \['I50'\]: expected a list of one visit"),
        ([[["I50"]], []], r"example 1 is \[\]"),
        ([[["I50"]], None], "example 1 is None"),
        ([[["I50"], None]], "example 0"),
        ([[["I50", 1.5]]], "a code is 1.5"),
    ]
    for examples, words in wrong:
        with pytest.raises(DataError, match=words):
            lists.predict(examples)


def test_settings_that_cannot_be_used_are_named() -> None:
    for changes, words in (
        ({"min_subjects": 0}, "min_subjects = 0"),
        ({"model": "gru-baseline"}, "reads signal"),
    ):
        with pytest.raises(SettingError, match=words):
            quick(**changes).fit(X, Y)


def test_a_score_on_patients_it_was_trained_on_is_too_good(tmp_path: Path) -> None:
    def patients(seed: int) -> list[list[list[str]]]:
        rng = np.random.default_rng(seed)
        return [
            [[f"C{code}" for code in rng.choice(400, size=8, replace=False)] for _ in range(2)]
            for _ in range(60)
        ]

    examples, y = patients(0), [0, 1] * 30
    fitted = quick(epochs=1).fit(examples, y)
    fitted.save(tmp_path / "model.safetensors")
    loaded = VisitClassifier.load(tmp_path / "model.safetensors")
    fewer = [[visits[0][1:], visits[1][1:]] for visits in examples]
    assert loaded.seen(fewer).mean() > 0.9
    assert not loaded.seen(patients(1)).any()
    with pytest.warns(SeenExamplesWarning, match="60 of 60 examples"):
        loaded.score(examples, y)
