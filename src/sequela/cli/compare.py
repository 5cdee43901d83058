"""``sequela compare``: comparison of runs."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from sequela.cli.names import known, metrics
from sequela.files import require_file

_WIDTH = 120  # tables are not folded where the output is not a terminal


_USUAL = "auroc for two classes, accuracy for more"


def compare(
    runs: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    metric: Annotated[str | None, Parameter(show_default=known(_USUAL, metrics))] = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    smallest_cell: int | None = None,
) -> None:
    """Compare runs with the first one on the same test set.

    Prints each difference with its 95 % interval and a p-value corrected for the number of
    comparisons (Holm). Runs on different splits are refused: one may have been trained on examples
    of the other's test set. Evaluates the runs on the test set, which is logged.

    Example: `sequela compare runs/mlp-baseline runs/mlp-improved --out comparison.html`

    Args:
        runs: Run folders, or folders of cross-validations. The others are compared with the first.
        metric: Metric to compare.
        out: Also write a page to this file.
        json: Print JSON.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from json import dumps

    from sequela.config import ReleaseSettings
    from sequela.evaluation.metrics import named
    from sequela.report.comparison_page import build_comparison
    from sequela.runs.compare import compare as compare_runs
    from sequela.runs.find import named_runs

    if out is not None:
        require_file(out, ".html")
    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    found = compare_runs(named_runs(runs), metric, smallest)
    if json:
        print(dumps(found.to_dict(), indent=1))
    else:
        console = Console(soft_wrap=True, highlight=False, width=_WIDTH)
        table = Table(box=None)
        for column in (
            "run",
            named(found.metric).title,
            "difference",
            "95 % interval",
            "p",
            "p, corrected",
        ):
            table.add_column(column, no_wrap=True, overflow="fold")
        for run in found.runs:
            row = [run.name, f"{run.value:.3f}"]
            if run.difference and run.corrected_p is not None:
                gap = run.difference.interval
                row += [
                    f"{run.difference.value:+z.3f}",
                    f"{gap.low:+z.3f} to {gap.high:+z.3f}",
                    f"{run.difference.p_value:.2g}",
                    f"{run.corrected_p:.2g}",
                ]
            table.add_row(*row)
        console.print(table)
        console.print(
            f"test set: {found.examples} examples of {found.groups} "
            f"group{'s' * (found.groups != 1)}; {found.method}; p-values corrected (Holm)",
            markup=False,
        )
        for line in (f"{found.best}.", *found.opened):
            console.print(line, markup=False)
    for run in found.runs:
        if run.same:
            said = "has the same probabilities as the first run: is it the same model?"
            print(f"sequela: warning: {run.name} {said}", file=sys.stderr)
    if out is not None:
        print(f"page: {build_comparison(found, out).resolve()}")
