"""What a user adds, in one file: nothing of it stands in the package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import altair as alt
import narwhals as nw
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela import register
from sequela.cohort.outcomes import Outcome
from sequela.cohort.tasks import Task
from sequela.config import TrainingSettings
from sequela.datasets import codes
from sequela.datasets.catalog import DataSet
from sequela.datasets.recordings import Recording, Signals
from sequela.evaluation import statistic
from sequela.evaluation.metrics import Metric
from sequela.evaluation.predictions import Predictions
from sequela.figures.chart.figure import Figure
from sequela.figures.registry import RunFigure
from sequela.models.reference import Examples, ReferenceModel
from sequela.sequences.featurisers import Column, Featuriser, Operations, Table
from sequela.studies.claims import Claim
from sequela.studies.study import Study
from sequela.tables.declarations import Fact, Frames, Kind, Source
from sequela.tables.declarations import Table as Tables

# Recordings: two channels at 100 Hz, one file each, named by its class.
SIGNALS = Signals(("calm", "spindles", "arousal"), n_chans=2, sfreq=100.0, n_times=150)


def read(root: Path) -> list[Recording]:
    """All recordings of a folder: ``CLASS-NUMBER.npy``, (2, n_times) in µV."""
    return [
        Recording(
            recording_id=file.stem,
            subject_id=None,
            signal=np.load(file).astype(np.float32),
            sfreq=SIGNALS.sfreq,
            label=SIGNALS.classes.index(file.stem.partition("-")[0]),
        )
        for file in sorted(root.glob("*.npy"))
    ]


register.data_set(
    "sleep-lab",
    DataSet(
        title="Nights of our sleep laboratory",
        kind="eeg",
        licence="ours alone",
        size="36 recordings of 15 s",
        units=("recording", "row"),
        reads=read,
        signals=SIGNALS,
    ),
)


# Hospital tables: stays, haemoglobin and blood given.
WHO = {"stay": Kind.INTEGER, "person": Kind.INTEGER}


def stays(frame: nw.LazyFrame[Any], _: Frames) -> nw.LazyFrame[Any]:
    """Stays by the names that events have."""
    return frame.with_columns(subject_id=nw.col("person"), visit_id=nw.col("stay"))


register.data_set(
    "ward",
    DataSet(
        title="Our ward's tables",
        kind="ehr",
        licence="ours alone",
        source=Source(
            name="ward",
            tables=(
                Tables(
                    "stays",
                    WHO | {"came": Kind.TIME, "went": Kind.TIME},
                    (
                        Fact("admission", codes.ADMISSION, "came", "then", "the desk writes it"),
                        Fact("discharge", codes.DISCHARGE, "went", "then", "the desk writes it"),
                    ),
                    key=("stay",),
                    required=True,
                    prepare=stays,
                ),
                Tables(
                    "labs",
                    WHO | {"at": Kind.TIME, "test": Kind.TEXT, "value": Kind.NUMBER},
                    (Fact("result", "LAB//{test}", "at", "then", "as reported", value="value"),),
                    prepare=stays,
                ),
                Tables(
                    "blood",
                    WHO | {"at": Kind.TIME, "group": Kind.TEXT},
                    (Fact("transfusion", "BLOOD//{group}", "at", "then", "the bag is scanned"),),
                    prepare=stays,
                ),
            ),
        ),
    ),
)

register.task(
    Task(
        name="blood-later",
        trigger="admission",
        hours=24,
        outcome=Outcome(
            label="a transfusion later in the stay",
            one="transfusion",
            many="transfusions",
            classes=("not transfused", "transfused"),
            events=("BLOOD",),
            of="stays",
            known_words="after blood was given",
            leave_out="who has been given blood",
        ),
        exclude=("no-trigger-time", "no-discharge", "shorter-than-window"),
        inputs=("LAB", codes.ADMISSION),
    )
)


# A featuriser, a network and a reference model that read it, and a network that reads records.
def _peaks(source: Any, _: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """(segment, n_chans): log of the largest sample of each channel."""
    return np.asarray(np.log(np.abs(source.signal).max(axis=2) + 1), np.float32)


register.featuriser(
    Featuriser(
        name="peaks",
        title="Peaks of the channels",
        of="signal",
        columns=lambda source, _: tuple(
            Column(f"peak of channel {c}", "log µV") for c in range(source.signal.shape[1])
        ),
        fit=lambda *_: {},
        apply=_peaks,
        operations=lambda shape: Operations("2·t", {"t": (shape["n_times"], "samples")}),
    )
)


class PeakNet(nn.Module):
    """A layer on the peaks."""

    def __init__(self, *, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.out = nn.Linear(n_features, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (segment, n_outputs) of (segment, n_features)."""
        logits: Tensor = self.out(features)
        return logits


