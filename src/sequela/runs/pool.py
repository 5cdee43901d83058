"""Training of many runs in several processes, with their progress."""

import json
import multiprocessing
import os
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.files import staying, temporary, whole
from sequela.listeners import listening
from sequela.plugins import load_plugins
from sequela.runs import fit
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import check_free, cross_validate, fold_runs
from sequela.training.history import History, TrainingListener

LOOK_SECONDS = 0.25
"""Time between two checks of the processes."""
_END_SECONDS = 4.0


@dataclass(frozen=True)
class PlannedRun:
    """A planned run: its folder, settings and number of models; no folds for one split."""

    path: Path
    settings: RunSettings
    folds: int = 0
    repeats: int = 1
    seeds: int = 1

    @property
    def of_many(self) -> bool:
        """``True`` for several runs: folds, or seeds."""
        return bool(self.folds) or self.repeats != 1 or self.seeds != 1

    @property
    def splits(self) -> int:
        """The number of models to train, one after the other."""
        return max(self.folds * self.repeats, 1) * self.seeds

    @property
    def complete(self) -> bool:
        """``True`` if the run, or all folds, are finished."""
        return RunFolder(self.path).complete

    @property
    def runs(self) -> list[tuple[Path, RunSettings]]:
        """The folder and settings of each run: one, or one for each fold."""
        if not self.of_many:
            return [(self.path, self.settings)]
        return fold_runs(self.settings, self.path, self.folds, self.repeats, self.seeds)

    def check_free(self) -> None:
        """Make sure that the folder is free, or has runs with the same settings."""
        if self.of_many:
            check_free(self.path, self.runs, resume=True)
        else:
            RunFolder(self.path).check_free(self.settings, resume=True)

    def train(self, **options: Any) -> Run:
        """Train the run, or all folds, with the options of :func:`sequela.runs.fit.train`."""
        if self.of_many:
            return cross_validate(
                self.settings, self.path, folds=self.folds, repeats=self.repeats,
                seeds=self.seeds, **options,
            )  # fmt: skip
        return fit.train(self.settings, self.path, **options)


@dataclass(frozen=True)
class PoolJob:
    """Runs that one process trains, one after the other: those that read the same sequences.

    The folder ``within`` is not created again if it is removed.
    """

    planned: tuple[PlannedRun, ...]
    root: Path | None
    work: Path | None = None
    within: Path | None = None


@dataclass(frozen=True)
class RunInTraining:
    """A run in training, with the number of finished folds, and of epochs of the next fold."""

    run: PlannedRun
    split: int = 0
    epoch: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """The finished share of the run, 0 to 1, which is too low if training stops early."""
        return (self.split + self.epoch / self.run.settings.training.epochs) / self.run.splits


@dataclass(frozen=True)
class Snapshot:
    """The state of the processes, of which so many runs can be trained at once.

    The finished runs are in the order of their end; ``seconds`` are the training time of each run
    that was trained now, by its path.
    """

    planned: tuple[PlannedRun, ...]
    finished: tuple[PlannedRun, ...]
    seconds: Mapping[Path, float]
    training: tuple[RunInTraining, ...]
    processes: int

    def seconds_left(self) -> float | None:
        """Estimate the remaining time; ``None`` while it is unknown.

        The estimate for a run is the time of other runs with its model and folds, else its own
        speed so far, else the mean of all runs.
        """
        durations: dict[object, list[float]] = {}
        for run in self.finished:
            if run.path in self.seconds:
                durations.setdefault(_alike(run), []).append(self.seconds[run.path])
        for training in self.training:
            if training.share > 0:
                durations.setdefault(_alike(training.run), [training.seconds / training.share])
        if not durations:
            return None
        # Runs of other models differ by orders of magnitude, so their mean is the last resort.
        means = {key: sum(seconds) / len(seconds) for key, seconds in durations.items()}
        usual = sum(means.values()) / len(means)
        finished = {run.path for run in self.finished}
        spent = {training.run.path: training.seconds for training in self.training}
        remaining = [
            max(means.get(_alike(run), usual) - spent.get(run.path, 0.0), 0.0)
            for run in self.planned
            if run.path not in finished
        ]
        return max(sum(remaining) / self.processes, max(remaining, default=0.0))


def _alike(run: PlannedRun) -> object:
    return (run.settings.model, run.settings.data, run.splits)


def in_processes(jobs: Sequence[PoolJob], count: int) -> Generator[Snapshot]:
    """Run jobs in processes, and yield their state several times a second and at the end.

    An interruption, or the end of this process, ends the processes. Unfinished runs can be
    continued.
    """
    context = multiprocessing.get_context("spawn")
    with (
        temporary() as folder,
        ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool,
    ):
        states = [folder / f"{number}.json" for number in range(len(jobs))]
        futures = [pool.submit(_work, *arguments) for arguments in zip(jobs, states, strict=True)]
        try:
            yield from _snapshots(jobs, states, futures, count)
        except BrokenProcessPool as error:
            raise RunError(
                "a training process was killed, probably because memory was short: finished runs "
                "are kept; run the same command again with fewer --processes"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A worker would start the next run first; unfinished runs can be continued.
            workers = multiprocessing.active_children()
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join(_END_SECONDS)  # none may write to the removed folder of states
            raise


def _snapshots(
    jobs: Sequence[PoolJob], states: Sequence[Path], futures: Sequence[Future[None]], count: int
) -> Generator[Snapshot]:
    runs = tuple(chain.from_iterable(job.planned for job in jobs))
    finished: dict[Path, PlannedRun] = {}
    waiting = set(futures)
    while waiting:
        ended, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
        for future in ended:
            future.result()
        seconds: dict[Path, float] = {}
        training = []
        for job, path in zip(jobs, states, strict=True):
            begun = path.exists()
            state = json.loads(path.read_text("utf-8")) if begun else {"took": []}
            took = state["took"]
            finished |= {run.path: run for run in job.planned[: len(took)]}
            pairs = zip(job.planned, took, strict=False)
            seconds |= {run.path: spent for run, spent in pairs if spent is not None}
            if begun and len(took) < len(job.planned):
                training.append(RunInTraining(job.planned[len(took)], *state["now"]))
        yield Snapshot(runs, tuple(finished.values()), seconds, tuple(training), count)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # at once, as if killed

    Thread(target=watch, daemon=True).start()


def _work(job: PoolJob, path: Path) -> None:
    load_plugins()
    with nullcontext() if job.within is None else staying(job.within):
        state = _State(path)
        for run in job.planned:
            was_complete = run.complete
            state.begin()
            with listening(state):
                run.train(root=job.root, work=job.work, resume=True)
            state.end(was_complete=was_complete)


@dataclass
class _State(TrainingListener):
    """The file with the state of a job: unlike a queue, it never blocks after a kill."""

    path: Path
    took: list[float | None] = field(default_factory=list)
    started: float = 0.0
    splits: int = 0

    def begin(self) -> None:
        self.started, self.splits = time.perf_counter(), 0
        self._write(0)

    def on_epoch_end(self, history: History) -> None:
        self._write(history[-1].epoch)

    def on_fold_end(self, _: Path, count: int, __: int) -> None:
        self.splits = count
        self._write(0)

    def end(self, *, was_complete: bool) -> None:
        self.took.append(None if was_complete else time.perf_counter() - self.started)
        self.begin()

    def _write(self, epoch: int) -> None:
        now = (self.splits, epoch, time.perf_counter() - self.started)
        with whole(self.path, lasting=False) as partial:
            partial.write_text(json.dumps({"took": self.took, "now": now}), "utf-8")
