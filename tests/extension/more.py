"""What a user adds to the file of the page Adding your own; the package holds nothing of it."""

from dataclasses import replace
from typing import Any

import altair as alt
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sequela import register
from sequela.config import TrainingSettings
from sequela.datasets.catalog import DATA_SETS
from sequela.evaluation.metrics import METRICS
from sequela.figures.figure import Figure
from sequela.figures.registry import RunFigure
from sequela.studies.claims import Claim
from sequela.studies.registry import STUDIES

METRICS["belief"] = replace(METRICS["belief"], hub="belief")
DATA_SETS["ward"] = replace(DATA_SETS["ward"], title="Our ward's tables", licence="ours alone")
DATA_SETS["sleep-lab"] = replace(
    DATA_SETS["sleep-lab"],
    title="Nights of our sleep laboratory",
    licence="ours alone",
    size="36 recordings of 15 s",
)


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


def _spread(run: Any) -> Figure:
    """How many held-out examples got which largest probability."""
    sure = run.predictions.part("held_out").probabilities.max(1)
    counts, edges = np.histogram(sure, bins=5, range=(0, 1))
    rows = [{"sure": float(e), "n": int(n)} for n, e in zip(counts, edges[:-1], strict=True)]
    bars = alt.Chart({"values": rows}).mark_bar().encode(x="sure:O", y="n:Q")
    return Figure(alt.LayerChart(layer=[bars]), "How sure the model is of its answers.", rows)


register.figure(RunFigure("spread", "How sure it is", _spread, note="Bars: held-out examples."))

STUDIES["nights"] = replace(
    STUDIES["nights"],
    training={"band-net": TrainingSettings(epochs=3, learning_rate=0.05)},
    families=(("Our models", "nearest-centre", "band-net"),),
    claims=(
        Claim(
            id="believes",
            claim="It believes.",
            where="2",
            models=("band-net",),
            metric="belief",
            estimand="belief in the true class",
            population="nights",
            relation="above",
            value=0.1,
        ),
    ),
    report="the paper on nights",
    caveats=("The cap was loose.",),
    few=0,
    very_few=0,
)
