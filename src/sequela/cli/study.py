"""The end of ``sequela reproduce``: what each study answers, as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sequela.cli.numbers import headline, open_table

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
        console.print(_table(chosen))
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


def _table(runs: Sequence["Run"]) -> Table:
    from sequela.runs.leaks import Leaks

    results = [run for run in runs if _is_result(run)] or list(runs)
    leaking = {run.settings.model: run for run in runs if run not in results}
    first = results[0]
    _, where = first.settings.title.split(", ", 1)
    planned = ": leaks (planned)" if Leaks.of(first).planned else ""
    number, _ = headline(first.test)
    groups = f"{first.test['examples']:,} held-out examples of {first.test['groups']:,} groups"
    table = open_table(f"{where}, {groups}{planned}", "model", number, "2019 report", "operations")
    if leaking:
        table.add_column("with leak", justify="right")
    for run in results:
        model = run.settings.model
        operations = run.facts["operations"]
        row = [
            model + ", weighted" * run.settings.training.class_weights,
            headline(run.test)[1],
            _reported(model, run.test),
            f"{operations:,}" if operations else "",
        ]
        if leak := leaking.get(model):
            row.append(headline(leak.test)[1].split(" ")[0])
        table.add_row(*row)
    return table


def _reported(model: str, test: Mapping[str, Any]) -> str:
    """The report's number: the one of the column, or what else it gives of accuracy."""
    from sequela.studies import mortality, seizure

    reported = {**seizure.REPORTED, **mortality.REPORTED}.get(model, {})
    name = "auroc" if "auroc" in test else "accuracy"
    if name in reported:
        return str(reported[name])
    return f"accuracy {reported['accuracy']}" if "accuracy" in reported else ""


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
