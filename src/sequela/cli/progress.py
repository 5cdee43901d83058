"""Progress of training: live on a terminal, plain lines elsewhere."""

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

from sequela.cli.numbers import say_run
from sequela.sources.catalog import DATA_SETS

if TYPE_CHECKING:
    from sequela.runs.find import Run
    from sequela.runs.folder import RunFolder
    from sequela.runs.pool import PlannedRun, Snapshot, Training
    from sequela.training.history import History

_BAR = 20  # columns


class RunProgress:
    """The progress over the epochs of one run, or of all folds."""

    def __init__(self, console: Console, run: "PlannedRun") -> None:
        self.console = console
        self.epochs = run.settings.training.epochs
        self.splits, self.split = run.splits, 0
        data = DATA_SETS.get(run.settings.data)
        # The accuracy on a small validation set would reveal a small count of people.
        self.is_public = data is not None and data.kind == "eeg" and bool(data.citation)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        total = self.epochs * self.splits
        self.task = self.bar.add_task(run.settings.model, total=total, numbers="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def epoch(self, history: "History") -> None:
        """Show the last epoch."""
        train, tuning = history[-2:]
        numbers = f"loss {train.loss:.3f}, validation {tuning.loss:.3f}"
        if self.is_public and "accuracy" in tuning.metrics:
            numbers += f", accuracy {tuning.metrics['accuracy']:.3f}"
        if self.console.is_terminal:
            done = self.split * self.epochs + tuning.epoch
            self.bar.update(self.task, completed=done, numbers=numbers)
        elif self.splits == 1:
            seconds = train.seconds + tuning.seconds
            self.console.print(f"epoch {tuning.epoch}: {numbers} ({seconds:.1f} s)")

    def fold(self, folder: "RunFolder", done: int, count: int) -> None:
        """Print the numbers of a fold."""
        self.split = done
        self.bar.update(self.task, completed=done * self.epochs)
        say_run(self.console, folder, f"[{done}/{count}] ")


class StudyProgress:
    """The progress of a study: finished runs, and below them the runs in training."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.snapshot: Snapshot | None = None
        self.leaks: set[str] = set()
        self.live = Live(
            console=console, transient=True, get_renderable=self._now, vertical_overflow="crop"
        )

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def run(self, run: "Run", done: int, count: int) -> None:
        """Print the numbers of a run."""
        say_run(self.console, run, f"[{done}/{count}] ", self.leaks)

    def look(self, snapshot: "Snapshot") -> None:
        """Show the runs in training."""
        self.snapshot = snapshot

    def _now(self) -> Group:
        elapsed = _clock(time.monotonic() - self.started)
        now = self.snapshot
        if now is None:
            return Group(f"reading data, {elapsed} elapsed")
        runs = Table.grid(padding=(0, 2), expand=True)
        runs.add_column(no_wrap=True, overflow="crop", ratio=1)
        runs.add_column(no_wrap=True, justify="right")
        for each in now.training:
            runs.add_row(each.run.settings.title, _stage(each))
        done, count = len(now.finished), len(now.planned)
        share = (done + sum(each.share for each in now.training)) / count
        left = now.seconds_left()
        remaining = "" if left is None else f", about {_clock(left)} left"
        total = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=1.0, completed=share, width=_BAR)
        total.add_row(bar, f"{done} of {count} runs, {elapsed} elapsed{remaining}")
        return Group(runs, total)


def _stage(training: "Training") -> str:
    """Return the fold and epoch of a run in words."""
    run = training.run
    fold = f"fold {training.split + 1}/{run.splits}" if run.splits > training.split > 0 else ""
    epoch = f"epoch {training.epoch}/{run.settings.training.epochs}" if training.epoch else ""
    return ", ".join(each for each in (fold, epoch) if each) or "started"


def _clock(seconds: float) -> str:
    """Write minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
