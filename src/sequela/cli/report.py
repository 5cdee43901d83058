"""``sequela report``: a page made from run folders."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.files import require_file


def report(
    runs: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    out: Path = Path("report.html"),
    smallest_cell: int | None = None,
) -> None:
    """Build one HTML page from run folders; the data are not needed.

    Evaluates each run on its test set, which is logged. The same run folders give the same bytes
    until another evaluation on the test set is logged.

    Example: `sequela report runs/mlp-baseline runs/mlp-improved --out report.html`

    Args:
        runs: Run folders, or folders that hold run folders.
        out: File to write the page to.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.config import ReleaseSettings
    from sequela.report.build import build
    from sequela.runs.find import find_runs

    require_file(out, ".html")
    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    print(f"page: {build(find_runs(runs), out, smallest).resolve()}")
