"""Forest plot of a metric by subgroup."""

from collections import Counter
from collections.abc import Sequence

from sequela.errors import SettingError
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import named
from sequela.evaluation.subgroups import Subgroup
from sequela.figures.figure import Figure, Row
from sequela.figures.forest import ForestLine, ForestScale, forest
from sequela.figures.marks import as_row, with_interval


def subgroup_forest(
    subgroups: Sequence[Subgroup],
    metric: str,
    *,
    event: str = "events",
) -> Figure:
    """Draw a number of each subgroup with its interval and counts, and count hidden subgroups.

    Args:
        subgroups: The result of :func:`sequela.evaluation.subgroups.subgroups`.
        metric: A metric that was computed there, ``observed_minus_expected`` or ``alarm_rate``.
        event: The word for examples of class 1 after a count: ``deaths``.
    """
    if not subgroups:
        raise SettingError("there is no subgroup to draw: name an attribute that the data have")
    how = named(metric)
    lines: list[ForestLine] = []
    rows: list[Row] = []
    sentences: list[str] = []
    attribute = None
    of_threshold = metric in ("alarm_rate", "observed_minus_expected")
    for subgroup in subgroups:
        if not subgroup.value:
            continue
        # The values of an attribute are next to each other: another one begins a heading.
        if subgroup.attribute != attribute:
            attribute = subgroup.attribute
            lines.append(ForestLine(attribute, heading=True))
        estimate = getattr(subgroup, metric) if of_threshold else subgroup.metrics.get(metric)
        words = _words(subgroup, estimate, how.form, event)
        lines.append(ForestLine(words, estimate))
        sentences.append(f"{attribute} {words}")
        rows.append(_row(subgroup, metric, estimate))
    # A small subgroup has no name here, as a rare value may identify somebody.
    hidden = Counter(subgroup.attribute for subgroup in subgroups if not subgroup.value)
    for attribute, count in hidden.items():
        words = f"{count} hidden: too few subjects or {event}"
        lines.append(ForestLine(f"{attribute}: {words}"))
        sentences.append(f"{attribute} {words}")
        rows.append({"attribute": attribute, "suppressed": True})
    reference = 0.0 if metric == "observed_minus_expected" else None
    scale = ForestScale([how.title], how.axis, reference, how.bounds)
    text = f"{how.title} by subgroup, with intervals. {'; '.join(sentences)}."
    return forest(lines, scale, text=text, rows=rows)


def _words(subgroup: Subgroup, estimate: Estimate | None, form: str, event: str) -> str:
    value = with_interval(estimate, form) if estimate else "not defined"
    cell = subgroup.cell
    if cell is None:
        return f"{subgroup.value}: {value}; counts hidden"
    counts = f"{cell.n_groups:,} subjects"
    if len(cell.n_of_class) == 2:  # noqa: PLR2004
        counts += f", {cell.n_of_class[1]:,} {event}"
    return f"{subgroup.value}: {value}; {counts}"


def _row(subgroup: Subgroup, metric: str, estimate: Estimate | None) -> Row:
    cell = subgroup.cell
    numbers = as_row(estimate, metric) if estimate else dict.fromkeys((metric, "low", "high"))
    two = cell is not None and len(cell.n_of_class) == 2  # noqa: PLR2004
    return {
        "attribute": subgroup.attribute,
        "value": subgroup.value,
        "suppressed": cell is None,
        "groups": cell.n_groups if cell else None,
        "examples": cell.n_examples if cell else None,
        "events": cell.n_of_class[1] if cell and two else None,
        **numbers,
    }
