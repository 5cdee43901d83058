"""The page: run folders in, one self-contained HTML file out, the same bytes each time."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sequela.errors import RunError
from sequela.evaluation.number import number
from sequela.figures.flow import css
from sequela.files import whole
from sequela.report import mortality_half, seizure_half
from sequela.runs.find import Run
from sequela.studies.reproduce import in_order


def build(folders: Sequence[Run], out: Path) -> Path:
    """Build the page of some runs.

    Args:
        folders: Finished runs; those on signals are of the same data.
        out: The page; written under a temporary name, then renamed.

    Raises:
        RunError: If there is no run, a run is damaged, or runs that belong side by side are of
            different data or splits.
        SplitError: If the parts of a run overlap.
    """
    if not folders:
        raise RunError("no run to report on: name at least one run folder")
    ordered = in_order(folders)
    _refuse_mixture(ordered)
    signals = [f for f in ordered if f.settings.cohort is None]
    records = [f for f in ordered if f.settings.cohort is not None]
    templates = open_templates()
    halves = []
    for name, runs, half in (
        ("Seizures", signals, seizure_half),
        ("Mortality", records, mortality_half),
    ):
        if runs:
            content = half.content(runs)
            template = templates.get_template(f"{half.NAME}.html.j2")
            html = Markup(template.render(content))  # noqa: S704 - escaped as it was rendered
            halves.append(
                {"id": half.NAME, "name": name, "summary": half.summary(content), "html": html}
            )
    names = " and ".join(str(half["name"]) for half in halves)
    page = templates.get_template("page.html.j2").render(
        flow_css=css(),
        title=f"{names}: the 2019 report and what really happens",
        environment=ordered[0].environment,
        halves=halves,
    )
    with whole(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def open_templates() -> Environment:
    """The templates of pages; what they are not given is an error."""
    environment = Environment(
        loader=PackageLoader("sequela.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["number"] = number
    return environment


def _refuse_mixture(folders: Sequence[Run]) -> None:
    """Refuse runs that do not belong on one page: their numbers could not be compared."""
    first: dict[tuple[object, ...], Run] = {}
    for folder in folders:
        settings = folder.settings
        # Each cohort of hospital records has its own table; signals share one.
        cohort = settings.cohort and (
            settings.data,
            settings.cohort.task,
            settings.cohort.hindsight,
        )
        same = first.setdefault((settings.split, cohort), folder)
        if settings.data != same.settings.data or folder.split_ids != same.split_ids:
            raise RunError(
                f"{folder.path} and {same.path} are of different data or splits (by "
                f"{settings.split}): their numbers cannot be compared; build a page for each"
            )
        _ = folder.predictions  # reading them proves that they belong to the split
