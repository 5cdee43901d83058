"""``sequela train``: training of one model into a run folder."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from sequela.cli.asked import Asked, asked_of
from sequela.cli.names import data_sets, known, models
from sequela.errors import SettingError

_AS_BEGUN = "with --resume, as in the run"
_EXAMPLE = "`sequela train gru-improved --data bonn`"

train_app = App(
    name="train",
    help_format="markdown",
    help_epilogue="""The default of a setting is its value in the study of the 2019 report.
Press Ctrl-C to stop a run; `--resume` continues it, with the same result as an
uninterrupted run.

Example: `sequela train auto --data bonn`, or
`sequela train gru-improved --data bonn --out runs/gru`, or
`sequela train visits-improved --data eicu --task in-hospital --hours 24`""",
)


@train_app.default
def train(
    model: Annotated[str | None, Parameter(show_default=known(_AS_BEGUN, models))] = None,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known(_AS_BEGUN, data_sets))] = None,
    root: Path | None = None,
    asked: Asked = Asked(),  # noqa: B008 - frozen
    repeats: int | None = None,
    seeds: int | None = None,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
    open_: Annotated[bool, Parameter(name="--open", negative=())] = False,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train one model and write a run folder.

    Prints the numbers of the validation set. The test set is used only by `sequela evaluate`,
    `report`, `compare` or `card`, or with --open; each evaluation on it is logged.

    Args:
        model: A network, a baseline model, a class (FILE.py:CLASS or package.module:CLASS), or
            auto for the default model of the data.
        data: Data set.
        root: Folder or file of the data (default: the usual search path).
        asked: Settings of the run.
        repeats: Repeat the cross-validation this many times.
        seeds: Train each split with this many seeds, from --seed on.
        out: Run folder (default: runs/MODEL).
        resume: Continue the run in the folder, with its own settings.
        open_: Evaluate on the test set and print the numbers.
        trust_code: With --resume and without MODEL, allow the import of a model that is a class of
            a file or module.
    """
    from sequela.cli.numbers import open_console, say_finished
    from sequela.cli.progress import RunProgress
    from sequela.models.defaults import AUTO
    from sequela.runs.find import begun, begun_repeats, begun_seeds
    from sequela.runs.folder import work_beside
    from sequela.runs.inside import refuse_code
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import (
        default_run,
        resumed_settings,
        run_settings,
        signals_asked,
    )

    said, changes = asked_of(asked)
    folds = said.pop("folds", None)
    if out is None and model is None:
        raise SettingError(
            "MODEL is missing: name a model, or continue a run with --resume and --out"
        )
    folder = out or Path("runs") / str(model).rpartition(":")[2]
    if resume:
        if model == AUTO:
            raise SettingError(
                "auto chooses the model of a new run, but --resume continues a run with its own "
                "model: leave auto out, and name the run with --out"
            )
        found, begun_folds = begun(folder)
        refuse_code(folder, model or found.model, trusted=trust_code or model is not None)
        settings = resumed_settings(found, model=model, data=data, **said, **changes)
        if begun_folds and repeats is None:
            repeats = begun_repeats(folder)
        seeds = begun_seeds(folder) if seeds is None else seeds
        folds = begun_folds if folds is None else folds
    else:
        if model is None or data is None:
            missing = "MODEL" if model is None else "--data"
            raise SettingError(
                f"{missing} is missing: name a model and a data set, as in {_EXAMPLE}"
            )
        changes["signals"] = signals_asked(data, changes["signals"], root)
        settings = run_settings(model, data, **said, **changes)
    repeats = 1 if repeats is None else repeats
    seeds = 1 if seeds is None else seeds
    console = open_console()
    with work_beside(folder) as work:  # data are read once, also to choose the model
        if settings.model == AUTO:
            of_folds = settings.model_copy(update={"folds": folds or 0})
            default, chosen = default_run(of_folds, changes["training"], root=root, work=work)
            console.print(f"auto: {default.model}, the default for {default.of}", markup=False)
            settings = chosen.model_copy(update={"folds": 0})
            folder = out or Path("runs") / default.model
        planned = PlannedRun(folder, settings, folds or 0, repeats, seeds)
        with RunProgress(console, planned) as progress:
            run = planned.train(
                root=root,
                work=work,
                resume=resume,
                on_epoch=progress.epoch,
                on_run=progress.fold,
            )
    say_finished(console, run, open_=open_)
