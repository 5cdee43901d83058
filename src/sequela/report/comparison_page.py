"""The page of a comparison of runs."""

from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from sequela.evaluation.metrics import named
from sequela.figures.compare import differences
from sequela.report.build import open_templates
from sequela.report.entry import svg
from sequela.runs.compare import Comparison
from sequela.runs.folder import environment
from sequela.runs.manifest import adding


def build_comparison(found: Comparison, out: Path) -> Path:
    """Write the page; the same runs give the same bytes on one machine.

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
    templates = open_templates()
    html = templates.get_template("comparison.html.j2").render(
        found=found,
        metric=named(found.metric),
        first=first,
        others=others,
        picture=svg(picture, "differences"),
    )
    page = templates.get_template("page.html.j2").render(
        flow_css="",
        title=f"Comparison with {first.name}",
        environment=environment(),
        studies=[{"id": "comparison", "html": Markup(html)}],  # noqa: S704 - escaped as rendered
    )
    with adding(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out
