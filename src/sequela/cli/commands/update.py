"""``sequela update``: a model adapted to other patients, as a new run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import TrustCode, check_names, data_sets, known


def update(
    run: Path,
    /,
    *,
    data: Annotated[str | None, Parameter(show_default=known("that of the run", data_sets))] = None,
    root: Path | None = None,
    labels: Path | None = None,
    share: float = 0.5,
    seed: int = 0,
    out: Path = Path("runs/updated"),
    trust_code: TrustCode = False,
) -> None:
    """Adapt a model to another hospital, on some of its patients, as a new run.

    A closed test on a share of the new patients chooses the smallest sufficient change: none, the
    intercept, intercept and slope, or for a baseline model a refit; for several classes none,
    temperature or vector scaling. A level needs ten patients of the rarest class for each number
    that it estimates. Patients of the model's training and validation set are set aside. Prints
    numbers of the other patients, the test set of the new run, before and after the change: this
    evaluation is logged. The new run has a copy of the model and needs no run folder of the old.

    Example: `sequela update runs/values-lstm --data physionet2012 --root set-b --out runs/here`

    Args:
        run: Run folder of one model, which may be an ensemble or an update.
        data: Data set of the new patients.
        root: Folder or file of the data (default: the usual search path).
        labels: MEDS label file of the data, for a run that took its labels from a file.
        share: Share of the new patients on whom the change is chosen.
        seed: Seed of the draw of these patients.
        out: Run folder.
    """
    check_names(data=data)
    from sequela.analysis.update import update_run
    from sequela.cli.numbers import open_console, open_table, say_numbers, say_path, within
    from sequela.evaluation.metrics import named
    from sequela.evaluation.recalibration import ALPHA
    from sequela.integrity.openings import open_held_out
    from sequela.runs.recipe import update_in_words

    console = open_console()
    folder = update_run(
        run,
        out,
        data=data,
        root=root,
        labels=labels,
        share=share,
        seed=seed,
        trust_code=trust_code,
    )
    change = folder.metrics.update
    assert change is not None  # noqa: S101 - the run was updated
    rarest = "with the rarest event" if folder.data.horizons else "of the rarest class"
    few = f"not considered, {change.events} local {folder.data.unit}s {rarest}, expected"
    for level, count in change.needed.items():
        console.print(f"{level}: {few} {count:,}")
    for level in change.reversing:
        console.print(f"{level}: not considered, a slope is not above 0 and reverses the ranking")
    for level, p in change.p_values.items():
        # The null hypothesis of a refit is that it is not better.
        rejected = (p < ALPHA) != (level == "refit")
        console.print(f"{level}: p = {p:.2g}, {'rejected' if rejected else 'not rejected'}")
    console.print(update_in_words(folder, change), style="bold")
    table = open_table("test set", "before", "after")
    for name in [key for key in change.before if not key.endswith("_ci")]:
        titles = {"o_e": "observed / expected", "slope": "calibration slope"}
        title = titles.get(name) or named(name).title
        table.add_row(title, within(change.before, name), within(change.after, name))
    console.print(table)
    openings = open_held_out(folder, "update").to_dict()
    say_numbers(console, folder, {**folder.test, "openings": openings})
    say_path(console, "run folder", folder.path)
