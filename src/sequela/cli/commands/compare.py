"""``sequela compare``: comparison of runs."""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from sequela.cli.names import HideBelow, Json, known, metrics

if TYPE_CHECKING:
    from sequela.analysis.compare import Compared

_WIDTH = 120  # tables are not folded where the output is not a terminal


_USUAL = "auroc for two classes, accuracy for more, concordance for times"


def compare(
    runs: list[Path],
    /,
    *,
    metric: Annotated[str | None, Parameter(show_default=known(_USUAL, metrics))] = None,
    out: Path | None = None,
    json: Json = False,
    hide_below: HideBelow = None,
) -> None:
    """Compare runs with the first one on the same test set.

    Prints each difference with its 95 % interval and a p-value corrected for the number of
    comparisons (Holm). Runs on different splits are refused: one may have been trained on examples
    of the other's test set. Evaluates the runs on the test set, which is logged.

    Example: `sequela compare runs/mlp-baseline runs/mlp-improved --out comparison.html`

    Args:
        runs: Run folders, or folders of cross-validations; the others are compared with the first.
        metric: Metric to compare.
        out: Also write the page of these runs to this file, as `sequela report` does.
    """
    from json import dumps

    from sequela.evaluation.metrics import named
    from sequela.report.pages.build import compare as compare_runs

    comparison = compare_runs(*runs, metric=metric, out=out, hide_below=hide_below)
    if json:
        print(dumps(comparison.to_dict(), indent=1))
    else:
        title = named(comparison.metric).title
        table = Table(box=None)
        for column in ("run", title, "difference", "95 % interval", "p", "p, corrected"):
            table.add_column(column, no_wrap=True, overflow="fold")
        for run in comparison.runs:
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
        Console(soft_wrap=True, markup=False, highlight=False, width=_WIDTH).print(table)
        groups = "1 group" if comparison.groups == 1 else f"{comparison.groups} groups"
        print(
            f"test set: {comparison.examples} examples of {groups}; {comparison.method}; p-values "
            "corrected (Holm)"
        )
        further = chain.from_iterable(map(further_tests, comparison.runs))
        for line in (*further, f"{comparison.best}.", *comparison.opened):
            print(line)
    for run in comparison.runs:
        if run.same:
            words = "has the same probabilities as the first run: is it the same model?"
            print(f"sequela: warning: {run.name} {words}", file=sys.stderr)
    if out is not None:
        print(f"page: {out.resolve()}")


def further_tests(run: "Compared") -> Iterator[str]:
    """Yield a line for DeLong's and one for McNemar's test, where the data allow these."""
    if delong := run.delong:
        low, high = delong.interval.low, delong.interval.high
        yield (
            f"{run.name}: AUROC {delong.value:+z.3f} ({low:+z.3f} to {high:+z.3f}; p "
            f"{delong.p_value:.2g}) by DeLong's test"
        )
    if mcnemar := run.mcnemar:
        yield (
            f"{run.name}: of whole groups, {mcnemar.only_one} are right in this run alone and "
            f"{mcnemar.only_other} in the first alone (p {mcnemar.exact_p:.2g}) by McNemar's test"
        )
