"""Places for the names of points, so that names hide neither each other nor points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_LETTER, _LINE, _GAP, _POINT = 6.3, 13.0, 8.0, 6.0  # pixels at 11 pixels a letter's height
_STEPS = (0.0, -13.0, 13.0, -26.0, 26.0, -39.0, 39.0)


@dataclass(frozen=True)
class Label:
    """The place of one name, in pixels right of and below its point, for the end in ``align``."""

    align: Literal["left", "right"]
    dx: float
    dy: float


def placed(
    points: Sequence[tuple[float, float]], names: Sequence[str], width: float
) -> list[Label]:
    """Choose a place for each name: the first that is free of points and of earlier names.

    Points are in pixels from the left and from the top; no name begins or ends outside of the
    width.

    Example:
        >>> [label.align for label in placed([(10, 50), (95, 50)], ["one", "two"], 100)]
        ['left', 'right']
    """
    taken = [(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in points]
    found = []
    for (x, y), name in zip(points, names, strict=True):
        choices = [
            (label, _box(x, y, label, len(name) * _LETTER))
            for dy in _STEPS
            for label in (Label("left", _GAP, dy), Label("right", -_GAP, dy))
        ]
        inside = [each for each in choices if each[1][0] >= 0 and each[1][2] <= width] or choices
        label, box = min(inside, key=lambda each: sum(_overlap(each[1], one) for one in taken))
        taken.append(box)
        found.append(label)
    return found


def _box(x: float, y: float, label: Label, wide: float) -> tuple[float, float, float, float]:
    left = x + label.dx - wide * (label.align == "right")
    return left, y + label.dy - _LINE / 2, left + wide, y + label.dy + _LINE / 2


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Compute the area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
