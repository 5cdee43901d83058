"""What a user sees while models are trained: a bar on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from sequela.runs.folder import RunFolder
    from sequela.runs.folds import FoldsFolder
    from sequela.training.history import History


class EpochProgress:
    """Progress over the epochs of one run."""

    def __init__(self, title: str, epochs: int) -> None:
        self.console = Console(soft_wrap=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(title, total=epochs, numbers="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def show(self, history: "History") -> None:
        """Show the last epoch."""
        train, tuning = history[-2:]
        numbers = f"loss {train.loss:.3f}, tuning {tuning.loss:.3f}"
        if "accuracy" in tuning.metrics:
            numbers += f", accuracy {tuning.metrics['accuracy']:.3f}"
        if self.console.is_terminal:
            self.bar.update(self.task, completed=tuning.epoch, numbers=numbers)
        else:
            seconds = train.seconds + tuning.seconds
            self.console.print(f"epoch {tuning.epoch}: {numbers} ({seconds:.1f} s)")

    def say_numbers(self, folder: "RunFolder") -> None:
        """Say where the run is and what it reached."""
        say_run(self.console, folder)
        origin = folder.metrics["data"]["origin"]
        self.console.print(f"data: {folder.settings.data}, {origin}", markup=False)
        self.console.print(f"run folder: {folder.path}", markup=False)


def say_run(console: Console, folder: "RunFolder | FoldsFolder", count: str = "") -> None:
    """One line on a finished run, and one for each leak."""
    from sequela.evaluation.metrics import headline

    test, settings = folder.test, folder.settings
    metric = headline(folder.metrics["data"]["classes"], test)
    said = f"held-out {metric.title} {test[metric.key]:.3f}"
    if interval := test[f"{metric.key}_ci"]:
        said += f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
    asked = f" {settings.cohort.task} of {settings.data}" if settings.cohort else ""
    leak = " - LEAKS: split by rows" if folder.metrics["split"]["leaks"] else ""
    console.print(
        f"{count}{settings.model}{asked} by {settings.split}: {said}, "
        f"{folder.facts['train_seconds']:.1f} s{leak}",
        markup=False,
    )
    for kind in ("leaks", "suspicions"):
        for finding in folder.metrics[kind]:
            said = f"  {kind.upper()}: {finding['what']} ({finding['where']})"
            console.print(said, markup=False)


class FoldProgress:
    """A line for each fold of a cross-validation."""

    def __init__(self, count: int) -> None:
        self.console = Console(soft_wrap=True, highlight=False)
        self.count = count

    def show(self, folder: "RunFolder", done: int, count: int) -> None:
        """Say what a fold reached."""
        say_run(self.console, folder, f"[{done}/{count}] ")

    def say_numbers(self, folder: "FoldsFolder") -> None:
        """Say what the folds reached together."""
        from sequela.evaluation.metrics import reported

        summary = folder.summary
        test = summary["test"]
        for metric in reported(test):
            low, high = test[f"{metric.key}_ci"]
            self.console.print(
                f"{metric.title} {test[metric.key]:.3f} (95 % interval {low:.3f} to {high:.3f}), "
                f"{summary['folds']} folds, {summary['repeats']} time(s)",
                markup=False,
            )
        self.console.print(f"folder: {folder.path}", markup=False)
