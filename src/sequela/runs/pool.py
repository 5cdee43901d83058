"""Many runs in several processes: who trains what now, and what is finished."""

import json
import multiprocessing
import os
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.files import staying, temporary, whole
from sequela.plugins import load_plugins
from sequela.runs import fit
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.folds import OnRun, check_free, cross_validate, fold_runs
from sequela.training.history import History

LOOK_SECONDS = 0.25
"""Time between two looks at what the processes do."""
_END_SECONDS = 4.0


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made: where, and with how many folds.

    Attributes:
        path: Its folder.
        settings: What to compute.
        folds: 0 for one split.
        repeats: How often the cross-validation is repeated.
        seeds: With how many seeds each split is trained.
    """

    path: Path
    settings: RunSettings
    folds: int = 0
    repeats: int = 1
    seeds: int = 1

    @property
    def of_many(self) -> bool:
        """Whether it is a folder of several runs: folds, or seeds."""
        return bool(self.folds) or self.repeats != 1 or self.seeds != 1

    @property
    def splits(self) -> int:
        """How many models are trained, one after the other."""
        return max(self.folds * self.repeats, 1) * self.seeds

    @property
    def complete(self) -> bool:
        """Whether the run is finished, or all folds are."""
        return RunFolder(self.path).complete

    @property
    def runs(self) -> list[tuple[Path, RunSettings]]:
        """The folder and settings of each run: one, or one a fold."""
        if not self.of_many:
            return [(self.path, self.settings)]
        return fold_runs(self.settings, self.path, self.folds, self.repeats, self.seeds)

    def check_free(self) -> None:
        """Make sure that what is there already is of the same settings.

        Raises:
            RunError: If it is not.
        """
        if self.of_many:
            check_free(self.path, self.runs, resume=True)
        else:
            RunFolder(self.path).check_free(self.settings, resume=True)

    def train(
        self,
        *,
        root: Path | None = None,
        work: Path | None = None,
        resume: bool = False,
        on_epoch: fit.OnEpoch = lambda _: None,
        on_run: OnRun = lambda *_: None,
    ) -> Run:
        """Make the run, or all folds; see :func:`sequela.runs.folds.cross_validate`.

        Args:
            root: Where the data lie; by default the usual search path.
            work: Folder for what is made on the way.
            resume: Continue what the folder holds.
            on_epoch: Called with the history after each epoch.
            on_run: Called after each fold.

        Raises:
            SequelaError: As :func:`sequela.runs.fit.train`.
        """
        if self.of_many:
            return cross_validate(
                self.settings,
                self.path,
                folds=self.folds,
                repeats=self.repeats,
                seeds=self.seeds,
                root=root,
                work=work,
                resume=resume,
                on_epoch=on_epoch,
                on_run=on_run,
            )
        return fit.train(
            self.settings, self.path, root=root, work=work, resume=resume, on_epoch=on_epoch
        )


@dataclass(frozen=True)
class Job:
    """Runs that one process makes, one after the other: those that read the same sequences.

    Attributes:
        planned: The runs.
        root: Where their data lie; the usual search path by default.
        work: Folder for what is made of tables on the way.
        within: A folder that holds the runs: nothing is made in its place if it is removed.
    """

    planned: tuple[PlannedRun, ...]
    root: Path | None
    work: Path | None = None
    within: Path | None = None


@dataclass(frozen=True)
class Training:
    """A run that is being made.

    Attributes:
        run: Which.
        split: Folds that are finished.
        epoch: Epochs of this fold that are finished; 0 while data are read.
        seconds: Since the run began, as of its last epoch.
    """

    run: PlannedRun
    split: int = 0
    epoch: int = 0
    seconds: float = 0.0

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1: less than it is where training may stop early."""
        return (self.split + self.epoch / self.run.settings.training.epochs) / self.run.splits


@dataclass(frozen=True)
class Snapshot:
    """What the processes have done and do.

    Attributes:
        planned: All runs.
        finished: Those that are finished, in that order.
        seconds: How long each run took that was trained now, by its path.
        training: Those that are being made.
        processes: How many runs can be made at once.
    """

    planned: tuple[PlannedRun, ...]
    finished: tuple[PlannedRun, ...]
    seconds: Mapping[Path, float]
    training: tuple[Training, ...]
    processes: int

    def seconds_left(self) -> float | None:
        """About how long the rest takes; ``None`` while nothing can be said.

        A run takes as long as another of its model and folds took. Of one that is the first of its
        model, its epochs so far say it; of one that has not begun, the mean of all.
        """
        known: dict[object, list[float]] = {}
        for run in self.finished:
            if run.path in self.seconds:
                known.setdefault(_alike(run), []).append(self.seconds[run.path])
        for each in self.training:
            if each.share > 0:
                known.setdefault(_alike(each.run), [each.seconds / each.share])
        if not known:
            return None
        means = {key: sum(some) / len(some) for key, some in known.items()}
        usual = sum(means.values()) / len(means)
        over = {run.path for run in self.finished}
        spent = {each.run.path: each.seconds for each in self.training}
        left = [
            max(means.get(_alike(run), usual) - spent.get(run.path, 0.0), 0.0)
            for run in self.planned
            if run.path not in over
        ]
        return max(sum(left) / self.processes, max(left, default=0.0))


