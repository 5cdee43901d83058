"""Accounts put together from others: features before a network, models that are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sequela.cost.formula import Number, Symbol, parse
from sequela.cost.ledger import Account, LayerCost, Noted
from sequela.cost.work import NONE, Cost, Part, Work, samples, softmax
from sequela.cost.work import mean as mean_of
from sequela.sequences.featurisers import FEATURES, lookup


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
    per_sample = parse(counted.formula, symbols) * samples(len(lengths))
    operations = per_sample + parse(counted.per_step, symbols) * steps
    # The network does not learn the featuriser's constants.
    cost = Cost(NONE if account.convention == "macs" else operations)
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
