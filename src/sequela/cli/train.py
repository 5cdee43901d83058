"""``sequela train``: one model, one run folder."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from sequela.cli.names import data_sets, known, models, tasks
from sequela.cli.options import given, options
from sequela.config import CohortSettings, RunSettings, TrainingSettings
from sequela.errors import SettingError

if TYPE_CHECKING:
    Asked = Any
else:
    Asked = options(
        {
            "Run": RunSettings,
            "Hospital records": CohortSettings,
            "Training": TrainingSettings,
        },
        defaults={"task": known("that of the study of these data, else in-hospital", tasks)},
    )

_AS_BEGUN = "with --resume, that of the run"
_EXAMPLE = "`sequela train gru-improved --data bonn`"

train_app = App(
    name="train",
    help_format="markdown",
    help_epilogue="""The default of a setting is its value in the study of the 2019 report.
Press Ctrl-C to stop a run; `--resume` continues it, with the same result as an
uninterrupted run.

Example: `sequela train gru-improved --data bonn --out runs/gru`, or
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
) -> None:
    """Train one model and write a run folder.

    Prints the numbers of the tuning part. The held-out (test) part stays closed until it is opened
    by `sequela evaluate`, `report`, `compare` or `card`, or by --open; each opening is counted.

    Args:
        model: A network, a reference model, or a class: FILE.py:CLASS or package.module:CLASS.
        data: Data set.
        root: Folder or file of the data (default: the usual search path).
        asked: Settings of the run.
        repeats: Repeat the cross-validation this many times.
        seeds: Train each split with this many seeds: the seed and the next ones.
        out: Run folder (default: runs/MODEL).
        resume: Continue the run in the folder, with its own settings.
        open_: Open the held-out part and print its numbers.
    """
    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.cli.progress import RunProgress
    from sequela.runs.find import begun, begun_repeats, begun_seeds
    from sequela.runs.openings import open_held_out
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import resumed_settings, run_settings

    said = given(asked, RunSettings)
    records = given(asked, CohortSettings)
    records |= {name: said.pop(name) for name in ("aim", "aim_target") if name in said}
    if "labels" in records:
        records["labels"] = str(Path(records["labels"]).resolve())
    folds = said.pop("folds", None)
    changes: dict[str, Any] = {"records": records, "training": given(asked, TrainingSettings)}
    if out is None and model is None:
        raise SettingError(
            "MODEL is missing: name a model, or continue a run with --resume and --out"
        )
    folder = out or Path("runs") / str(model).rpartition(":")[2]
    if resume:
        found, begun_folds = begun(folder)
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
        settings = run_settings(model, data, **said, **changes)
    repeats = 1 if repeats is None else repeats
    seeds = 1 if seeds is None else seeds
    planned = PlannedRun(folder, settings, folds or 0, repeats, seeds)
    console = open_console()
    with RunProgress(console, planned) as progress:
        run = planned.train(root=root, resume=resume, on_epoch=progress.epoch, on_run=progress.fold)
    if open_:
        opened = open_held_out(run, "train").to_dict()
        say_numbers(console, run, {**run.test, "openings": opened})
    else:
        mean = f", mean over {len(run.runs)} folds" if run.folds else ""
        say_numbers(console, run, run.tuning, f"tuning part{mean}")
        path = quote(str(run.path))
        say_path(console, "held-out (test) part", f"not opened; open it: sequela evaluate {path}")
    console.print(f"data: {settings.data}, {run.data['origin']}", markup=False)
    say_path(console, "run folder", run.path)
