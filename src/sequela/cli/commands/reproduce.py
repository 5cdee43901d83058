"""``sequela reproduce``: the studies of the 2019 report on one page; ``try``: a first result."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import (
    HideBelow,
    Processes,
    Quick,
    SplitSeed,
    StudySeed,
    data_of_studies,
    known,
    one_of,
    studies,
)

_STUDY = Parameter(
    show_default=known("both of the 2019 report", studies), validator=one_of("study", studies)
)
_DATA = Parameter(
    show_default=known("the first of the study", data_of_studies),
    validator=one_of("data set of a study", data_of_studies),
)
_FIRST_MODEL = "spectral-logistic-regression"  # trained in seconds, without torch
_NEXT = """next: open the page in a browser, then use your own data
  a table with one row per patient: sequela train auto --data table --root FILE --label COLUMN
  EEG recordings: sequela data describe FOLDER --write
  all models of the 2019 report, on EEG and intensive care: sequela reproduce"""


def try_(*, out: Path = Path("try")) -> None:
    """Show a first result: train a small model on the EEG that ships with sequela.

    Does the same as `sequela train spectral-logistic-regression --data bonn` and `sequela report`,
    offline and without torch. A finished run is not trained again.

    Example: `sequela try`

    Args:
        out: Folder to write the run and report.html to.
    """
    from sequela.cli.numbers import groups_of, open_console, say_path
    from sequela.evaluation.number import number
    from sequela.report.pages.build import report
    from sequela.runs.find import is_run
    from sequela.studies.train import train

    console, folder = open_console(), out / _FIRST_MODEL
    console.print("Which of five states does one second of EEG show? Training a small model...")
    run = train(_FIRST_MODEL, "bonn", out=folder, resume=is_run(folder))
    page = report(run, out=out / "report.html")
    test, counts = run.test, run.data.counts
    shares = [test["accuracy"], *(test["accuracy_ci"] or ()), max(counts) / sum(counts)]
    right, *interval, guessing = (number(100 * share, ".0f") for share in shares)
    within = f" (95 % interval {' to '.join(interval)})" if interval else ""
    console.print(
        f"{right} of 100 seconds are classified correctly{within}, in {groups_of(run, test)} that "
        f"the model was not trained on; guessing gets {guessing} of 100"
    )
    console.print(f"data: {run.data.origin}")
    say_path(console, "page", page)
    console.print(_NEXT)


def reproduce(
    study: Annotated[str | None, _STUDY] = None,
    /,
    *,
    quick: Quick = False,
    out: Path = Path("reproduction"),
    seed: StudySeed = 0,
    split_seed: SplitSeed = None,
    data: Annotated[str | None, _DATA] = None,
    root: Path | None = None,
    processes: Processes = None,
    hide_below: HideBelow = None,
) -> None:
    """Reproduce the 2019 report and test its claims.

    Trains every model and writes the run folders, results.json and one page, report.html. Uses the
    data excerpts that ship with sequela unless --root or SEQUELA_DATA names other data. Run the
    same command again to continue an interrupted study.

    Example: `sequela reproduce --quick --out reproduction`

    Args:
        study: The study to reproduce.
        out: Folder to write the runs, results.json and report.html to.
        data: Data set of a study with several data sets.
        root: Folder or file of the data of one study; for mortality, of MIMIC-III (default: the
            usual search path).
    """
    options = dict(locals())
    from sequela.cli.commands.study import run_studies
    from sequela.studies.registry import REPORT

    name = options.pop("study")
    run_studies((name,) if name else REPORT, **options)
