"""What is particular to visits: the vocabulary, tables of numbers, forms of X, files."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
import torch
from tests.api.conftest import quick_visits as quick
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela import SignalClassifier, VisitClassifier
from sequela.api.visit_lists import Binning
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


def test_a_multi_hot_table_is_one_visit_of_the_columns_names() -> None:
    codes = ["E11", "I50", "J06", "Z00"]
    lists = [[sorted({code for visit in visits for code in visit})] for visits in X]
    hot = pd.DataFrame([[float(c in x[0]) for c in codes] for x in lists], columns=codes)
    fitted = quick().fit(hot, Y)
    assert fitted.binning_ == Binning(tuple(codes), (None,) * 4)
    expected = quick().fit(lists, Y)
    assert fitted.vocabulary_ == expected.vocabulary_
    np.testing.assert_array_equal(fitted.predict_proba(hot), expected.predict_proba(lists))


def test_numbers_are_cut_at_training_quantiles() -> None:
    rng = np.random.default_rng(0)
    ages = rng.uniform(0, 100, size=(200, 1))
    ages[::20] = np.nan
    died = ages[:, 0] > 70
    fitted = quick(bins=4, tuning_fraction=None).fit(ages, died)
    assert set(fitted.vocabulary_) == {"UNKNOWN", "x0//Q1", "x0//Q2", "x0//Q3", "x0//Q4"}
    present = np.sort(ages[~np.isnan(ages)])
    expected = [present[int(np.ceil(len(present) * k / 4)) - 1] for k in (1, 2, 3)]
    assert fitted.binning_ == Binning(("x0",), (tuple(expected),))
    risk = fitted.predict_proba([[-1e9], [10.0], [1e9], [99.0]])[:, 1]
    assert risk[0] == risk[1]
    assert risk[2] == risk[3]
    assert risk[0] < 0.5 < risk[2]


@pytest.mark.parametrize("kind", ["lists", "table", "module"])
def test_a_saved_classifier_answers_the_same(tmp_path: Path, kind: str) -> None:
    examples: Any = np.random.default_rng(0).normal(size=(40, 3)) if kind == "table" else X
    model: Any = Summed if kind == "module" else "visits-baseline"
    fitted = quick(model=model).fit(examples, Y)
    fitted.save(tmp_path / "v.safetensors")
    given = {"model": Summed} if kind == "module" else {}
    loaded = VisitClassifier.load(tmp_path / "v.safetensors", **given)
    np.testing.assert_array_equal(loaded.predict_proba(examples), fitted.predict_proba(examples))
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


def test_forms_are_not_mixed_and_nesting_is_checked() -> None:
    lists, table = quick(epochs=1).fit(X, Y), quick(epochs=1).fit(np.eye(40, 2), Y)
    assert not hasattr(lists, "n_features_in_")
    with pytest.raises(DataError, match="fitted on lists of visits"):
        lists.predict(np.zeros((1, 2)))
    with pytest.raises(DataError, match="fitted on a table"):
        table.predict(X)
    assert not hasattr(table.fit(X, Y), "n_features_in_")
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
        ({"bins": 1}, "bins = 1"),
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
