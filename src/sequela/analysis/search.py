"""Search for settings of a network with Optuna, on the validation set of one split.

The search does not use the test set: each trial is trained on the training set and ranked by its
loss on the validation set.
"""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import optuna
import torch
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from threadpoolctl import threadpool_limits

from sequela.analysis.space import Space, changed, defaults_of, described, drawn, within
from sequela.config import RunSettings
from sequela.errors import RunError, SequelaError, SettingError, extra, without_passwords
from sequela.models.registry import ModelEntry
from sequela.runs.data import Examples
from sequela.runs.fit import built, learn
from sequela.runs.model import Inputs
from sequela.runs.ranges import outside
from sequela.training.history import History, kept_epoch

HEARTBEAT = 20
"""Seconds between two heartbeats of a worker; its trial fails after five times that."""
_STARTUP = 5  # trials that finish before others are compared with them
_LOOK = 0.5
_TRIES = 4
_FEWEST = 10  # finished trials from which the importance of settings is estimated
_DONE = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_SQLITE = "sqlite:///"
_WHY = "why"
_EPOCHS = "epochs"

OnTrial = Callable[[optuna.Study, FrozenTrial], None]


@dataclass(frozen=True)
class Search:
    """A search for settings of a run, in the database at ``storage``: see :func:`address`."""

    settings: RunSettings
    entry: ModelEntry
    data: Examples
    given: Inputs
    space: Space
    storage: str
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
        with (
            _plain_errors(self.storage),
            _opened(self.storage) as storage,
            threadpool_limits(limits=1),
        ):
            torch.set_num_threads(1)
            study = self._study(storage)
            waited = False
            while True:
                # In this order: another worker may start the last trial between two checks.
                if _begun(study) < trials:
                    self._begin_with_defaults(study)
                    study.optimize(self._judged, n_trials=1, callbacks=[on_trial])
                elif others := self._at_work(study):  # one may still find something better
                    if not waited:
                        on_wait(others)
                    waited = True
                    time.sleep(_LOOK)
                elif _begun(study) >= trials:  # no trial of a dead worker failed in between
                    return self._found(study)

    def best(self, found: Mapping[str, Any]) -> RunSettings:
        """Return the best settings of a search."""
        return changed(self.settings, found["trials"][found["best"]]["values"])

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
        known = study.user_attrs.get("question")
        if known is None:
            study.set_user_attr("question", question)
        elif known != question:
            differs = _first_difference(json.loads(known), self.question)
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

    def _judged(self, trial: optuna.Trial) -> float:
        settings = changed(self.settings, drawn(trial, self.space))
        how = settings.training
        losses: list[float] = []

        def report(history: History) -> None:
            losses.append(history[-1].loss)
            trial.set_user_attr(_EPOCHS, len(losses))
            trial.report(losses[-1], history[-1].epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            model = built(settings, self.entry, self.given)
            history = learn(settings, self.data, self.given, model, how, on_epoch=report)
        except SequelaError as error:
            trial.set_user_attr(_WHY, " ".join(str(error).split()))
            return math.nan
        kept = kept_epoch(history, how.keep)
        loss = next(r.loss for r in history if r.part == "tuning" and r.epoch == kept)
        if not math.isfinite(loss):
            trial.set_user_attr(_WHY, "its loss is not a finite number")
        return loss if math.isfinite(loss) else math.nan

    @staticmethod
    def _at_work(study: optuna.Study) -> int:
        """Count the running trials; trials of dead workers fail after a while."""
        optuna.storages.fail_stale_trials(study)
        return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))

    def _found(self, study: optuna.Study) -> dict[str, Any]:
        states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "stopped early"}
        trials = [
            {
                "number": each.number,
                "state": states.get(each.state, "failed"),
                "loss": each.value if each.state is TrialState.COMPLETE else None,
                "values": each.params,
                "epochs": each.user_attrs.get(_EPOCHS, 0),
                "seconds": each.duration.total_seconds() if each.duration else None,
                "why": each.user_attrs.get(_WHY, ""),
            }
            for each in study.get_trials(deepcopy=False, states=_DONE)
            if not _interrupted(each)
        ]
        space = described(self.space)
        for each in trials:
            if each["loss"] is not None and (value := outside(space, each["values"])):
                raise SettingError(
                    f"the storage has a trial of '{self.name}' with {value}, number "
                    f"{each['number']}; expected values within the search space: it was not made "
                    "by this search; choose another --name or --storage"
                )
        losses = {i: each["loss"] for i, each in enumerate(trials) if each["loss"] is not None}
        if not losses:
            raise RunError(
                f"no trial of the search '{self.name}' has a loss: the last one failed "
                f"({trials[-1]['why']}); search a smaller range"
            )
        return {
            "name": self.name,
            "judged_by": "loss on the validation set at the epoch that is kept",
            "space": space,
            "defaults": {n: defaults_of(self.entry, self.settings)[n] for n in self.space},
            "trials": trials,
            "best": min(losses, key=lambda index: losses[index]),
            "mattered": _mattered(study, list(self.space)),
            "method": f"TPE and median pruning of Optuna {optuna.__version__}",
            "seed": self.settings.seed,
        }


