"""``sequela train``: one model, one run folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from sequela.errors import SettingError

RECORDS = Group("Hospital records")
_EXAMPLE = "`sequela train gru-improved --data bonn`"


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
    model: str | None = None,
    /,
    *,
    data: str | None = None,
    root: Path | None = None,
    split: Literal["subject", "recording", "row"] | None = None,
    records: Records = Records(),
    seed: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
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
        resume: Continue the run that the folder holds; what is not given is as it was begun.
    """
    from sequela.cli.progress import EpochProgress, FoldProgress
    from sequela.runs import fit
    from sequela.runs.find import begun, begun_repeats
    from sequela.runs.folds import cross_validate
    from sequela.studies.settings import resumed_settings, run_settings

    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "class_weights": class_weights or None,
    }
    training = {name: value for name, value in changes.items() if value is not None}
    asked = records.settings()
    if out is None and model is None:
        raise SettingError("what to train is missing: name a MODEL, or --resume with --out")
    folder = out or Path("runs") / str(model)
    if resume:
        found, dealt = begun(folder)
        settings = resumed_settings(
            found, model=model, data=data, split=split, seed=seed, records=asked, training=training
        )
        if dealt and repeats is None:
            repeats = begun_repeats(folder)
        folds = dealt if folds is None else folds
    else:
        if model is None or data is None:
            missing = "MODEL" if model is None else "--data"
            raise SettingError(f"{missing} is missing: say what to train on what, as in {_EXAMPLE}")
        settings = run_settings(
            model, data, split=split, seed=seed or 0, records=asked, training=training
        )
    if folds or repeats not in {None, 1}:
        folds, repeats = folds or 0, 1 if repeats is None else repeats
        shown = FoldProgress(folds * repeats)
        done = cross_validate(
            settings,
            folder,
            folds=folds,
            repeats=repeats,
            root=root,
            resume=resume,
            on_run=shown.show,
        )
        shown.say_numbers(done)
        return
    with EpochProgress(settings.model, settings.training.epochs) as progress:
        run = fit.train(settings, folder, root=root, resume=resume, on_epoch=progress.show)
    progress.say_numbers(run)