def _alike(run: PlannedRun) -> object:
    """What decides how long a run takes."""
    return (run.settings.model, run.settings.data, run.splits)


def in_processes(jobs: Sequence[Job], count: int) -> Generator[Snapshot]:
    """What is going on, several times a second and at the end.

    Whatever interrupts this ends the processes; what they leave can be continued. They end too
    where this process is killed, which cannot tell them.

    Args:
        jobs: The first are begun first.
        count: How many processes.

    Raises:
        RunError: If a process was killed, as the system does where memory is short.
        SequelaError: What a run raises.
    """
    context = multiprocessing.get_context("spawn")
    with (
        temporary() as folder,
        ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool,
    ):
        states = [folder / f"{number}.json" for number in range(len(jobs))]
        futures = [pool.submit(_work, *each) for each in zip(jobs, states, strict=True)]
        try:
            yield from _snapshots(jobs, states, futures, count)
        except BrokenProcessPool as error:
            raise RunError(
                "a process that trained was killed, as the system does where memory is short: "
                "what is finished is kept; run the same command again, with fewer --processes"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A worker would begin the next run first; what it leaves can be continued.
            workers = multiprocessing.active_children()
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join(_END_SECONDS)  # none writes to the folder of states once it is gone
            raise


def _snapshots(
    jobs: Sequence[Job], states: Sequence[Path], futures: Sequence[Future[None]], count: int
) -> Generator[Snapshot]:
    planned = tuple(run for job in jobs for run in job.planned)
    finished: dict[Path, PlannedRun] = {}
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=LOOK_SECONDS, return_when="FIRST_COMPLETED")
        for future in done:
            future.result()
        seconds: dict[Path, float] = {}
        training = []
        for job, path in zip(jobs, states, strict=True):
            state = _read(path)
            took = state["took"]
            finished |= {run.path: run for run in job.planned[: len(took)]}
            pairs = zip(job.planned, took, strict=False)
            seconds |= {run.path: spent for run, spent in pairs if spent is not None}
            if path.exists() and len(took) < len(job.planned):
                training.append(Training(job.planned[len(took)], *state["now"]))
        yield Snapshot(planned, tuple(finished.values()), seconds, tuple(training), count)


def _read(path: Path) -> dict[str, Any]:
    """What a process last said of its job; before it began, nothing is done."""
    if not path.exists():
        return {"took": [], "now": [0, 0, 0.0]}
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return state


def _end_with_parent() -> None:
    """Let this process end within moments of the one that began it, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)  # whatever it does: as if it was killed too

    Thread(target=watch, daemon=True).start()


def _work(job: Job, path: Path) -> None:
    """The runs of a job, in a process of its own."""
    load_plugins()
    with nullcontext() if job.within is None else staying(job.within):
        _train_all(job, _Said(path))


def _train_all(job: Job, said: "_Said") -> None:
    for each in job.planned:
        kept = each.complete
        said.begin()
        each.train(
            root=job.root, work=job.work, resume=True, on_epoch=said.epoch, on_run=said.split
        )
        said.end(kept=kept)


@dataclass
class _Said:
    """The file that tells how far a job is.

    A file, not a queue: a process that is ended while it writes leaves nobody waiting.
    """

    path: Path
    took: list[float | None] = field(default_factory=list)
    started: float = 0.0
    splits: int = 0

    def begin(self) -> None:
        """A run begins."""
        self.started, self.splits = time.perf_counter(), 0
        self._write(0)

    def epoch(self, history: History) -> None:
        """An epoch is finished."""
        self._write(history[-1].epoch)

    def split(self, _: RunFolder, done: int, __: int) -> None:
        """A fold is finished."""
        self.splits = done
        self._write(0)

    def end(self, *, kept: bool) -> None:
        """The run is finished; how long one took that was kept says nothing about others."""
        self.took.append(None if kept else time.perf_counter() - self.started)
        self.begin()

    def _write(self, epoch: int) -> None:
        now = (self.splits, epoch, time.perf_counter() - self.started)
        with whole(self.path, lasting=False) as partial:
            partial.write_text(json.dumps({"took": self.took, "now": now}), "utf-8")
