"""The inputs of models, and the data that hold them."""

from sequela.datasets.catalog import DataKind
from sequela.errors import SettingError, unknown_name
from sequela.sequences import featurisers
from sequela.sequences.featurisers import FEATURES, FEATURISERS

INPUTS: dict[str, tuple[DataKind, tuple[str, ...]]] = {
    "signal": ("signal", ("n_chans", "n_times")),
    "codes": ("records", ("n_codes",)),
    "values": ("records", ("n_channels",)),
    "gaps": ("records", ()),
    "static": ("records", ("n_static",)),
}
"""The inputs that a model may read besides ``features:NAME``, with the data that hold them and the
sizes that a model is built with."""
DEFAULT_READS: dict[DataKind, tuple[str, ...]] = {"signal": ("signal",), "records": ("codes",)}
"""The inputs of a class that declares none."""
HOLDS: dict[DataKind, str] = {"signal": "recordings", "records": "hospital records"}
"""The kinds of data in words."""


def check_reads(name: str, reads: tuple[str, ...]) -> DataKind:
    """Return the kind of data that holds all inputs of a model."""
    for each in reads:
        if each.startswith(FEATURES):
            featurisers.lookup(each.removeprefix(FEATURES))
        elif each not in INPUTS:
            raise unknown_name("input", each, [*INPUTS, *(f"{FEATURES}{f}" for f in FEATURISERS)])
    heads = [each.partition(":")[0] for each in reads]
    if not heads or len(heads) != len(set(heads)):
        raise SettingError(
            f"{name} reads {', '.join(reads) or 'nothing'}: expected one input or more, each "
            "once, and at most one table of features"
        )
    kinds = {kind_of(each): each for each in reads}
    if len(kinds) > 1:
        raise SettingError(
            f"{name} reads {' and '.join(kinds.values())}, which are of different kinds of data: "
            "choose inputs of signals or of records"
        )
    return next(iter(kinds))


def kind_of(read: str) -> DataKind:
    """Return the kind of data that holds an input."""
    if read.startswith(FEATURES):
        return FEATURISERS[read.removeprefix(FEATURES)].of
    return INPUTS[read][0]


def sizes_of(reads: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the sizes that a model of these inputs is built with.

    Example:
        >>> sizes_of(("codes", "static"))
        ('n_codes', 'n_static', 'n_outputs')
    """
    of = [("n_features",) if r.startswith(FEATURES) else INPUTS[r][1] for r in reads]
    return (*(name for names in of for name in names), "n_outputs")
