"""A table with one row per patient, as several tests need it."""

import csv
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

Row = dict[str, str]


def rows(count: int = 240, seed: int = 1) -> list[Row]:
    """Rows of patients: C-reactive protein, sex and the last visit tell who dies."""
    draw, found = random.Random(seed), list[Row]()
    for number in range(count):
        crp, sex, admitted = draw.lognormvariate(3, 1), draw.choice("FM"), draw.randrange(700)
        gap = draw.randrange(1, 900)
        dies = draw.random() < (0.7 if crp > 30 else 0.1) + 0.2 * (sex == "M") * (gap < 300)
        begun = date(2020, 1, 1) + timedelta(admitted)
        found.append(
            {
                "Patient": f"P{number:03d}",
                "admitted": f"{begun} 08:00:00",
                "age": str(draw.randrange(20, 95)),
                "sex": sex,
                "ward": draw.choice(("medicine", "surgery", "Höhe")),
                "CRP (mg/L)": "" if draw.random() < 0.2 else f"{crp:.1f}",
                "last visit": f"{begun - timedelta(gap)}",
                "remark": f"seen by {draw.randrange(10**9)}",
                "site": draw.choice("ABCD"),
                "died": "yes" if dies else "no",
            }
        )
    return found


def write(
    path: Path, some: Sequence[Mapping[str, str]], delimiter: str = ",", encoding: str = "utf-8"
) -> Path:
    """Write rows as csv."""
    with path.open("w", encoding=encoding, newline="") as file:
        table = csv.DictWriter(file, [*some[0]], delimiter=delimiter, lineterminator="\n")
        table.writeheader()
        table.writerows(some)
    return path


def without(some: Sequence[Row], *names: str) -> list[Row]:
    return [{name: cell for name, cell in row.items() if name not in names} for row in some]


def changed(some: Sequence[Row], name: str, *cells: str) -> list[Row]:
    """Set the first cells of a column; the last of several is that of all rows below."""
    return [{**row, name: cells[min(i, len(cells) - 1)]} for i, row in enumerate(some)]
