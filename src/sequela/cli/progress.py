"""Progress of training: live on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sequela.cli.numbers import say_run
from sequela.listeners import Listener, listening
from sequela.training.history import History, TrainingListener
from sequela.training.tracking import is_public

if TYPE_CHECKING:
    from sequela.runs.find import Run
    from sequela.runs.pool import PlannedRun, PoolJob

_BAR = 20  # columns
_LINE_SECONDS = 60.0  # time between two lines on finished runs, where there is no terminal
_READING_SECONDS = 5.0  # time between two lines on what is read
_TRUSTED_SECONDS = 60.0  # of usual work, which count like work that was measured
_IDLE = 1.1  # times the seconds of even work: cores wait for the last runs
_PAGE_SECONDS = 0.2  # of the last page and results.json, for each run
_MANY_ROWS = 1_000_000  # rows from which lines on what is read are printed


class ReadingProgress(Listener):
    """The rows that a command has read, of many: a line on stderr at most every five seconds."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
        self.work, self.first, self.began, self.printed = "", 0, 0.0, 0.0

    def on_rows(self, work: str, rows: int, total: int) -> None:
        """Print the rows that are read, and the time left."""
        now, name = time.monotonic(), work.partition(",")[0]
        # Each work has its own speed, from which the time left is estimated.
        if name != self.work or rows < self.first:  # the same work may be done again
            self.printed = self.printed or now
            self.work, self.first, self.began = name, rows, now
        elif total >= _MANY_ROWS and now >= self.printed + _READING_SECONDS:
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
        # The loss is a mean of logarithms, from which no count of people can be computed.
        if self.is_public and "accuracy" in tuning.metrics:
            numbers += f", accuracy {tuning.metrics['accuracy']:.3f}"
        if self.console.is_terminal:
            completed = self.split * self.epochs + tuning.epoch
            self.bar.update(self.task, completed=completed, numbers=numbers)
        # A log file of five folds would have a line for each of some hundred epochs.
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
    """The progress of a study: the number of its finished runs, and the time left."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = self.shown = time.monotonic()
        self.work: float | None = None
        self.leaks: set[str] = set()
        self.bar = Progress(
            BarColumn(_BAR),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task = self.bar.add_task("reading data", total=None)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def run(self, run: "Run", finished: int, count: int) -> None:
        """Print the numbers of a run."""
        say_run(self.console, run, f"[{finished}/{count}] ", self.leaks)

    def look(self, jobs: Sequence["PoolJob"], processes: int) -> None:
        """Show the finished runs, those in training, and the time left.

        Without a terminal, print a line each minute.
        """
        runs = list(chain.from_iterable(job.planned for job in jobs))
        waiting = [run for run in runs if not run.complete]
        seconds_of_jobs = [sum(run.remaining for run in job.planned) for job in jobs]
        now, remaining = time.monotonic(), sum(seconds_of_jobs)
        if self.work is None:  # runs that were there before took no time
            self.started, self.work = now, remaining
        elapsed, finished = now - self.started, self.work - remaining
        # Usual times are those of one machine. The longer it takes, the more its own speed counts.
        speed = (elapsed * processes + _TRUSTED_SECONDS) / (finished + _TRUSTED_SECONDS)
        # One process does all of a job, so the longest job is a bound. Last comes the page.
        seconds = _IDLE * max(remaining / processes, *seconds_of_jobs) + _PAGE_SECONDS * len(runs)
        words = f"{len(runs) - len(waiting)} of {len(runs)} runs, {_clock(elapsed)} elapsed"
        if waiting:
            names = [run.settings.model for run in waiting if run.path.exists()]
            words += f", about {_clock(speed * seconds)} left: {', '.join(names[:processes])}"
        self.bar.update(self.task, completed=finished, total=self.work, description=words)
        if not self.console.is_terminal and now - self.shown >= _LINE_SECONDS:
            self.shown = now
            self.console.print(words)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
