"""A run with tuned settings: a search with Optuna on one split, then training with the best.

The search does not use the test set: each trial is trained on the training set and ranked by its
loss on the validation set.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from sequela.analysis.space import Space, changed, defaults_of, described, space_of, within
from sequela.config import RunSettings
from sequela.errors import RunError, SequelaError, SettingError
from sequela.files import held
from sequela.models.reference import ReferenceModel
from sequela.models.registry import ModelEntry
from sequela.runs import fit
from sequela.runs.data import Examples, Inputs, load
from sequela.runs.folder import CONFIG, RunFolder, is_taken, work_beside
from sequela.runs.model import entry_for
from sequela.training.history import History, TrainingListener, kept_epoch

FILE = "search.json"
_STARTUP = 5  # trials that finish before others are compared with them
_FEWEST = 10  # finished trials from which the importance of settings is estimated
_DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_WHY = "why"  # a trial failed
_EPOCHS = "epochs"  # of a trial

OnTrial = Callable[[optuna.Study, FrozenTrial], None]


def tune(
    settings: RunSettings,
    out: Path,
    *,
    trials: int,
    searched: Sequence[str] = (),
    root: Path | None = None,
    on_trial: OnTrial = lambda *_: None,
) -> RunFolder:
    """Search for settings on the validation set, and train a run with the best.

    The run's ``search.json`` has the results. The trials are in a file next to the run folder, from
    which an interrupted search is continued: ``trials`` is the total. ``searched`` are the settings
    to search: see :func:`sequela.analysis.space.space_of`.
    """
    if trials < 1:
        raise SettingError(f"--trials {trials} cannot be used: expected 1 or more")
    entry, reads = entry_for(settings)
    if isinstance(entry, ReferenceModel):
        raise SettingError(
            f"{settings.model} is a baseline model, which chooses its settings on the validation "
            f"set itself: run sequela train {settings.model} --data {settings.data}"
        )
    space = space_of(entry, settings, searched)
    folder = RunFolder(out)
    if _finished(folder, settings, trials):
        return folder
    with work_beside(out) as work:
        with held(out):  # by one search
            data = load(settings, root, work)
            inputs = data.inputs(reads)
            with torch.random.fork_rng(devices=[]):  # may raise an error before the first trial
                fit.learner_of(settings, entry, data, inputs).built()
            where = out.with_name(f"{out.name}.trials")
            search = Search(settings, entry, data, inputs, space, where)
            result = search.run(trials, on_trial)
        files = {FILE: result}
        return fit.train(search.best(result), out, root=root, work=work, resume=True, files=files)


def _finished(folder: RunFolder, settings: RunSettings, trials: int) -> bool:
    if folder.complete and (folder.path / FILE).exists():
        folder.require_complete()
        trials_made = len(folder.json(FILE)["trials"])
        trained = folder.settings
        same = (trained.model, trained.data) == (settings.model, settings.data)
        if same and trials_made >= trials:
            return True
        raise RunError(
            f"{folder.path}: has the run of a search of {trials_made} trials for {trained.model} "
            f"on {trained.data}: remove it to continue its trials, or choose another --out"
        )
    if folder.complete or (is_taken(folder.path) and not (folder.path / CONFIG).exists()):
        raise RunError(f"{folder.path}: is not empty; choose another --out")
    return False


@dataclass
class _Pruning(TrainingListener):
    """The end of a trial whose loss is above that of others after as many epochs."""

    trial: optuna.Trial
    epochs: int = 0

    def on_epoch_end(self, history: History) -> None:
        self.epochs += 1
        self.trial.set_user_attr(_EPOCHS, self.epochs)
        self.trial.report(history[-1].loss, history[-1].epoch)
        if self.trial.should_prune():  # by the median of finished trials at this epoch
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

    @property
    def name(self) -> str:
        """The name of the search: model and data set."""
        return f"{self.settings.model} on {self.settings.data}"

    @property
    def question(self) -> dict[str, object]:
        """The settings that all trials share."""
        return {
            "settings": self.settings.model_dump(mode="json", exclude_none=True),
            "space": described(self.space),
            "data": self.data.digest,
        }

    def run(self, trials: int, on_trial: OnTrial = lambda *_: None) -> dict[str, Any]:
        """Search until ``trials`` are finished, and return ``search.json``.

        ``on_trial`` is called after each trial.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with threadpool_limits(limits=1):
            torch.set_num_threads(1)
            study = self._study(_opened(self.storage))
            # A process that was killed left its trial running.
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                study.tell(trial.number, state=TrialState.FAIL)
            while _finished_trials(study) < trials:
                self._begin_with_defaults(study)
                begun = study.ask(dict(self.space))
                on_trial(study, study.tell(begun, **self._judged(begun)))
            return self._result(study)

    def best(self, result: Mapping[str, Any]) -> RunSettings:
        """Return the best settings of a search."""
        return changed(self.settings, result["trials"][result["best"]]["values"])

    def _study(self, storage: optuna.storages.BaseStorage) -> optuna.Study:
        study = optuna.create_study(
            study_name=self.name,
            storage=storage,
            load_if_exists=True,
            sampler=_SamplerByNumber(self.settings.seed),
            # A quarter of the epochs is waited for: losses of early epochs say little on the last
            # ones.
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
                f"{self.storage} has a search '{self.name}' that differs in {differs}: continue it "
                "with its original options, or choose another --out"
            )
        return study

    def _begin_with_defaults(self, study: optuna.Study) -> None:
        """Give the next trial the defaults, unless a trial with them was not interrupted."""
        trials = study.get_trials(deepcopy=False)
        if all(_interrupted(trial) for trial in trials if "fixed_params" in trial.system_attrs):
            study.enqueue_trial(within(self.space, defaults_of(self.entry, self.settings)))

    def _judged(self, trial: optuna.Trial) -> dict[str, Any]:
        """Train with the values of a trial, and return its loss or state for Optuna."""
        settings = changed(self.settings, trial.params)
        how = settings.training
        try:
            learner = fit.learner_of(settings, self.entry, self.data, self.inputs)
            history = learner.learn(learner.built(), how, listeners=[_Pruning(trial)])
        except optuna.TrialPruned:
            return {"state": TrialState.PRUNED}
        except SequelaError as error:
            trial.set_user_attr(_WHY, " ".join(str(error).split()))
            return {"state": TrialState.FAIL}
        best = kept_epoch(history, how.keep)
        loss = next(r.loss for r in history if r.part == "tuning" and r.epoch == best)
        if not math.isfinite(loss):
            trial.set_user_attr(_WHY, "its loss is not a finite number")
            return {"state": TrialState.FAIL}
        return {"values": loss}

    def _result(self, study: optuna.Study) -> dict[str, Any]:
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


