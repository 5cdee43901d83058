"""Trackers of training: MLflow and TensorBoard.

A tracker gets the settings of each run, and after each epoch its learning rate and losses. Accuracy
is only tracked for public data: on a validation set of few patients it would reveal a count. The
test set is not tracked, because each evaluation on it is logged.
"""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from sequela.config import RunSettings
from sequela.datasets.catalog import DATA_SETS
from sequela.errors import extra, unknown_name
from sequela.training.history import History, TrainingListener


def is_public(data: str) -> bool:
    """Return whether the recordings of a data set are published."""
    entry = DATA_SETS.get(data)
    return entry is not None and bool(entry.reads and entry.citation)


class Tracker(TrainingListener):
    """A listener that writes runs to a tracker."""

    show_metrics = False

    def on_run_begin(self, folder: Path, settings: RunSettings) -> None:
        """Begin a run with its settings."""
        self.show_metrics = is_public(settings.data)
        name = "/".join(folder.parts[-2:])  # several runs may have a fold-00
        self.begin(name, flat(settings.model_dump(mode="json", exclude_none=True)))

    def on_epoch_end(self, history: History) -> None:
        """Write the numbers of the epoch."""
        epoch = history[-1].epoch
        numbers = {"learning_rate": history[-1].learning_rate}
        for record in history[-2:]:
            if record.epoch == epoch:
                numbers[f"{record.part}_loss"] = record.loss
                if self.show_metrics:
                    numbers |= {f"{record.part}_{key}": v for key, v in record.metrics.items()}
        self.write(numbers, epoch)

    @abstractmethod
    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Begin a run with its settings."""

    @abstractmethod
    def write(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Write the numbers of an epoch."""


class MLflow(Tracker):
    """Runs in MLflow: at ``MLFLOW_TRACKING_URI``, or in the working directory."""

    def __init__(self) -> None:
        with extra("track", "--track mlflow", "mlflow"):
            import mlflow
        self.mlflow = mlflow

    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Begin a run with the settings as parameters."""
        self.mlflow.start_run(run_name=name, nested=True)
        self.mlflow.log_params(settings)

    def write(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Write the numbers as metrics."""
        self.mlflow.log_metrics(numbers, step=epoch)

    def on_run_end(self, _: Path, *, finished: bool) -> None:
        """End the run."""
        self.mlflow.end_run("FINISHED" if finished else "FAILED")


class TensorBoard(Tracker):
    """Runs in TensorBoard: in the folder ``tensorboard`` of the working directory."""

    def __init__(self) -> None:
        with extra("track", "--track tensorboard", "tensorboard"):
            from torch.utils.tensorboard import SummaryWriter
        self.new_writer = SummaryWriter

    def begin(self, name: str, settings: Mapping[str, str]) -> None:
        """Begin a run with the settings as a table."""
        self.writer = self.new_writer(f"tensorboard/{name}")
        rows = [f"| {name} | {value} |" for name, value in settings.items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    def write(self, numbers: Mapping[str, float], epoch: int) -> None:
        """Write the numbers as scalars."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, epoch)

    def on_run_end(self, *_: object, **__: object) -> None:
        """Close the file of the run."""
        self.writer.close()


TRACKERS: Mapping[str, type[Tracker]] = {"mlflow": MLflow, "tensorboard": TensorBoard}


def tracker(name: str) -> Tracker:
    """Return the tracker with a name, if its extra is installed."""
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)
    return TRACKERS[name]()


def flat(settings: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Flatten nested settings, with dots in their names: ``training.epochs``."""
    values: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = str(value)  # both trackers show text
    return values
