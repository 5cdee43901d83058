"""Networks as torch modules from padded arrays, not scaled, to probabilities (example, class).

The preprocessing of a run is part of the module, so an exporter can trace the whole.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sequela.errors import ModelError
from sequela.models.reference import Arrays
from sequela.runs.model import LEAST, MeanModel, NetworkModel, TrainedModel
from sequela.sequences.featurisers import CLIP, FEATURES
from sequela.sequences.scaling import Scaling, knots


class Padded(nn.Module):
    """A network, or a mean of networks, with inputs in the order of ``names``."""

    def __init__(self, model: TrainedModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names
        if isinstance(model, MeanModel):
            self.members = nn.ModuleList(Padded(member, names) for member in model.members)
            return
        assert isinstance(model, NetworkModel)  # noqa: S101 - others are not exported
        self.network = model.module()
        owner = next(c for c in type(self.network).__mro__ if "forward" in vars(c))
        if "lengths" in names and "signal" not in names and "padded" not in vars(owner):
            raise ModelError(
                f"{model.name} cannot be exported: {owner.__name__} has no method 'padded', which "
                "reads padded records (docs/serving.md)"
            )

    def forward(self, *tensors: Tensor) -> Tensor:
        """Compute probabilities (example, class)."""
        model = self.model
        if isinstance(model, MeanModel):
            probabilities = torch.stack([member(*tensors) for member in self.members])
            if model.pooling == "arithmetic":
                return probabilities.mean(0)
            return probabilities.clamp(min=LEAST).log().mean(0).softmax(1)
        assert isinstance(model, NetworkModel)  # noqa: S101
        inputs = dict(zip(self.names, tensors, strict=True))
        arguments = [_scaled(model, read, inputs) for read in model.reads]
        if model.takes_lengths:
            arguments.append(inputs["lengths"])
        logits: Tensor = getattr(self.network, "padded", self.network)(*arguments)
        return logits.softmax(1)


def _scaled(model: NetworkModel, read: str, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return an input as a network reads it, scaled; visits are (visit, batch, ...)."""
    raw, state = inputs[read], model.state
    if read == "signal":
        scaling = Scaling.from_json(model.header["scaling"])
        std = [deviation or 1.0 for deviation in scaling.std]
        return (raw - torch.tensor(scaling.mean)[:, None]) / torch.tensor(std)[:, None]
    if read == "codes":
        return raw
    if read == "static" or read.startswith(FEATURES):
        prefix = "static:" if read == "static" else f"{read}:column "
        scaled = _standardised(raw, state, prefix).clamp(-CLIP, CLIP)
        return torch.where(raw.isnan(), 0.0, scaled)
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
        low, high, rise = map(torch.from_numpy, (ends[:-1], ends[1:], np.diff(scores)))
        share = (steps[..., channel, None] - low).clamp(min=0) / (high - low)  # (..., line)
        columns.append(float(np.nan_to_num(scores[0])) + (share.clamp(max=1) * rise).sum(-1))
    return torch.where(steps.isnan(), torch.nan, torch.stack(columns, -1))


def _standardised(numbers: Tensor, state: Arrays, prefix: str) -> Tensor:
    mean, deviation = (torch.from_numpy(state[f"{prefix}{name}"]) for name in ("mean", "deviation"))
    return (numbers - mean) / deviation
