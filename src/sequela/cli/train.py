"""``sequela train``: one model, one run folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

RECORDS = Group("Hospital records")


@Parameter(name="*", group=RECORDS)
@dataclass(frozen=True)
class Records:
    """What is asked of hospital records.

    Attributes:
        task: in-hospital, post-discharge, landmark or report-2019 (which leaks).
        hours: From the admission (or entry) to the prediction; the task's own if not given.
        days: How far ahead a death counts; the task's own if not given.
        from_icu: Count from the first admission to an ICU, not to the hospital.
        tables: A table to read beside the required ones (may be repeated); all if not given.
        labels: MEDS label file, for example of ACES, in place of the task's cohort.
        inputs: A family of codes that the model may see, such as ICD9CM (may be repeated).
        hindsight: Look back from the end of the stay: leaks, and shows what that is worth.
        min_subjects: In how many training subjects a code must stand to be known.
        icd_digits: Characters of ICD codes to keep behind the dot.
        step_hours: Steps are windows of so many hours, not visits.
        demographics: Let sex, age and the like in.
        bins: Let measurements in, in so many quantiles.
        aim: What the threshold serves that is chosen on the tuning part.
        aim_target: The aim's sensitivity or cost ratio.
    """

    task: str | None = None
    hours: float | None = None
    days: float | None = None
    from_icu: Annotated[bool, Parameter(negative=())] = False
    tables: tuple[str, ...] = ()
    labels: Path | None = None
    inputs: tuple[str, ...] = ()
    hindsight: Annotated[bool, Parameter(negative=())] = False
    min_subjects: int | None = None
    icd_digits: int | None = None
    step_hours: float | None = None
    demographics: Annotated[bool, Parameter(negative=())] = False
    bins: int | None = None
    aim: Literal["youden", "f1", "sensitivity", "cost_ratio"] | None = None
    aim_target: float | None = None

    def settings(self) -> dict[str, Any]:
        """Those that were given."""
        given = {
            name: value
            for name, value in vars(self).items()
            if value is not None and value is not False and value != ()  # 0 is a value
        }
        if "days" in given:
            given["horizon_days"] = given.pop("days")
        if "labels" in given:
            given["labels"] = str(given["labels"].resolve())
        return given


def train(
    model: str,
    /,
    *,
    data: str,
    root: Path | None = None,
    split: Literal["subject", "recording", "row"] | None = None,
    records: Records = Records(),
    seed: int = 0,
    folds: int = 0,
    repeats: int = 1,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    class_weights: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train one model and write a run folder.

    What is not given is as in the study of the 2019 report. Ctrl-C leaves a run that `--resume`
    continues, with the same result as if it had never been interrupted.

    Example: `sequela train gru-improved --data bonn --out runs/gru`, or
    `sequela train visits-improved --data eicu --task in-hospital --hours 24`

    Args:
        model: For example mlp-baseline, cnn-improved, gru-improved, visits-improved; or a floor:
            majority-class, prevalence, logistic-regression, boosting.
        data: Data set: bonn or uci-seizure; mimic3, mimic4, eicu, physionet2012, nafld or meds.
        root: Folder or file of the data, if not where they are looked for by themselves.
        split: What is kept whole, by default recordings of a signal and subjects of a hospital;
            `row` keeps nothing and leaks: it exists to show the leak.
        records: What is asked of hospital records.
        seed: Of the split, the weights and the order of the batches.
        folds: Cross-validate: hold each of so many folds out once.
        repeats: Deal the folds so many times.
        epochs: Passes over the training part at most.
        batch_size: Examples a step.
        learning_rate: Adam's, or its peak.
        class_weights: Weigh each class by the inverse of its share.
        out: Run folder; runs/MODEL if not given.
        resume: Continue the run that the folder holds.
    """
    from sequela.cli.numbers import open_console, say_numbers, say_path
    from sequela.cli.progress import RunProgress
    from sequela.runs.pool import PlannedRun
    from sequela.studies.settings import run_settings

    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "class_weights": class_weights or None,
    }
    settings = run_settings(
        model,
        data,
        split=split,
        seed=seed,
        records=records.settings(),
        training={name: value for name, value in changes.items() if value is not None},
    )
    planned = PlannedRun(out or Path("runs") / model, settings, folds, repeats)
    console = open_console()
    with RunProgress(console, planned) as progress:
        run = planned.train(root=root, resume=resume, on_epoch=progress.epoch, on_run=progress.fold)
    say_numbers(console, run, run.test)
    console.print(f"data: {settings.data}, {run.data['origin']}", markup=False)
    say_path(console, "run folder", run.path)
