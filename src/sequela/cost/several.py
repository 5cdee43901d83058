"""The account of several models that are used together."""

from collections.abc import Mapping
from dataclasses import replace

from sequela.cost.layers.work import Part, Work
from sequela.cost.ledger import Account, LayerCost, Noted
from sequela.cost.rules.formula import Number, Symbol
from sequela.cost.rules.primitives import Cost, softmax
from sequela.cost.rules.primitives import mean as mean_of


def account_of_several(
    name: str, counted: Mapping[str, Account], uncounted: Mapping[str, int], mean: Work
) -> Account:
    """Join the layers of all models into one account, one after the other, and their mean.

    The operations of ``uncounted`` models (parameters by name) are unknown, so that the account is
    a lower bound. ``mean`` is the work of averaging them, by :func:`averaging`.
    """
    layers: list[LayerCost] = []
    free: list[Noted] = []
    unknown = [Noted(each, "", 1) for each in uncounted]
    for model, account in counted.items():
        for layer in account.layers:
            shared = tuple(replace(each, owner=f"{model}: {each.owner}") for each in layer.shared)
            layers.append(replace(layer, name=f"{model}: {layer.name}", shared=shared))
        free += [replace(each, place=f"{model} {each.place}".strip()) for each in account.free]
        unknown += [replace(n, place=f"{model} {n.place}".strip()) for n in account.unknown]
    for model, size in uncounted.items():
        alone = LayerCost.once(model, "not counted", Work(()), Number(size))
        layers.append(replace(alone, work=()))
    accounts = list(counted.values())
    layers.append(LayerCost.once("mean", "mean of probabilities", mean))
    return Account(
        model=name,
        convention=accounts[0].convention,
        inputs="; ".join(dict.fromkeys(each.inputs for each in accounts)),
        layers=tuple(layers),
        trainable=sum(each.trainable for each in accounts) + sum(uncounted.values()),
        free=tuple(free),
        unknown=tuple(unknown),
        report=None,
    )


def averaging(models: int, networks: int, classes: int, *, geometric: bool) -> Work:
    """Return the work of averaging probabilities; the logits of networks need a softmax first."""
    k, m = Symbol("k", classes, "classes"), Symbol("m", models, "models")
    logits = softmax(k).times(Symbol("s", networks, "networks"))
    parts = [Part("softmax of each network", logits)] * bool(networks)
    if geometric:
        parts.append(Part("logarithms of 1e-7 or more: compare, logarithm", Cost(2 * m * k)))
        parts.append(Part("exponentials of the means", Cost(k)))
    parts.append(Part("mean of each class", mean_of(m).times(k)))
    return Work((*parts, Part("divided by their sum", Cost(2 * k - 1))))
