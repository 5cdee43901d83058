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
    repeats: int | None = None,
    seeds: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    trust_code: bool = False,
    on_default: Callable[[Default], None] = lambda _: None,
    progress: "Callable[[PlannedRun], AbstractContextManager[object]] | None" = None,
    options: Options | None = None,
    **settings: object,
) -> "Run":
    """Train one model and write a run folder, as ``sequela train`` does: see its help.

    Its other options are ``settings``, by name: ``epochs=8``, ``split="session"``, ``folds=5``; or
    all of them are ``options``. ``on_default`` is called with the default model that ``auto``
    selects. ``progress`` makes the display from the planned run, with the methods ``epoch`` and
    ``fold``.

    Returns:
        The run, or the folds: ``run.path`` is its folder, ``run.metrics`` has its numbers.

    Raises:
        SequelaError: If a setting is unknown or not allowed, or the data are missing or do not fit.
    """
    _check(model, data, out, resume=resume)
    options = options or Options.of(**settings)
    folds = options.run.changes.get("folds")
    # Imported here: the errors above are printed at once.
    from sequela.runs.find import begun, begun_repeats, begun_seeds
    from sequela.runs.folder import work_beside
    from sequela.runs.model import refuse_code
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import default_run, own_signals, resumed_settings, run_settings

    place = None if root is None else Path(root)
    folder = Path(out or Path("runs") / str(model).rpartition(":")[2])
    if resume:
        begun_run, begun_folds = begun(folder)
        refuse_code(folder, model or begun_run.model, trusted=trust_code or model is not None)
        run = resumed_settings(begun_run, options, model=model, data=data)
        if begun_folds and repeats is None:
            repeats = begun_repeats(folder)
        seeds = begun_seeds(folder) if seeds is None else seeds
        folds = begun_folds if folds is None else folds
    else:
        signals = own_signals(str(data), options.signals, place)
        run = run_settings(str(model), str(data), options, signals)
    with work_beside(folder) as work:  # data are read once, also to choose the model
        if run.model == AUTO:
            of_folds = run.model_copy(update={"folds": folds or 0})
            default, run = default_run(of_folds, options.training, root=place, work=work)
            on_default(default)
            run = run.model_copy(update={"folds": 0})
            folder = Path(out or Path("runs") / default.model)
        repeats, seeds = (1 if count is None else count for count in (repeats, seeds))
        planned_run = PlannedRun(folder, run, folds or 0, repeats, seeds)
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


def _check(model: str | None, data: str | None, out: Path | str | None, *, resume: bool) -> None:
    if not resume and None in (model, data) and (model, out) != (None, None):
        missing = "MODEL" if model is None else "--data"
        raise SettingError(
            f"{missing} is missing: name a model, or auto for the default of the data, and a data "
            "set, as in `sequela train auto --data bonn`, or --data table for a file with one row "
            "per patient"
        )
    if out is None and model is None:
        raise SettingError(
            "MODEL is missing: name a model, or auto for the default of the data, as in `sequela "
            "train auto --data table`, or continue a run with --resume and --out"
        )
    if resume and model == AUTO:
        raise SettingError(
            "auto chooses the model of a new run, but --resume continues a run with its own "
            "model: leave auto out, and name the run with --out"
        )