register.model("peak-net", PeakNet, reads=("features:peaks",), title="Net on peaks")


class DripNet(nn.Module):
    """A GRU over what was measured, and how long ago."""

    def __init__(self, *, n_channels: int, n_outputs: int) -> None:
        super().__init__()
        self.gru = nn.GRU(2 * n_channels + 1, 8)
        self.out = nn.Linear(8, n_outputs)

    def forward(self, values: Tensor, mask: Tensor, gaps: Tensor, batch_sizes: Tensor) -> Tensor:
        """Logits (patient, n_outputs) after the last step."""
        steps = torch.cat([values * mask, mask, torch.log1p(gaps)[:, None]], 1)
        _, state = self.gru(PackedSequence(steps, batch_sizes))
        logits: Tensor = self.out(state[-1])
        return logits


register.model("drip-net", DripNet, reads=("values", "gaps"), title="Net on the drip")


def _dense(features: Table) -> NDArray[np.float32]:
    assert isinstance(features, np.ndarray)
    return np.nan_to_num(features)


def _centres(examples: Examples, _: int) -> dict[str, NDArray[np.float32]]:
    table = _dense(examples.features)[examples.train]
    labels = examples.labels[examples.train]
    return {"centre": np.stack([table[labels == k].mean(0) for k in range(examples.n_classes)])}


def _nearest(arrays: Mapping[str, NDArray[Any]], features: Table) -> NDArray[np.float64]:
    gaps = _dense(features)[:, None].astype(np.float64) - arrays["centre"]
    near = np.exp(-np.abs(gaps).mean(2))
    return np.asarray(near / near.sum(1, keepdims=True))


register.reference_model(
    "nearest-centre",
    ReferenceModel(
        "Nearest centre",
        ("features:peaks", "features:counts"),
        _centres,
        _nearest,
        lambda arrays: arrays["centre"].size,
    ),
)


# A number and a picture of each run, and a study.
def _belief(predictions: Predictions) -> NDArray[np.float64]:
    rows = np.arange(predictions.n_examples)
    return predictions.probabilities[rows, predictions.label].astype(np.float64)


register.metric(
    Metric(
        name="belief",
        title="belief in the truth",
        says="mean probability of the true class",
        value=lambda predictions: float(_belief(predictions).mean()),
        statistic=lambda p: statistic.mean(_belief(p), p.group_index),
        reported=True,
    )
)


def _spread(run: Any) -> Figure:
    """How many held-out examples got which largest probability."""
    sure = run.predictions.part("held_out").probabilities.max(1)
    counts, edges = np.histogram(sure, bins=5, range=(0, 1))
    rows = [{"sure": float(e), "n": int(n)} for n, e in zip(counts, edges[:-1], strict=True)]
    bars = alt.Chart({"values": rows}).mark_bar().encode(x="sure:O", y="n:Q")
    return Figure(alt.LayerChart(layer=[bars]), "How sure the model is of its answers.", rows)


register.figure(RunFigure("spread", "How sure it is", _spread, note="Bars: held-out examples."))

register.study(
    Study(
        name="nights",
        title="Nights",
        heading="What happens in a night",
        data=("sleep-lab",),
        splits=("recording",),
        training={"peak-net": TrainingSettings(epochs=3, learning_rate=0.05)},
        reference_models=("nearest-centre",),
        claims=(
            Claim(
                id="believes",
                claim="It believes.",
                where="2",
                models=("peak-net",),
                metric="belief",
                estimand="belief in the true class",
                population="nights",
                relation="above",
                value=0.1,
            ),
        ),
        report="the paper on nights",
        few=0,
        very_few=0,
    )
)
