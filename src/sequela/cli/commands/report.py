"""``sequela report``: a page made from run folders."""

from itertools import chain
from pathlib import Path

from sequela.cli.names import HideBelow


def report(
    runs: list[Path], /, *, out: Path = Path("report.html"), hide_below: HideBelow = None
) -> None:
    """Build one HTML page from run folders; the data are not needed.

    Evaluates each run on its test set, which is logged. The same run folders give the same bytes
    until another evaluation on the test set is logged.

    Example: `sequela report runs/mlp-baseline runs/mlp-improved --out report.html`

    Args:
        runs: Run folders, or folders that hold run folders.
        out: File to write the page to.
    """
    from sequela.integrity.openings import openings
    from sequela.report.pages.build import report as report_runs
    from sequela.runs.find import find_runs

    page = report_runs(*runs, out=out, hide_below=hide_below)
    for sentence in dict.fromkeys(chain(*(openings(run).sentences for run in find_runs(runs)))):
        print(sentence)
    print(f"page: {page}")
