"""Flow diagram of a cohort in the manner of CONSORT, down to the sets of the split.

The figure is HTML, not Vega-Lite: its reasons are sentences, which must be readable on a phone and
in print, and a list of boxes reflows.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from sequela.cohort.flow import Flow
from sequela.cohort.split import PARTS, SETS
from sequela.disclosure import Hidden, as_json
from sequela.errors import SettingError
from sequela.evaluation.external import person
from sequela.evaluation.predictions import Predictions
from sequela.figures.chart.figure import Row, as_table, write


@dataclass(frozen=True)
class SplitSet:
    """The content of one set of the split.

    Subjects are recordings where subjects are not identified; there are sites where whole sites are
    held out.
    """

    name: str
    examples: int
    subjects: int
    positives: int
    sites: int | None = None

    @property
    def whose(self) -> str:
        """The numbers of subjects and sites in words."""
        sites = "" if self.sites is None else f" at {self.sites:,} sites"
        return f"{self.subjects:,} subjects{sites}"

    @classmethod
    def of(cls, predictions: Predictions) -> list[Self]:
        """Return the sets of a run's predictions, which have two classes."""
        predictions.score  # noqa: B018 - refuses more than two classes
        sets = []
        for name in PARTS:
            part = predictions.part(name)
            people = len(np.unique(person(part)))
            sets.append(cls(name, part.n_examples, people, int((part.label == 1).sum())))
        return sets


@dataclass(frozen=True)
class FlowDiagram:
    """A flow diagram from candidates to examples with the event, and to the sets of the split."""

    flow: Flow
    parts: tuple[SplitSet, ...]
    event: str

    @property
    def alt(self) -> str:
        """The diagram described in words."""
        lines = [f"{self.flow.candidates:,} {self.flow.unit}"]
        lines += [f"{s.removed:,} removed: {s.rule} ({s.left:,} left)" for s in self.flow.steps]
        lines.append(
            f"{self.flow.examples:,} examples of {self.flow.subjects:,} subjects, "
            f"{self.flow.positives:,} with the event: {self.event}"
        )
        lines += [
            f"{SETS[p.name]}: {p.examples:,} examples, {p.whose}, {p.positives:,} with the event"
            for p in self.parts
        ]
        return "; ".join(lines) + "."

    @property
    def rows(self) -> list[Row]:
        """One row for the candidates, each rule, the remaining examples and each set."""
        flow = self.flow
        rows: list[Row] = [{"box": flow.unit, "left": flow.candidates}]
        rows += [
            {
                "box": s.rule,
                "reason": s.sentence,
                "removed": s.removed,
                "removed_positives": s.positives,
                "left": s.left,
            }
            for s in flow.steps
        ]
        rows.append(
            {
                "box": "examples",
                "left": flow.examples,
                "subjects": flow.subjects,
                "positives": flow.positives,
            }
        )
        for part in self.parts:
            counts = asdict(part)
            rows.append({"box": counts.pop("name"), "left": counts.pop("examples"), **counts})
        return rows

    def frame(self) -> pa.Table:
        """Return the rows as a table."""
        return as_table(as_json(self.rows))

    def to_pandas(self) -> Any:
        """Return :meth:`frame` as a pandas frame."""
        return self.frame().to_pandas()

    def html(self) -> str:
        """Return the diagram as a ``<figure>`` with escaped text; :func:`css` has its style."""
        html: str = _template().render(
            flow=self.flow,
            parts=self.parts,
            positive=self.event,
            title=f"Flow of the cohort: {self.flow.unit} to examples",
            count="{:,}".format,
            share=_share,
            sets=SETS,
        )
        return html

    def save(self, path: Path | str) -> Path:
        """Write the diagram as a page (.html) or its rows (.csv, .parquet)."""
        pages = {".html": lambda: self._page().encode()}
        return write(Path(path), pages, as_json(self.rows))

    def _page(self) -> str:
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Flow of the cohort</title></head><body>{self._repr_html_()}</body></html>\n"
        )

    def _repr_html_(self) -> str:
        style = ".flow { --ink: currentcolor; --soft: currentcolor; font-family: system-ui; }"
        return f"<style>{css()}{style}</style>{self.html()}"


def cohort_flow(flow: Flow, parts: Sequence[SplitSet] = (), *, event: str) -> FlowDiagram:
    """Make the flow diagram of a cohort and its split.

    Args:
        flow: The flow of :mod:`sequela.cohort.selection`.
        parts: See :meth:`SplitSet.of`.
        event: The event of a positive example, for example ``died in this stay``.
    """
    for name in ("examples", "positives"):
        total = sum(getattr(part, name) for part in parts)
        remaining = getattr(flow, name)
        hidden = isinstance(total, Hidden) or isinstance(remaining, Hidden)
        if parts and not hidden and total != remaining:
            raise SettingError(
                f"the parts of the split have {total} {name}, the cohort's flow leaves "
                f"{remaining}: they belong to different cohorts"
            )
    return FlowDiagram(flow, tuple(parts), event)


def css() -> str:
    """Return the style of the diagram, for the ``<style>`` of a page with the same variables."""
    return (files("sequela.figures") / "templates" / "flow.css").read_text("utf-8")


def _share(part: Any, total: Any) -> str:
    if not total or isinstance(part / total, Hidden):
        return ""
    return f" ({part / total:.1%})".replace("%", " %")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("sequela.figures"),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template("flow.html.j2")
