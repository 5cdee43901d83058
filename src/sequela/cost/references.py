"""Count a baseline model from the arrays that it learnt."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from sequela.cost.features import with_features
from sequela.cost.layers.dense import dense, embedding
from sequela.cost.layers.rows import elementwise, reduction
from sequela.cost.layers.work import Layer
from sequela.cost.ledger import Account, LayerCost
from sequela.cost.rules import conventions
from sequela.cost.rules.primitives import Primitive
from sequela.cost.sizes import SIZES, VISITS, positive
from sequela.errors import SettingError
from sequela.models import reference
from sequela.models.inputs import kind_of
from sequela.models.reference import REFERENCE_MODELS, Arrays
from sequela.models.signal import SignalConfig
from sequela.sequences.featurisers import FEATURES, SCORES
from sequela.sequences.minirocket import NUMBERS

STANDARDISE = Primitive("standardise", 3, "(x - mean) / deviation, or 0: subtract, divide, compare")
FORK = Primitive("comparisons", 2, "longest path of each tree, at most: is x known, is x above")
TWO_CLASSES = Primitive("sigmoid", 5, "p = 1 / (1 + e^-x), and 1 - p: sigmoid 4, subtract")
HAZARD = Primitive("hazard", 1, "a hazard times the probability of no event before: multiply")
PROPORTIONAL = Primitive(
    "hazard", 5, "rate times baseline; its share; times the probability; two additions"
)
SURVIVAL = Primitive("survival", 5, "two exponentials, two subtractions, multiply")
Layers = dict[str, Layer]


def account_of_reference(name: str, arrays: Arrays, given: Any) -> Account | None:
    """Return what one example costs a baseline model; ``None`` of a plugin's, without a rule.

    ``given`` are the inputs of a run: their names ``reads``, their sizes ``shape`` by name, and the
    ``steps`` of one example, 1 for a segment.
    """
    layers = LAYERS.get(REFERENCE_MODELS[name].predict)
    if layers is None:
        return None
    if "intervals" not in arrays:
        return _account(name, layers(arrays), given, "exact")
    size, causes = arrays["intervals"].tolist()
    after = {"hazards to probabilities": elementwise(HAZARD, size * (1 + causes))}
    return _account(name, layers(arrays), given, "exact", times=size, after=after)


def account_of_unfitted(
    name: str, settings: Mapping[str, Any], steps: int | None, convention: str
) -> Account:
    """Return what one example costs a baseline model that is not fitted.

    ``settings`` are sizes that differ from the defaults; with ``n_codes``, the model reads hospital
    records. ``steps`` are samples of a segment, or visits of a patient.
    """
    entry = REFERENCE_MODELS[name]
    layers = LAYERS.get(entry.predict, _boosting)
    if layers in (_boosting, _cox):
        raise SettingError(
            f"the operations of {name} depend on what it learns: name the folder of a run of it"
        )
    reads = (entry.reads_of("records") if "n_codes" in settings else None) or entry.reads[:1]
    signal = kind_of(reads[0]) == "signal"
    asked = {**settings, "n_times": steps} if signal and steps is not None else settings
    sizes = {**SIZES, **(vars(SignalConfig()) if signal else {}), **asked}
    if unknown := sizes.keys() - SIZES.keys():
        raise SettingError(f"{name} has no setting {min(unknown)}: choose {', '.join(SIZES)}")
    sizes = {each: positive(each, size) for each, size in sizes.items()}
    c, t, k = sizes["n_chans"], sizes["n_times"], sizes["n_outputs"]
    columns = {"samples": c * t, "spectrum": c * (t // 2 + 6), "minirocket": NUMBERS}
    columns |= {"presence": sizes["n_codes"], **dict.fromkeys(SCORES, 2)}
    n = positive("columns", columns.get(reads[0].removeprefix(FEATURES), sizes["n_features"]))
    weight = np.broadcast_to(0.0, (k if k > 2 else 1, n))  # noqa: PLR2004
    visits = 1 if signal else positive("steps", VISITS if steps is None else steps)
    given = SimpleNamespace(reads=reads, shape=sizes, steps=visits)
    return _account(name, layers({"share": np.zeros(k), "weight": weight}), given, convention)


def _account(
    name: str,
    layers: Layers,
    given: Any,
    convention: str,
    times: int = 1,
    after: Layers | None = None,
) -> Account:
    """Return the account of layers that are called ``times``, and of those called once after."""
    rules = conventions.convention(convention)
    rows = tuple(
        LayerCost.once(each, layer.kind, rules(layer).work, rules(layer).parameters, often)
        for some, often in ((layers, times), (after or {}, 1))
        for each, layer in some.items()
    )
    words = {"signal": "one segment", "records": f"one example of {given.steps} steps"}
    inputs = words[kind_of(given.reads[0])]
    trainable = sum(row.parameters for row in rows)
    alone = Account(name, convention, inputs, rows, trainable, (), (), None)
    return with_features(alone, given.reads, given.shape, (given.steps,))


def _shares(arrays: Arrays) -> Layers:
    return {"shares": embedding(1, arrays["share"].size, "shares of the classes")}


def _linear(arrays: Arrays) -> Layers:
    m, n = arrays["weight"].shape
    return {"linear": dense(1, n, m, bias=True), "probabilities": _answer(m)}


def _standardised(arrays: Arrays) -> Layers:
    return {"scale": elementwise(STANDARDISE, arrays["weight"].shape[1]), **_linear(arrays)}


def _cox(arrays: Arrays) -> Layers:
    causes, n = arrays["weight"].shape
    times = arrays["hazard"].shape[1]
    return {
        "scale": elementwise(STANDARDISE, n),
        "linear": dense(1, n, causes, bias=False),
        "rates": elementwise("exp", causes),
        "baseline hazards": embedding(causes, times, "baseline hazards"),
        "hazards": elementwise(PROPORTIONAL, causes * times),
        "survival": elementwise(SURVIVAL, times),
    }


def _boosting(arrays: Arrays) -> Layers:
    """Longest paths are an upper bound: most leaves are nearer."""
    model = reference.loaded(arrays["skops"].tobytes())
    depths = [tree.get_max_depth() for step in model._predictors for tree in step]  # noqa: SLF001
    return {
        "trees": embedding(len(depths), reference.NUMBERS_OF_A_TREE, "boosted trees"),
        "forks": elementwise(FORK, sum(depths)),
        "leaves": elementwise("add", len(depths)),
        "probabilities": _answer(model.n_trees_per_iteration_),
    }


def _answer(scores: int) -> Layer:
    """Probabilities of two classes from one score, or of more from one each."""
    return elementwise(TWO_CLASSES, 1) if scores == 1 else reduction("softmax", 1, scores)


LAYERS: dict[Callable[..., Any], Callable[[Arrays], Layers]] = {
    reference._predict_shares: _shares,  # noqa: SLF001 - their counts
    reference._predict_linear: _linear,  # noqa: SLF001
    reference._predict_standardised: _standardised,  # noqa: SLF001
    reference._predict_boosting: _boosting,  # noqa: SLF001
    reference._predict_cox: _cox,  # noqa: SLF001
}
"""The layers of a baseline model, by how it predicts."""
