"""How the metrics are named and written in pictures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Written:
    """One metric.

    Attributes:
        title: In the field's terms.
        form: Of a value, in Python's format.
        axis: Of an axis, in d3's format.
        bounds: What it can be.
        lower_is_better: Whether it is a loss.
        points: Whether differences are in percentage points.
    """

    title: str
    form: str = ".2f"
    axis: str = ".2f"
    bounds: tuple[float, float] | None = (0.0, 1.0)
    lower_is_better: bool = False
    points: bool = False


METRICS = {
    "accuracy": Written("accuracy", ".1%", ".0%", points=True),
    "alarm_rate": Written("alarms per example", ".1%", ".0%", points=True),
    "auroc": Written("AUROC"),
    "average_precision": Written("average precision"),
    "balanced_accuracy": Written("balanced accuracy", ".1%", ".0%", points=True),
    "brier_score": Written("Brier score", ".3f", ".3f", lower_is_better=True),
    "log_loss": Written("log loss (nats)", ".2f", ".2f", (0.0, float("inf")), lower_is_better=True),
    "observed_minus_expected": Written(
        "observed minus expected share of events", "+.1%", "+.0%", (-1.0, 1.0), points=True
    ),
    "recording_accuracy": Written("accuracy of whole recordings", ".1%", ".0%", points=True),
}


def written(name: str) -> Written:
    """How a metric is written; one that is not known here under its own name."""
    return METRICS.get(name) or Written(name.replace("_", " "), bounds=None)
