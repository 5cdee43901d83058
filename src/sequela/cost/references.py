"""Accounts of baseline models, by the arrays that they learnt, of features, and of ensembles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from sequela.cost.formula import Number, Symbol, parse
from sequela.cost.layers.elementwise import elementwise, reduction
from sequela.cost.layers.products import dense, embedding
from sequela.cost.ledger import Account, LayerCost, Noted
from sequela.cost.work import (
    Cost,
    Layer,
    Part,
    Primitive,
    Work,
    convention_of,
    samples,
    softmax,
)
from sequela.cost.work import mean as mean_of
from sequela.datasets.catalog import Modality
from sequela.errors import SettingError
from sequela.models import reference
from sequela.models.inputs import SIZES, VISITS, kind_of, positive
from sequela.models.reference import REFERENCE_MODELS, Arrays
from sequela.models.signal import SignalConfig
from sequela.sequences.featurisers import FEATURES, SCORES, lookup
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


class ExampleInputs(NamedTuple):
    """The inputs of one example: their names, their sizes by name, and its steps.

    A segment has one step.
    """

    reads: tuple[str, ...]
    shape: Mapping[str, int]
    steps: int


def account_of_reference(
    name: str, arrays: Arrays, inputs: ExampleInputs, convention: str = "exact"
) -> Account | None:
    """Return what one example costs a baseline model; ``None`` of a plugin's, without a rule."""
    layers_of = LAYERS.get(REFERENCE_MODELS[name].predict)
    if layers_of is None:
        return None
    # Of times to an event, one model is called for each interval, then their hazards are joined.
    times, after = 1, Layers()
    if "intervals" in arrays:
        times, causes = arrays["intervals"].tolist()
        after = {"hazards to probabilities": elementwise(HAZARD, times * (1 + causes))}
    rules = convention_of(convention)
    rows = []
    for layers, calls in ((layers_of(arrays), times), (after, 1)):
        for path, layer in layers.items():
            counted = rules(layer)
            rows.append(LayerCost.once(path, layer.kind, counted.work, counted.parameters, calls))
    words = {Modality.EEG: "one segment", Modality.RECORDS: f"one example of {inputs.steps} steps"}
    example = words[kind_of(inputs.reads[0])]
    trainable = sum(row.parameters for row in rows)
    account = Account(name, convention, example, tuple(rows), trainable, (), (), None)
    return with_features(account, inputs.reads, inputs.shape, (inputs.steps,))


