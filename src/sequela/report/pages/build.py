"""The page of runs: one self-contained HTML file, with the same bytes each time."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sequela.errors import RunError
from sequela.files import require_file
from sequela.integrity.openings import Opening, open_held_out
from sequela.report.page import write_page
from sequela.report.sections import answer
from sequela.report.sections.study import content as study_content
from sequela.report.sections.training_size import apart
from sequela.runs.find import Run, find_runs, paths_of
from sequela.studies.registry import planned_leak, question_of
from sequela.studies.results import by_study

if TYPE_CHECKING:
    from sequela.report.sections.group import Group


def report(
    *runs: Path | str | Run, out: Path | str = "report.html", hide_below: int | None = None
) -> Path:
    """Build one HTML page from runs or their folders, as ``sequela report`` does: see its help.

    Returns:
        The path of the page.
    """
    require_file(Path(out), ".html")
    return build(find_runs(paths_of(runs)), Path(out), hide_below).resolve()


def build(folders: Sequence[Run], out: Path, hide_below: int | None = None) -> Path:
    """Evaluate runs on their test sets and build their page.

    Runs of one question have the same split, or the same test set and other shares of the rest for
    training.
    """
    if not folders:
        raise RunError("no run to report: name at least one run folder")
    studies = [(study, *apart(runs)) for study, runs in by_study(folders)]
    for _, runs, _ in studies:
        _refuse_mixture(runs)
    for folder in folders:  # all, before any is counted
        open_held_out(folder, "report")
    contents = [study_content(study, runs, hide_below, aside) for study, runs, aside in studies]
    shown: list[Run] = []
    for _, runs, aside in studies:
        shown += [*runs, *aside]
    return write_page(
        "report.html.j2",
        out,
        title=" and ".join(study.title for study, *_ in studies) + answer.claims_of(contents),
        lead=answer.lead(contents),
        cards=answer.cards(contents),
        pictures=answer.pictures(contents),
        contents=contents,
        trust=_provenance(contents, shown),
        documentation=_documentation(),
    )


def _refuse_mixture(folders: Sequence[Run]) -> None:
    first: dict[tuple[object, ...], Run] = {}
    for folder in folders:
        settings = folder.settings
        # Each question has its own table; runs that leak on purpose are next to it.
        kind = (question_of(folder), settings.split, planned_leak(folder))
        same = first.setdefault(kind, folder)
        if folder.split_ids != same.split_ids:
            raise RunError(
                f"{folder.path} and {same.path} have different splits (by "
                f"{settings.split}): their metrics cannot be compared; build one page for each"
            )
        _ = folder.predictions  # reading them proves that they belong to the split


def _provenance(
    contents: Sequence[Mapping[str, Any]], runs: Sequence[Run]
) -> list[tuple[str, str]]:
    """Return the headings and texts of the foot of the page, in order."""
    groups: list[Group] = [group for content in contents for group in content["groups"]]
    environment = runs[0].environment
    commit = environment.get("commit", "unknown: the runs do not record it")
    since = min(filter(None, (group.opened.since for group in groups)), default="date unknown")
    mains: list[Group] = [content["main"] for content in contents]
    opened = " ".join(f"{group.data.title}: {' '.join(group.opened.sentences)}" for group in mains)
    prints = {
        group.data.title: Opening.of(group.first, "report").population[:16] for group in groups
    }
    predictions = [Opening.of(run, "report").predictions for run in runs]  # in the page's order
    return [
        ("First evaluation on the test set", f"{since} (UTC)."),
        ("Version", f"sequela {environment['sequela']}."),
        ("Commit", f"{commit}."),
        ("Data", "; ".join(f"{title}: {digest}" for title, digest in prints.items()) + "."),
        ("Evaluations on the test set", opened),
        (
            "Checksum of all predictions",
            hashlib.sha256("\n".join(predictions).encode()).hexdigest(),
        ),
    ]


def _documentation() -> str:
    """Return the address of the documentation from the package metadata; empty if there is none."""
    urls = metadata("sequela").get_all("Project-URL") or []
    addresses = dict(url.split(", ", 1) for url in urls)
    return str(addresses.get("Documentation", ""))
