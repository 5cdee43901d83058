"""The blocks and details of a page of runs, and the items of a model card, in their order.

Those of the package are added as a plugin adds its own (:mod:`sequela.register`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sequela.plugins import Registry


@dataclass(frozen=True)
class Section:
    """A block or detail of each study of a page, or an item of a model card.

    Attributes:
        name: Its name, part of its id on a page.
        show: Returns its content from the :class:`~sequela.report.sections.part.StudyPart` of a
            page, or the :class:`~sequela.report.entry.Entry` of a card: a text, Markup, or what its
            template shows. Where that is empty, it is left out.
        title: Its heading; templates of the package have their own.
        template: The template of the package that shows the content.
    """

    name: str
    show: Callable[[Any], object]
    title: str = ""
    template: str = "section.html.j2"


BLOCKS = (  # on sample size, groups and stability, always open: see templates/blocks
    Section("plan", lambda part: part, "Sample size"),
    Section("update", attrgetter("entry.metrics.update"), "Update"),
    Section("groups", attrgetter("entry.test.group_differences"), "Groups"),
    # An ensemble or an updated model is not fitted again.
    Section("stability", lambda part: not part.entry.members and part, "Stability of a risk"),
)
SECTIONS = Registry("section", Section)  # the sections of a page by name
CARD_ITEMS = Registry("card item", Section)  # the items of a model card by name
for _name, _content in (
    ("numbers", "measures"),
    ("scores", "probabilities"),
    ("cohorts", "models"),
    ("table-1", "table_one"),
    ("flow", "flow"),
    ("panels", "panels"),
    ("cost", "derivations"),
    ("codes", "main.data.sequences"),
    ("tripod", "checklist"),
    ("ground", "sources"),
):
    SECTIONS.add(Section(_name, attrgetter(_content), "", f"{_name}.html.j2"))
for _name, _title in (
    ("use", "Use"),
    ("data", "Data"),
    ("training", "Training"),
    ("evaluation", "Evaluation"),
    ("audit", "Leak audit"),
    ("cost", "Cost"),
    ("environment", "Environment"),
    ("reproduction", "How to reproduce"),
    ("checklist", "TRIPOD+AI"),
):
    CARD_ITEMS.add(Section(_name, attrgetter("run"), _title, f"card/{_name}.md.j2"))
