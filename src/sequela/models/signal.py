"""The shape that all models of a signal segment share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SignalConfig:
    """The shape of a segment and of the logits."""

    n_chans: int = 1  # channels of a segment
    n_times: int = 178  # samples of a segment; 178 at 173.61 Hz is the report's second
    n_outputs: int = 5  # classes
