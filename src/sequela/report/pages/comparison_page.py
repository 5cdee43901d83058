"""The page of a comparison of runs."""

from dataclasses import replace
from pathlib import Path

from sequela.analysis.compare import Comparison, released_comparison
from sequela.analysis.compare import compare as compare_runs
from sequela.evaluation.metrics import named
from sequela.figures.compare import differences
from sequela.files import require_file
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.environment import environment
from sequela.runs.find import Run, named_runs, paths_of


def compare(
    *runs: Path | str | Run,
    metric: str | None = None,
    out: Path | str | None = None,
    hide_below: int | None = None,
) -> Comparison:
    """Compare runs, or their folders, as ``sequela compare`` does: see its help.

    Returns:
        The comparison: each run's difference with its 95 % interval and corrected p-value.
    """
    if out is not None:
        require_file(Path(out), ".html")
    comparison = compare_runs(named_runs(paths_of(runs)), metric)
    if out is not None:
        build_comparison(comparison, Path(out), hide_below)
    return comparison


def build_comparison(comparison: Comparison, out: Path, hide_below: int | None = None) -> Path:
    """Write the page. The same runs give the same bytes on one machine."""
    comparison = released_comparison(comparison, hide_below)
    first, *rest = comparison.runs
    # The figure shows corrected p-values, as the table does: uncorrected ones of many runs mislead.
    apart = {
        run.name: replace(run.difference, p_value=run.corrected_p)
        for run in rest
        if run.difference and run.corrected_p is not None
    }
    picture = differences(apart, first=first.name, metric=comparison.metric, p_name="p (Holm)")
    return write_page(
        "comparison.html.j2",
        out,
        title=f"Comparison with {first.name}",
        environment=environment(),
        found=comparison,
        metric=named(comparison.metric),
        first=first,
        others=rest,
        picture=svg(picture, "differences"),
    )
