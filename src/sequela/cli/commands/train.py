"""``sequela train``: training of one model into a run folder."""

from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from sequela.cli.names import Root, check_names, data_sets, known, models
from sequela.cli.options import FIRST, RUN, OptionsOfTrain
from sequela.config import Options

if TYPE_CHECKING:
    from sequela.runs.pool import PlannedRun

Flag = Annotated[bool, Parameter(group=RUN, show_default=False)]

train = App(
    name="train",
    group_parameters=FIRST,
    help_format="markdown",
    help_epilogue="""Press Ctrl-C to stop a run; the same command with `--resume` continues it, with
the same result as an uninterrupted run. With `--data`, as in `sequela train --data table --help`,
the options that these data are used with come first.

Example: `sequela train auto --data bonn`, or
`sequela train gru-improved --data bonn --out runs/gru`, or
`sequela train visits-improved --data eicu --task in-hospital --hours 24`""",
)


@train.default
def train_one(
    model: Annotated[str | None, Parameter(show_default=known("none", models))] = None,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known("none", data_sets))] = None,
    root: Root = None,
    options: OptionsOfTrain = Options(),  # noqa: B008 - frozen
    out: Path | None = None,
    repeats: Annotated[int, Parameter(group=RUN)] = 1,
    seeds: Annotated[int, Parameter(group=RUN)] = 1,
    resume: Flag = False,
    track: Annotated[Literal["mlflow", "tensorboard"] | None, Parameter(group=RUN)] = None,
    open_: Annotated[Flag, Parameter(name="--open")] = False,
) -> None:
    """Train one model and write a run folder.

    A logistic regression is trained too, in the folder OUT/simple: the page of the run shows it.
    Prints the numbers of the validation set. The test set is used only by `sequela evaluate`,
    `report`, `compare` or `card`, or with --open; each evaluation on it is logged.

    Args:
        model: A network, a baseline model, a class (FILE.py:CLASS or package.module:CLASS), or
            auto for the default model of the data (for a table with one row per patient: logistic
            regression, and boosting in the folder OUT.boosting).
        data: Data set.
        options: Settings of the run.
        out: Run folder (default: runs/MODEL).
        repeats: Repeat the cross-validation this many times.
        seeds: Train each split with this many seeds, from --seed on.
        resume: Continue the run that the same command began, if there is one.
        track: Write settings and the losses of each epoch to MLflow or TensorBoard, and for
            published data the accuracy.
        open_: Evaluate on the test set and print the numbers.
    """
    from sequela.cli.numbers import open_console, say_finished, say_path
    from sequela.cli.progress import ReadingProgress, RunProgress
    from sequela.listeners import listening
    from sequela.models.defaults import Default
    from sequela.models.reference import REFERENCE_MODELS
    from sequela.studies.train import train as train_run
    from sequela.training.tracking import tracker

    check_names(model, data)
    console = open_console()
    begin = partial(
        train_run,
        data=data,
        root=root,
        repeats=repeats,
        seeds=seeds,
        resume=resume,
        options=options,
    )

    def progress(run_plan: "PlannedRun") -> RunProgress:
        table = run_plan.settings.signals if data == "table" else None
        if table and isinstance(root, Path):
            from sequela.intake.one_row import columns_of

            for line in columns_of(root, table.format):
                console.print(line, markup=False, highlight=False)
        return RunProgress(console, run_plan)

    # A table gets two default models: a simple one to read, and a stronger one to compare it with.
    seconds: list[str] = []

    def on_default(default: Default) -> None:
        console.print(f"auto: {default.model}, the default for {default.data}")
        seconds.extend([default.second] if default.second else [])

    trackers = [tracker(track)] if track else []
    with listening(ReadingProgress(), *trackers):
        run = begin(model, out=out, on_default=on_default, progress=progress)
    if options.training.changes and run.settings.model in REFERENCE_MODELS:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in options.training.changes)
        console.print(f"{names}: without effect, as {run.settings.model} is a baseline model")
    say_finished(console, run, open_=open_)
    for second in seconds:
        folder = run.path.with_name(f"{run.path.name}.{second}")
        with listening(*trackers):
            second_run = begin(second, out=folder, progress=partial(RunProgress, console))
        say_finished(console, second_run, open_=open_)
        command = f"sequela report {quote(str(run.path))} {quote(str(second_run.path))}"
        say_path(console, "both on one page", command)
