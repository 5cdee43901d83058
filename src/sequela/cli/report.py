"""``sequela report``: a page from run folders alone."""

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

    Opens the held-out (test) part of each run, which is counted. The same run folders give the same
    bytes, as long as nothing else opens the part.

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
