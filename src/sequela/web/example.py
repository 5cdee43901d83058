"""An example to try: a recording of the Bonn excerpt, or made-up data in the form of a model."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sequela.datasets.catalog import EXCERPTS, Modality
from sequela.serving.model_facts import RecordsFacts, SignalFacts
from sequela.serving.served_model import ServedModel
from sequela.web.bodies import kinds_of
from sequela.web.schemas import CSV, JSON

_BONN, _RATE = "S001", 173.61
_SECONDS = 24
_DAYS = ("2020-01-01", "2020-01-01T12:00")


class Example(NamedTuple):
    """A body that the model reads: name of the file, its source in words, media type, content."""

    name: str
    about: str
    kind: str
    body: bytes


def example_of(model: ServedModel) -> Example | None:
    """Return an example for a model; ``None`` without one: it filters, or its codes are rare."""
    if CSV not in kinds_of(model):
        return None
    return _MADE[model.facts.kind](model.facts.takes)


def _recording(signal: SignalFacts) -> Example:
    if signal.n_chans == 1 and abs(signal.sfreq - _RATE) < 1:
        import pyarrow.parquet as pq

        wanted = [("recording_id", "==", _BONN)]
        (samples,) = pq.read_table(EXCERPTS / "bonn.parquet", filters=wanted)["signal"].to_pylist()
        about = (
            f"Recording {_BONN} of the Bonn EEG data, 23.6 s of a seizure (Andrzejak et al. 2001, "
            "doi:10.1103/PhysRevE.64.061907; CC BY 4.0). The model may have been trained on it."
        )
        return Example(f"{_BONN}.csv", about, CSV, "\n".join(map(str, samples)).encode())
    count = max(signal.n_times, round(_SECONDS * signal.sfreq))
    walk = np.random.default_rng(0).normal(size=(count, signal.n_chans)).cumsum(0)
    noise = 20 * (walk - walk.mean(0)) / walk.std(0)  # (sample, channel), in µV
    rows = [",".join(signal.channels)] * bool(signal.channels)
    rows += [",".join(f"{value:.1f}" for value in row) for row in noise]
    about = f"A made-up recording of {count / signal.sfreq:.0f} s: slow noise, and not EEG."
    return Example("made-up.csv", about, CSV, "\n".join(rows).encode())


def _patient(records: RecordsFacts) -> Example | None:
    """Make a patient of codes that many training patients have, with typical measurements."""
    visits: list[dict[str, object]] = []
    ends = dict(zip(records.channels, records.edges or (), strict=False))
    frequent = [*records.training.codes]
    for time, some in zip(_DAYS, (frequent[::2], frequent[1::2]), strict=True):
        measured = sorted({each.rpartition("//")[0] for each in some} & ends.keys())
        values = {name: ends[name][len(ends[name]) // 2] for name in measured if ends[name]}
        codes = [each for each in some if each.rpartition("//")[0] not in ends]
        visits += [{"time": time, "codes": codes, "values": values}] * bool(codes or values)
    about = "A made-up patient, with codes and measurements that are frequent in the training data."
    body = json.dumps({"id": "made-up", "visits": visits}, indent=1).encode()
    return Example("made-up.json", about, JSON, body) if visits else None


_MADE: dict[str, Callable[[Any], Example | None]] = {
    Modality.EEG: _recording,
    Modality.RECORDS: _patient,
}
