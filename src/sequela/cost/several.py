"""The account of several models that are used together."""

from collections.abc import Mapping
from dataclasses import replace

from sequela.cost.formula import Number
from sequela.cost.ledger import Account, Amount, LayerCost, Noted


def account_of_several(
    name: str, counted: Mapping[str, Account], uncounted: Mapping[str, int]
) -> Account:
    """Join the layers of all models into one account, one after the other.

    Args:
        name: Name of the joint account.
        counted: The account of each network by its name, one or more; all by one convention.
        uncounted: Parameters of each other model by its name. Their operations are not known, so
            that the account is a lower bound.
    """
    layers: list[LayerCost] = []
    free: list[Noted] = []
    unknown = [Noted(each, "", 1) for each in uncounted]
    for model, account in counted.items():
        layers += [_renamed(layer, model) for layer in account.layers]
        free += [replace(each, place=f"{model} {each.place}".strip()) for each in account.free]
        unknown += [replace(n, place=f"{model} {n.place}".strip()) for n in account.unknown]
    layers += [_uncounted(model, size) for model, size in uncounted.items()]
    accounts = list(counted.values())
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


def _renamed(layer: LayerCost, model: str) -> LayerCost:
    shared = tuple(replace(each, owner=f"{model}: {each.owner}") for each in layer.shared)
    return replace(layer, name=f"{model}: {layer.name}", shared=shared)


def _uncounted(model: str, parameters: int) -> LayerCost:
    nothing = Amount(0, 0)
    return LayerCost(
        name=model,
        kind="not counted",
        parameters=parameters,
        parameter_formula=Number(parameters),
        calls=(),
        useful=nothing,
        executed=nothing,
        embedding_sum=(),
        shared=(),
    )
