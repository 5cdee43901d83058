"""``sequela reproduce``: the studies of the 2019 report on one page."""

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
