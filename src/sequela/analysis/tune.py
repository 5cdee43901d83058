"""A run with tuned settings: a search, then training with the best settings."""

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

import torch
from filelock import FileLock

from sequela.analysis.search import OnTrial, Search, file_of
from sequela.analysis.space import space_of
from sequela.config import RunSettings
from sequela.errors import RunError, SettingError
from sequela.models.reference import ReferenceModel
from sequela.runs import fit
from sequela.runs.data import load
from sequela.runs.folder import CONFIG, RunFolder, is_taken, work_beside
from sequela.runs.model import entry_for

FILE = "search.json"


def tune(
    settings: RunSettings,
    out: Path,
    *,
    trials: int,
    searched: Sequence[str] = (),
    storage: str | None = None,
    name: str | None = None,
    root: Path | None = None,
    on_trial: OnTrial = lambda *_: None,
    on_wait: Callable[[int], None] = lambda _: None,
) -> RunFolder:
    """Search for settings on the validation set, and train a run with the best.

    Several processes may call this with the same arguments: they share the trials, and one of them
    trains the run, whose ``search.json`` has the results. An interrupted search is continued.

    ``trials`` is the total of all processes, and ``searched`` the settings to search: see
    :func:`sequela.analysis.space.space_of`. For ``storage`` see
    :func:`sequela.analysis.search.file_of`; ``name`` is the name of the search in it (default:
    model and data set). ``on_wait`` is called once while other processes run the last trials.
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
    where = file_of(storage, out)
    folder = RunFolder(out)
    if _finished(folder, settings, trials):
        return folder
    with work_beside(out) as work:
        data = load(settings, root, work)
        inputs = data.inputs(reads)
        with torch.random.fork_rng(devices=[]):  # may raise an error before the first trial
            fit.learner_of(settings, entry, data, inputs).built()
        title = name or f"{settings.model} on {settings.data}"
        search = Search(settings, entry, data, inputs, space, where, title)
        result = search.run(trials, on_trial, on_wait)
        # One process of this machine trains the run.
        lock = f"sequela-{sha256(str(out.resolve()).encode()).hexdigest()[:16]}.lock"
        best, again = search.best(result), partial(fit.train, root=root, work=work, resume=True)
        with FileLock(Path(gettempdir()) / lock):
            return again(best, out, files={FILE: result})


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
            f"on {trained.data}: choose another --out, and the same --storage to continue its "
            "trials"
        )
    if folder.complete or (is_taken(folder.path) and not (folder.path / CONFIG).exists()):
        raise RunError(f"{folder.path}: is not empty; choose another --out")
    return False
