"""The page of a comparison of runs."""

from dataclasses import replace
from pathlib import Path

from sequela.evaluation.metrics import named
from sequela.figures.compare import differences
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.compare import Comparison
from sequela.runs.environment import environment


def build_comparison(found: Comparison, out: Path) -> Path:
    """Write the page. The same runs give the same bytes on one machine.

    Args:
        found: The comparison.
        out: The page; written under a temporary name, then renamed.
    """
    first, *others = found.runs
    picture = differences(
        {
            run.name: replace(run.difference, p_value=run.corrected_p)
            for run in others
            if run.difference and run.corrected_p is not None
        },
        first=first.name,
        metric=found.metric,
        p_name="p (Holm)",
    )
    return write_page(
        "comparison.html.j2",
        out,
        title=f"Comparison with {first.name}",
        environment=environment(),
        found=found,
        metric=named(found.metric),
        first=first,
        others=others,
        picture=svg(picture, "differences"),
    )