class _SamplerByNumber(TPESampler):
    """TPE (Bergstra 2011) whose draws depend only on the trials that were not interrupted."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self._seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        # A sampler that continues a search would draw the values of its first trials again.
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        number = sum(not _interrupted(before) for before in earlier)
        super().__init__(seed=(self._seed * 1_000_003 + number) % 2**32)
        super().before_trial(study, trial)


def _opened(file: Path) -> JournalStorage:
    """Open the trials, or raise a SettingError for a file with other content."""
    try:
        with file.open("ab+") as opened:
            opened.seek(0)
            first = opened.readline() or b'{"op_code": 0}'
        _ = json.loads(first)["op_code"]
        return JournalStorage(JournalFileBackend(str(file), JournalFileOpenLock(str(file))))
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "found other content"
        raise SettingError(
            f"{file} cannot be used ({why}): expected a file that can be written, new or with "
            "trials of a search; choose another --out"
        ) from error


def _finished_trials(study: optuna.Study) -> int:
    """Count the finished trials, without interrupted ones."""
    trials = study.get_trials(deepcopy=False, states=_DONE)
    return sum(not _interrupted(trial) for trial in trials)


def _interrupted(trial: FrozenTrial) -> bool:
    """Return ``True`` if the process of a trial was ended, rather than its settings failing."""
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
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)  # a random forest, repeatable
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return {name: float(share) for name, share in shares.items()}
