"""Differences of runs from a first run."""

from collections.abc import Mapping
from dataclasses import replace

from sequela.errors import SettingError
from sequela.evaluation.comparison import Difference
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import named
from sequela.figures.figure import Figure
from sequela.figures.forest import ForestLine, ForestScale, forest
from sequela.figures.marks import as_row, with_interval

_SMALLEST_P = 0.001  # the p-value below which the number is not shown


def differences(
    by_run: Mapping[str, Difference], *, first: str, metric: str, p_name: str = "p"
) -> Figure:
    """Draw differences of a metric from a first run, with intervals and a line at zero.

    A point is hollow where the interval includes zero: the comparison is inconclusive.

    Args:
        by_run: The difference of each run from the first, by the name of the run, as
            ``paired_difference(metric, run, first, ...)`` returns it.
        first: Name of the run that all are compared with.
        metric: Name in :data:`sequela.evaluation.metrics.METRICS`.
        p_name: Label of the p-values, such as ``p (Holm)`` for corrected ones.
    """
    if not by_run:
        raise SettingError(f"there is no run to compare with {first}: name at least one more")
    how = named(metric)
    lines, sentences = [], []
    for name, difference in by_run.items():
        scaled = _scaled(difference, 100 if how.points else 1)
        value = with_interval(scaled, "+.0f" if how.points else "+.2f")
        unit = " points" if how.points else ""
        words = f"{name}: {value}{unit}, {_p_value(difference, p_name)}"
        undecided = difference.interval.low <= 0 <= difference.interval.high
        lines.append(ForestLine(words, scaled, hollow=undecided))
        sentences.append(f"{words}, inconclusive" if undecided else words)
    better = "left" if how.better == "lower" else "right"
    title = f"{how.title}: difference from {first}"
    unit = f"{'percentage points; ' if how.points else ''}further {better} is better"
    return forest(
        lines,
        ForestScale([title, unit], "+~f" if how.points else "+.3~f", 0.0),
        text=f"{title} ({unit}), with intervals. {'; '.join(sentences)}.",
        rows=[
            {"run": name, "first": first, "metric": metric}
            | as_row(Estimate(difference.value, difference.interval), "difference")
            | {"p_value": difference.p_value}
            for name, difference in by_run.items()
        ],
    )


def _scaled(difference: Difference, factor: int) -> Estimate:
    interval = difference.interval
    low, high = factor * interval.low, factor * interval.high
    return Estimate(factor * difference.value, replace(interval, low=low, high=high))


def _p_value(difference: Difference, name: str) -> str:
    if difference.p_value < _SMALLEST_P:
        return f"{name} < {_SMALLEST_P}"
    return f"{name} = {difference.p_value:.2g}"
