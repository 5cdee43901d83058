"""Networks as torch modules from padded arrays, not scaled, to probabilities (example, class).

The preprocessing of a run is part of the module, so an exporter can trace the whole.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.evaluation.recalibration import LogitScaling
from sequela.models.reference import Arrays
from sequela.models.stored import Header
from sequela.sequences.featurisers import CLIP, FEATURES
from sequela.sequences.scaling import Scaling, knots


class PaddedMean(nn.Module):
    """A mean of padded networks: geometric with a ``least`` probability, else arithmetic.

    That of an update is scaled, see :mod:`sequela.evaluation.recalibration`.
    """

    def __init__(
        self, members: Iterable[nn.Module], least: float | None, scaling: LogitScaling | None
    ) -> None:
        super().__init__()
        self.members, self.least, self.scaling = nn.ModuleList(members), least, scaling

    def forward(self, *tensors: Tensor) -> Tensor:
        """Compute probabilities (example, class)."""
        mean = self._mean(torch.stack([member(*tensors) for member in self.members]))
        scaled: Tensor = self.scaling.scaled(mean) if self.scaling else mean
        return scaled

    def _mean(self, probabilities: Tensor) -> Tensor:
        if self.least is None:
            return probabilities.mean(0)
        # As ``averaged`` in ``runs.model``: mean logs, scaled to sum to 1.
        return probabilities.clamp(min=self.least).log().mean(0).softmax(1)


class Padded(nn.Module):
    """A network with the preprocessing of its run, and inputs in the order of ``names``."""

    def __init__(
        self,
        network: nn.Module,
        header: Header,
        state: Arrays,
        names: Sequence[str],
        *,
        takes_lengths: bool,
    ) -> None:
        super().__init__()
        owner = next(made for made in type(network).__mro__ if "forward" in vars(made))
        if "lengths" in names and "signal" not in names and "padded" not in vars(owner):
            raise ModelError(
                f"{header['model']} cannot be exported: {owner.__name__} has no method 'padded', "
                "which reads padded records (docs/predict.md)"
            )
        self.network, self.header, self.state, self.names = network, header, state, names
        self.takes_lengths = takes_lengths

    def forward(self, *tensors: Tensor) -> Tensor:
        """Compute probabilities (example, class)."""
        inputs = dict(zip(self.names, tensors, strict=True))
        arguments = [
            _scaled(self.header, self.state, read, inputs) for read in self.header["reads"]
        ]
        if self.takes_lengths:
            arguments.append(inputs["lengths"])
        logits: Tensor = getattr(self.network, "padded", self.network)(*arguments)
        return logits.softmax(1)


def _scaled(header: Header, state: Arrays, read: str, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return an input as a network reads it, scaled; visits are (visit, batch, ...)."""
    raw = inputs[read]
    if read == "signal":
        scaling = Scaling.from_json(header["scaling"])
        std = [deviation or 1.0 for deviation in scaling.std]  # a flat channel stays at 0
        return (raw - torch.tensor(scaling.mean)[:, None]) / torch.tensor(std)[:, None]
    if read == "codes":
        return raw
    if read == "static" or read.startswith(FEATURES):
        prefix = "static:" if read == "static" else f"{read}:column "
        scaled = _standardised(raw, state, prefix).clamp(-CLIP, CLIP)
        return torch.where(raw.isnan(), 0.0, scaled)  # the training mean
    # Steps come first, as in a packed sequence; what is padding is known from the lengths.
    steps = raw.transpose(0, 1)  # (visit, batch, ...)
    real = torch.arange(steps.shape[0])[:, None] < inputs["lengths"]  # (visit, batch)
    if read == "gaps":
        return torch.where(real, steps, 0.0)
    old = "values:quantiles" not in state  # before version 0.3
    scaled = _standardised(steps, state, "values:") if old else _normal_scores(steps, state)
    return torch.where(real[..., None], scaled, torch.nan)


def _normal_scores(steps: Tensor, state: Arrays) -> Tensor:
    """Return normal scores of values (visit, batch, channel), on lines between quantiles."""
    # Each piece of a line between two quantiles adds its rise, up to where the value is.
    columns = []
    for channel, (ends, scores) in enumerate(knots(state["values:quantiles"])):
        low, high, rise = map(torch.from_numpy, (ends[:-1], ends[1:], np.diff(scores)))  # (line,)
        share = (steps[..., channel, None] - low).clamp(min=0) / (high - low)  # (..., line)
        columns.append(float(np.nan_to_num(scores[0])) + (share.clamp(max=1) * rise).sum(-1))
    return torch.where(steps.isnan(), torch.nan, torch.stack(columns, -1))


def _standardised(numbers: Tensor, state: Arrays, prefix: str) -> Tensor:
    mean, deviation = (torch.from_numpy(state[f"{prefix}{name}"]) for name in ("mean", "deviation"))
    return (numbers - mean) / deviation
