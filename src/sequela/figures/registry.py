"""The pictures that are drawn of each run: on the page, one after the other, and in Python."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sequela.errors import SettingError
from sequela.figures.figure import Figure


@dataclass(frozen=True)
class RunFigure:
    """One picture of a run.

    Attributes:
        name: Part of its id on the page.
        title: What stands under it.
        draw: From a finished run (:class:`sequela.runs.folder.RunFolder`, or folds); ``None`` where
            there is nothing to draw.
    """

    name: str
    title: str
    draw: Callable[[Any], Figure | None]


RUN_FIGURES: dict[str, RunFigure] = {}
"""By name, in the order of the page."""


def register(figure: RunFigure) -> None:
    """Add a picture of runs.

    Raises:
        SettingError: If the name is taken, or cannot be part of an id.
    """
    if figure.name in RUN_FIGURES:
        raise SettingError(f"a figure '{figure.name}' is registered already: choose another name")
    if not figure.name.replace("-", "").isalnum():
        raise SettingError(
            f"a figure cannot be named '{figure.name}': expected letters, digits and hyphens"
        )
    RUN_FIGURES[figure.name] = figure
