"""Training of many runs in several processes."""

import multiprocessing
import os
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.files import staying
from sequela.plugins import load_plugins
from sequela.runs import fit
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import check_free, cross_validate, fold_runs

LOOK_SECONDS = 0.25
"""Time between two checks of the processes."""
_END_SECONDS = 4.0  # that a worker has to end before the next is waited for
_REST_SECONDS = 0.7  # of reading, auditing and evaluating one model, next to its training


@dataclass(frozen=True)
class PlannedRun:
    """A planned run: its folder, settings and number of models; no folds for one split.

    ``seconds`` is the usual training time of one of its models.
    """

    path: Path
    settings: RunSettings
    folds: int = 0
    repeats: int = 1
    seeds: int = 1
    seconds: float = 2.0

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
    def work(self) -> float:
        """The seconds of work for all its models, usually."""
        return self.splits * (self.seconds + _REST_SECONDS)

    @property
    def remaining(self) -> float:
        """The seconds of work that is left; of a model in training, half is."""
        if self.complete or not self.path.exists():
            return 0.0 if self.complete else self.work
        finished = len(list(self.path.glob("*/manifest.json"))) if self.of_many else 0
        return self.work * (1 - (finished + 0.5) / self.splits)

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


def in_processes(jobs: Sequence[PoolJob], count: int) -> Generator[tuple[PlannedRun, ...]]:
    """Run jobs in processes, and yield the finished runs several times a second and at the end.

    An interruption, or the end of this process, ends the processes. Unfinished runs can be
    continued.
    """
    context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
    with ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(_work, job) for job in jobs]
        try:
            yield from _finished(jobs, futures)
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
                worker.join(_END_SECONDS)
            raise


def _finished(
    jobs: Sequence[PoolJob], futures: Iterable[Future[None]]
) -> Generator[tuple[PlannedRun, ...]]:
    runs = [*chain.from_iterable(job.planned for job in jobs)]
    finished: dict[Path, PlannedRun] = {}
    waiting = {*futures}
    while waiting:
        ended, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
        for future in ended:
            future.result()
        for run in runs:
            # The manifest is written last, whichever process writes it.
            if run.path not in finished and run.complete:
                finished[run.path] = run
        yield tuple(finished.values())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # at once, as if killed

    Thread(target=watch, daemon=True).start()


def _work(job: PoolJob) -> None:
    load_plugins()
    with nullcontext() if job.within is None else staying(job.within):
        for run in job.planned:
            run.train(root=job.root, work=job.work, resume=True)