def account_of_unfitted(
    name: str, settings: Mapping[str, int], steps: int | None, convention: str
) -> Account:
    """Return what one example costs a baseline model that is not fitted.

    ``settings`` are sizes that differ from the defaults; with ``n_codes``, the model reads hospital
    records. ``steps`` are samples of a segment, or visits of a patient.
    """
    entry = REFERENCE_MODELS[name]
    needs_a_run = SettingError(
        f"the operations of {name} depend on what it learns: name the folder of a run of it"
    )
    if LAYERS.get(entry.predict) in (_boosting, _cox):
        raise needs_a_run
    reads = (entry.reads_of(Modality.RECORDS) if "n_codes" in settings else None) or entry.reads[:1]
    signal = kind_of(reads[0]) is Modality.EEG
    sizes = dict(SIZES)
    if signal:
        sizes |= vars(SignalConfig())
    sizes |= settings
    if signal and steps is not None:
        sizes["n_times"] = steps
    if unknown := sizes.keys() - SIZES.keys():
        raise SettingError(f"{name} has no setting {min(unknown)}: choose {', '.join(SIZES)}")
    sizes = {size: positive(size, value) for size, value in sizes.items()}
    c, t, k = sizes["n_chans"], sizes["n_times"], sizes["n_outputs"]
    columns = {"samples": c * t, "spectrum": c * (t // 2 + 6), "minirocket": NUMBERS}
    columns |= {"presence": sizes["n_codes"], **dict.fromkeys(SCORES, 2)}
    n = positive("columns", columns.get(reads[0].removeprefix(FEATURES), sizes["n_features"]))
    # One row of weights ranks two classes; an array of one zero needs no memory for its shape.
    weight = np.broadcast_to(0.0, (k if k > 2 else 1, n))  # noqa: PLR2004
    visits = 1 if signal else positive("steps", VISITS if steps is None else steps)
    arrays: Arrays = {"share": np.zeros(k), "weight": weight}
    account = account_of_reference(name, arrays, ExampleInputs(reads, sizes, visits), convention)
    if account is None:
        raise needs_a_run
    return account


def _shares(arrays: Arrays) -> Layers:
    return {"shares": embedding(1, arrays["share"].size, "shares of the classes")}


def _linear(arrays: Arrays) -> Layers:
    m, n = arrays["weight"].shape
    return {"linear": dense(1, n, m, bias=True), "probabilities": _probabilities(m)}


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
    model = reference.loaded(arrays["skops"].tobytes())
    # The real path depends on the example; the longest one can be compared.
    trees = chain.from_iterable(model._predictors)  # noqa: SLF001
    depths = [tree.get_max_depth() for tree in trees]
    return {
        "trees": embedding(len(depths), reference.NUMBERS_OF_A_TREE, "boosted trees"),
        "forks": elementwise(FORK, sum(depths)),
        "leaves": elementwise("add", len(depths)),
        "probabilities": _probabilities(model.n_trees_per_iteration_),
    }


def _probabilities(scores: int) -> Layer:
    return elementwise(TWO_CLASSES, 1) if scores == 1 else reduction("softmax", 1, scores)


LAYERS: dict[Callable[..., object], Callable[[Arrays], Layers]] = {
    reference._predict_shares: _shares,  # noqa: SLF001 - their counts
    reference._predict_linear: _linear,  # noqa: SLF001
    reference._predict_standardised: _standardised,  # noqa: SLF001
    reference._predict_boosting: _boosting,  # noqa: SLF001
    reference._predict_cox: _cox,  # noqa: SLF001
}
"""The layers of a baseline model, by how it predicts."""


def with_features(
    account: Account, reads: tuple[str, ...], shape: Mapping[str, int], lengths: Sequence[int]
) -> Account:
    """Add the cost of the features in ``reads`` to an account, for examples of ``lengths``."""
    features = next((name for name in reads if name.startswith(FEATURES)), None)
    if features is None:
        return account
    featuriser = lookup(features.removeprefix(FEATURES))
    counted = featuriser.operations(shape)
    symbols = {name: Symbol(name, *meaning) for name, meaning in counted.symbols.items()}
    steps = Symbol("v", sum(lengths), "steps of all samples")
    # A featuriser states its cost as a formula in words, so that a plugin's can be derived too.
    per_sample = parse(counted.formula, symbols) * samples(len(lengths))
    operations = per_sample + parse(counted.per_step, symbols) * steps
    # The network does not learn the featuriser's constants.
    cost = Cost(operations)
    layer = LayerCost.once(features, featuriser.title, Work.single(featuriser.title, cost))
    return replace(account, layers=(layer, *account.layers))


def account_of_several(
    name: str, counted: Mapping[str, Account], uncounted: Mapping[str, int], mean: Work
) -> Account:
    """Join the layers of all models into one account, one after the other, and their mean.

    The operations of ``uncounted`` models (parameters by name) are unknown, so that the account is
    a lower bound. ``mean`` is the work of averaging them, by :func:`averaging`.
    """
    layers: list[LayerCost] = []
    free: list[Noted] = []
    unknown = [Noted(model, "", 1) for model in uncounted]
    for model, account in counted.items():
        for layer in account.layers:
            shared = tuple(replace(s, owner=f"{model}: {s.owner}") for s in layer.shared)
            layers.append(replace(layer, name=f"{model}: {layer.name}", shared=shared))
        free += [replace(n, place=f"{model} {n.place}".strip()) for n in account.free]
        unknown += [replace(n, place=f"{model} {n.place}".strip()) for n in account.unknown]
    for model, size in uncounted.items():
        parameters_only = LayerCost.once(model, "not counted", Work(()), Number(size))
        # No work is known, which differs from work of 0 operations.
        layers.append(replace(parameters_only, work=()))
    accounts = list(counted.values())
    layers.append(LayerCost.once("mean", "mean of probabilities", mean))
    return Account(
        model=name,
        convention=accounts[0].convention,
        inputs="; ".join(dict.fromkeys(account.inputs for account in accounts)),
        layers=tuple(layers),
        trainable=sum(account.trainable for account in accounts) + sum(uncounted.values()),
        free=tuple(free),
        unknown=tuple(unknown),
        report=None,
    )


def averaging(models: int, networks: int, classes: int, *, geometric: bool) -> Work:
    """Return the work of averaging probabilities; the logits of networks need a softmax first."""
    k, m = Symbol("k", classes, "classes"), Symbol("m", models, "models")
    parts = []
    if networks:
        logits = softmax(k).times(Symbol("s", networks, "networks"))
        parts.append(Part("softmax of each network", logits))
    if geometric:
        parts.append(Part("logarithms of 1e-7 or more: compare, logarithm", Cost(2 * m * k)))
        parts.append(Part("exponentials of the means", Cost(k)))
    parts.append(Part("mean of each class", mean_of(m).times(k)))
    return Work((*parts, Part("divided by their sum", Cost(2 * k - 1))))
