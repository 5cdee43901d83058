"""``sequela reproduce``: the studies of the 2019 report on one page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import data_of_studies, known, one_of, studies

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
    quick: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("reproduction"),
    seed: int = 0,
    split_seed: int | None = None,
    data: Annotated[str | None, _DATA] = None,
    root: Path | None = None,
    processes: int | None = None,
    smallest_cell: int | None = None,
) -> None:
    """Reproduce the 2019 report and test its claims.

    Trains every model and writes the run folders, results.json and one page, report.html. Uses the
    data excerpts that ship with sequela unless --root or SEQUELA_DATA names other data. Run the
    same command again to continue an interrupted study.

    Example: `sequela reproduce --quick --out reproduction`

    Args:
        study: The study to reproduce.
        quick: Train for few epochs, as a test; the numbers are not results.
        out: Folder to write the runs, results.json and report.html to.
        seed: Seed of the weights, of the order of the batches and, without --split-seed, of the
            split.
        split_seed: Seed of the split (default: the seed).
        data: Data set of a study with several data sets.
        root: Folder or file of the data of one study; for mortality, of MIMIC-III (default: the
            usual search path).
        processes: Train this many models at once, each on one thread (default: number of cores).
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.cli.study import run_studies
    from sequela.studies.registry import REPORT

    run_studies(
        (study,) if study else REPORT,
        out,
        quick=quick,
        seed=seed,
        split_seed=split_seed,
        data=data,
        root=root,
        processes=processes,
        smallest_cell=smallest_cell,
    )
