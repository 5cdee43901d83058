"""``sequela train``: one model, one run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from sequela.cli.options import given, options
from sequela.cohort.tasks import TASKS
from sequela.config import CohortSettings, RunSettings, TrainingSettings

if TYPE_CHECKING:
    Asked = Any
else:
    Asked = options(
        {
            "Run": RunSettings,
            "Hospital records": CohortSettings,
            "Training": TrainingSettings,
        },
        notes={"task": f"One of {', '.join(TASKS)}; report-2019 leaks by design."},
    )

train_app = App(
    name="train",
    help_format="markdown",
    help_epilogue="""What is not given is as in the study of the 2019 report. Ctrl-C leaves a run
that `--resume` continues, with the same result as if it had never been interrupted.

Example: `sequela train gru-improved --data bonn --out runs/gru`, or
`sequela train visits-improved --data eicu --task in-hospital --hours 24`""",
)


@train_app.default
def train(
    model: str,
    /,
    *,
    data: str,
    root: Path | None = None,
    asked: Asked = Asked(),  # noqa: B008 - frozen
    repeats: int = 1,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train one model and write a run folder.

    Args:
        model: For example mlp-baseline, cnn-improved, gru-improved, visits-improved; or a
            reference model: majority-class, prevalence, logistic-regression, boosting.
        data: Data set: bonn or uci-seizure; mimic3, mimic4, eicu, physionet2012, nafld or meds.
        root: Folder or file of the data (default: the usual search path).
        asked: Settings of the run.
        repeats: Repeat the cross-validation this many times.
        out: Run folder (default: runs/MODEL).
        resume: Continue the run that the folder holds.
    """
    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.cli.progress import RunProgress
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import run_settings

    said = given(asked, RunSettings)
    records = given(asked, CohortSettings)
    records |= {name: said.pop(name) for name in ("aim", "aim_target") if name in said}
    if "labels" in records:
        records["labels"] = str(Path(records["labels"]).resolve())
    folds = said.pop("folds", 0)
    settings = run_settings(
        model, data, **said, records=records, training=given(asked, TrainingSettings)
    )
    planned = PlannedRun(out or Path("runs") / model, settings, folds, repeats)
    console = open_console()
    with RunProgress(console, planned) as progress:
        run = planned.train(root=root, resume=resume, on_epoch=progress.epoch, on_run=progress.fold)
    say_numbers(console, run, run.test)
    console.print(f"data: {settings.data}, {run.data['origin']}", markup=False)
    say_path(console, "run folder", run.path)
