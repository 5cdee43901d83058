"""The TRIPOD+AI checklist of a run: answers from the run, and items open for a person."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from sequela.datasets import catalog
from sequela.models.registry import MODELS
from sequela.report.commands import commands
from sequela.report.entry import Entry
from sequela.report.sentences import KEPT, how_split, parts_in_words, performance, periods_in_words

SOURCE = "Collins et al., BMJ 2024;385:e078378"


@dataclass(frozen=True)
class Item:
    """One item of the checklist, and the templates of its answer: see ``tripod.toml``."""

    number: str
    section: str
    asks: str
    said: str = ""
    left: str = ""


ITEMS = tuple(
    Item(**row)
    for row in tomllib.loads(files("sequela.report").joinpath("tripod.toml").read_text("utf-8"))[
        "items"
    ]
)


@dataclass(frozen=True)
class Answer:
    """One item with the answer from the run and the part left to a person; either may be empty."""

    item: Item
    said: str
    left: str

    @property
    def state(self) -> str:
        """``filled``, ``in part`` or ``open``."""
        return "open" if not self.said else "in part" if self.left else "filled"


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

    @property
    def summary(self) -> str:
        """The counts of filled and open items, in a sentence."""
        return (
            f"{self.count('filled')} of {len(self.answers)} items are filled in from the run "
            f"({100 * self.share:.0f} %) and {self.count('in part')} in part; "
            f"{self.count('open')} are open, for a person to answer"
        )


def checklist(entry: Entry) -> Checklist:
    """Fill the checklist of a run from its folder alone."""
    values = _values(entry)
    answers = (
        Answer(item, *(_template(text).render(values) for text in (item.said, item.left)))
        for item in ITEMS
    )
    return Checklist(entry.title, tuple(answers))


def _values(entry: Entry) -> dict[str, object]:
    data, run = entry.data, entry.run
    listed = catalog.DATA_SETS.get(data.name)
    parts = "; ".join(f"{name}: {content}" for name, content in parts_in_words(entry))
    return {
        "commands": commands,
        "data": data,
        "entry": entry,
        "groups": ", ".join(run.attributes) if entry.two else "",  # subgroups need two classes
        "how_split": how_split,
        "kept": KEPT,
        "leaks": [finding["what"] for finding in entry.findings if finding["severity"] == "leak"],
        "network": MODELS.get(entry.name),
        "parts": f"{parts}{' (first fold)' if run.of_many else ''}.",
        "performance": performance,
        "periods_in_words": periods_in_words,
        "published": listed if listed and listed.citation else None,
        "run": run,
        "split": run.describe_split(),
        "test": entry.test,
        "units": "unit" in run.attributes,
    }


@cache
def _template(text: str) -> Template:
    """Return a template, whose result is escaped where it is shown."""
    environment = Environment(undefined=StrictUndefined)  # noqa: S701
    environment.filters["n"] = "{:,}".format
    return environment.from_string(text)
