"""The page of runs: one self-contained HTML file, with the same bytes each time."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import metadata
from itertools import chain, product
from pathlib import Path

from sequela.analysis.compare import Comparison
from sequela.analysis.compare import compare as compare_runs
from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.files import require_file
from sequela.integrity.openings import Command, Opening, open_held_out
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS
from sequela.report.page import write_page
from sequela.report.sections.group import Group
from sequela.report.sections.part import StudyPart
from sequela.report.sections.section import BLOCKS, SECTIONS
from sequela.runs.find import SIMPLE, Run, find_runs, is_run, named_runs, open_run, paths_of
from sequela.studies.registry import planned_leak, question_of
from sequela.studies.results import by_study
from sequela.studies.verdicts import tally


def report(
    *runs: Path | str | Run, out: Path | str = "report.html", hide_below: int | None = None
) -> Path:
    """Build one HTML page from runs or their folders, as ``sequela report`` does: see its help.

    Returns:
        The path of the page.
    """
    require_file(Path(out), ".html")
    return build(find_runs(paths_of(runs)), Path(out), hide_below).resolve()


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
    folders = named_runs(paths_of(runs))
    comparison = compare_runs(folders, metric)
    if out is not None:
        build(folders, Path(out), hide_below, command="compare")
    return comparison


def build(
    folders: Sequence[Run],
    out: Path,
    hide_below: int | None = None,
    awaited: Sequence[RunSettings] = (),
    command: Command = "report",
) -> Path:
    """Evaluate runs on their test sets and build their page.

    Runs of one question have the same split. While further runs are ``awaited``, the page states
    this, and reloads itself. The evaluation is logged as of the ``command``.
    """
    if not folders:
        raise RunError("no run to report: name at least one run folder")
    studies = by_study(folders)
    for _, runs in studies:
        if all(run.settings.model not in REFERENCE_MODELS for run in runs):
            runs += [open_run(run.path / SIMPLE) for run in runs[:1] if is_run(run.path / SIMPLE)]
        _refuse_mixture(runs)
    # All are logged before any is counted: else a page of the same runs would differ the next time.
    for folder in chain.from_iterable(runs for _, runs in studies):
        open_held_out(folder, command)
    models = {settings.model for settings in awaited}
    parts = [StudyPart.of(study, runs, hide_below, models) for study, runs in studies]
    pictures = [
        part.standing.against_operations(f"{part.study.name}-models-picture") for part in parts
    ]
    blocks = [(block, part, block.show(part)) for block, part in product(BLOCKS, parts)]
    judged = list(chain.from_iterable(part.judged for part in parts))
    reports = dict.fromkeys(part.study.report for part in parts if part.testable)
    follow = not models.isdisjoint(MODELS)
    title = " and ".join(part.study.heading for part in parts)
    if reports:
        title = f"{' and '.join(reports)}, tested again"
    return write_page(
        "report.html.j2",
        out,
        title=title[:1].upper() + title[1:],
        parts=parts,
        pictures=[pair for pair in zip(pictures, parts, strict=True) if pair[0]],
        tally=tally(judged) if judged else "",
        conclusion="" if follow else _conclusion(parts),
        checks=_checks(parts),
        blocks=[block for block in blocks if block[-1]],
        sections=list(SECTIONS.values()),
        trust=_provenance(parts),
        documentation=_documentation(),
        awaited=awaited,
        finished=len(folders),
        networks_follow=follow,
    )


def _refuse_mixture(folders: Sequence[Run]) -> None:
    first: dict[tuple[object, ...], Run] = {}
    for folder in folders:
        settings = folder.settings
        # Each question has its own table; runs that leak on purpose are next to it.
        kind = (question_of(folder), settings.split, planned_leak(folder))
        same = first.setdefault(kind, folder)
        # On another split the test examples differ, and one model may be trained on the test set of
        # the other: the difference of their numbers has no meaning.
        if folder.split_ids != same.split_ids:
            raise RunError(
                f"{folder.path} and {same.path} have different splits (by "
                f"{settings.split}): their metrics cannot be compared; build one page for each"
            )
        _ = folder.predictions  # reading them proves that they belong to the split


def _conclusion(parts: Sequence[StudyPart]) -> str:
    """Compare the networks with the simple models, in a sentence; empty where one is missing."""
    pairs = [(p, p.network, p.baseline) for p in parts if not p.void and not p.main.leak]
    rivals = [(part, network, simple) for part, network, simple in pairs if network and simple]
    better = [part for part, *rows in rivals if part.standing.beats(*rows)]
    if not rivals:
        return ""
    if all(network.value <= simple.value for _, network, simple in rivals):
        whose = "its" if any(part.testable for part in parts) else "the"
        return f"A simple model matched or beat {whose} networks."
    if not better:
        return "No network was clearly better than a simple model."
    where = f" ({', '.join(p.study.title for p in better)})" if len(better) < len(rivals) else ""
    return f"A network was clearly better than the best simple model{where}."


def _checks(parts: Sequence[StudyPart]) -> list[tuple[bool, str, str]]:
    """Return the checks of all parts, each once, with the names of parts where not all have it."""
    titles: dict[tuple[bool, str], list[str]] = {}
    for part in parts:
        for check in part.checks:
            titles.setdefault(check, []).append(part.study.title)
    units = " and ".join(dict.fromkeys(filter(None, (part.units for part in parts))))
    titles |= {(True, f"{units} kept apart"): [part.study.title for part in parts]} if units else {}
    return [
        (is_good, text, "" if len(names) == len(parts) else ", ".join(names))
        for (is_good, text), names in sorted(titles.items(), key=lambda item: not item[0][0])
    ]


def _provenance(parts: Sequence[StudyPart]) -> dict[str, object]:
    groups, openings = list[Group](), list[Opening]()
    for part in parts:
        groups += part.groups
        openings += [Opening.of(run, "report") for run in part.runs]  # in the page's order
    # With this checksum, a reader can verify which predictions a page shows.
    predictions = "\n".join(opening.predictions for opening in openings)
    return {
        "environment": parts[0].runs[0].environment,
        "since": min(filter(None, (group.opened.since for group in groups)), default=""),
        "data": {g.data.title: Opening.of(g.first, "report").population[:16] for g in groups},
        "predictions": hashlib.sha256(predictions.encode()).hexdigest(),
    }


def _documentation() -> str:
    """Return the address of the documentation from the package metadata; empty if there is none."""
    urls = metadata("sequela").get_all("Project-URL") or []
    addresses = dict(url.split(", ", 1) for url in urls)
    return str(addresses.get("Documentation", ""))
