"""Table 1: the data by class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.split import SETS
from sequela.disclosure import has_small, hidden_cells
from sequela.evaluation.subgroups import UNKNOWN
from sequela.report.entry import Entry


@dataclass(frozen=True)
class Line:
    """One row of the table.

    ``counts`` are of each class, ``None`` where they are hidden; ``shares`` are these as shares of
    the class, ``None`` for the counts of the whole.
    """

    name: str
    counts: tuple[int, ...] | None
    shares: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TableOne:
    """The table, with a column for each class; the first lines describe all data.

    So many values are ``hidden``, because few people have them.
    """

    classes: tuple[str, ...]
    lines: dict[str, list[Line]]
    hidden: int


def table_one(entry: Entry) -> TableOne | None:
    """Make the table of one run; ``None`` where a class has too few people to show anything.

    A value that few people have is not named, and counts that would reveal its count are hidden:
    see :mod:`sequela.evaluation.subgroups`.
    """
    predictions, smallest = entry.run.predictions, entry.smallest
    label, classes = predictions.label, predictions.classes
    n = len(classes)
    held_out = predictions.split == "held_out"
    unknown = (predictions.subject_id == "").any()
    groups = predictions.group_id if unknown else predictions.subject_id
    # The page also has counts of the test set alone, and the rest is their difference from here.
    cells = np.array([np.bincount(label[rows], minlength=n) for rows in (held_out, ~held_out)])
    # Each count is the sum of others in the table, so one small class hides the whole table.
    if has_small(cells, smallest):
        return None
    totals = cells.sum(0)
    example, unit = entry.data.example, entry.data.unit
    first = [Line(f"{example}s", tuple(totals.tolist()))]
    if len(np.unique(groups)) < len(groups):
        of_class = [len(np.unique(groups[label == label_])) for label_ in range(n)]
        if not has_small(of_class, smallest):
            first.append(Line(f"{'subject' if unit == 'site' else unit}s", tuple(of_class)))
    if not held_out.all():
        parts = np.array(
            [np.bincount(label[predictions.split == part], minlength=n) for part in SETS]
        )
        hide = hidden_cells(parts, smallest).tolist()
        for name, counts, out in zip(SETS.values(), parts, hide, strict=True):
            first.append(_line(name, None if out else counts, totals))
    lines, hidden = {"": first}, 0
    for attribute, values in entry.run.attributes.items():
        rows_of_values = list(_of_attribute(values, label, groups, held_out, n, smallest))
        if rows := [_line(name, counts, totals) for name, counts in rows_of_values if name]:
            lines[attribute] = rows
        hidden += sum(not name for name, _ in rows_of_values)
    return TableOne(classes, lines, hidden)


def _of_attribute(
    values: NDArray[np.str_],
    label: NDArray[np.int64],
    groups: NDArray[np.str_],
    held_out: NDArray[np.bool_],
    n: int,
    smallest: int,
) -> Iterator[tuple[str, NDArray[np.int64] | None]]:
    """Yield name and counts (class,) of each value, empty or ``None`` where they are hidden."""
    with_unknown = np.where(values == "", UNKNOWN, values)
    names = np.unique(with_unknown).tolist()
    cells: list[list[int]] = []
    for name in names:
        inside = [(with_unknown == name) & part for part in (held_out, ~held_out)]
        # People and stays are both counted: ten stays may be of one patient.
        people = [len(np.unique(groups[rows])) for rows in inside]
        of_class = [np.bincount(label[rows], minlength=n) for rows in inside]
        cells.append([*people, *np.concatenate(of_class).tolist()])
    table = np.array(cells)
    small = [has_small(row, smallest) for row in cells]
    counts = table[:, 2:].reshape(len(names), 2, n).sum(1)
    hide = hidden_cells(table, smallest).tolist()
    for name, few, out, counts_of_value in zip(names, small, hide, counts, strict=True):
        yield ("" if few else name), (None if out else counts_of_value)


def _line(name: str, counts: NDArray[np.int64] | None, totals: NDArray[np.int64]) -> Line:
    if counts is None:
        return Line(name, None)
    shares: NDArray[np.float64] = counts / np.maximum(totals, 1)
    return Line(name, tuple(counts.tolist()), tuple(shares.tolist()))