class _ByNumber(BaseSampler):
    """TPE (Bergstra 2011) whose draws depend only on the trials that were not interrupted."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        return self._own(study, trial).infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> Any:
        return self._own(study, trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        own = self._own(study, trial, of=len(param_name) + sum(map(ord, param_name)))
        return own.sample_independent(study, trial, param_name, param_distribution)

    def _own(self, study: optuna.Study, trial: FrozenTrial, of: int = 0) -> TPESampler:
        earlier = study.get_trials(deepcopy=False)[: trial.number]
        number = sum(not _interrupted(before) for before in earlier)
        return TPESampler(seed=(self._seed * 1_000_003 + number * 10_007 + of) % 2**32)


def address(storage: str | None, out: Path) -> str:
    """Return the address of the database of the trials.

    ``storage`` is ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME`` (default: a file next to
    the run folder).
    """
    # A file's name may have signs that addresses use, and the library fills in {SCHEMA_VERSION}.
    if storage is None:
        return _SQLITE + quote(str(out.with_name(f"{out.name}.db")))
    kind, _, rest = storage.partition("://")
    if kind == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return _SQLITE + quote(rest[1:])
    if kind in ("postgresql", "postgres") and rest:
        return f"postgresql+psycopg://{rest}"
    raise SettingError(
        f"--storage {without_passwords(storage)} cannot be used: expected "
        "sqlite:///FILE or postgresql://USER@HOST/NAME"
    )


def _check_file(storage: str) -> None:
    """Make the folder of a SQLite file, and raise a SettingError for a database of others."""
    path = Path(unquote(storage.removeprefix(_SQLITE)))
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as opened:
        rows = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        # Another process may be making Optuna's tables, in this order.
        begun = set(rows) <= {("studies",), ("version_info",)}
        if not begun and ("study_directions",) not in rows:
            raise SettingError(
                f"{path} is a database with other tables ({rows[0][0]}...): expected a new file, "
                "or one with searches; name another one with --storage"
            )


@contextmanager
def _opened(storage: str) -> Iterator[optuna.storages.RDBStorage]:
    """Open the database, creating its file if needed, and close it at the end."""
    if storage.startswith(_SQLITE):
        _check_file(storage)
    arguments = {"timeout": 60} if storage.startswith("sqlite") else {"connect_timeout": 10}
    for left in range(_TRIES, 0, -1):
        try:
            opened = optuna.storages.RDBStorage(
                storage,
                engine_kwargs={"connect_args": arguments},
                heartbeat_interval=HEARTBEAT,
                grace_period=5 * HEARTBEAT,
            )
            break
        except SQLAlchemyError:  # two workers that create its tables at once may collide
            if left == 1:
                raise
            time.sleep(_LOOK)
    try:
        yield opened
    finally:
        opened.remove_session()
        opened.engine.dispose()


@contextmanager
def _plain_errors(storage: str) -> Iterator[None]:
    """Turn errors of the database into one line, and silence messages of the library."""
    import warnings

    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with extra("tune", "a search in PostgreSQL", "psycopg"), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "runtime optuna version" not in str(error):
            raise
        why = str(error.__cause__ or error).splitlines()[0].replace(storage, "")
        raise SettingError(
            f"--storage {without_passwords(storage)} cannot be used ({why}): expected a database "
            "that can be reached and written, with nothing but searches in it"
        ) from error
    finally:
        optuna.logging.set_verbosity(said)


def _begun(study: optuna.Study) -> int:
    """Count finished and running trials, without interrupted ones."""
    trials = study.get_trials(deepcopy=False, states=(*_DONE, TrialState.RUNNING))
    return sum(not _interrupted(each) for each in trials)


def _interrupted(trial: FrozenTrial) -> bool:
    """Return ``True`` if the worker of a trial was ended, rather than its settings failing."""
    return trial.state is TrialState.FAIL and _WHY not in trial.user_attrs


def _first_difference(known: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Describe the first difference of two searches in words."""
    if known["data"] != asked["data"]:
        return "the data found"
    ours, theirs = known["space"], asked["space"]
    if ours != theirs:
        names = [n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n)]
        return f"the searched settings ({names[0]})"
    before, now = known["settings"], asked["settings"]
    names = [n for n in {**before, **now} if before.get(n) != now.get(n)]
    return f"the settings ({', '.join(names)})"


def _mattered(study: optuna.Study, names: list[str]) -> dict[str, float]:
    """Estimate the share of the variation of the loss by setting (fANOVA, Hutter 2014)."""
    if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) < _FEWEST:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return {name: float(share) for name, share in found.items()}
