"""An example to try: a recording of the Bonn excerpt, or made-up data in the form of a model."""

import json
from dataclasses import dataclass

import numpy as np

from sequela.datasets.catalog import EXCERPTS
from sequela.serving.about import Records, Signal
from sequela.serving.served import ServedModel
from sequela.web.bodies import CSV, JSON

_BONN, _RATE = "S001", 173.61
_SECONDS = 24
_DISCHARGES = 3.0
"""Spikes and waves in a second of a typical absence seizure."""
_DAYS = ("2020-01-01", "2020-01-01T12:00")


@dataclass(frozen=True)
class Example:
    """A body that the model reads.

    Attributes:
        name: Name of the file.
        about: Its source, in a sentence.
        kind: Its media type.
        body: Its content.
    """

    name: str
    about: str
    kind: str
    body: bytes


def example_of(model: ServedModel) -> Example | None:
    """Return an example for a model; ``None`` if no code of its training is frequent enough."""
    facts = model.facts
    return _recording(model.signal) if facts.kind == "signal" else _patient(model.records)


def _recording(signal: Signal) -> Example:
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
    seconds, draw = np.arange(count) / signal.sfreq, np.random.default_rng(0)
    seizure = (seconds > _SECONDS / 3) & (seconds < 2 * _SECONDS / 3)
    wave = 150 * np.sin(2 * np.pi * _DISCHARGES * seconds) * seizure  # (sample,), in µV
    noise = np.cumsum(draw.normal(size=(count, signal.n_chans)), 0)
    noise = 20 * (noise - noise.mean(0)) / noise.std(0)
    names = signal.channels or [f"channel {place + 1}" for place in range(signal.n_chans)]
    rows = [",".join(names)] * bool(signal.channels)
    rows += [",".join(f"{value:.1f}" for value in row) for row in noise + wave[:, None]]
    about = (
        f"A made-up recording of {count / signal.sfreq:.0f} s: slow noise, and in the middle third "
        f"a wave of {_DISCHARGES:g} Hz. It is not EEG."
    )
    return Example("made-up.csv", about, CSV, "\n".join(rows).encode())


def _patient(records: Records) -> Example | None:
    """Make a patient of codes that many training patients have, with typical measurements."""
    visits: list[dict[str, object]] = []
    ends = dict(zip(records.channels, records.edges or (), strict=False))
    frequent = [*records.training.codes]
    for time, some in zip(_DAYS, (frequent[::2], frequent[1::2]), strict=True):
        measured = {each.rpartition("//")[0] for each in some} & ends.keys()
        values = {name: ends[name][len(ends[name]) // 2] for name in measured if ends[name]}
        codes = [each for each in some if each.rpartition("//")[0] not in ends]
        visits.append({"time": time, "codes": codes, "values": dict(sorted(values.items()))})
    visits = [each for each in visits if each["codes"] or each["values"]]
    if not visits:
        return None
    about = "A made-up patient, with codes and measurements that are frequent in the training data."
    body = json.dumps({"id": "made-up", "visits": visits}, indent=1).encode()
    return Example("made-up.json", about, JSON, body)
