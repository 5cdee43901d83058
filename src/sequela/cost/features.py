"""The features that a network reads, as the first layer of its account."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sequela.cost.formula import Symbol, parse
from sequela.cost.layers.work import samples, single
from sequela.cost.ledger import Account, LayerCost
from sequela.cost.primitives import NONE, Cost
from sequela.sequences.featurisers import FEATURES, lookup


def with_features(
    account: Account, reads: tuple[str, ...], shape: Mapping[str, int], lengths: Sequence[int]
) -> Account:
    """Add the cost of the features to the account of a network that reads them.

    Args:
        account: Account of the network alone.
        reads: The network's inputs.
        shape: The sizes of its data.
        lengths: Steps of each example that was counted.
    """
    read = next((each for each in reads if each.startswith(FEATURES)), None)
    if read is None:
        return account
    featuriser = lookup(read.removeprefix(FEATURES))
    found = featuriser.operations(shape)
    symbols = {name: Symbol(name, *of) for name, of in found.symbols.items()}
    steps = Symbol("v", sum(lengths), "steps of all samples")
    each = parse(found.formula, symbols) * samples(len(lengths))
    counted = each + parse(found.per_step, symbols) * steps
    by_weight = (
        account.convention == "macs"
    )  # the network does not learn the featuriser's constants
    cost = Cost(NONE if by_weight else counted)
    layer = LayerCost.once(read, featuriser.title, single(featuriser.title, cost))
    return replace(account, layers=(layer, *account.layers))
