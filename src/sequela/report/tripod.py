"""The TRIPOD+AI checklist of a run: answers from the run, and items open for a person."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Template

from sequela.datasets import catalog
from sequela.models.registry import MODELS
from sequela.report.commands import commands
from sequela.report.entry import KEPT, Entry, measures
from sequela.report.page import open_templates

SOURCE = "Collins et al., BMJ 2024;385:e078378"


@dataclass(frozen=True)
class Item:
    """One item of the checklist, and the templates of its answer: see ``tripod.toml``."""

    number: str
    section: str
    asks: str
    answer: str = ""
    open: str = ""


def _items() -> Iterator[Item]:
    text = files("sequela.report").joinpath("tripod.toml").read_text("utf-8")
    for section, items in tomllib.loads(text).items():
        for number, words in items.items():
            yield Item(number, section, **words)


ITEMS = tuple(_items())


@dataclass(frozen=True)
class Answer:
    """One item with the answer from the run and the part open for a person; either may be empty."""

    item: Item
    text: str
    open: str

    @property
    def state(self) -> str:
        """``filled``, ``in part`` or ``open``."""
        return "open" if not self.text else "in part" if self.open else "filled"


@dataclass(frozen=True)
class Checklist:
    """TRIPOD+AI of one run."""

    title: str
    answers: tuple[Answer, ...]
    source = SOURCE

    def count(self, state: str) -> int:
        """Count the items that are ``filled``, ``in part`` or ``open``."""
        return sum(answer.state == state for answer in self.answers)

    @property
    def share(self) -> float:
        """Share of the items that are filled."""
        return self.count("filled") / len(self.answers)


def checklist(entry: Entry) -> Checklist:
    """Fill the checklist of a run from its folder alone."""
    values = _values(entry)
    # Only what the run folder proves is filled in; the rest is for a person.
    answers = (
        Answer(item, *(_template(text).render(values) for text in (item.answer, item.open)))
        for item in ITEMS
    )
    return Checklist(entry.title, tuple(answers))


def _values(entry: Entry) -> dict[str, object]:
    data, run = entry.data, entry.run
    listed = catalog.DATA_SETS.get(data.name)
    return {
        "commands": commands,
        "compared": [record for record in entry.test.group_differences if record.differences],
        "data": data,
        "entry": entry,
        "groups": ", ".join(run.attributes) if entry.two else "",  # subgroups need two classes
        "kept": KEPT,
        "leaks": [finding["what"] for finding in entry.findings if finding["severity"] == "leak"],
        "measures": [m for m in measures([entry]) if entry.test[m.key] is not None],
        "network": MODELS.get(entry.name),
        "published": listed if listed and listed.citation else None,
        "run": run,
        "split": run.describe_split(),
        "test": entry.test,
        "units": "unit" in run.attributes,
    }


@cache
def _template(text: str) -> Template:
    return open_templates(autoescape=False).from_string(text)
