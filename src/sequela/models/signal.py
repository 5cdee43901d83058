"""The shape that all models of a signal segment share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SignalConfig:
    """The shape of a segment and of the logits.

    Attributes:
        n_chans: Channels of a segment.
        n_times: Samples of a segment; 178 at 173.61 Hz is the report's second.
        n_outputs: Classes.
    """

    n_chans: int = 1
    n_times: int = 178
    n_outputs: int = 5
