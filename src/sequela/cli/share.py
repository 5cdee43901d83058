"""``sequela share``: export of the publishable parts of a run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def share(
    run: Path,
    /,
    *,
    out: Path,
    model: Annotated[bool, Parameter(negative=())] = False,
    smallest_cell: int | None = None,
) -> None:
    """Export the parts of a run that are safe to publish: page, card and numbers, checked.

    A run folder contains data of single people and must not be published. This command writes the
    page, the card, the numbers, the cost and the learning curves to a new folder, and searches them
    for ids, for names that few people have and for small counts. If one is found, nothing is
    written. Evaluates the run on its test set, which is logged.

    Example: `sequela share runs/visits-improved --out to-publish`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: Folder to write; it must not exist.
        model: Add the weights too. Their vocabulary must not contain codes of few people (train
            with --min-subjects). Weights can still reveal data that they were fitted to.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.config import ReleaseSettings
    from sequela.report.share import share as share_run
    from sequela.runs.find import named_runs

    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    for path in share_run(named_runs([run])[0], out, smallest=smallest, model=model):
        print(path)
