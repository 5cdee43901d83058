"""The inputs of an exported model from sequences of events, without the engine of tables."""

import numpy as np
from numpy.typing import NDArray

from sequela.formats.arrays import Array
from sequela.sequences.feature_tables import last_values, static_table
from sequela.sequences.featurisers import FEATURES, lookup
from sequela.sequences.flat import Sequences, examples_of, spans
from sequela.serving.model_facts import unpacked
from sequela.serving.served_model import ServedModel

_DAY = np.timedelta64(1, "D")


def inputs_of(
    model: ServedModel, sequences: Sequences, rows: NDArray[np.int64]
) -> dict[str, Array]:
    """Return the inputs of ``ServedModel.probabilities`` for some examples."""
    source = examples_of(sequences, rows)
    lengths = source.lengths
    inputs: dict[str, Array] = {}
    for name in model.inputs:
        if name == "lengths":
            inputs[name] = lengths
        elif name == "codes":
            counts = np.diff(source.code_offsets)
            of_visit = _padded(source.codes.astype(np.int64), counts, -1)  # (visit, place)
            inputs[name] = _padded(of_visit, lengths, -1)
        elif name == "values":
            values, mask = last_values(source, np.arange(len(source.step_time)))  # (visit, channel)
            inputs[name] = _padded(np.where(mask, values, np.nan), lengths, np.nan)
        elif name == "gaps":
            days = np.diff(source.step_time, prepend=source.step_time[:1]) / _DAY
            # The difference there is to the last step of another patient.
            days[source.step_offsets[:-1]] = 0  # the first of each example
            inputs[name] = _padded(days.astype(np.float32), lengths, 0)
        elif name == "static":
            inputs[name] = static_table(source)
        else:
            state = unpacked(model.facts.features[name])
            table = lookup(name.removeprefix(FEATURES)).apply(source, state)
            inputs[name] = table if isinstance(table, np.ndarray) else table.toarray()
    return inputs


def _padded(flat: Array, counts: NDArray[np.int64], empty: float) -> Array:
    """Pad concatenated rows to (row, place, ...)."""
    shape = (len(counts), int(counts.max(initial=1)), *flat.shape[1:])
    padded = np.full(shape, empty, flat.dtype)
    padded[np.repeat(np.arange(len(counts)), counts), spans(np.zeros_like(counts), counts)] = flat
    return padded
