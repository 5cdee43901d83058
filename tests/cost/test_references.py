"""Baseline models, computed number by number with numbers that count their operations."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.cost.tally import Number, Plain, Vector, dense, sigmoid, total

from sequela.cost import record
from sequela.cost.derivation import derive
from sequela.cost.ledger import Account
from sequela.cost.references import account_of_reference, account_of_unfitted, averaging
from sequela.errors import SettingError
from sequela.models.reference import NUMBERS_OF_A_TREE, REFERENCE_MODELS, Examples, loaded
from sequela.runs.model import Pooling, averaged
from sequela.sequences import minirocket
from sequela.sequences.featurisers import SCORES, lookup

COLUMNS = 4


def examples(classes: int, n: int = 160) -> Examples:
    """Examples whose classes differ, some of their numbers not known."""
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, n)
    table = (random.normal(size=(n, COLUMNS)) + labels[:, None]).astype(np.float32)
    table[random.random(table.shape) < 0.1] = np.nan
    return Examples(table, labels, np.arange(n // 2), np.arange(n // 2, n), classes)


def fitted(name: str, classes: int) -> tuple[Any, Examples, Account]:
    """A model, its examples, and its account on recordings of no features."""
    some, entry = examples(classes), REFERENCE_MODELS[name]
    if name == "logistic-regression":
        table = np.asarray(some.features)
        table[np.isnan(table)] = 0
    arrays = entry.fit(some, 0)
    given: Any = SimpleNamespace(reads=("signal",), shape={}, steps=1)
    account = account_of_reference(name, arrays, given)
    assert account is not None
    assert record.from_json(record.to_json(account)) == account
    assert all(derive(layer) for layer in account.layers)
    assert account.parameters == entry.parameters(arrays)
    return arrays, some, account


def probabilities(scores: Vector) -> Vector:
    """Of one score for two classes, or of one score for each class."""
    if len(scores) == 1:
        (p,) = map(sigmoid, scores)
        return [1 - p, p]
    powers = [score.exp() for score in scores]
    whole = total(powers)
    return [power / whole for power in powers]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logistic-regression", "spectral-logistic-regression"])
def test_a_linear_model(name: str, classes: int) -> None:
    arrays, some, account = fitted(name, classes)
    plain, row = Plain(), np.asarray(some.features)[:1]
    x = [plain.number(value) for value in row[0]]
    if "mean" in arrays:
        pairs = zip(x, arrays["mean"].tolist(), arrays["deviation"].tolist(), strict=True)
        scaled = [(value - plain.number(mean)) / by for value, mean, by in pairs]
        x = [each.larger(each) if each.value == each.value else each._new(0) for each in scaled]
    weight = [[plain.number(w, weight=True) for w in of] for of in arrays["weight"]]
    found = probabilities(dense(weight, x, [plain.number(b) for b in arrays["bias"]]))
    expected = REFERENCE_MODELS[name].predict(arrays, row)[0]
    assert [each.value for each in found] == pytest.approx(expected.tolist(), abs=1e-5)
    assert account.operations == plain.tally.operations
    assert account.macs == plain.tally.macs == arrays["weight"].size


def paths(nodes: Any, place: int = 0) -> Iterator[int]:
    """The forks above each leaf of a tree."""
    node = nodes[place]
    if node["is_leaf"]:
        yield 0
    else:
        for side in ("left", "right"):
            yield from (1 + forks for forks in paths(nodes, int(node[side])))


def walked(nodes: Any, row: NDArray[np.float32], plain: Plain) -> Number:
    """The leaf of an example, each comparison on the way counted."""
    node = nodes[0]
    while not node["is_leaf"]:
        value = plain.number(row[node["feature_idx"]])
        value.larger(value)  # is it known?
        if np.isnan(value.value):
            left = bool(node["missing_go_to_left"])
        else:
            left = value.larger(float(node["num_threshold"])).value <= node["num_threshold"]
        node = nodes[int(node["left" if left else "right"])]
    return plain.number(node["value"])


@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_is_at_most_what_its_trees_compare(classes: int) -> None:
    arrays, some, account = fitted("spectral-boosting", classes)
    model = loaded(arrays["skops"].tobytes())
    trees = [[tree.nodes for tree in step] for step in model._predictors]
    expected = REFERENCE_MODELS["spectral-boosting"].predict(arrays, some.features)
    counts = []
    assert isinstance(some.features, np.ndarray)
    for row, probability in zip(some.features, expected, strict=True):
        plain = Plain()
        scores = [plain.number(first) for first in model._baseline_prediction.reshape(-1)]
        for step in trees:
            scores = [s + walked(nodes, row, plain) for s, nodes in zip(scores, step, strict=True)]
        found = [each.value for each in probabilities(scores)]
        assert found == pytest.approx(probability.tolist(), abs=1e-6)
        counts.append(plain.tally.operations)
    all_trees = [nodes for step in trees for nodes in step]
    longest = sum(max(paths(nodes)) for nodes in all_trees)
    last = 5 if classes == 2 else 3 * classes - 1
    assert account.operations == 2 * longest + len(all_trees) + last
    assert max(counts) <= account.operations < 2 * max(counts)
    assert account.parameters == NUMBERS_OF_A_TREE * len(all_trees)
    assert account.macs == 0


def test_the_shares_of_the_classes_cost_nothing() -> None:
    _, _, account = fitted("majority-class", 3)
    assert (account.operations, account.macs, account.parameters) == (0, 0, 3)
    assert not account.lower_bound


@pytest.mark.parametrize("name", SCORES)
def test_a_score(name: str) -> None:
    """Is it known; if it is a chance: two comparisons, and log(p / (1 - p))."""
    account = account_of_unfitted(name, {}, None, "exact")
    score, scale, linear, last = (layer.operations for layer in account.layers)
    assert score == (6 if SCORES[name].chance else 1)
    assert (scale, linear, last) == (2 * 3, 2 * 2, 5)


def test_counts_read_measurements_only_where_they_are_columns() -> None:
    count = lookup("counts").operations
    assert (count({"n_channels": 7, "n_bins": 0}).formula, count({}).per_step) == ("0", "0")
    with_values = count({"n_channels": 7, "n_bins": 5})
    assert (with_values.formula, with_values.per_step) == ("6·c", "12·c")


def test_minirocket_is_counted_as_its_paper_computes_it() -> None:
    account = account_of_unfitted("minirocket", {"n_times": 20}, None, "exact")
    t, features = 20, minirocket.NUMBERS
    done = t + 2 * t  # -x and 3·x
    for _ in minirocket.dilations(t):
        done += 8 * t  # eight shifted sums
        for _ in range(minirocket.KERNELS):
            done += 3 * t  # three of the nine are tripled
    done += features * (t + (t - 1) + 1)  # above the threshold, their sum, its mean
    linear = features * 3 + 5 * 2 * features + 14
    assert account.operations == done + linear


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_the_mean_of_an_ensemble(mean: Pooling) -> None:
    said = np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]], np.float32)
    plain = Plain()
    networks = [[plain.number(np.log(p)) for p in said[0]]]
    rows = [*map(probabilities, networks), [plain.number(p) for p in said[1]]]
    if mean == "geometric":
        rows = [[p.larger(1e-7)._new(np.log(p.value)) for p in row] for row in rows]
    means = [total(column) / 2.0 for column in zip(*rows, strict=True)]
    if mean == "geometric":
        means = [each.exp() for each in means]
    whole = total(means)
    found = [each / whole for each in means]
    expected = averaged([said[:1], said[1:]], mean)[0]
    assert [each.value for each in found] == pytest.approx(expected.tolist(), abs=1e-6)
    work = averaging(2, 1, 3, geometric=mean == "geometric")
    assert work.operations.value == plain.tally.operations
    assert work.macs.value == 0


@pytest.mark.parametrize("sizes", [(1, 178), (3, 65)])
def test_columns_without_data_are_those_of_the_features(sizes: tuple[int, int]) -> None:
    chans, times = sizes
    source = SimpleNamespace(signal=np.zeros((1, chans, times), np.float32), sfreq=100.0)
    for name in ("logistic-regression", "spectral-logistic-regression", "minirocket"):
        account = account_of_unfitted(name, {"n_chans": chans}, times, "exact")
        read = account.layers[0].name.removeprefix("features:")
        columns = len(lookup(read).columns(source, {}))
        assert account.parameters == (columns + 1) * 5
    records = account_of_unfitted("logistic-regression", {"n_codes": 30}, 4, "exact")
    assert (records.parameters, records.operations) == (31, 2 * 30 + 5)


def test_what_is_not_known_before_training_is_refused() -> None:
    for name in ("boosting", "cox"):
        with pytest.raises(SettingError, match=f"of {name} depend on what it learns: name"):
            account_of_unfitted(name, {}, None, "exact")
    with pytest.raises(SettingError, match="has no setting width: choose n_chans"):
        account_of_unfitted("minirocket", {"width": 3}, None, "exact")
    with pytest.raises(SettingError, match="n_times must be a whole number of at least 1"):
        account_of_unfitted("minirocket", {}, 0, "exact")
