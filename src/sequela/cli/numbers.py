"""How a run and its numbers are written on a terminal, or to a file of plain text."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sequela.runs.find import Run

_SET_ASIDE = "_set_aside_as_trained_or_tuned_on"
_RENAMED = "_set_aside_under_another_name"
_OF_A_FILE = 1000
"""Characters of a line of a file: no table is that wide."""
_POINT = ("sensitivity", "specificity", "precision", "negative_value", "f1", "alarm_rate")


def open_console() -> Console:
    """Where commands write: lines are broken on a terminal only, and numbers have no colour."""
    console = Console(highlight=False)
    console.soft_wrap = not console.is_terminal
    if console.soft_wrap:
        console.width = _OF_A_FILE
    return console


def say_path(console: Console, what: str, path: object) -> None:
    """A line that ends in a path, which is never broken."""
    console.print(f"{what}: {path}", markup=False, soft_wrap=True)


def say_finished(console: Console, run: "Run", *, open_: bool) -> None:
    """What a finished run reached on its tuning part, or on the held-out part, which is opened.

    Args:
        console: Where to.
        run: The run, or folds.
        open_: Whether to open the held-out part.
    """
    from sequela.runs.openings import open_held_out
    from sequela.runs.released import Released

    if open_:
        opened = open_held_out(run, "train").to_dict()
        say_numbers(console, run, {**Released(run).test, "openings": opened})
    else:
        models = "folds" if run.folds and run.seeds == 1 else "models"
        mean = f", mean over {len(run.runs)} {models}" if run.of_many else ""
        say_numbers(console, run, Released(run).tuning, f"tuning part{mean}")
        path = quote(str(run.path))
        say_path(console, "held-out (test) part", f"not opened; open it: sequela evaluate {path}")
    console.print(f"data: {run.settings.data}, {run.data['origin']}", markup=False)
    for note in run.data.get("notes", ()):
        console.print(f"  {note}", markup=False)
    say_path(console, "run folder", run.path)


def say_run(console: Console, run: "Run", count: str = "", known: set[str] | None = None) -> None:
    """One line on a finished run, and one for each leak that was not planned, and is not known.

    Args:
        console: Where to.
        run: The run, or folds.
        count: Before the line.
        known: Lines on leaks that were printed before; those of this run are added.
    """
    from sequela.runs.leaks import Leaks
    from sequela.runs.released import Released

    leaks = Leaks.of(run)
    name, said = headline(run, Released(run).tuning)
    said = said.replace("(", "(95 % interval ")
    planned = "; leaks by design" if leaks.planned else ""
    seconds = f"{run.facts['train_seconds']:.1f} s"
    line = f"{count}{run.settings.title}: tuning {name} {said}, {seconds}{planned}"
    known = set() if known is None else known
    new = [each for each in leaks.lines() if each not in known]
    known.update(new)
    for each in (line, *(f"  {line}" for line in new)):
        console.print(each, markup=False)


def headline(run: "Run", numbers: Mapping[str, Any]) -> tuple[str, str]:
    """The metric that a run is known by, and its value with the 95 % interval.

    Args:
        run: The run, or the folds.
        numbers: Of one part.
    """
    from sequela.evaluation.metrics import headline

    metric = headline(run.data["classes"], numbers)
    return metric.title, within(numbers, metric.key)


def groups_of(run: "Run", numbers: Mapping[str, Any]) -> str:
    """Of how many subjects, recordings or sites the examples are."""
    return f"{numbers['groups']:,} {numbers.get('unit', run.data['unit'])}s"


def within(numbers: Mapping[str, Any], name: str) -> str:
    """A number with its interval, as far as there are such."""
    value, interval = numbers.get(name), numbers.get(f"{name}_ci")
    if value is None:
        return "not defined"
    return format(value, ".3f") + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def say_numbers(
    console: Console, run: "Run", numbers: Mapping[str, Any], part: str = "held-out (test) part"
) -> None:
    """A table of what was judged: numbers, operating points, what leaks and what was set aside.

    Args:
        console: Where to.
        run: Whose model was judged.
        numbers: As ``sequela.runs.evaluate.evaluate_run`` gives them, or those of a part of the
            run.
        part: Which part.
    """
    from sequela.evaluation.metrics import reported

    data = run.data
    other = numbers.get("data", data["name"]) if "origin" in numbers else ""
    judged = f"applied to {other}" if other else part
    console.print(f"{run.settings.title}: {judged}", style="bold", markup=False)
    table = open_table("", "value (95 % interval)")
    table.add_row("examples", f"{numbers['examples']:,} of {groups_of(run, numbers)}")
    for metric in reported(numbers):
        table.add_row(metric.title, within(numbers, metric.key))
    for name, recall in zip(data["classes"], numbers["per_class_recall"], strict=True):
        table.add_row(f"recall of {name}", "not defined" if recall is None else f"{recall:.3f}")
    console.print(table)
    if points := numbers.get("operating_points"):
        console.print("operating points", style="bold")
        console.print(_points(points))
    for line in _notes(run, numbers, own=not other):
        console.print(line, markup=False)


def _points(points: Sequence[Mapping[str, Any]]) -> Table:
    """What happens at each threshold."""
    heads = [f"at {point['threshold']:.3f}" for point in points]
    table = open_table("", *heads)
    for name in [each for each in _POINT if any(each in point for point in points)]:
        table.add_row(name.replace("_", " "), *(within(point, name) for point in points))
    return table


def _notes(run: "Run", numbers: Mapping[str, Any], *, own: bool) -> Iterator[str]:
    """How the intervals were made, what was set aside, and what makes the numbers too good."""
    from sequela.evaluation.metrics import headline as metric_of
    from sequela.runs.leaks import Leaks
    from sequela.runs.recipe import variance_in_words

    for point in numbers.get("operating_points", ()):
        yield f"threshold {point['threshold']:.3f}: {point['chosen_for']}"
    if how := numbers.get("interval"):
        yield f"intervals: {how['level']:.0%}, {how['method']}"
    if said := variance_in_words(numbers, metric_of(run.data["classes"], numbers)):
        yield said
    for name, count in numbers.items():
        if name.endswith(_SET_ASIDE):
            what = name.removesuffix(_SET_ASIDE).replace("_", " ")
            renamed = next(n for key, n in numbers.items() if key.endswith(_RENAMED))
            under = f" ({renamed:,} of them by content alone)" if renamed else ""
            yield f"set aside: {count:,} {what} that the model was trained or tuned on{under}"
    yield from _unlike_training(numbers)
    yield from numbers.get("openings", {}).get("sentences", ())
    leaks = Leaks.of(run)
    if own:
        yield from ["leaks by design"] * leaks.planned
        yield from leaks.lines()
        if not (leaks.planned or leaks.found):
            yield "leaks: none found"
    else:
        yield (
            "leaks: yes, the task reads what reveals the outcome"
            if numbers["leaks"]
            else "leaks: none found"
        )


def _unlike_training(numbers: Mapping[str, Any]) -> Iterator[str]:
    """What is not known of other data, or not known to the model."""
    if "overlap_unknown" in numbers:
        yield numbers["overlap_unknown"]
    if "unknown_codes" in numbers:
        share = numbers["unknown_codes"]
        if share is None:
            yield "these data hold no code of the families that the model reads"
        else:
            yield f"codes that are not in the model's vocabulary: {share:.1%}"


def open_table(*columns: str) -> Table:
    """A table without rules, in the order of its columns."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="crop", header_style="none")
    return table
