"""Dropout whose masks are drawn in a fraction of torch's time on a CPU."""

import torch
from torch import Tensor, nn

_VALUES = 1 << 16
"""Values of the 16 random bits that decide on a number."""


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws the mask of a batch from 16 random bits a number, not 53.

    The share of numbers that are kept is a multiple of 1/65,536, and they are divided by it.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # the name in torch
        """Set a share ``p`` of the numbers to 0 in training, and divide the others by 1 - p."""
        kept_values = round((1 - self.p) * _VALUES)
        if not (self.training and 0 < kept_values < _VALUES and input.device.type == "cpu"):
            return super().forward(input)
        count = input.numel()
        words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
        mask = words.view(torch.int16)[:count].view(input.shape) < kept_values - _VALUES // 2
        return input * (mask * (input.new_ones(()) * (_VALUES / kept_values)))
