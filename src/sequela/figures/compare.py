"""Differences of runs from a first run."""

from collections.abc import Mapping
from dataclasses import replace

from sequela.errors import SettingError
from sequela.evaluation.comparison import Difference
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import named
from sequela.figures.chart.figure import Figure
from sequela.figures.chart.words import as_row, with_interval
from sequela.figures.forest import Line, Scale, forest


def differences(
    found: Mapping[str, Difference], *, first: str, metric: str, p_name: str = "p"
) -> Figure:
    """Draw differences of a metric from a first run, with intervals and a line at zero.

    A point is hollow where the interval includes zero: the comparison is inconclusive.

    Args:
        found: The difference of each run from the first, by the name of the run, as
            ``paired_difference(metric, run, first, ...)`` returns it.
        first: Name of the run that all are compared with.
        metric: Name in :data:`sequela.evaluation.metrics.METRICS`.
        p_name: Label of the p-values, such as ``p (Holm)`` for corrected ones.
    """
    if not found:
        raise SettingError(f"there is no run to compare with {first}: name at least one more")
    how = named(metric)
    lines, sentences = [], []
    for name, one in found.items():
        scaled = _scaled(one, 100 if how.points else 1)
        value = with_interval(scaled, "+.0f" if how.points else "+.2f") + " points" * how.points
        words = f"{name}: {value}, {_p_value(one, p_name)}"
        undecided = one.interval.low <= 0 <= one.interval.high
        lines.append(Line(words, scaled, hollow=undecided))
        sentences.append(words + ", inconclusive" * undecided)
    better = "left" if how.better == "lower" else "right"
    title = f"{how.title}: difference from {first}"
    unit = f"{'percentage points; ' if how.points else ''}further {better} is better"
    return forest(
        lines,
        Scale([title, unit], "+~f" if how.points else "+.3~f", 0.0),
        text=f"{title} ({unit}), with intervals. {'; '.join(sentences)}.",
        rows=[
            {"run": name, "first": first, "metric": metric}
            | as_row(Estimate(one.value, one.interval), "difference")
            | {"p_value": one.p_value}
            for name, one in found.items()
        ],
    )


def _scaled(one: Difference, factor: int) -> Estimate:
    low, high = factor * one.interval.low, factor * one.interval.high
    return Estimate(factor * one.value, replace(one.interval, low=low, high=high))


def _p_value(one: Difference, name: str) -> str:
    least = 0.001
    return f"{name} < {least}" if one.p_value < least else f"{name} = {one.p_value:.2g}"
