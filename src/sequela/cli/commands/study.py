"""``sequela study``: a study that a file declares, from data to page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sequela.cli.names import HideBelow, Processes, Quick, Root, SplitSeed, StudySeed
from sequela.cli.numbers import groups_of, headline, open_console, open_table, say_path

if TYPE_CHECKING:
    from sequela.runs.find import Run
    from sequela.studies.study import Study


def study(
    file: Path,
    /,
    *,
    quick: Quick = False,
    out: Path = Path("study"),
    seed: StudySeed = 0,
    split_seed: SplitSeed = None,
    data: str | None = None,
    root: Root = None,
    processes: Processes = None,
    hide_below: HideBelow = None,
) -> None:
    """Run a study that a file declares: data, task, models, seeds and claims.

    Trains every model and writes the run folders, results.json and one page, report.html. Run the
    same command again to continue an interrupted study. The two studies of the 2019 report are
    such files; they show all keys.

    Example: `sequela study sleep.toml --root recordings --out sleep`

    Args:
        file: The study, in TOML.
        out: Folder to write the runs, results.json and report.html to.
        data: Data set, if the study has several (default: the first).
    """
    options = dict(locals())
    from sequela.errors import unknown_name
    from sequela.studies.file import read_study
    from sequela.studies.registry import STUDIES

    declared = read_study(options.pop("file"))
    if data is not None and data not in declared.data:
        raise unknown_name(f"data set of {file}", data, declared.data)
    # The same file may be run twice in one process, as in a notebook.
    if STUDIES.get(declared.name) != declared:
        STUDIES.add(declared)
    run_studies((declared.name,), **options)


def run_studies(
    names: Sequence[str], out: Path, *, quick: bool, hide_below: int | None, **options: Any
) -> None:
    """Run studies, build their page and print their results.

    ``asked`` are other arguments of :func:`sequela.studies.reproduce.reproduce`.
    """
    from sequela.cli.progress import StudyProgress
    from sequela.report.pages.build import build
    from sequela.studies.reproduce import reproduce

    console, page = open_console(), out / "report.html"
    with StudyProgress(console) as progress:
        folders = reproduce(
            out,
            studies=names,
            quick=quick,
            hide_below=hide_below,
            on_run=progress.run,
            on_look=progress.look,
            on_page=lambda runs, awaited: build(runs, page, hide_below, awaited),
            **options,
        )
    say_studies(console, folders)
    if quick:
        console.print("quick: networks were trained for few epochs; the numbers are not results")
    say_path(console, "numbers", out / "results.json")
    say_path(console, "page", page.resolve())


def say_studies(console: Console, runs: Sequence["Run"]) -> None:
    """Print a table for each study: models, their numbers and the report's, and improvements."""
    from sequela.studies.results import by_study, cohorts_of
    from sequela.studies.verdicts import default_model, improvements

    for study, of_study in by_study(runs):
        for cohort in cohorts_of(study, of_study).values():
            console.print()
            title, table = _table(study, cohort)
            console.print(title, style="bold")
            console.print(table)
            for line in improvements(study, cohort):
                console.print(line)
            if best := default_model(study, cohort):
                console.print(best["sentence"])
    console.print()


def _table(study: "Study", runs: Sequence["Run"]) -> tuple[str, Table]:
    from sequela.runs.audit import Leaks
    from sequela.studies.registry import planned_leak

    results = [run for run in runs if not planned_leak(run)] or list(runs)
    leaking = {run.settings.model: run for run in runs if run not in results}
    first = results[0]
    _, where = first.settings.title.split(", ", 1)
    remark = ": leaks by design" if Leaks.of(first).by_design else ""
    number, _ = headline(first, first.test)
    examples = f"{first.test.examples:,}"
    judged = f"test set of {examples} examples of {groups_of(first, first.test)}"
    table = open_table("model")
    table.add_column(number, header_style="none")  # the only column that a narrow terminal breaks
    if study.reported:
        table.add_column(study.report.removeprefix("the "), no_wrap=True, header_style="none")
    for counted in ("operations", "leaking") if leaking else ("operations",):
        table.add_column(counted, justify="right", no_wrap=True)
    for run in results:
        # A weighted run is a control with the operations of the model above it.
        weighted = run.settings.training.class_weights
        operations = run.facts.operations
        leak = None if weighted else leaking.get(run.settings.model)
        table.add_row(
            "  weighted" if weighted else run.settings.model,  # below its model
            headline(run, run.test)[1],
            *(["" if weighted else _reported(study, run)] if study.reported else []),
            "" if operations is None else f"{operations:,}",
            *([headline(leak, leak.test)[1].split(" (")[0]] if leak else []),
        )
    return f"{where}, {judged}{remark}", table


def _reported(study: "Study", run: "Run") -> str:
    reported = study.reported.get(run.settings.model, {})
    if "auroc" in run.test and "auroc" not in reported and "accuracy" in reported:
        return f"accuracy {reported['accuracy']}"
    return str(reported.get("auroc" if "auroc" in run.test else "accuracy", ""))
