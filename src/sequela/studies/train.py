"""Training of a run from a user's options, for ``sequela train`` and ``sequela.train``."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sequela.config import Options
from sequela.errors import SequelaError, SettingError
from sequela.models.defaults import AUTO, Default

if TYPE_CHECKING:
    from sequela.runs.find import Run
    from sequela.runs.pool import PlannedRun


def train(
    model: str | None = None,
    data: str | None = None,
    *,
    root: Path | str | None = None,
    repeats: int = 1,
    seeds: int = 1,
    out: Path | str | None = None,
    resume: bool = False,
    on_default: Callable[[Default], None] = lambda _: None,
    progress: "Callable[[PlannedRun], AbstractContextManager[object]] | None" = None,
    options: Options | None = None,
    **settings: object,
) -> "Run":
    """Train one model and write a run folder, as ``sequela train`` does: see its help.

    Its other options are ``settings``, by name: ``epochs=8``, ``split="session"``, ``folds=5``; or
    all of them are ``options``. ``on_default`` is called with the default model that ``auto``
    selects. ``progress`` makes the display from the planned run, with the methods ``epoch`` and
    ``fold``. With ``resume``, the same call continues a run that was interrupted.

    Returns:
        The run, or the folds: ``run.path`` is its folder, ``run.metrics`` has its numbers.

    Raises:
        SequelaError: If a setting is unknown or not allowed, or the data are missing or do not fit.
    """
    if model is None or data is None:
        missing = "MODEL" if model is None else "--data"
        raise SettingError(
            f"{missing} is missing: "
            + (
                "--resume continues a run by the whole command that began it"
                if resume
                else "name a model, or auto for the default of the data, and a data set, as in "
                "`sequela train auto --data bonn`, or --data table for a file with one row per "
                "patient"
            )
        )
    options = options or Options.of(**settings)
    folds = options.run.changes.get("folds") or 0
    # Imported here: the errors above are printed at once.
    from sequela.runs.folder import work_beside
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import default_run, own_signals, run_settings

    place = None if root is None else Path(root)
    folder = Path(out or Path("runs") / model.rpartition(":")[2])
    run = run_settings(model, data, options, own_signals(data, options.signals, place))
    with work_beside(folder) as work:  # data are read once, also to choose the model
        if run.model == AUTO:
            of_folds = run.model_copy(update={"folds": folds})
            default, run = default_run(of_folds, options.training, root=place, work=work)
            on_default(default)
            run = run.model_copy(update={"folds": 0})
            folder = Path(out or Path("runs") / default.model)
        planned_run = PlannedRun(folder, run, folds, repeats, seeds)
        with progress(planned_run) if progress else nullcontext():
            trained = planned_run.train(root=place, work=work, resume=resume)
        _add_simple(planned_run, place, work)
    return trained


def _add_simple(planned_run: "PlannedRun", root: Path | None, work: Path) -> None:
    """Train a logistic regression in the folder of a run, which its page compares with it."""
    from sequela.runs.find import SIMPLE
    from sequela.runs.manifest import seal
    from sequela.studies.registry import training_of

    folder, settings = planned_run.path, planned_run.settings
    name = "logistic-regression" if settings.cohort else "spectral-logistic-regression"
    if name == settings.model or (folder / SIMPLE).exists():
        return
    changes = {"model": name, "model_settings": {}, "training": training_of(name, {})}
    simple = replace(planned_run, path=work / SIMPLE, settings=settings.model_copy(update=changes))
    with suppress(SequelaError):  # such as windows that are too short for a spectrum
        # In a context of its own, as listeners follow the run alone.
        Context().run(simple.train, root=root, work=work)
        shutil.move(simple.path, folder / SIMPLE)
        seal(folder)
