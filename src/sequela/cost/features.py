"""The features that a network reads, as the first layer of its account."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sequela.cost.layers.work import samples, single
from sequela.cost.ledger import Account, LayerCost
from sequela.cost.rules.formula import Symbol, parse
from sequela.cost.rules.primitives import NONE, Cost
from sequela.sequences.featurisers import FEATURES, lookup


def with_features(
    account: Account, reads: tuple[str, ...], shape: Mapping[str, int], lengths: Sequence[int]
) -> Account:
    """Add the cost of the features in ``reads`` to an account, for examples of ``lengths``."""
    read = next((each for each in reads if each.startswith(FEATURES)), None)
    if read is None:
        return account
    featuriser = lookup(read.removeprefix(FEATURES))
    found = featuriser.operations(shape)
    symbols = {name: Symbol(name, *of) for name, of in found.symbols.items()}
    steps = Symbol("v", sum(lengths), "steps of all samples")
    each = parse(found.formula, symbols) * samples(len(lengths))
    counted = each + parse(found.per_step, symbols) * steps
    # The network does not learn the featuriser's constants.
    cost = Cost(NONE if account.convention == "macs" else counted)
    layer = LayerCost.once(read, featuriser.title, single(featuriser.title, cost))
    return replace(account, layers=(layer, *account.layers))
