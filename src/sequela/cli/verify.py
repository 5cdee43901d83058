"""``sequela verify``: are the numbers of runs those of their predictions?"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def verify(runs: Annotated[list[Path], Parameter(negative=())], /) -> None:
    """Recompute every number of runs, intervals included, and refuse a run that states others.

    Pages, cards, comparisons and evaluations check the numbers as well, but for the intervals. The
    held-out part is not opened, for no number is printed.

    Example: `sequela verify reproduction`

    Args:
        runs: Run folders, or folders that hold run folders.
    """
    from sequela.runs.find import find_runs
    from sequela.runs.verify import verify as verify_run

    for run in find_runs(runs):
        verify_run(run, intervals=True)
        print(f"{run.path}: all numbers are those of the predictions")
