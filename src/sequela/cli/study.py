"""The end of ``sequela reproduce``: what each study answers, as a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from sequela.cli.numbers import groups_of, headline, open_table

if TYPE_CHECKING:
    from sequela.runs.find import Run


def say_studies(console: Console, runs: Sequence["Run"]) -> None:
    """A table for each study: models, their number beside the report's, and what improved.

    Args:
        console: Where to.
        runs: In the order of the page.
    """
    for chosen in _studies(runs):
        console.print()
        title, table = _table(chosen)
        console.print(title, style="bold", markup=False)
        console.print(table)
        for line in _improved(chosen):
            console.print(line, markup=False)
    console.print()


def _studies(runs: Sequence["Run"]) -> list[list["Run"]]:
    """The runs of each question asked of each data set."""
    grouped: dict[object, list[Run]] = {}
    for run in runs:
        asked = run.settings.cohort
        grouped.setdefault((run.settings.data, asked and asked.task), []).append(run)
    return list(grouped.values())


def _is_result(run: "Run") -> bool:
    """Whether a run is not one that shows what a leak is worth beside such as do not leak."""
    asked = run.settings.cohort
    return run.settings.split != "row" and not (asked and asked.hindsight)


def _table(runs: Sequence["Run"]) -> tuple[str, Table]:
    from sequela.runs.leaks import Leaks

    results = [run for run in runs if _is_result(run)] or list(runs)
    leaking = {run.settings.model: run for run in runs if run not in results}
    first = results[0]
    _, where = first.settings.title.split(", ", 1)
    planned = ": leaks (planned)" if Leaks.of(first).planned else ""
    number, _ = headline(first)
    judged = f"{first.test['examples']:,} held-out examples of {groups_of(first, first.test)}"
    table = open_table("model", number, "2019 report")
    table.add_column("operations", justify="right")
    if leaking:
        table.add_column("leaking", justify="right")
    for run in results:
        weighted = run.settings.training.class_weights
        operations = run.facts["operations"]
        leak = None if weighted else leaking.get(run.settings.model)
        table.add_row(
            "  weighted" if weighted else run.settings.model,  # under the model that it is one of
            headline(run)[1],
            "" if weighted else _reported(run),
            f"{operations:,}" if operations else "",
            *([headline(leak)[1].split(" ")[0]] if leak else []),
        )
    return f"{where}, {judged}{planned}", table


def _reported(run: "Run") -> str:
    """The report's number: the one of the column, or what else it says of accuracy."""
    from sequela.studies import mortality, seizure

    reported = {**seizure.REPORTED, **mortality.REPORTED}.get(run.settings.model, {})
    if "auroc" in run.test and "auroc" not in reported and "accuracy" in reported:
        return f"accuracy {reported['accuracy']}"
    return str(reported.get("auroc" if "auroc" in run.test else "accuracy", ""))


def _improved(runs: Sequence["Run"]) -> Iterator[str]:
    """For each pair of models, whether the improved one is better than its baseline."""
    from sequela.report.improvement import Improvement
    from sequela.runs.compare import compare

    by_name = {
        run.settings.model: run
        for run in runs
        if _is_result(run) and not run.settings.training.class_weights
    }
    for name, improved in by_name.items():
        family = name.removesuffix("-improved")
        baseline = by_name.get(f"{family}-baseline")
        if family == name or baseline is None:
            continue
        found = compare([baseline, improved])
        first, second = found.runs
        cost = improved.facts["operations"] / baseline.facts["operations"]
        answer = Improvement(family, found.metric, first, second, cost)
        said = f"{name} better than {family}-baseline? {answer.answer}"
        if difference := answer.improved.difference:
            gap = difference.interval
            said += f": {difference.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
        yield f"{said}, {cost:.2g} times the operations"
