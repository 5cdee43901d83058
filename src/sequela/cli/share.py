"""``sequela share``: what may be shown of a run."""

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
    """Write what may leave the building of a run: page, card and numbers, checked.

    A run folder holds data of single people and stays inside. This writes the page, the card, the
    numbers, the cost and the learning curves into a new folder, and searches every byte of them for
    ids, for names that few people have and for small counts. If one is found, nothing is written.
    Opens the held-out (test) part, which is counted.

    Example: `sequela share runs/visits-improved --out to-publish`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: Folder to write; it must not exist.
        model: Add the weights too; their vocabulary may name no code of few people
            (train with --min-subjects). Weights can still give away whom they were fitted to.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.config import ReleaseSettings
    from sequela.report.share import share as share_run
    from sequela.runs.find import named_runs

    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    for path in share_run(named_runs([run])[0], out, smallest=smallest, model=model):
        print(path)
