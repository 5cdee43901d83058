"""``sequela study``: a study that a file declares, from data to page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def study(
    file: Path,
    /,
    *,
    quick: Annotated[bool, Parameter(negative=())] = False,
    out: Path = Path("study"),
    seed: int = 0,
    split_seed: int | None = None,
    data: str | None = None,
    root: Path | None = None,
    processes: int | None = None,
    smallest_cell: int | None = None,
) -> None:
    """Run a study that a file declares: data, task, models, seeds and claims.

    Trains every model and writes the run folders, results.json and one page, report.html. Run the
    same command again to continue an interrupted study. The two studies of the 2019 report are
    such files; they show all keys.

    Example: `sequela study sleep.toml --root recordings --out sleep`

    Args:
        file: The study, in TOML.
        quick: Train for few epochs, as a test; the numbers are not results.
        out: Folder to write the runs, results.json and report.html to.
        seed: Seed of the weights, of the order of the batches and, without --split-seed, of the
            split.
        split_seed: Seed of the split (default: the seed).
        data: Data set, if the study has several (default: the first).
        root: Folder or file of the data (default: the usual search path).
        processes: Train this many models at once, each on one thread (default: number of cores).
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.cli.study import run_studies
    from sequela.errors import unknown_name
    from sequela.studies.file import read_study
    from sequela.studies.registry import STUDIES, register

    found = read_study(file)
    if data is not None and data not in found.data:
        raise unknown_name(f"data set of {file}", data, found.data)
    if STUDIES.get(found.name) != found:
        register(found)
    run_studies(
        (found.name,),
        out,
        quick=quick,
        seed=seed,
        split_seed=split_seed,
        data=data,
        root=root,
        processes=processes,
        smallest_cell=smallest_cell,
    )
