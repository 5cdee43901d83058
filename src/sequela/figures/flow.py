"""Flow diagram of a cohort in the manner of CONSORT, down to the sets of the split.

The figure is HTML, not Vega-Lite: its reasons are sentences, which must be readable on a phone, in
print and aloud, and a list of boxes reflows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from sequela.cohort.flow import Flow
from sequela.cohort.split import SETS
from sequela.disclosure import Hidden
from sequela.errors import SettingError


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


@dataclass(frozen=True)
class FlowDiagram:
    """A flow diagram from candidates to examples with the event, and to the sets of the split."""

    flow: Flow
    parts: tuple[SplitSet, ...]
    event: str

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

    def _repr_html_(self) -> str:
        style = ".flow { --ink: currentcolor; --soft: currentcolor; font-family: system-ui; }"
        return f"<style>{css()}{style}</style>{self.html()}"


def cohort_flow(flow: Flow, parts: Sequence[SplitSet] = (), *, event: str) -> FlowDiagram:
    """Make the flow diagram of a cohort and its split.

    Args:
        flow: The flow of :mod:`sequela.cohort.selection`.
        parts: The sets of the split, in order.
        event: The event of a positive example, for example ``died in this stay``.
    """
    for name in ("examples", "positives"):
        total = sum(getattr(part, name) for part in parts)
        remaining = getattr(flow, name)
        # A sum with a hidden count is hidden, and cannot be compared.
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


def _share(part: "float | Hidden", total: "float | Hidden") -> str:
    # A share with a hidden number is hidden itself; of nothing there is no share.
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
