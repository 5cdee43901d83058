"""Progress of training: live on a terminal, plain lines elsewhere."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table

from sequela.cli.numbers import say_run
from sequela.listeners import Listener, listening
from sequela.training.history import History, TrainingListener
from sequela.training.tracking import is_public

if TYPE_CHECKING:
    from sequela.runs.find import Run
    from sequela.runs.pool import PlannedRun, RunInTraining, Snapshot

_BAR = 20  # columns
_LINE_SECONDS = 60.0
"""Time between two lines on what is left, where there is no terminal."""
_OFTEN, _MANY = 5.0, 1_000_000  # seconds between lines about reading, and rows that are many


class ReadingProgress(Listener):
    """The rows that a command has read, of many: a line on stderr at most every five seconds."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        self.work, self.first, self.began, self.printed = "", 0, 0.0, 0.0

    def on_rows(self, work: str, rows: int, total: int) -> None:
        """Print the rows that are read, and the time left."""
        now, name = time.monotonic(), work.partition(",")[0]
        if name != self.work or rows < self.first:  # the same work may be done again
            self.printed = self.printed or now
            self.work, self.first, self.began = name, rows, now
        elif total >= _MANY and now >= self.printed + _OFTEN:
            remaining = _clock((now - self.began) * (total - rows) / max(rows - self.first, 1))
            self.console.print(f"{work}: {rows:,} of {total:,} rows, about {remaining} left")
            self.printed = now


class RunProgress(TrainingListener):
    """The progress over the epochs of one run, or of all folds."""

    def __init__(self, console: Console, run: "PlannedRun") -> None:
        self.console = console
        self.epochs = run.settings.training.epochs
        self.splits, self.split = run.splits, 0
        # The accuracy on a small validation set would reveal a small count of people.
        self.is_public = is_public(run.settings.data)
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
        self.within = ExitStack()
        self.within.enter_context(self.bar)
        self.within.enter_context(listening(self))
        return self

    def __exit__(self, *_: object) -> None:
        self.within.close()

    def on_epoch_end(self, history: History) -> None:
        """Show the last epoch."""
        train, tuning = history[-2:]
        numbers = f"loss {train.loss:.3f}, validation {tuning.loss:.3f}"
        if self.is_public and "accuracy" in tuning.metrics:
            numbers += f", accuracy {tuning.metrics['accuracy']:.3f}"
        if self.console.is_terminal:
            completed = self.split * self.epochs + tuning.epoch
            self.bar.update(self.task, completed=completed, numbers=numbers)
        elif self.splits == 1:
            seconds = train.seconds + tuning.seconds
            self.console.print(f"epoch {tuning.epoch}: {numbers} ({seconds:.1f} s)")

    def on_fold_end(self, folder: Path, count: int, total: int) -> None:
        """Print the numbers of a fold."""
        from sequela.runs.folder import RunFolder

        self.split = count
        self.bar.update(self.task, completed=count * self.epochs)
        say_run(self.console, RunFolder(folder), f"[{count}/{total}] ")


class StudyProgress:
    """The progress of a study: finished runs, and below them the runs in training."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = self.shown = time.monotonic()
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
        """Show the runs in training; elsewhere than on a terminal, print a line each minute."""
        self.snapshot = snapshot
        if not self.console.is_terminal and time.monotonic() - self.shown >= _LINE_SECONDS:
            self.shown = time.monotonic()
            self.console.print(self._total(snapshot))

    def _total(self, now: "Snapshot") -> str:
        seconds = now.seconds_left()
        remaining = "" if seconds is None else f", about {_clock(seconds)} left"
        elapsed = _clock(time.monotonic() - self.started)
        return f"{len(now.finished)} of {len(now.planned)} runs, {elapsed} elapsed{remaining}"

    def _now(self) -> Group:
        now = self.snapshot
        if now is None:
            return Group(f"reading data, {_clock(time.monotonic() - self.started)} elapsed")
        runs = Table.grid(padding=(0, 2), expand=True)
        runs.add_column(no_wrap=True, overflow="crop", ratio=1)
        runs.add_column(no_wrap=True, justify="right")
        for training in now.training:
            runs.add_row(training.run.settings.title, _stage(training))
        finished = len(now.finished) + sum(training.share for training in now.training)
        total = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=1.0, completed=finished / len(now.planned), width=_BAR)
        total.add_row(bar, self._total(now))
        return Group(runs, total)


def _stage(training: "RunInTraining") -> str:
    run = training.run
    fold = f"fold {training.split + 1}/{run.splits}" if run.splits > training.split > 0 else ""
    epoch = f"epoch {training.epoch}/{run.settings.training.epochs}" if training.epoch else ""
    return ", ".join(each for each in (fold, epoch) if each) or "started"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
