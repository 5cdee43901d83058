"""Printing of runs and their numbers on a terminal or to a text file."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sequela.runs.find import Run

_SET_ASIDE = "_set_aside_as_trained_or_tuned_on"
_RENAMED = "_set_aside_under_another_name"
Numbers = Mapping[str, Any]  # of an evaluation, by their keys in metrics.json
_OF_A_FILE = 1000  # width of a line of a file in characters, wider than any table
_POINT = ("sensitivity", "specificity", "precision", "negative_value", "f1", "alarm_rate")


def open_console() -> Console:
    """Open the console of commands: plain text, whose lines are broken on a terminal only."""
    console = Console(markup=False, emoji=False, highlight=False)
    # A program that reads the output expects one line for each fact, however long.
    console.soft_wrap = not console.is_terminal
    if console.soft_wrap:
        console.width = _OF_A_FILE
    return console


def say_path(console: Console, what: str, path: object) -> None:
    """Print a line that ends in a path, which is never broken."""
    console.print(f"{what}: {path}", soft_wrap=True)


def say_finished(console: Console, run: "Run", *, open_: bool) -> None:
    """Print the numbers of a finished run on its validation set or its test set."""
    from sequela.runs.audit import revealing_columns

    # The first line, before any number: with such a column, all numbers are meaningless.
    for column in revealing_columns(run):
        console.print(f"{column} tells the outcome: leave it out with --omit {column}")
    if open_:
        from sequela.integrity.openings import open_held_out

        say_numbers(console, run, {**run.test, "openings": open_held_out(run, "train").to_dict()})
    else:
        models = "folds" if run.folds and run.seeds == 1 else "models"
        mean = f", mean over {len(run.runs)} {models}" if run.of_many else ""
        say_numbers(console, run, run.tuning, f"validation set{mean}")
        path = quote(str(run.path))
        say_path(console, "test set", f"not evaluated; to evaluate: sequela evaluate {path}")
    console.print(f"data: {run.settings.data}, {run.data.origin}")
    for note in run.data.notes:
        console.print(f"  {note}")
    say_path(console, "run folder", run.path)


def say_run(console: Console, run: "Run", count: str = "", printed: set[str] | None = None) -> None:
    """Print one line on a finished run, and one for each new leak that was not planned."""
    from sequela.runs.audit import Leaks

    leaks = Leaks.of(run)
    name, score = headline(run, run.tuning)
    score = score if "(no " in score else score.replace("(", "(95 % interval ")
    remark = "; leaks by design" if leaks.by_design else ""
    seconds = f"{run.facts.train_seconds:.1f} s"
    line = f"{count}{run.settings.title}: validation {name} {score}, {seconds}{remark}"
    printed = set() if printed is None else printed
    # All runs of a study have the same data, so each leak would be printed a dozen times.
    new = [leak for leak in leaks.lines() if leak not in printed]
    printed.update(new)
    console.print(line)
    for leak in new:
        console.print(f"  {leak}")


def headline(run: "Run", numbers: Numbers) -> tuple[str, str]:
    """Return the deciding metric of a run or folds, and its value in the numbers of one set."""
    from sequela.evaluation.metrics import headline

    metric = headline(run.data.classes, numbers)
    return metric.title, within(numbers, metric.key)


def groups_of(run: "Run", numbers: Numbers) -> str:
    """Return the number of subjects, recordings or sites of the examples, in words."""
    from sequela.evaluation.number import plural

    return plural(numbers["groups"], numbers.get("unit", run.data.unit))


def within(numbers: Numbers, name: str) -> str:
    """Write a number with its interval, if it has one."""
    from sequela.evaluation.number import within as brackets

    value, interval = numbers.get(name), numbers.get(f"{name}_ci")
    if value is None:
        return "not defined"
    return format(value, ".3f") + (f" {brackets(*interval)}" if interval else "")


def say_numbers(console: Console, run: "Run", numbers: Numbers, part: str = "test set") -> None:
    """Print the numbers of an evaluation: metrics, operating points, leaks, and data set aside."""
    from sequela.evaluation.metrics import reported

    data = run.data
    other_data = numbers.get("data", data.name) if "origin" in numbers else ""
    subject = f"applied to {other_data}" if other_data else part
    if "models" in numbers:
        subject += f", the mean of {numbers['models']} models"
    console.print(f"{run.settings.title}: {subject}", style="bold")
    table = open_table("", "value (95 % interval)")
    table.add_row("examples", f"{numbers['examples']:,} of {groups_of(run, numbers)}")
    for metric in reported(numbers):
        table.add_row(metric.title, within(numbers, metric.key))
    if ends := numbers.get("ends"):
        day = f"day {numbers['horizons'][-1]['days']:g}"
        names = ("follow-up ended before", "events by", "competing events by")
        for name, count in zip(names, ends, strict=False):
            table.add_row(f"{name} {day}", f"{count:,}")
    else:
        for name, recall in zip(data.classes, numbers["per_class_recall"], strict=True):
            table.add_row(f"recall of {name}", "not defined" if recall is None else f"{recall:.3f}")
    console.print(table)
    if horizons := numbers.get("horizons"):
        console.print(_horizons(horizons))
    if points := numbers.get("operating_points"):
        console.print("operating points", style="bold")
        console.print(_points(points))
    for line in _notes(run, numbers, own_test_set=not other_data):
        console.print(line)


def _horizons(horizons: Sequence[Numbers]) -> Table:
    table = open_table("by day", "observed share", "predicted", "AUROC", "Brier score")
    for horizon in horizons:
        numbers = (within(horizon, name) for name in ("observed", "predicted", "auroc", "brier"))
        table.add_row(f"{horizon['days']:g}", *numbers)
    return table


def _points(points: Sequence[Numbers]) -> Table:
    table = open_table("", *[f"at {point['threshold']:.3f}" for point in points])
    for name in [metric for metric in _POINT if any(metric in point for point in points)]:
        table.add_row(name.replace("_", " "), *(within(point, name) for point in points))
    return table


def _notes(run: "Run", numbers: Numbers, *, own_test_set: bool) -> Iterator[str]:
    from sequela.evaluation.metrics import headline as metric_of
    from sequela.runs.audit import Leaks
    from sequela.runs.recipe import variance_in_words

    for point in numbers.get("operating_points", ()):
        yield f"threshold {point['threshold']:.3f}: {point['chosen_for']}"
    if how := numbers.get("interval"):
        yield f"intervals: {how['level']:.0%}, {how['method']}"
    if variance := variance_in_words(numbers, metric_of(run.data.classes, numbers)):
        yield variance
    for name, count in numbers.items():
        if name.endswith(_SET_ASIDE):
            what = name.removesuffix(_SET_ASIDE).replace("_", " ")
            # One count is for units of all kinds together.
            renamed = next(n for key, n in numbers.items() if key.endswith(_RENAMED))
            under = f" ({renamed:,} of them by content alone)" if renamed else ""
            units = what.removesuffix("s") if count == 1 else what
            yield f"set aside: {count:,} {units} in the model's training or validation set{under}"
    yield from (numbers[name] for name in ("calibration", "overlap_unknown") if name in numbers)
    if "unknown_codes" in numbers:
        share = numbers["unknown_codes"]
        yield (
            "these data have no code of the families that the model reads"
            if share is None
            else f"codes outside the model's vocabulary: {share:.1%}"
        )
    yield from numbers.get("openings", {}).get("sentences", ())
    leaks = Leaks.of(run)
    # Data that a model is applied to have no split, so only the task itself can leak there.
    if own_test_set:
        if leaks.by_design:
            yield "leaks by design"
        yield from leaks.lines()
        if not (leaks.by_design or leaks.unexpected):
            yield "leaks: none found"
    else:
        yield (
            "leaks: yes, the task reads information that reveals the outcome"
            if numbers["leaks"]
            else "leaks: none found"
        )


def open_table(*columns: str) -> Table:
    """Make a table without rules, with columns of the given names."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="crop", header_style="none")
    return table
