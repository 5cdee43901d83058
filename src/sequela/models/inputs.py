"""The inputs of models, the data that hold them, and their sizes."""

from itertools import chain
from typing import Any

from sequela.datasets.catalog import Modality
from sequela.errors import SettingError, unknown_name
from sequela.formats.opened import json_value
from sequela.sequences import featurisers
from sequela.sequences.featurisers import FEATURES, FEATURISERS

INPUTS: dict[str, tuple[Modality, tuple[str, ...]]] = {
    "signal": (Modality.EEG, ("n_chans", "n_times")),
    "codes": (Modality.RECORDS, ("n_codes",)),
    "values": (Modality.RECORDS, ("n_channels",)),
    "gaps": (Modality.RECORDS, ()),
    "static": (Modality.RECORDS, ("n_static",)),
}
"""The inputs that a model may read besides ``features:NAME``, with the data that hold them and the
sizes that a model is built with."""
DEFAULT_READS = {Modality.EEG: ("signal",), Modality.RECORDS: ("codes",)}
"""The inputs of a class that declares none."""
VISITS = 20  # visits of a patient, for counting without data
MOST_NUMBERS = 50_000_000
"""The limit for the numbers of an input whose values count, such as the codes of all visits."""
SIZES = {
    "n_chans": 1,
    "n_times": 178,
    "n_codes": 911,
    "n_channels": 10,
    "n_static": 3,
    "n_features": 100,
    "n_outputs": 2,
}
"""Sizes for models whose config does not set them, for counting without data."""


def check_reads(name: str, reads: tuple[str, ...]) -> Modality:
    """Return the kind of data that holds all inputs of a model."""
    for read in reads:
        if read.startswith(FEATURES):
            featurisers.lookup(read.removeprefix(FEATURES))
        elif read not in INPUTS:
            raise unknown_name("input", read, [*INPUTS, *(f"{FEATURES}{f}" for f in FEATURISERS)])
    heads = [read.partition(":")[0] for read in reads]  # ``features`` of ``features:NAME``
    if not heads or len(heads) != len(set(heads)):
        raise SettingError(
            f"{name} reads {', '.join(reads) or 'nothing'}: expected one input or more, each "
            "once, and at most one table of features"
        )
    kinds = {kind_of(read): read for read in reads}
    if len(kinds) > 1:
        raise SettingError(
            f"{name} reads {' and '.join(kinds.values())}, which are of different kinds of data: "
            "choose inputs of signals or of records"
        )
    return next(iter(kinds))


def kind_of(read: str) -> Modality:
    """Return the kind of data that holds an input."""
    if read.startswith(FEATURES):
        return Modality(FEATURISERS[read.removeprefix(FEATURES)].of)
    return INPUTS[read][0]


def sizes_of(reads: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the sizes that a model of these inputs is built with.

    Example:
        >>> sizes_of(("codes", "static"))
        ('n_codes', 'n_static', 'n_outputs')
    """
    sizes = [("n_features",) if r.startswith(FEATURES) else INPUTS[r][1] for r in reads]
    return (*chain.from_iterable(sizes), "n_outputs")


def positive(name: str, number: int) -> int:
    """Return the number; raise a SettingError if it is below one, or not a whole number."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:  # True is an int
        raise SettingError(f"{name} must be a whole number of at least 1, not {number!r}")
    return at_most(name, number)


def at_most(name: str, number: int) -> int:
    """Return the number; raise a SettingError if it is above ``MOST_NUMBERS``."""
    if number > MOST_NUMBERS:
        raise SettingError(f"{name} must be at most {MOST_NUMBERS:,}, not {number:,}")
    return number


def parse_settings(text: str) -> dict[str, Any]:
    """Parse settings by name from JSON; a list becomes a tuple, as in frozen configs."""
    try:
        values = json_value(text)
    except ValueError as error:
        raise SettingError(f"--kwargs is not JSON ({error}): write '{{\"hidden\": 64}}'") from error
    if not isinstance(values, dict):
        raise SettingError(f'--kwargs must be a JSON object like {{"hidden": 64}}, not {text}')
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
