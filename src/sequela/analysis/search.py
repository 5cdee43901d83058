"""Search for settings of a network with Optuna, on the validation set of one split.

The search does not use the test set: each trial is trained on the training set and ranked by its
loss on the validation set.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
import torch
from filelock import FileLock, Timeout
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_limits

from sequela.analysis.space import Space, changed, defaults_of, described, drawn, within
from sequela.config import RunSettings
from sequela.errors import RunError, SequelaError, SettingError, without_passwords
from sequela.models.registry import ModelEntry
from sequela.runs.data import Examples, Inputs
from sequela.runs.fit import learner_of
from sequela.training.history import History, TrainingListener, kept_epoch

_UNNAMED = timedelta(minutes=1)  # after which a trial without a worker's name is given up
_STARTUP = 5  # trials that finish before others are compared with them
_LOOK = 0.5
_FEWEST = 10  # finished trials from which the importance of settings is estimated
_DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_WHY = "why"
_EPOCHS = "epochs"
_WORKER = "worker"

OnTrial = Callable[[optuna.Study, FrozenTrial], None]


@dataclass
class _Pruning(TrainingListener):
    """The end of a trial whose loss is above that of others after as many epochs."""

    trial: optuna.Trial
    epochs: int = 0

    def on_epoch_end(self, history: History) -> None:
        self.epochs += 1
        self.trial.set_user_attr(_EPOCHS, self.epochs)
        self.trial.report(history[-1].loss, history[-1].epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


@dataclass(frozen=True)
class Search:
    """A search for settings of a run, whose trials are in the file ``storage``."""

    settings: RunSettings
    entry: ModelEntry
    data: Examples
    inputs: Inputs
    space: Space
    storage: Path
    name: str

    @property
    def question(self) -> dict[str, Any]:
        """The settings that all workers must share."""
        return {
            "settings": self.settings.model_dump(mode="json", exclude_none=True),
            "space": described(self.space),
            "data": self.data.digest,
        }

    def run(
        self,
        trials: int,
        on_trial: OnTrial = lambda *_: None,
        on_wait: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Search until all workers have finished ``trials`` together, and return ``search.json``.

        ``on_trial`` is called after each trial of this worker, and ``on_wait`` once, when no trial
        is left to start, with the number of unfinished trials of other workers.
        """
        worker = uuid4().hex[:12]
        judged = partial(self._judged, worker=worker)
        with _quiet(), _at_work(self.storage, worker), threadpool_limits(limits=1):
            torch.set_num_threads(1)
            study = self._study(_opened(self.storage))
            waited = False
            while True:
                # In this order: another worker may start the last trial between two checks.
                if _begun(study) < trials:
                    self._begin_with_defaults(study)
                    study.optimize(judged, n_trials=1, callbacks=[on_trial])
                elif running := self._unfinished(study):  # one may still find something better
                    if not waited:
                        on_wait(running)
                    waited = True
                    time.sleep(_LOOK)
                elif _begun(study) >= trials:  # no trial of a dead worker failed in between
                    return self._found(study)

    def best(self, result: Mapping[str, Any]) -> RunSettings:
        """Return the best settings of a search."""
        return changed(self.settings, result["trials"][result["best"]]["values"])

    def _study(self, storage: optuna.storages.BaseStorage) -> optuna.Study:
        study = optuna.create_study(
            study_name=self.name,
            storage=storage,
            load_if_exists=True,
            sampler=_ByNumber(self.settings.seed),
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=_STARTUP, n_warmup_steps=max(self.settings.training.epochs // 4, 1)
            ),
        )
        question = json.dumps(self.question, sort_keys=True)
        stored = study.user_attrs.get("question")
        if stored is None:
            study.set_user_attr("question", question)
        elif stored != question:
            differs = _first_difference(json.loads(stored), self.question)
            raise SettingError(
                f"the storage has a search '{self.name}' that differs in {differs}: continue it "
                "with its original options, or choose another --name"
            )
        return study

    def _begin_with_defaults(self, study: optuna.Study) -> None:
        """Give the next trial the defaults, unless a trial with them was not interrupted."""
        trials = study.get_trials(deepcopy=False)
        if all(_interrupted(trial) for trial in trials if "fixed_params" in trial.system_attrs):
            study.enqueue_trial(within(self.space, defaults_of(self.entry, self.settings)))

    def _judged(self, trial: optuna.Trial, worker: str) -> float:
        trial.set_user_attr(_WORKER, worker)
        settings = changed(self.settings, drawn(trial, self.space))
        how = settings.training
        try:
            learner = learner_of(settings, self.entry, self.data, self.inputs)
            history = learner.learn(learner.built(), how, listeners=[_Pruning(trial)])
        except SequelaError as error:
            trial.set_user_attr(_WHY, " ".join(str(error).split()))
            return math.nan
        best = kept_epoch(history, how.keep)
        loss = next(r.loss for r in history if r.part == "tuning" and r.epoch == best)
        if not math.isfinite(loss):
            trial.set_user_attr(_WHY, "its loss is not a finite number")
        return loss if math.isfinite(loss) else math.nan

    def _unfinished(self, study: optuna.Study) -> int:
        """Count the running trials, and give up those whose worker has ended."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        dead = [trial for trial in running if _is_dead(self.storage, trial)]
        for trial in dead:
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        return len(running) - len(dead)

    def _found(self, study: optuna.Study) -> dict[str, Any]:
        states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early"}
        trials = [
            {
                "number": trial.number,
                "state": states.get(trial.state, "failed"),
                "loss": trial.value if trial.state is TrialState.COMPLETE else None,
                "values": trial.params,
                "epochs": trial.user_attrs.get(_EPOCHS, 0),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                "why": trial.user_attrs.get(_WHY, ""),
            }
            for trial in study.get_trials(deepcopy=False, states=_DONE)
            if not _interrupted(trial)
        ]
        for trial in trials:
            if trial["loss"] is not None:
                self._require_within(trial["number"], trial["values"])
        losses = {i: trial["loss"] for i, trial in enumerate(trials) if trial["loss"] is not None}
        if not losses:
            raise RunError(
                f"no trial of the search '{self.name}' has a loss: the last one failed "
                f"({trials[-1]['why']}); search a smaller range"
            )
        return {
            "name": self.name,
            "judged_by": "loss on the validation set at the epoch that is kept",
            "space": described(self.space),
            "defaults": {n: defaults_of(self.entry, self.settings)[n] for n in self.space},
            "trials": trials,
            "best": min(losses, key=lambda index: losses[index]),
            "mattered": _mattered(study, list(self.space)),
            "method": f"TPE and median pruning of Optuna {optuna.__version__}",
            "seed": self.settings.seed,
        }

    def _require_within(self, number: int, values: Mapping[str, Any]) -> None:
        """Refuse a trial that this search cannot have drawn."""
        for name, value in values.items():
            try:
                space = {name: self.space[name]}
                create_trial(params={name: value}, distributions=space, value=0.0)
            except (KeyError, ValueError) as error:
                raise SettingError(
                    f"the storage has a trial of '{self.name}' with {name} = {value!r}, number "
                    f"{number}; expected values within the search space: it was not made by this "
                    "search; choose another --name or --storage"
                ) from error


class _ByNumber(BaseSampler):
    """TPE (Bergstra 2011) whose draws depend only on the trials that were not interrupted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        return self._own(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Any:
        return self._own(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler = self._own(study, trial, offset=len(param_name) + sum(map(ord, param_name)))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def _own(self, study: optuna.Study, trial: FrozenTrial, offset: int = 0) -> TPESampler:
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        number = sum(not _interrupted(before) for before in earlier)
        return TPESampler(seed=(self._seed * 1_000_003 + number * 10_007 + offset) % 2**32)


def file_of(storage: str | None, out: Path) -> Path:
    """Return the file of the trials: ``storage``, or by default one next to the run folder."""
    if storage is None:
        return out.with_name(f"{out.name}.trials")
    if "://" in storage or not storage:
        raise SettingError(
            f"--storage {without_passwords(storage)} cannot be used: expected the path of a file, "
            "in a folder that all workers share"
        )
    return Path(storage)


def _opened(file: Path) -> JournalStorage:
    """Open the trials, or raise a SettingError for a file with other content."""
    try:
        with file.open("ab+") as opened:
            opened.seek(0)
            first = opened.readline() or b'{"op_code": 0}'
        _ = json.loads(first)["op_code"]
        return JournalStorage(JournalFileBackend(str(file), _Lock(file)))
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "found other content"
        raise SettingError(
            f"--storage {file} cannot be used ({why}): expected a file that can be written, new or "
            "with trials of a search"
        ) from error


class _Lock(JournalFileOpenLock):
    """The lock of the file, whose holder removes the half line of a worker that was killed."""

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self._file = file

    def acquire(self) -> bool:
        super().acquire()
        content = self._file.read_bytes()
        if content and not content.endswith(b"\n"):
            os.truncate(self._file, content.rfind(b"\n") + 1)
        return True


@contextmanager
def _at_work(file: Path, worker: str) -> Iterator[None]:
    """Hold a lock by which other workers see that this one has not ended."""
    file.absolute().parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(file, worker)
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def _lock(file: Path, worker: str) -> FileLock:
    return FileLock(file.with_name(f"{file.name}.{worker}"))


def _is_dead(file: Path, trial: FrozenTrial) -> bool:
    worker = trial.user_attrs.get(_WORKER)
    if worker is None:  # it has just begun, or was killed at once
        begun = trial.datetime_start
        return begun is not None and datetime.now() - begun > _UNNAMED
    lock = _lock(file, worker)
    try:
        with lock.acquire(timeout=0):
            Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout:
        return False
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence messages of the library."""
    import warnings

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _begun(study: optuna.Study) -> int:
    """Count finished and running trials, without interrupted ones."""
    trials = study.get_trials(deepcopy=False, states=(*_DONE, TrialState.RUNNING))
    return sum(not _interrupted(trial) for trial in trials)


def _interrupted(trial: FrozenTrial) -> bool:
    """Return ``True`` if the worker of a trial was ended, rather than its settings failing."""
    return trial.state is TrialState.FAIL and _WHY not in trial.user_attrs


def _first_difference(stored: Mapping[str, Any], requested: Mapping[str, Any]) -> str:
    """Describe the first difference of two searches in words."""
    if stored["data"] != requested["data"]:
        return "the data found"
    ours, theirs = stored["space"], requested["space"]
    if ours != theirs:
        names = [n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n)]
        return f"the searched settings ({names[0]})"
    before, now = stored["settings"], requested["settings"]
    names = [n for n in {**before, **now} if before.get(n) != now.get(n)]
    return f"the settings ({', '.join(names)})"


def _mattered(study: optuna.Study, names: list[str]) -> dict[str, float]:
    """Estimate the share of the variation of the loss by setting (fANOVA, Hutter 2014)."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < _FEWEST:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return {name: float(share) for name, share in shares.items()}
